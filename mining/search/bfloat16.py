"""Products in bfloat16 for exact search: processors with matrix tiles (AMX)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ...native.bfloat import narrow_halves, narrow_singles, narrowing_norms
from ...native.nearest import LOWEST, keep_near
from ..devices import on_every_core
from ..models.vectors import Vectors
from .narrow import DOCS, MOST, Kept, Rounded

_SUMS = 2.0**-23  # rounding of one addition in float32, twice: of the product and of the score
_LEAST = 2.0**-126  # tiles take what is less for 0


class BFloat16:
    """Documents and queries in bfloat16, products by torch."""

    lowest, together = np.int16(LOWEST), 1

    def __init__(self, docs: Vectors):
        self.docs = docs

    def queries(self, vectors: np.ndarray) -> Rounded:
        """Round queries float32 [n, d]: uint16 bits [n, d]."""
        narrow = np.empty(vectors.shape, dtype=np.uint16)
        narrow_singles(vectors, narrow)
        norms = np.empty((len(vectors), 3))
        narrowing_norms(vectors, narrow, norms)
        longest, kept, lost = self.norms
        largest = norms[:, :2].max(axis=1) * max(longest, kept)  # that a product, or a sum, can be
        bound = norms[:, 2] * longest + norms[:, 1] * lost
        bound += (vectors.shape[1] + 4) * (_SUMS * largest + _LEAST * (1 + longest + norms[:, 0]))
        return Rounded(narrow, bound, largest < MOST)

    def room(self, rows: int) -> np.ndarray:
        """Return an array for the bits of so many documents."""
        return np.empty((rows, self.docs.width), dtype=np.uint16)

    def narrow(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Round stored documents [n, d] to the first rows of `out`."""
        if rows.dtype == np.float16:
            narrow_halves(rows.view(np.uint16), out[: len(rows)])
        else:
            narrow_singles(rows, out[: len(rows)])

    def keep(
        self, docs: np.ndarray, rows: int, first: int, allowed: np.ndarray, depth: int, kept: Kept
    ) -> None:
        """Multiply a chunk of queries with the first rows of a block; keep what may be listed."""
        import torch

        queries = _bfloat16(kept.narrow)
        tally = np.empty(256, dtype=np.int32)
        for at in range(0, rows, DOCS):
            product = torch.mm(queries, _bfloat16(docs[at : min(at + DOCS, rows)]).t())
            keep_near(
                product.view(torch.int16).numpy(),
                first + at,
                allowed,
                depth,
                kept.bound,
                kept.floor,
                kept.count,
                kept.value,
                kept.doc,
                tally,
            )

    @cached_property
    def norms(self) -> np.ndarray:
        """The largest length of a document, of one in bfloat16, and of what rounding took: [3]."""
        longest = on_every_core(self._longest, self.docs.blocks(DOCS), device="cpu")
        # Sums in float64: the factor is far above their rounding.
        return np.max([np.zeros(3), *longest], axis=0) * (1 + 1e-9)

    def _longest(self, block: tuple[int, int, int]) -> np.ndarray:
        part, low, high = block
        rows = self.docs.part(part)[low:high].astype(np.float32)
        narrow, norms = np.empty(rows.shape, dtype=np.uint16), np.empty((len(rows), 3))
        narrow_singles(rows, narrow)
        narrowing_norms(rows, narrow, norms)
        return norms.max(axis=0, initial=0.0)


def _bfloat16(bits: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
