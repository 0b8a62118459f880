"""Exact search by products in bfloat16: what they cannot rule out gets its canonical score.

A processor with matrix tiles multiplies bfloat16 ten times as fast as float32. The rounding is
bounded per query (`native.nearest`), every document within the bound is kept, and what is kept,
some hundreds per query, is scored canonically and sorted. So the lists are those of an exhaustive
search, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...native.bfloat import narrow_halves, narrow_singles, narrowing_norms
from ...native.nearest import LOWEST, keep_near, last_floors, read_keys, write_keys
from ..devices import on_every_core
from ..models.vectors import Vectors, products
from ..pair_keys import docs_of, pair_keys

_QUERIES = 512  # of one core at a time; their products with _DOCS documents stay in its cache
_DOCS = 4096
_BLOCK = 1 << 16  # documents narrowed at a time
_ROOM = 1024  # kept documents per query beyond twice the depth
_SUMS = 2.0**-23  # rounding of one addition in float32, twice: of the product and of the score
_LEAST, _MOST = 2.0**-126, 2.0**120  # tiles take what is less for 0; sums must not overflow


@dataclass(slots=True)
class _Kept:
    """The documents kept for a chunk of queries, between blocks: see `native.nearest.keep_near`."""

    rows: slice
    narrow: np.ndarray
    bound: np.ndarray
    floor: np.ndarray
    count: np.ndarray
    value: np.ndarray
    doc: np.ndarray


class NarrowSearch:
    """Searches mapped vectors; `allowed` uint8 [documents] is 0 for those no list may hold."""

    def __init__(self, docs: Vectors, allowed: np.ndarray, depth: int):
        self.docs, self.allowed, self.depth = docs, allowed, depth

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return docs uint32 and scores float32 [n, depth], and bool [n]: which rows hold them.

        `vectors` float32 [n, d]. A query is left out when more documents than there is room for lie
        within its bound: a crowd of near-equal scores, or norms that differ by orders of magnitude.
        """
        docs = np.empty((len(vectors), self.depth), dtype=np.uint32)
        scores = np.empty((len(vectors), self.depth), dtype=np.float32)
        done = np.zeros(len(vectors), dtype=bool)
        chunks = list(self._chunks(vectors))
        for first, narrow in self._blocks():
            list(on_every_core(partial(self._keep, first, narrow), chunks, device="cpu"))
        rank = partial(self._rank, vectors, docs, scores, done)
        list(on_every_core(rank, chunks, device="cpu"))
        return docs, scores, done

    def _chunks(self, vectors: np.ndarray) -> Iterator[_Kept]:
        """Cut queries into chunks with nothing kept yet."""
        import torch

        narrow = np.empty(vectors.shape, dtype=np.uint16)
        narrow_singles(vectors, narrow)
        norms = np.empty((len(vectors), 3))
        narrowing_norms(vectors, narrow, norms)
        longest, kept, lost = self.norms
        largest = norms[:, :2].max(axis=1) * max(longest, kept)  # that a product, or a sum, can be
        bound = norms[:, 2] * longest + norms[:, 1] * lost
        bound += (vectors.shape[1] + 4) * (_SUMS * largest + _LEAST * (1 + longest + norms[:, 0]))
        room = 2 * self.depth + _ROOM
        step = max(1, min(_QUERIES, -(-len(vectors) // torch.get_num_threads())))
        for low in range(0, len(vectors), step):
            rows = slice(low, min(low + step, len(vectors)))
            size = rows.stop - rows.start
            yield _Kept(
                rows,
                narrow[rows],
                bound[rows],
                floor=np.full(size, LOWEST, dtype=np.int16),
                count=np.where(largest[rows] < _MOST, 0, -1).astype(np.int32),
                value=np.empty((size, room), dtype=np.int16),
                doc=np.empty((size, room), dtype=np.int32),
            )

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first document, its block's vectors in bfloat16, as uint16 bits)."""
        starts = {part.number: part.start for part in self.docs.artifact.parts}
        buffer = np.empty((min(_BLOCK, len(self.docs)), self.docs.width), dtype=np.uint16)
        for part, low, high in self.docs.blocks(_BLOCK):
            rows = self.docs.part(part)[low:high]
            cuts = [slice(at, at + _DOCS) for at in range(0, high - low, _DOCS)]
            narrow = buffer[: high - low]
            list(on_every_core(partial(_narrow, rows, narrow), cuts, device="cpu"))
            yield starts[part] + low, narrow

    def _keep(self, first: int, narrow: np.ndarray, chunk: _Kept) -> None:
        """Multiply a chunk of queries with a block of documents; keep what may belong to lists."""
        import torch

        queries = _bfloat16(chunk.narrow)
        tally = np.empty(256, dtype=np.int32)
        for at in range(0, len(narrow), _DOCS):
            product = torch.mm(queries, _bfloat16(narrow[at : at + _DOCS]).t())
            keep_near(
                product.view(torch.int16).numpy(),
                first + at,
                self.allowed,
                self.depth,
                chunk.bound,
                chunk.floor,
                chunk.count,
                chunk.value,
                chunk.doc,
                tally,
            )

    def _rank(
        self,
        vectors: np.ndarray,
        docs: np.ndarray,
        scores: np.ndarray,
        done: np.ndarray,
        chunk: _Kept,
    ) -> None:
        """Score what a chunk kept, sort it by (−score, document), write the lists."""
        tally = np.empty(256, dtype=np.int32)
        last_floors(
            self.depth, chunk.bound, chunk.floor, chunk.count, chunk.value, chunk.doc, tally
        )
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

    @cached_property
    def norms(self) -> np.ndarray:
        """The largest length of a document, of one in bfloat16, and of what rounding took: [3]."""
        longest = on_every_core(self._longest, self.docs.blocks(_DOCS), device="cpu")
        # Sums in float64: the factor is far above their rounding.
        return np.max([np.zeros(3), *longest], axis=0) * (1 + 1e-9)

    def _longest(self, block: tuple[int, int, int]) -> np.ndarray:
        part, low, high = block
        rows = self.docs.part(part)[low:high].astype(np.float32)
        narrow, norms = np.empty(rows.shape, dtype=np.uint16), np.empty((len(rows), 3))
        narrow_singles(rows, narrow)
        narrowing_norms(rows, narrow, norms)
        return norms.max(axis=0, initial=0.0)


def _narrow(rows: np.ndarray, out: np.ndarray, cut: slice) -> None:
    if rows.dtype == np.float16:
        narrow_halves(rows[cut].view(np.uint16), out[cut])
    else:
        narrow_singles(rows[cut], out[cut])


def _bfloat16(bits: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
