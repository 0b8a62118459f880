"""What a recipe names and this machine does not have: collections, models, files. All of it is said
at once, before the first stage, with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rankmill.mining.errors import BadInput
from rankmill.mining.inputs.given_paths import path_given
from rankmill.study.before.data import specs_of
from rankmill.study.before.models import missing_models, values_of
from rankmill.study.recipe import Recipe


def missing_data(recipe: Recipe) -> list[BadInput]:
    """Return what is wrong with each collection and file that is not there; what can be downloaded
    counts as there (`to_download` names it)."""
    return [*_collections(recipe), *_files(recipe)]


def refuse_missing(recipe: Recipe, *, fetch: bool, data: bool) -> None:
    """Raise BadInput that lists everything that is missing; models alone without `data`. `fetch`:
    models of the Hub are brought now."""
    lacks = [*(missing_data(recipe) if data else ()), *missing_models(recipe, fetch=fetch)]
    if lacks:
        raise listed(lacks, recipe.where)


def listed(lacks: Sequence[BadInput], where: str) -> BadInput:
    """Return one error for all that is missing; the error itself where it is only one."""
    if len(lacks) == 1:
        return lacks[0]
    lines = [f"{len(lacks)} things that the recipe names are not on this machine"]
    for one in lacks:
        place = (one.where or "").removeprefix(f"{where}: ")
        lines += [f"  - {place}: {one.what}", f"    {one.do}"]
    return BadInput(
        "\n".join(lines),
        where=where,
        do="put them there, or name others with --set KEY=VALUE, and run the same command again",
    )


def to_download(recipe: Recipe) -> list[str]:
    """Return the collections, as the recipe names them, that a run downloads before it reads
    them."""
    return [spec for spec in dict.fromkeys(specs_of(recipe).values()) if not _is_here(spec)]


def is_here(spec: str) -> bool:
    """Say whether a collection is on this machine; nothing of it is read."""
    try:
        return _is_here(spec)
    except BadInput:
        return False


def _collections(recipe: Recipe) -> Iterator[BadInput]:
    seen: set[str] = set()
    for key, spec in specs_of(recipe).items():
        if spec in seen:
            continue
        seen.add(spec)
        try:
            _is_here(spec)
        except BadInput as error:
            where = f"{recipe.where}: {key}" + (f", {error.where}" if error.where else "")
            other = f"--set {key}={spec.partition(':')[0]}:…"
            do = f"{error.do}; {other} names another" if error.do else f"name another: {other}"
            yield BadInput(error.what, where=where, do=do)


def _is_here(spec: str) -> bool:
    """Say whether a collection can be read without a download; nothing of it is read. Raises
    BadInput where there is none."""
    from rankmill.mining.collection.base import open_reader
    from rankmill.mining.inputs.hub_place import is_offline, revisions_held

    kind, _, rest = spec.partition(":")
    if kind == "ir":
        from rankmill.mining.collection.irds import is_here

        return is_here(rest)
    if kind == "hf" and not is_offline():
        names = [one.partition(":")[0].partition("@")[0] for one in rest.split("+")]
        return all(revisions_held(name, "dataset") for name in names)
    open_reader(spec)  # looks for the files
    return True


def _files(recipe: Recipe) -> Iterator[BadInput]:
    """Yield what is wrong with the files that sources and teachers are read from: runs, scores,
    negatives."""
    seen: set[str] = set()
    for key, value in values_of(recipe):
        path = getattr(value, "path", None)
        if not isinstance(path, str) or path in seen:
            continue
        seen.add(path)
        if not path_given(path).exists():
            yield BadInput(
                f"there is no file {path!r}",
                where=f"{recipe.where}: {key}, {path_given(path).absolute()}",
                do="check the path; a recipe's paths begin where the command is run",
            )
