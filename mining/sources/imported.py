"""Runs that another tool wrote: TREC run files, plain or gzip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..options import Option
from ..parts.costs import FILE
from ..parts.parameters import SIGN, UNKNOWN_IDS
from ..runs.files import import_run
from ..runs.reading import Reading
from ..store import Artifact, Workspace
from .base import SOURCES, mines


@SOURCES.register("imported", FILE)
@dataclass(frozen=True, slots=True)
class Imported:
    """A TREC run file; `tag` names the run in labels, by default the file's own tag.

    `order=rank`: the rank column decides, not the scores; `sign=-1`: lower scores are better;
    `unknown=skip` leaves out documents that the collection lacks. See `import_run`.
    """

    path: Annotated[
        str | None, Option("The TREC run, or Parquet of its columns.", example="FILE")
    ] = None
    tag: Annotated[
        str | None, Option("What the run is called in labels; default: the file's own tag.")
    ] = None
    order: Annotated[str | None, Option("What decides: score (default) or rank.")] = None
    sign: Annotated[int | None, SIGN] = None
    unknown: Annotated[str | None, UNKNOWN_IDS] = None

    def __post_init__(self) -> None:
        self.reading()

    def reading(self) -> dict[str, Any]:
        """Return how the file is read, as keywords of `import_run`; refuses what is unknown."""
        given = {"order": self.order, "sign": self.sign, "unknown": self.unknown}
        said: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        Reading(**said)
        return said


@mines(Imported)
def mine_imported(
    workspace: Workspace,
    source: Imported,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Import the file, cut to `depth`."""
    if source.path is None:
        raise UsageError("imported needs path", do="write imported(path=run.txt)")
    return import_run(
        workspace,
        source.path,
        collection,
        split,
        tag=source.tag,
        depth=depth,
        **source.reading(),
        executor=executor,
    )
