"""Products of 16-bit integers for exact search: processors without matrix tiles.

They have fifteen bits where bfloat16 has eight, and one instruction multiplies as many of them as
of bfloat16 (vpdpwssd, vdpbf16ps), so this is the form for AVX-512 with and without BF16 too. Eight
bits are hardly faster with AVX2 alone, and keep eight times as many documents (bench/NOTES.md).
"""

from __future__ import annotations

import numpy as np

from ...native.integer_tile import IN_VECTORS, PANEL, ROWS
from ...native.integers import LENGTH, Block, fill_panels, fill_rows, keep_whole
from ...native.nearest import LEAST
from ..models.vectors import Vectors, halves_and_singles
from .narrow import MOST, Kept, Rounded

_SMALLEST = 2.0**-100  # length of a vector; the scale of a shorter one could overflow float32
_SCORE = 2.0**-23  # rounding of a canonical score to float32, twice,
_TINY = 2.0**-149  # and the same where it is subnormal
_HALF = 0.51  # rounding to an integer, of a product with the scale that was itself rounded


def has_pairs() -> bool:
    """Say whether kernels multiply 16-bit integers faster than float32 here (AVX2 or AVX-512)."""
    return IN_VECTORS


class Int16:
    """Documents and queries as integers: documents times one scale, each query times its own."""

    lowest, together = np.int32(LEAST), PANEL

    def __init__(self, docs: Vectors):
        self.docs = docs
        self.pairs = -(-docs.width // 2)

    @property
    def scale(self) -> np.float32:
        """What all documents are multiplied by."""
        return np.float32(LENGTH / max(self.docs.longest, _SMALLEST))

    def queries(self, vectors: np.ndarray) -> Rounded:
        """Round queries float32 [n, d]: int16 [n and up to ROWS more, d or d + 1]."""
        length = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
        scale = LENGTH / np.where(length > 0, length, LENGTH)
        whole = np.empty((-(-len(vectors) // ROWS) * ROWS, 2 * self.pairs), dtype=np.int16)
        norms = np.empty((len(vectors), 2))
        fill_rows(vectors, scale, whole, norms)
        bound = norms[:, 1] * LENGTH + norms[:, 0] * _HALF * self.docs.width**0.5
        bound += _SCORE * LENGTH**2 + _TINY * scale * float(self.scale)
        # The factor is above the rounding of scales, and of these sums.
        return Rounded(whole, bound * (1 + 1e-6), length * self.docs.longest < MOST)

    def room(self, rows: int) -> np.ndarray:
        """Return an array for the panels of so many documents."""
        return np.empty((-(-rows // PANEL), self.pairs, PANEL, 2), dtype=np.int16)

    def narrow(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Round stored documents [n, d] to the first panels of `out`."""
        whole = np.empty((PANEL, 2 * self.pairs), dtype=np.int16)
        fill_panels(*halves_and_singles(rows), self.scale, whole, out[: -(-len(rows) // PANEL)])

    def keep(
        self, docs: np.ndarray, rows: int, first: int, allowed: np.ndarray, depth: int, kept: Kept
    ) -> None:
        """Multiply a chunk of queries with the first rows of a block; keep what may be listed."""
        keep_whole(
            kept.narrow,
            Block(docs[: -(-rows // PANEL)], rows, first, allowed),
            depth,
            kept.bound,
            kept.floor,
            kept.count,
            kept.value,
            kept.doc,
            np.empty(256, dtype=np.int32),
            np.empty((len(kept.narrow), PANEL), dtype=np.int32),
        )
