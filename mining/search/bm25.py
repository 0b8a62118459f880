"""BM25 over an index for a batch of queries: the tables around the kernels of `native.bm25`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pyarrow as pa

from ...native import bm25 as kernels
from ...native import bm25_order
from ...native.bm25 import FACTS, Bags, Candidates, Impacts, Rounding
from ...native.postings import BLOCK, term_counts
from ..text.analysis import Analysed
from .postings import Block, Postings

_BIN_BITS = kernels.BINS.bit_length() - 1
_TILE_BYTES = 512 << 20  # of candidates that are kept at once
# A term is laid out by document if it has 256 and every 25th of them, and queries share it.
_LONG, _FREQUENT, _SHARED = 256, 25, 4
_WORK_OF_A_CANDIDATE = 50  # in postings: to sort it, and to score it once more
_FEWEST_POSTINGS = 200_000  # that are worth a range of their own
_PIECES = 2  # ranges a thread


@dataclass(frozen=True)
class Batch:
    """Queries as bags of terms: those of query q are term[bounds[q]:bounds[q+1]].

    `terms`: the distinct terms of all queries. bounds int64 [queries + 1]; term int32 and count
    int32, in order of first occurrence.
    """

    terms: pa.Array
    bounds: np.ndarray
    term: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, texts: Analysed) -> Batch:
        """Count the terms of analysed queries."""
        counts = term_counts(texts.words, texts.bounds, texts.term_of, len(texts.terms))
        return cls(texts.terms, *counts)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def take(self, queries: np.ndarray) -> Batch:
        """Return these queries (int64), in this order."""
        size = np.diff(self.bounds)[queries]
        bounds = np.concatenate([[0], np.cumsum(size)])
        places = np.arange(bounds[-1]) + np.repeat(self.bounds[queries] - bounds[:-1], size)
        return Batch(self.terms, bounds, self.term[places], self.count[places])


class Searcher:
    """An index opened for one batch of queries and one setting of k1 and b.

    `allowed`, bool [documents]: the documents that may be found, by default all. It changes no
    score: the others still count for the frequency of terms and the average length.
    """

    def __init__(
        self,
        index: Postings,
        batch: Batch,
        k1: float,
        b: float,
        *,
        allowed: np.ndarray | None = None,
    ):
        self.index, self.batch, self.allowed = index, batch, allowed
        self.k1, self.b = k1, b
        self.repeated = 0  # queries that were searched more than once
        self._memory: dict[str, np.ndarray] = {}
        self._found = np.empty((3, 0), dtype=np.int64)
        self.rows = [block.find(batch.terms) for block in index.blocks]
        self.df = np.zeros(len(batch.terms), dtype=np.int64)
        for block, rows in zip(index.blocks, self.rows, strict=True):
            self.df += block.frequency(rows)
        self.idf = np.log1p((index.filled - self.df + 0.5) / (self.df + 0.5))

    def norm(self, block: Block) -> np.ndarray:
        """Return k1 · (1 − b + b · |d| / average) of a block's documents: float64.

        Infinity where a document is not allowed: its impacts become 0, so it is not found.
        """
        ratio = block.lengths / max(self.index.average_length, 1e-9)
        norm = self.k1 * (1 - self.b + self.b * ratio)
        if self.allowed is not None:
            norm[~self.allowed[block.start : block.start + block.docs]] = np.inf
        return norm

    def postings_per_query(self) -> np.ndarray:
        """Return how many postings each query's terms have: int64, the work of the query."""
        ends = np.concatenate([[0], np.cumsum(self.df[self.batch.term])])
        return ends[self.batch.bounds[1:]] - ends[self.batch.bounds[:-1]]

    def search(self, k: int | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (bounds int64 [queries + 1], docs uint32, scores float32): at most k a query.

        `k` may be an int64 array with a depth of at least 1 for each query.
        """
        depth = np.broadcast_to(np.asarray(k, dtype=np.int64), len(self.batch))
        room = 2 * int(depth.max(initial=1)) + 1024
        tile = max(1, _TILE_BYTES // (9 * room + 4 * kernels.BINS))
        pieces = [
            self._tile(np.arange(start, min(start + tile, len(self.batch))), depth, room, True)
            for start in range(0, len(self.batch), tile)
        ]
        if not pieces:
            return np.zeros(1, np.int64), np.empty(0, np.uint32), np.empty(0, np.float32)
        lengths, docs, points = (_joined(parts) for parts in zip(*pieces, strict=True))
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), docs, points

    def _tile(self, queries: np.ndarray, depth: np.ndarray, room: int, guess: bool) -> tuple:
        """Search some queries together; return (length of each list, docs, scores).

        Those whose ties need more room, or whose guessed threshold was too high, come again.
        """
        batch, k = self.batch.take(queries), depth[queries]
        state = _State(batch, self.idf, k, room, self._scratch)
        work = self.postings_per_query()[queries]
        for number in range(len(self.index.blocks)):
            terms = self._terms_of(number, state.uses)
            if number == 0:
                state.raise_low(terms)
            self._accumulate(terms, state, work, guess)
        so_far, found = state.candidates, state.lists.found
        again = np.flatnonzero((found < 0) | (guess & (so_far.low > 0) & (so_far.above < k)))
        self.repeated += len(again)
        found[again] = 0
        state.rank()
        lengths = np.minimum(found, k)
        if not len(again):
            return lengths, *self._settle(state, lengths)
        lengths[again], *redone = self._tile(queries[again], depth, 4 * room, False)
        docs, points = self._settle(state, lengths)
        size, ends = lengths[again], np.cumsum(lengths)[again]
        places = np.repeat(ends - np.cumsum(size), size) + np.arange(size.sum())
        docs[places], points[places] = redone
        return lengths, docs, points

    def _scratch(self, name: str, size: int) -> np.ndarray:
        """Return uninitialised uint32 [size], the same memory each time: pages are touched once."""
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = np.empty(size + size // 4, dtype=np.uint32)
        return self._memory[name][:size]

    def _places(self, number: int, uses: np.ndarray) -> tuple[int, np.ndarray]:
        """Find the terms of use in a block; see `native.bm25.places`."""
        if self._found.shape[1] < len(uses):
            self._found = np.empty((3, len(uses)), dtype=np.int64)
        starts = self.index.blocks[number].starts
        postings = kernels.places(self.rows[number], uses, starts, *self._found)
        return int(postings), self._found

    def _terms_of(self, number: int, uses: np.ndarray) -> Impacts:
        """Find the batch's terms in a block and compute their impacts there."""
        block, norm = self.index.blocks[number], self.norm(self.index.blocks[number])
        postings, (first, size, at) = self._places(number, uses)
        impact = self._scratch("impact", postings)
        fact = self._scratch("facts", len(uses) * FACTS).reshape(-1, FACTS)

        def fill(low: int, high: int) -> None:
            some = slice(low, high)
            terms = first[some], size[some], at[some], self.idf[some]
            kernels.impacts(*terms, block.doc, block.tf, norm, impact, fact[some])

        in_threads(fill, size)
        frequent = size >= max(_LONG, block.docs // _FREQUENT)
        which = np.flatnonzero(frequent & (uses >= _SHARED))
        fact[which, kernels.ROW] = np.arange(1, len(which) + 1)
        table = self._scratch("table", len(which) * BLOCK).reshape(-1, BLOCK)

        def lay_out(low: int, high: int) -> None:
            kernels.spread(which[low:high], fact, block.doc, impact, table)

        in_threads(lay_out, size[which] + BLOCK // 4)
        return Impacts(fact, table, block.doc, impact, block.start, block.docs)

    def _accumulate(self, terms: Impacts, state: _State, work: np.ndarray, guess: bool) -> None:
        all_docs = self.index.documents if guess else 0

        def add(low: int, high: int) -> None:
            sums = np.zeros(BLOCK, dtype=np.uint32)
            about = state.bags, terms, all_docs, state.rounding, sums
            kernels.accumulate((low, high), *about, state.candidates)

        in_threads(add, work)

    def _settle(self, state: _State, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put the open candidates in order; return (docs, scores) of lists of these lengths."""
        lists, out_at = state.lists, np.cumsum(lengths) - lengths
        end, count = np.cumsum(lists.opened), lists.opened.sum()
        at = end - lists.opened
        doc, place = (np.empty(count, dtype=np.uint32) for _ in range(2))
        score = np.zeros(count, dtype=np.int64)
        open_ = bm25_order.Open(at, end, at.copy(), doc, place, score)
        work = lists.found * _WORK_OF_A_CANDIDATE
        docs = np.empty(lengths.sum(), dtype=np.uint32)
        points = np.empty(len(docs), dtype=np.float32)

        def list_open(low: int, high: int) -> None:
            bm25_order.list_open((low, high), lists, open_)

        def settle(low: int, high: int) -> None:
            k, unit = state.rounding.k, state.unit
            bm25_order.settle((low, high), k, unit, lists, open_, out_at, docs, points)

        in_threads(list_open, work)
        for number, block in enumerate(self.index.blocks):
            _, (first, size, _) = self._places(number, state.uses)
            which = (block.start, block.docs, first, size, block.doc, block.tf)
            known = bm25_order.Frequencies(*which, self.idf, self.norm(block))

            def score_finely(low: int, high: int, known: bm25_order.Frequencies = known) -> None:
                bm25_order.score_finely((low, high), state.bags, known, state.unit, open_)

            in_threads(score_finely, work)
        in_threads(settle, work)
        return docs, points


def _joined(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _State:
    """What is known of a tile's queries between blocks; see `native.bm25.accumulate`."""

    def __init__(
        self,
        batch: Batch,
        idf: np.ndarray,
        k: np.ndarray,
        room: int,
        scratch: Callable[[str, int], np.ndarray],
    ):
        n = len(batch)
        self.bags = Bags(batch.bounds, batch.term, batch.count)
        self.uses = np.bincount(batch.term, minlength=len(idf))
        query = np.repeat(np.arange(n), np.diff(batch.bounds))
        occurrences = np.bincount(query, batch.count, n).astype(np.int64)
        # No sum exceeds the summed idf; it must fit 32 bits with room for the rounding.
        most = np.bincount(query, batch.count * idf[batch.term], n) / kernels.UNIT + occurrences + 1
        shift = np.maximum(0, np.ceil(np.log2(most)).astype(np.int64) - 31)
        self.unit = kernels.UNIT * 2.0**shift
        # Twice the rounding error: half a unit an occurrence, and one a term where bits are cut.
        terms = np.where(shift > 0, 2 * np.diff(batch.bounds), 0)
        slack = (occurrences >> shift) + terms + 2
        top = most / 2.0**shift
        bin_shift = np.maximum(0, np.ceil(np.log2(top)).astype(np.int64) - _BIN_BITS)
        self.rounding = Rounding(k, shift, slack, bin_shift)
        histogram = np.zeros((n, kernels.BINS), dtype=np.uint32)
        above, low, found, opened = (np.zeros(n, dtype=np.int64) for _ in range(4))
        # By the room, since queries come again while those of the first pass wait to be settled.
        candidate = scratch(f"candidates, {room}", n * room).reshape(n, room)
        score = scratch(f"scores, {room}", n * room).reshape(n, room)
        open_order = scratch(f"open order, {room}", n * room // 4 + 1).view(np.uint8)
        open_order = open_order[: n * room].reshape(n, room)
        self.candidates = Candidates(histogram, above, low, found, candidate, score)
        self.lists = bm25_order.Lists(found, candidate, score, open_order, opened)

    def raise_low(self, terms: Impacts) -> None:
        """Raise the thresholds to what the first block is sure to give."""
        kernels.raise_low(self.bags, terms, self.rounding, self.candidates.low)

    def rank(self) -> None:
        """Sort each query's candidates and mark those whose order is open."""

        def sort(low: int, high: int) -> None:
            bm25_order.rank((low, high), self.rounding, self.candidates.low, self.lists)

        in_threads(sort, self.lists.found * _WORK_OF_A_CANDIDATE)


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number)


def in_threads(work: Callable[[int, int], None], cost: np.ndarray) -> None:
    """Call work(low, high) over all rows, in ranges of about equal cost, on all threads.

    There are several ranges a thread, because the cost is only roughly what a range takes.
    """
    total = np.cumsum(cost, dtype=np.int64)
    sum_ = int(total[-1]) if len(total) else 0
    threads = int(numba.config.NUMBA_NUM_THREADS)
    pieces = min(threads * _PIECES, 1 + sum_ // _FEWEST_POSTINGS)
    if threads < 2 or pieces < 2:
        work(0, len(cost))
        return
    cuts = np.searchsorted(total, np.linspace(0, sum_, pieces + 1)[1:-1])
    bounds = [0, *cuts.tolist(), len(cost)]
    list(_threads(threads).map(work, bounds[:-1], bounds[1:]))
