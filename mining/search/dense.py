"""Exact search by inner product over an encoder's memory-mapped vectors, and the check of indexes.

A search proposes a few more documents than asked for; their scores are computed again in one fixed
order of summation, sorted by (−score, document) and cut. A bound on the rounding errors of the
search proves for each query that nothing outside the proposal belongs into the list. Processors
with matrix tiles search in bfloat16, others in 16-bit integers (`narrow`), those without vectors of
them with FAISS, block by block; where the bound proves nothing (many near-equal documents), FAISS
searches for the query, and again, further.
So the run is exact, and the same bytes for any engine and any number of workers and threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...native.topk import merge_ranked
from ..collection.rows import Corpus
from ..draws import generator
from ..meter.underway import so_far
from ..models.precision import device, has_tiles
from ..models.vectors import SomeParts, Vectors, products, same_width
from ..runs.run import run_table
from ..store import Output, Shard, open_artifact
from .bfloat16 import BFloat16
from .faiss_index import has_faiss, load_index, search_index
from .int16 import Int16, has_pairs
from .narrow import Form, NarrowSearch
from .torch_product import nearest_torch

Range = tuple[int, int]
"""(first, stop) of the vectors' parts"""

_QUERY_BLOCK = 2048  # queries per shard: FAISS chooses its path by the size of the block
_DOC_BLOCK = 1 << 16
_MARGIN = 32
_WIDEN = 4
_NARROW: dict[str, Callable[[Vectors], Form]] = {"tiles": BFloat16, "int16": Int16}
RECALL_SAMPLE = 200  # queries of an approximate run that are searched exactly too


def query_blocks(queries: int) -> list[Shard]:
    """Cut a split's queries into the shards of a search."""
    starts = range(0, queries, _QUERY_BLOCK)
    stops = [min(at + _QUERY_BLOCK, queries) for at in starts]
    blocks = [Shard(n, a, b, b - a) for n, (a, b) in enumerate(zip(starts, stops, strict=True))]
    return blocks or [Shard(0, 0, 0, 0)]


def default_engine() -> str:
    """Return what searches fastest on this machine; the lists are the same bytes by any."""
    kind = device().type
    if kind != "cpu":
        return kind
    if has_tiles():
        return "tiles"
    if has_pairs():
        return "int16"
    return "faiss" if has_faiss() else "cpu"


