"""Runs that another tool wrote: TREC run files, plain or gzip."""

from __future__ import annotations

from dataclasses import dataclass

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..runs.files import import_run
from ..store import Artifact, Workspace
from .base import SOURCES, mines


@SOURCES.register("imported")
@dataclass(frozen=True, slots=True)
class Imported:
    """A TREC run file; `tag` names the run in labels, by default the file's own tag."""

    path: str | None = None
    tag: str | None = None


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
        workspace, source.path, collection, split, tag=source.tag, depth=depth, executor=executor
    )
