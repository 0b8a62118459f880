"""Finding what a workspace holds: one thing by its name, or a list of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.handles import opened, workspace_at
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.parts.told import Findings
from rankmill.mining.statistics.summaries import summary
from rankmill.objects.base import as_object
from rankmill.objects.door import door

if TYPE_CHECKING:
    import polars

    from rankmill.mining.collection import Collection
    from rankmill.mining.parts.description import Described
    from rankmill.mining.store import Artifact, Workspace
    from rankmill.named.meanings import Other, Published


@door
def open_named(
    name: str | Path | Artifact | Collection, *, workspace: Workspace | str | Path | None = None
) -> Any:
    """Bring back anything that was made, as the object that its verb returned.

    `name`: what it was called, the first 8 or more digits of its fingerprint, or the path of its
    folder. Raises BadInput with the nearest names where there is none.

    Example:
        rm.open("nf-groups").audit()
    """
    return as_object(opened(name, workspace_at(workspace)))


@door
def list_all(
    kind: str | None = None,
    *,
    parts: bool | None = None,
    workspace: Workspace | str | Path | None = None,
) -> polars.DataFrame:
    """List what a workspace holds: name (several with commas), kind, fingerprint, rows, bytes.

    `kind`: one kind alone, such as run. Or the parts that can be named, sources, teachers,
    statistics, strategies, filters, cuts, targets, losses, students or exports: name, what it is,
    an example. "statistics" and "students" are both: artifacts, and with `parts=True` the parts
    that can be named. A polars frame.

    Example:
        rm.list("groups").sort("rows")
        rm.list("statistics", parts=True)
    """
    import polars

    from rankmill.named.families import KINDS, kind_of, no_kind

    place = workspace_at(workspace)
    wanted = kind_of(kind, place)
    if kind is not None and kind in KINDS and (wanted is None if parts is None else parts):
        return _parts(kind)
    if parts:
        said = f"kind={kind!r} is" if kind is not None else "no kind was given, which is"
        raise UsageError(
            f"parts=True lists parts that can be named, and {said} none of them",
            do=f"name one: {', '.join(KINDS)}",
        )
    if kind is not None and wanted is None:
        if kind in KINDS:
            raise UsageError(
                f"kind={kind!r} is a kind of part, and parts=False asks for artifacts",
                do="leave out parts=False",
            )
        raise no_kind(kind, place)
    place.check_there()
    names: dict[str, list[str]] = {}
    for name, alias in place.names().items():
        names.setdefault(alias.fingerprint, []).append(name)
    rows = [
        (", ".join(names.get(one.fingerprint, [])), one.kind, one.fingerprint, one.rows, one.bytes)
        for one in place.artifacts(wanted)
    ]
    text, number = polars.String, polars.Int64
    columns = {"name": text, "kind": text, "fingerprint": text, "rows": number, "bytes": number}
    return polars.DataFrame(rows, schema=columns, orient="row")


def _parts(kind: str) -> polars.DataFrame:
    import polars

    from rankmill.named.families import listed

    rows = [(one.name, one.summary, one.example) for one in listed(kind)]
    columns = {name: polars.String for name in ("name", "what it is", "example")}
    return polars.DataFrame(rows, schema=columns, orient="row")


@door
def describe(
    name: str, *, kind: str | None = None, workspace: Workspace | str | Path | None = None
) -> Descriptions:
    """Say what a source, teacher, statistic, strategy, loss … takes, needs and costs.

    `name`: a part or a whole spec, "dense(model=PATH)"; a published teacher, a command, a recipe,
    prompts of encoders, a data set of ir_datasets, or a name of the workspace: the same that
    `rankmill describe` knows. `kind`: where several parts are called so, one of them, "strategies".
    What is returned prints itself; its items have `parameters`, `costs`, `example`, or `facts` and
    so on as values. Raises UsageError with the nearest of all that could be meant.

    Example:
        rm.describe("dense")
    """
    from rankmill.named.meanings import commands, meaning_of

    place = workspace_at(workspace).root
    meaning = meaning_of(name, kind, {} if kind is not None else commands(), place)
    published = [] if meaning.published is None else [meaning.published]
    return Descriptions([*published, *(part for _, part in meaning.parts), *meaning.others])


class Descriptions(tuple["Described | Published | Other", ...]):
    """What has one name: a part for each family that has it, and what else is called so; shown as
    text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n\n".join("\n".join(_lines(one)) for one in self)


def _lines(one: Described | Published | Other) -> Iterator[str]:
    """Yield what is said of what has a name."""
    from rankmill.named.meanings import Other, Published

    if isinstance(one, Other):
        yield f"{one.noun} {one.name}"
        yield f"  {one.summary}"
        yield from (f"  {head}: {text}" for head, text in one.facts.items())
        yield f"  next: {one.command}"
    elif isinstance(one, Published):
        yield f"published teacher {one.name}"
        for head, text in one.facts.items():
            yield f"  {head}: {text!r}" if "\n" in text else f"  {head}: {text}"
        yield f"  example: {one.as_json()['spec']}"
    else:
        yield from _of_part(one)


def _of_part(part: Described) -> Iterator[str]:
    """Yield what is said of a part: what it is, what it needs, its parameters, an example."""
    yield f"{part.noun} {part.name}"
    yield f"  {part.summary}"
    if part.costs is not None:
        yield f"  needs: {', '.join([part.costs.needs, *sorted(part.needs)])}"
    for one in part.parameters:
        default = "required" if one.default is None else one.default
        limits = [text for text in (one.type, one.unit, one.within) if text]
        yield f"  {one.name} = {default}: {one.help} ({', '.join(limits)})"
    yield f"  example: {part.example}"


def summarised(
    of: Artifact,
    *,
    correlate: Sequence[str] | None = None,
    beside: Sequence[Artifact | str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Return what statistics say about a whole data set: see `rankmill.api.summarise`."""
    others = [opened(one, of.workspace) for one in beside]
    for one in (of, *others):
        if one.kind != "statistics":
            raise BadInput(
                f"{one!r} is of kind {one.kind}, one of kind statistics was expected",
                where=one.path,
                do="measure them first: rm.stats",
            )
    return Findings(summary.summarise(of, correlate=correlate, beside=others, seed=seed))


open_named.__name__ = open_named.__qualname__ = "open"
list_all.__name__ = list_all.__qualname__ = "list"
