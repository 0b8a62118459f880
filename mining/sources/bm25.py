"""The BM25 source: lexical candidates from an index of our own, exact, ties by document."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from ..text.analysis import analyse
from ..text.postings import Postings, postings_of
from .base import SOURCES, build_run, mines, run_table
from .bm25_search import Batch, Searcher

_SHARD_POSTINGS = 4_000_000_000  # about ten seconds on one core


@SOURCES.register("bm25")
@dataclass(frozen=True, slots=True)
class Bm25:
    """Lucene's BM25: k1 ≥ 0 saturates repeated terms, 0 ≤ b ≤ 1 corrects for document length."""

    k1: float = 0.9
    b: float = 0.4

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and math.isfinite(self.k1)):
            raise UsageError(f"bm25: k1={self.k1} must be a number of at least 0")
        if not 0 <= self.b <= 1:
            raise UsageError(f"bm25: b={self.b} must lie between 0 and 1")


@mines(Bm25)
def mine_bm25(
    workspace: Workspace,
    source: Bm25,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    how: Execution,
) -> Artifact:
    """Mine the `depth` best documents by BM25 for each query of a split; `seed` does not matter.

    A query that shares no term with any document keeps its row, with an empty list.
    """
    index = postings_of(workspace, collection.corpus, how)
    options: dict[str, Any] = {
        "collection": str(collection.artifact.path),
        "index": str(index.path),
        "split": split,
        "depth": depth,
        "k1": source.k1,
        "b": source.b,
    }
    return build_run(
        workspace,
        str(source),
        collection,
        split,
        depth=depth,
        inputs={"postings": index},
        worker=Miner,
        options=options,
        shards=lambda: Miner(**options).plan(),
        unit="postings",
        how=how,
    )


class Miner:
    """Searches a memory-mapped index for ranges of a split's queries."""

    def __init__(self, collection: str, index: str, split: str, depth: int, k1: float, b: float):
        opened = Collection.at(collection)
        self.queries, self.asked = opened.queries, opened.split_queries(split)
        self.index = Postings(open_artifact(index))
        self.depth, self.k1, self.b = depth, k1, b

    def plan(self) -> list[Shard]:
        """Cut the queries into ranges of about equal numbers of postings."""
        return split_by_work(
            self._searcher(0, len(self.asked)).postings_per_query(), _SHARD_POSTINGS
        )

    def __call__(self, shard: Shard) -> Output:
        """Return the run of queries `start…stop−1` of the split."""
        bounds, docs, scores = self._searcher(shard.start, shard.stop).search(self.depth)
        table = run_table(self.asked[shard.start : shard.stop], bounds, docs, scores)
        return Output(table, usage={"postings": shard.work})

    def _searcher(self, start: int, stop: int) -> Searcher:
        texts = pa.array(self.queries.texts(self.asked[start:stop]), pa.large_string())
        return Searcher(self.index, Batch.of(analyse(texts)), self.k1, self.b)
