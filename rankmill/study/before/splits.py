"""The splits that a recipe names, compared with those that its collections have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rankmill.mining.collection import Collection
from rankmill.mining.collection.base import open_reader, reader_kind
from rankmill.mining.errors import UsageError
from rankmill.mining.names import nearest
from rankmill.study.before.glimpse import IN_FILES
from rankmill.study.before.missing import is_here
from rankmill.study.recipe import Recipe

_EVERY = "*"


def check_splits_told(recipe: Recipe) -> None:
    """Raise UsageError for a split that a collection cannot have, as far as its files say so
    without being read: those of readers of files, and the built-in collections."""
    for key, spec, split in _named(recipe):
        told = _told(spec)
        if told is not None and spec == recipe.collection:
            told = _after_collect(recipe, told)
        if told is not None and split not in told:
            raise _no_split(recipe, key, split, spec, told)


def check_splits(recipe: Recipe, held: Collection) -> None:
    """Raise UsageError for a split that the collection of a recipe, which was read, lacks."""
    for key, spec, split in _named(recipe):
        if spec == recipe.collection and split not in held.splits:
            raise _no_split(recipe, key, split, spec, held.splits)


def _named(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Yield every split that is named: by which key, of which collection."""
    split = recipe.option("mine", "split")
    if split != _EVERY:
        yield "mine.split", recipe.collection, split
    if recipe.trains:
        for name, domain in recipe.domains.items():
            spec = domain.collection or recipe.collection
            yield f"evaluate.domains.{name}.split", spec, domain.split


def _no_split(recipe: Recipe, key: str, split: str, spec: str, there: Sequence[str]) -> UsageError:
    if not there:
        return UsageError(
            f"the collection {spec} has no judgements, and {key} names the split {split!r}",
            where=f"{recipe.where}: {key}",
            do="give it judgements (qrels), or mine every query: mine.split='*'",
        )
    close = nearest(split, there)
    return UsageError(
        f"the collection {spec} has no split {split!r}",
        where=f"{recipe.where}: {key}",
        do=(f"{close} " if close.endswith("?") else "")
        + f"it has {', '.join(sorted(there))}; collect.divide makes new ones",
    )


def _told(spec: str) -> list[str] | None:
    """Return the splits of a collection that is not read; None where nobody can say."""
    from rankmill.mining.collection import python_docs

    if spec == "python-docs":
        return list(python_docs.SPLITS)
    if spec == "python-docs:held-out":
        return list(python_docs.HELD_OUT_SPLITS)
    if reader_kind(spec) not in IN_FILES or not is_here(spec):
        return None
    return list(open_reader(spec).qrels)  # type: ignore[attr-defined]


def _after_collect(recipe: Recipe, told: Sequence[str]) -> list[str]:
    """Return the splits that there are when the recipe's collection is read as it says."""
    from rankmill.mining.collection.divisions import divisions_of

    wanted = recipe.option("collect", "splits")
    kept = [one for one in told if not wanted or one in wanted]
    made = [name for one in divisions_of(recipe.option("collect", "divide")) for name in one.parts]
    return [*kept, *made]
