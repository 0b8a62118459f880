"""The dense source: exact search by inner product over an encoder's memory-mapped vectors.

FAISS proposes, block by block, a few more documents than asked for; their scores are computed again
in one fixed order of summation, sorted by (−score, document) and cut. A bound on the rounding
errors of the search proves for each query that nothing outside the proposal belongs into the list;
where it does not (many near-equal documents), the query is searched again with a longer proposal.
So the run is exact, and the same bytes for any number of workers and threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...native.topk import merge_ranked
from ..actors import INLINE, Execution
from ..collection.handles import Collection, Corpus
from ..encoders import DTYPES, POOLINGS, encode
from ..errors import UsageError
from ..models import COMPUTE, resolve
from ..store import Artifact, Output, Shard, Workspace, open_artifact
from ..vectors import Vectors, products, same_width
from .base import SOURCES, build_run, mines, run_table

_QUERY_BLOCK = 2048  # queries per shard: FAISS chooses its path by the size of the block
_DOC_BLOCK = 1 << 16
_MARGIN = 32
_WIDEN = 4


@SOURCES.register("dense")
@dataclass(frozen=True, slots=True)
class Dense:
    """Nearest documents by inner product; parameters left out are read from the model's files."""

    model: str
    max_length: int | None = None
    compute: str = "float32"
    dtype: str = "float16"
    pooling: str | None = None
    normalise: bool | None = None

    def __post_init__(self) -> None:
        for name, known in (("compute", COMPUTE), ("dtype", DTYPES), ("pooling", POOLINGS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise UsageError(f"{name}={value} is not known", do=f"one of {', '.join(known)}")


@mines(Dense)
def mine_dense(
    workspace: Workspace,
    source: Dense,
    collection: Collection,
    split: str,
    depth: int,
    seed: int = 0,
    how: Execution = INLINE,
) -> Artifact:
    """Mine the `depth` nearest documents of each query of a split; returns a run artifact."""
    model = resolve(source.model)
    vectors = {
        role: encode(
            workspace,
            model,
            texts.artifact,
            max_length=source.max_length,
            compute=source.compute,
            dtype=source.dtype,
            pooling=source.pooling,
            normalise=source.normalise,
            how=how,
        )
        for role, texts in (("queries", collection.queries), ("corpus", collection.corpus))
    }
    return build_run(
        workspace,
        SOURCES.text(replace(source, model=model.tag)),
        collection,
        split,
        depth=depth,
        worker=DenseWorker,
        options={
            "queries": str(vectors["queries"].path),
            "docs": str(vectors["corpus"].path),
            "corpus": str(collection.corpus.artifact.path),
            "split_queries": collection.split_queries(split),
            "depth": depth,
        },
        shards=lambda: _blocks(len(collection.split_queries(split))),
        inputs={"query_vectors": vectors["queries"], "doc_vectors": vectors["corpus"]},
        metadata={"model": model.tag},
        unit="queries",
        how=how,
    )


def _blocks(queries: int) -> list[Shard]:
    starts = range(0, queries, _QUERY_BLOCK)
    stops = [min(at + _QUERY_BLOCK, queries) for at in starts]
    blocks = [Shard(n, a, b, b - a) for n, (a, b) in enumerate(zip(starts, stops, strict=True))]
    return blocks or [Shard(0, 0, 0, 0)]


class DenseWorker:
    """Searches blocks of queries over mapped vectors."""

    def __init__(self, queries: str, docs: str, corpus: str, split_queries: np.ndarray, depth: int):
        self.queries, self.docs = Vectors(open_artifact(queries)), Vectors(open_artifact(docs))
        same_width(self.queries, self.docs)
        self.split_queries = split_queries
        self.empty = Corpus(open_artifact(corpus)).empty
        self.depth = min(depth, len(self.docs) - len(self.empty))
        self._longest: float | None = None

    def __call__(self, shard: Shard) -> Output:
        """Return the ranked lists of split queries start…stop−1."""
        query = self.split_queries[shard.start : shard.stop]
        docs = np.empty((len(query), self.depth), dtype=np.uint32)
        scores = np.empty((len(query), self.depth), dtype=np.float32)
        pending = np.arange(len(query))
        width = self.depth + max(_MARGIN, self.depth // 8) + len(self.empty)
        searched = 0
        while len(pending) and self.depth:
            width = min(width, len(self.docs))
            vectors = self.queries.rows(query[pending])
            near, found = self._propose(vectors, width)
            exact, ranked = self._rank(vectors, found)
            docs[pending] = ranked[:, : self.depth]
            scores[pending] = exact[:, : self.depth]
            searched += len(pending)
            if width == len(self.docs):
                break
            bound = self._rounding(vectors)
            unsure = exact[:, self.depth - 1] <= near[:, -1] + bound
            pending = pending[unsure]
            width *= _WIDEN
        offsets = np.arange(len(query) + 1) * self.depth
        return Output(
            run_table(query, offsets, docs.ravel(), scores.ravel()),
            usage={"queries": len(query), "searches": searched},
        )

    def _propose(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores float32, docs int64) [n, width], best first, from a search over blocks."""
        import faiss

        shape = (len(vectors), width)
        best = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        spare = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        starts = {part.number: part.start for part in self.docs.artifact.parts}
        for part, low, high in self.docs.blocks(_DOC_BLOCK):
            block = self.docs.part(part)[low:high].astype(np.float32)
            k = min(width, high - low)
            score, doc = faiss.knn(vectors, block, k, metric=faiss.METRIC_INNER_PRODUCT)
            merge_ranked(*best, score, doc, starts[part] + low, *spare)
            best, spare = spare, best
        return best

    def _rank(self, vectors: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score proposals canonically and sort by (−score, document); empty documents go last."""
        row = np.repeat(np.arange(len(found)), found.shape[1])
        exact = products(vectors, row, self.docs, found.ravel()).reshape(found.shape)
        if len(self.empty):
            exact[np.isin(found, self.empty)] = -np.inf
        order = np.lexsort((found, -exact), axis=1)
        return np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)

    def _rounding(self, vectors: np.ndarray) -> np.ndarray:
        """Bound |search score − canonical score| per query: width · 2⁻²³ · ‖q‖ · max ‖d‖.

        Source: Higham, Accuracy and Stability of Numerical Algorithms, §3.1: |error| ≤ γ_n |q|·|d|
        for sums in float32; the factor 2 covers the rounding of the canonical score.
        """
        if self._longest is None:
            parts = (self.docs.part(p.number) for p in self.docs.artifact.parts)
            self._longest = max(_longest_row(part) for part in parts)
        lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
        return (self.docs.width + 2) * 2.0**-23 * lengths * self._longest


def _longest_row(part: Any) -> float:
    longest = 0.0
    for at in range(0, len(part), _DOC_BLOCK):
        block = part[at : at + _DOC_BLOCK].astype(np.float32)
        longest = max(longest, float(np.einsum("ij,ij->i", block, block).max(initial=0.0)))
    return longest**0.5 * (1 + 1e-5)
