"""Finding what a workspace holds: one thing by its name, or a list of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.handles import opened, workspace_at
from rankmill.mining.errors import BadInput
from rankmill.mining.parts.told import Findings
from rankmill.mining.statistics.summaries import summary
from rankmill.objects.base import as_object
from rankmill.objects.door import door

if TYPE_CHECKING:
    import polars

    from rankmill.mining.collection import Collection
    from rankmill.mining.parts.description import Described
    from rankmill.mining.store import Artifact, Workspace


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
    kind: str | None = None, *, workspace: Workspace | str | Path | None = None
) -> polars.DataFrame:
    """List what a workspace holds: name (several with commas), kind, fingerprint, rows, bytes.

    `kind`: one kind alone, such as run. Or the parts that can be named, sources, teachers,
    statistics, strategies, filters, cuts, targets, losses, students or exports: name, what it is,
    an example. A polars frame.

    Example:
        rm.list("groups").sort("rows")
    """
    import polars

    from rankmill.families import KINDS, kind_of, no_kind

    place = workspace_at(workspace)
    wanted = kind_of(kind, place)
    if kind is not None and kind in KINDS and wanted is None:
        return _parts(kind)
    if kind is not None and wanted is None:
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

    from rankmill.families import listed

    rows = [(one.name, one.summary, one.example) for one in listed(kind)]
    columns = {name: polars.String for name in ("name", "what it is", "example")}
    return polars.DataFrame(rows, schema=columns, orient="row")


@door
def describe(name: str, *, kind: str | None = None) -> Descriptions:
    """Say what a source, teacher, statistic, strategy, loss … takes, needs and costs.

    `name`: a part or a whole spec, "dense(model=PATH)". `kind`: where several are called so, one of
    them, "strategies". What is returned prints itself; its items have `parameters`, `costs`,
    `example` and so on as values.

    Example:
        rm.describe("dense")
    """
    from rankmill.families import described

    return Descriptions(part for _, part in described(name, kind))


class Descriptions(tuple["Described", ...]):
    """Parts of one name, one for each family that has it; shown as text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n\n".join("\n".join(_lines(one)) for one in self)


def _lines(part: Described) -> Iterator[str]:
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
