"""Exact search by products of narrow numbers: what they cannot rule out gets its canonical score.

A processor multiplies narrow numbers faster than float32: bfloat16 in matrix tiles ten times
(`bfloat16`), 16-bit integers in vectors twice (`int16`). What rounding to them took is bounded per
query (`native.nearest`, `native.integers`), every document within the bound is kept, and what is
kept, some hundreds per query, is scored canonically and sorted. So the lists are those of an
exhaustive search, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from ...native.nearest import last_floors, read_keys, write_keys
from ..devices import on_every_core
from ..meter.underway import so_far
from ..models.vectors import Vectors, products
from ..pair_keys import docs_of, pair_keys
from .opening import Sample, sample_for, sampled

_QUERIES = 512  # of one core at a time; their products with a few documents stay in its cache
DOCS = 4096  # documents narrowed by one core at a time
_BLOCK = 1 << 16  # documents narrowed at a time,
_NUMBERS = 1 << 26  # and their components: 128 MiB
_ROOM = 1024  # kept documents per query beyond twice the depth
MOST = 2.0**120  # larger sums could overflow float32


@dataclass(slots=True)
class Kept:
    """The documents kept for a chunk of queries, between blocks: see `native.nearest.keep_near`.

    `opening`: the floors that it began with, guesses or such that let everything through.
    """

    rows: slice
    narrow: np.ndarray
    bound: np.ndarray
    opening: np.ndarray
    floor: np.ndarray
    count: np.ndarray
    value: np.ndarray
    doc: np.ndarray


@dataclass(frozen=True, slots=True)
class Rounded:
    """Queries [n, d], rounded.

    `bound` float64 [n]: how far a product can be from the canonical score, in units of products.
    `known` bool [n]: whether it can be said; the others are left out.
    """

    narrow: np.ndarray
    bound: np.ndarray
    known: np.ndarray


class Form(Protocol):
    """A form of narrow numbers, for the vectors of one collection."""

    lowest: Any
    """The floor that lets everything through, with the dtype of what is kept of products."""
    together: int
    """A core narrows a multiple of so many documents."""

    def queries(self, vectors: np.ndarray) -> Rounded:
        """Round queries float32 [n, d]."""
        ...

    def room(self, rows: int) -> np.ndarray:
        """Return an array for a block of so many documents."""
        ...

    def narrow(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Round stored documents [n, d] to the first places of `out`."""
        ...

    def keep(
        self, docs: np.ndarray, rows: int, first: int, allowed: np.ndarray, depth: int, kept: Kept
    ) -> None:
        """Multiply a chunk of queries with the first rows of a block; keep what may be listed."""
        ...


