"""Runs that another tool wrote: TREC run files, plain or gzip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..runs.files import import_run
from ..runs.reading import Reading
from ..store import Artifact, Workspace
from .base import SOURCES, mines


@SOURCES.register("imported")
@dataclass(frozen=True, slots=True)
class Imported:
    """A TREC run file; `tag` names the run in labels, by default the file's own tag.

    `order=rank`: the rank column decides, not the scores; `sign=-1`: lower scores are better;
    `unknown=skip` leaves out documents that the collection lacks. See `import_run`.
    """

    path: str | None = None
    tag: str | None = None
    order: str | None = None
    sign: int | None = None
    unknown: str | None = None

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
