"""Finding what a workspace holds: one thing by its name, or a list of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.handles import opened, workspace_at
from rankmill.mining.errors import BadInput
from rankmill.mining.statistics.summaries import summary
from rankmill.objects.base import as_object
from rankmill.objects.door import door

if TYPE_CHECKING:
    import polars

    from rankmill.mining.collection import Collection
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

    `kind`: one kind alone, such as run. What `rankmill list` prints, as a polars frame.

    Example:
        rm.list("groups").sort("rows")
    """
    import polars

    place = workspace_at(workspace)
    place.check_there()
    names: dict[str, list[str]] = {}
    for name, alias in place.names().items():
        names.setdefault(alias.fingerprint, []).append(name)
    rows = [
        (", ".join(names.get(one.fingerprint, [])), one.kind, one.fingerprint, one.rows, one.bytes)
        for one in place.artifacts(kind)
    ]
    text, number = polars.String, polars.Int64
    columns = {"name": text, "kind": text, "fingerprint": text, "rows": number, "bytes": number}
    return polars.DataFrame(rows, schema=columns, orient="row")


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
    return summary.summarise(of, correlate=correlate, beside=others, seed=seed)


open_named.__name__ = open_named.__qualname__ = "open"
list_all.__name__ = list_all.__qualname__ = "list"