Lists = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""docs uint32 and scores float32 [n, depth], bool [n] which rows hold lists, and bool [n] which do
or never will"""


class NarrowSearch:
    """Searches mapped vectors; `allowed` uint8 [documents] is 0 for those no list may hold."""

    def __init__(
        self, docs: Vectors, allowed: np.ndarray, depth: int, form: Callable[[Vectors], Form]
    ):
        self.docs, self.allowed, self.depth, self.form = docs, allowed, depth, form(docs)

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return docs uint32 and scores float32 [n, depth], and bool [n]: which rows hold them.

        `vectors` float32 [n, d]. A query is left out when more documents than there is room for lie
        within its bound: a crowd of near-equal scores, or norms that differ by orders of magnitude.
        """
        docs = np.empty((len(vectors), self.depth), dtype=np.uint32)
        scores = np.empty((len(vectors), self.depth), dtype=np.float32)
        done, sure = np.zeros(len(vectors), dtype=bool), np.zeros(len(vectors), dtype=bool)
        lists = docs, scores, done, sure
        self._search(vectors, lists, sample_for(len(self.docs), self.docs.width, self.depth))
        if not sure.all():
            again = np.flatnonzero(~sure)
            some = docs[again], scores[again], done[again], sure[again]
            self._search(vectors[again], some, None)
            for every, part in zip(lists, some, strict=True):
                every[again] = part
        return docs, scores, done

    def _search(self, vectors: np.ndarray, lists: Lists, sample: Sample | None) -> None:
        """Write lists, whether they hold what they should, and whether guesses proved right."""
        chunks, through = list(self._chunks(vectors)), 0
        if sample is not None:
            self._open(chunks, sample)
        for first, rows, narrow in self._blocks():
            keep = partial(self.form.keep, narrow, rows, first, self.allowed, self.depth)
            list(on_every_core(keep, chunks, device="cpu"))
            through += rows
            so_far(through, len(self.docs))
        rank = partial(self._rank, vectors, lists)
        list(on_every_core(rank, chunks, device="cpu"))

    def _open(self, chunks: list[Kept], sample: Sample) -> None:
        """Guess the floors of chunks from a sample of the documents."""
        ordinals, rows = sampled(self.docs, sample.spacing)
        narrow = self.form.room(len(rows))
        self.form.narrow(rows, narrow)
        allowed = self.allowed[ordinals]

        def guess(chunk: Kept) -> None:
            known = chunk.count >= 0
            self.form.keep(narrow, len(rows), 0, allowed, sample.rank, chunk)
            _last_floors(sample.rank, chunk)
            chunk.floor[chunk.count < sample.rank] = self.form.lowest  # too few, or a crowd
            chunk.opening[:] = chunk.floor
            chunk.count[:] = np.where(known, 0, -1)

        list(on_every_core(guess, chunks, device="cpu"))

    def _chunks(self, vectors: np.ndarray) -> Iterator[Kept]:
        """Cut queries into chunks with nothing kept yet."""
        import torch

        room = 2 * self.depth + _ROOM
        step = max(1, min(_QUERIES, -(-len(vectors) // torch.get_num_threads())))
        for low in range(0, len(vectors), step):
            rows = slice(low, min(low + step, len(vectors)))
            size, lowest = rows.stop - rows.start, self.form.lowest
            rounded = self.form.queries(vectors[rows])
            yield Kept(
                rows,
                rounded.narrow,
                rounded.bound,
                opening=np.full(size, lowest, dtype=lowest.dtype),
                floor=np.full(size, lowest, dtype=lowest.dtype),
                count=np.where(rounded.known, 0, -1).astype(np.int32),
                value=np.empty((size, room), dtype=lowest.dtype),
                doc=np.empty((size, room), dtype=np.int32),
            )

    def _blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield (first document, documents, their narrow vectors)."""
        starts = {part.number: part.start for part in self.docs.artifact.parts}
        most = max(1, min(_BLOCK, _NUMBERS // self.docs.width, len(self.docs)))
        room, together = self.form.room(most), self.form.together
        step = -(-DOCS // together) * together
        for part, low, high in self.docs.blocks(most):
            rows = self.docs.part(part)[low:high]

            def narrow(at: int, rows: np.ndarray = rows) -> None:
                self.form.narrow(rows[at : at + step], room[at // together :])

            list(on_every_core(narrow, range(0, high - low, step), device="cpu"))
            yield starts[part] + low, high - low, room

    def _rank(self, vectors: np.ndarray, lists: Lists, chunk: Kept) -> None:
        """Score what a chunk kept, sort it by (−score, document), write the lists."""
        docs, scores, done, sure = lists
        chunk.floor[:] = self.form.lowest  # so that it follows from what was kept alone
        _last_floors(self.depth, chunk)
        sure[chunk.rows] = (chunk.floor >= chunk.opening) | (chunk.count < 0)
        chunk.count[~sure[chunk.rows]] = -1
        done[chunk.rows] = chunk.count >= self.depth
        size = np.maximum(chunk.count, 0)
        row = np.repeat(np.arange(len(size)), size)
        held = np.arange(chunk.doc.shape[1]) < size[:, None]
        exact = self._scores(vectors[chunk.rows], row, chunk.doc[held])
        key = np.empty((len(size), max(self.depth, size.max(initial=0))), dtype=np.uint64)
        write_keys(exact, chunk.doc, size, key)
        key.sort(axis=1)
        read_keys(key, docs[chunk.rows], scores[chunk.rows])

    def _scores(self, vectors: np.ndarray, row: np.ndarray, doc: np.ndarray) -> np.ndarray:
        """Score pairs canonically, in the order of their documents: a quarter of the time."""
        keys = pair_keys(doc, np.arange(len(doc)))
        keys.sort()
        order = docs_of(keys)  # the second ordinals, which are places here
        exact = np.empty(len(doc), dtype=np.float32)
        exact[order] = products(vectors, row[order], self.docs, doc[order])
        return exact


def _last_floors(depth: int, chunk: Kept) -> None:
    """Drop what the final floors of a chunk rule out."""
    tally = np.empty(256, dtype=np.int32)
    last_floors(depth, chunk.bound, chunk.floor, chunk.count, chunk.value, chunk.doc, tally)