class DenseWorker:
    """Searches blocks of queries over mapped vectors, or over a range of their parts."""

    def __init__(
        self,
        queries: str,
        docs: str,
        corpus: str,
        split_queries: np.ndarray,
        depth: int,
        engine: str | None = None,
        parts: Range | None = None,
    ):
        stored = open_artifact(docs)
        some = SomeParts(stored, *(parts or (0, len(stored.parts))))
        self.queries, self.docs = Vectors(open_artifact(queries)), Vectors(some)
        same_width(self.queries, self.docs)
        self.split_queries = split_queries
        self.first = some.start
        empty = Corpus(open_artifact(corpus)).empty.astype(np.int64) - self.first
        self.empty = empty[(empty >= 0) & (empty < some.rows)]
        self.depth = min(depth, len(self.docs) - len(self.empty))
        self.engine = engine or default_engine()
        allowed = np.ones(len(self.docs), dtype=np.uint8)
        allowed[self.empty] = 0
        form = _NARROW.get(self.engine)
        self.narrow = form and NarrowSearch(self.docs, allowed, self.depth, form)

    def __call__(self, shard: Shard) -> Output:
        """Return the ranked lists of split queries start…stop−1."""
        query = self.split_queries[shard.start : shard.stop]
        docs, scores, searched = self.nearest(query)
        offsets = np.arange(len(query) + 1) * self.depth
        return Output(
            run_table(query, offsets, docs.ravel() + np.uint32(self.first), scores.ravel()),
            usage={"queries": len(query), "searches": searched},
        )

    def nearest(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Return (docs uint32, scores float32) [n, depth] of queries, exactly, and the number of
        searches."""
        docs = np.empty((len(query), self.depth), dtype=np.uint32)
        scores = np.empty((len(query), self.depth), dtype=np.float32)
        pending, searched = np.arange(len(query)), 0
        if self.narrow and self.depth:
            docs, scores, done = self.narrow.nearest(self.queries.rows(query))
            pending, searched = np.flatnonzero(~done), len(query)
        width = self.depth + max(_MARGIN, self.depth // 8) + len(self.empty)
        while len(pending) and self.depth:
            width = min(width, len(self.docs))
            vectors = self.queries.rows(query[pending])
            near, proposed = self._propose(vectors, width)
            exact, ranked = self.rank(vectors, proposed)
            docs[pending] = ranked[:, : self.depth]
            scores[pending] = exact[:, : self.depth]
            searched += len(pending)
            if width == len(self.docs):
                break
            bound = self._rounding(vectors)
            unsure = exact[:, self.depth - 1] <= near[:, -1] + bound
            pending = pending[unsure]
            width *= _WIDEN
        return docs, scores, searched

    def _propose(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores float32, docs int64) [n, width], best first, from a search over blocks."""
        if self.engine not in {"faiss", *_NARROW}:
            return nearest_torch(vectors, self.docs, width, self.engine)
        if not has_faiss():
            return nearest_torch(vectors, self.docs, width, "cpu")
        import faiss

        shape = (len(vectors), width)
        best = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        spare = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
        starts = {part.number: part.start for part in self.docs.artifact.parts}
        through = 0
        for part, low, high in self.docs.blocks(_DOC_BLOCK):
            block = self.docs.part(part)[low:high].astype(np.float32)
            k = min(width, high - low)
            score, doc = faiss.knn(vectors, block, k, metric=faiss.METRIC_INNER_PRODUCT)
            merge_ranked(*best, score, doc, starts[part] + low, *spare)
            best, spare = spare, best
            through += high - low
            so_far(through, len(self.docs))
        return best

    def rank(self, vectors: np.ndarray, proposed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score proposals canonically and sort by (−score, document); empty documents go last."""
        row = np.repeat(np.arange(len(proposed)), proposed.shape[1])
        places = np.maximum(proposed, 0).ravel()
        exact = products(vectors, row, self.docs, places).reshape(proposed.shape)
        exact[proposed < 0] = -np.inf
        if len(self.empty):
            exact[np.isin(proposed, self.empty)] = -np.inf
        order = np.lexsort((proposed, -exact), axis=1)
        return np.take_along_axis(exact, order, 1), np.take_along_axis(proposed, order, 1)

    def _rounding(self, vectors: np.ndarray) -> np.ndarray:
        """Bound |search score − canonical score| per query: width · 2⁻²³ · ‖q‖ · max ‖d‖.

        Source: Higham, Accuracy and Stability of Numerical Algorithms, §3.1: |error| ≤ γ_n |q|·|d|
        for sums in float32; the factor 2 covers the rounding of the canonical score.
        """
        lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
        return (self.docs.width + 2) * 2.0**-23 * lengths * self.docs.longest


class AnnWorker:
    """Searches an index; its proposals get their exact scores and the tie rule of every run."""

    def __init__(
        self,
        queries: str,
        docs: str,
        corpus: str,
        split_queries: np.ndarray,
        depth: int,
        index: str,
        probe: int | None,
    ):
        self.exact = DenseWorker(queries, docs, corpus, split_queries, depth)
        self.index = load_index(open_artifact(index), self.exact.docs, probe)
        draws = generator(0, "dense.recall", open_artifact(index).fingerprint)
        chosen = draws.permutation(len(split_queries))[:RECALL_SAMPLE]
        self.sample = np.sort(split_queries[chosen])

    def __call__(self, shard: Shard) -> Output:
        """Return the lists of split queries start…stop−1; counts how many of the exact lists of the
        sample were found."""
        exact = self.exact
        query = exact.split_queries[shard.start : shard.stop]
        vectors = exact.queries.rows(query)
        width = min(exact.depth + max(_MARGIN, exact.depth // 8), len(exact.docs))
        proposed = search_index(self.index, vectors, width)
        scores, ranked = exact.rank(vectors, proposed)
        scores, ranked = scores[:, : exact.depth], ranked[:, : exact.depth]
        known = np.isfinite(scores)
        offsets = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        sampled = np.isin(query, self.sample)
        wanted, _, searched = exact.nearest(query[sampled])
        hits = sum(
            int(np.isin(near, row[good]).sum())
            for near, row, good in zip(wanted, ranked[sampled], known[sampled], strict=True)
        )
        return Output(
            run_table(query, offsets, ranked[known], scores[known]),
            counts={"recall_found": hits, "recall_wanted": wanted.size},
            usage={"queries": len(query), "searches": len(query) + searched},
        )
