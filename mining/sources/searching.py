"""Runs of sources that answer one query at a time: all that a plug-in source must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..actors import Execution
from ..answers import wrong
from ..collection.handles import Collection
from ..errors import PluginError
from ..foreign import guarded
from ..meter.underway import so_far
from ..runs.run import build_run, run_table
from ..store import Artifact, Output, Shard, Workspace, split_by_work
from .base import SOURCES

_SHARD_PAIRS = 1 << 16

Search = Callable[[str, int], tuple[Any, Any]]
"""search(text of a query, depth) -> (document ordinals, scores), in any order; higher is better"""


class SearchingSource(Protocol):
    """A source that answers one query at a time."""

    def searcher(self, collection: Collection) -> Search:
        """Open what the search needs, once per process, and return the function that searches."""
        ...


def mine_by_searching(
    workspace: Workspace,
    source: SearchingSource,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Ask for every query of the split; sort by (−score, document), leave out empty documents, cut.

    Raises PluginError for an answer that is no list of different documents with finite scores.
    """
    queries = collection.split_queries(split)
    return build_run(
        workspace,
        str(source),
        collection,
        split,
        depth=depth,
        worker=SearchWorker,
        options={
            "source": str(source),
            "collection": str(collection.artifact.path),
            "split": split,
            "depth": depth,
        },
        shards=lambda: split_by_work(np.full(len(queries), depth), _SHARD_PAIRS),
        executor=executor,
    )


class SearchWorker:
    """Searches for a range of queries."""

    def __init__(self, source: str, collection: str, split: str, depth: int):
        opened = Collection.at(collection)
        self.title, self.depth = f"source {source}", depth
        self.queries, self.asked = opened.queries, opened.split_queries(split)
        self.documents, self.empty = len(opened.corpus), opened.corpus.empty
        search = SOURCES.stored(source).searcher(opened)
        if not callable(search):
            raise wrong(self.title, f"{search!r}, not a function", "let searcher return search")
        self.search: Search = guarded(search, self.title, SOURCES.group)

    def __call__(self, shard: Shard) -> Output:
        """Return the run of queries `start…stop−1` of the split."""
        asked = self.asked[shard.start : shard.stop]
        lists = []
        for number, query in enumerate(asked):
            so_far(number, len(asked))
            lists.append(self._list(int(query)))
        offsets = np.cumsum([0, *(len(docs) for docs, _ in lists)])
        docs = np.concatenate([np.empty(0, np.uint32), *(docs for docs, _ in lists)])
        scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores in lists)])
        return Output(run_table(asked, offsets, docs, scores))

    def _list(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one list: documents uint32, scores float32, best first."""
        answer = self.search(self.queries.text(query), self.depth)
        try:
            docs, scores = (np.asarray(part) for part in answer)
            scores = scores.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise self._refused(query, f"{type(answer).__name__}, not two lists") from error
        if docs.shape != scores.shape or docs.ndim != 1:
            raise self._refused(query, f"{docs.shape} documents with {scores.shape} scores")
        if len(docs) and not np.issubdtype(docs.dtype, np.integer):
            raise self._refused(query, f"documents of type {docs.dtype}, not whole numbers")
        if len(docs) and not (docs.min() >= 0 and docs.max() < self.documents):
            raise self._refused(query, f"documents beyond 0 to {self.documents - 1}")
        if len(np.unique(docs)) < len(docs):
            raise self._refused(query, "a document twice")
        if not np.isfinite(scores).all():
            raise self._refused(query, "a score that is not finite")
        written = ~np.isin(docs, self.empty)
        docs, scores = docs[written], scores[written]
        order = np.lexsort((docs, -scores))[: self.depth]
        return docs[order].astype(np.uint32), scores[order]

    def _refused(self, query: int, what: str) -> PluginError:
        return PluginError(
            f"{self.title} gave {what}",
            where=f"query {self.queries.query_id(query)!r}",
            do="return (ordinals of documents, scores): two lists of one length",
        )
