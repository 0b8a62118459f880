"""Exact search over more vectors than one process should hold: ranges of documents, then a merge.

The plan cuts the documents into ranges of a fixed number of bytes, for any number of workers. A
shard is one range and one block of queries; an actor (one per GPU, or some cores) goes on with the
range it holds, so that each range is loaded about once and the blocks of queries come to it. The
lists of every range are exact and in the order of a run, so merging them, range by range, gives the
run that one search over all documents would give, byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...native.topk import merge_ranked
from ..actors import Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.rows import Corpus
from ..runs.run import Run, run_table
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.tables import RUN
from .dense import DenseWorker, Range

_RANGE_BYTES = 4 << 30  # of stored vectors: twice that as float32 on a device
_KIND = "range-lists"


def document_ranges(vectors: Artifact) -> list[Range]:
    """Cut the parts of a vectors artifact into ranges; a function of the artifact alone."""
    ranges: list[Range] = []
    first, held = 0, 0
    for number, part in enumerate(vectors.parts):
        if held and held + part.bytes > _RANGE_BYTES:
            ranges.append((first, number))
            first, held = number, 0
        held += part.bytes
    return [*ranges, (first, len(vectors.parts))]


@dataclass(frozen=True, slots=True)
class Search:
    """A dense search: its queries in blocks, the options of its `DenseWorker`, its inputs."""

    collection: Collection
    split: str
    blocks: list[Shard]
    options: Mapping[str, Any]
    inputs: Mapping[str, Artifact]
    gpus: int

    def merge(self, lists: Artifact) -> dict[str, Any]:
        """Return the options of the `MergeWorker` of the ranges' lists."""
        kept = {name: self.options[name] for name in ("corpus", "split_queries", "depth")}
        ranges = len(lists.parameters["ranges"])
        return {"lists": str(lists.path), "ranges": ranges, **kept}


def search_ranges(workspace: Workspace, search: Search, executor: Execution) -> Artifact:
    """Search every range for every block of queries: the lists of range 0, then of range 1, …."""
    ranges = document_ranges(search.inputs["doc_vectors"])
    blocks, asked = search.blocks, len(search.options["split_queries"])
    shards = [
        Shard(at * len(blocks) + b.number, at * asked + b.start, at * asked + b.stop, b.work)
        for at in range(len(ranges))
        for b in blocks
    ]
    about = search.collection
    texts = {"corpus": about.corpus.artifact, "queries": about.queries.artifact}
    if search.split != EVERY_QUERY:
        texts["qrels"] = about.qrels_artifact(search.split)  # they say which queries are asked
    stage = Stage(
        kind=_KIND,
        parameters={
            "depth": search.options["depth"],
            "ranges": [list(r) for r in ranges],
            "split": search.split,
        },
        inputs={**texts, **search.inputs},
        schema=RUN,
        shards=lambda: shards,
        worker=RangeWorker,
        options={"search": dict(search.options), "ranges": ranges},
        metadata={"source": _KIND, "split": search.split},
        gpus=search.gpus,
        unit="queries",
        together=lambda shard: shard.number // len(blocks),
    )
    return workspace.build(stage, executor)


class RangeWorker:
    """Searches blocks of queries in one range of documents at a time."""

    def __init__(self, search: Mapping[str, Any], ranges: list[Range]):
        self.search, self.ranges = search, ranges
        self.asked = len(search["split_queries"])
        self._open = -1
        self._worker: Any = None

    def __call__(self, shard: Shard) -> Output:
        """Return the lists of keys start…stop−1: the split's queries, once for each range."""
        number = shard.start // max(self.asked, 1)
        if number != self._open:
            self._worker = None  # lets go of the last range before the next is held
            self._worker = DenseWorker(**self.search, parts=self.ranges[number])
            self._open = number
        low = number * self.asked
        return self._worker(Shard(shard.number, shard.start - low, shard.stop - low, shard.work))


class MergeWorker:
    """Merges the lists of the ranges, one range after the other, into those of the run."""

    def __init__(self, lists: str, corpus: str, ranges: int, split_queries: np.ndarray, depth: int):
        self.lists, self.ranges = Run(open_artifact(lists)), ranges
        self.split_queries = split_queries
        texts = Corpus(open_artifact(corpus))
        self.depth = min(depth, len(texts) - len(texts.empty))

    def __call__(self, shard: Shard) -> Output:
        """Return the run of split queries start…stop−1."""
        query = self.split_queries[shard.start : shard.stop]
        shape = (len(query), self.depth)
        best = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        spare = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        for number in range(self.ranges if len(query) else 0):
            low = number * len(self.split_queries)
            offsets, docs, scores = self.lists.lists(low + shard.start, low + shard.stop)
            lengths = (len(query), int(offsets[1]))  # every query has as many documents of a range
            score, doc = scores.astype(np.float32), docs.astype(np.int64)
            merge_ranked(*best, score.reshape(lengths), doc.reshape(lengths), 0, *spare)
            best, spare = spare, best
        offsets = np.arange(len(query) + 1) * self.depth
        return Output(
            run_table(query, offsets, best[1].ravel(), best[0].ravel()),
            usage={"queries": len(query)},
        )
