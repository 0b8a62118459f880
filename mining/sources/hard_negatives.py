"""The public hard-negatives files of sentence-transformers as a source: one run per mining system.

A line is `{"qid": 10, "pos": [0], "neg": {"bm25": [1, 7], "system": [2]}}`, plain or gzip, the
negatives best first; in newer files a document is an object with `pid` and scores. These files are
known to hold positives among the negatives (sentence-transformers#1346): they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..actors import Execution
from ..collection.handles import Collection
from ..options import Option
from ..parts.costs import FILE
from ..runs.files import import_run
from ..store import Artifact, Workspace
from .base import SOURCES, mines


@SOURCES.register("hard_negatives", FILE)
@dataclass(frozen=True, slots=True)
class HardNegatives:
    """The negatives of one `system` of the file; the score is minus the place in its list."""

    path: Annotated[str, Option("The file of negatives.", example="FILE")]
    system: Annotated[str, Option("Which system of the file, such as bm25.", example="bm25")]
    tag: Annotated[str | None, Option("What the run is called in labels; default: the system.")] = (
        None
    )


@mines(HardNegatives)
def mine_hard_negatives(
    workspace: Workspace,
    source: HardNegatives,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Import the system's lists, cut to `depth`; raises BadInput naming the systems of the file."""
    return import_run(
        workspace,
        source.path,
        collection,
        split,
        tag=source.tag or source.system,
        depth=depth,
        system=source.system,
        executor=executor,
    )
