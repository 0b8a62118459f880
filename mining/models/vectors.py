"""Reading vectors: mapped rows of a "vectors" artifact, and inner products in a fixed order."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from ...native.vectors import longest_row, pair_dots
from ..devices import on_every_core
from ..errors import BadInput
from ..store import Artifact

_BLOCK = 1 << 14  # rows measured by one core at a time


class Vectors:
    """A vectors artifact, read: row i is the vector of document (or query) i."""

    def __init__(self, artifact: Artifact | SomeParts):
        self.artifact = artifact
        self._starts = np.asarray([p.start for p in artifact.parts], dtype=np.int64)
        self._parts: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.artifact.rows

    @property
    def width(self) -> int:
        """Components of each vector."""
        return int(self.artifact.parameters["width"])

    def part(self, number: int) -> np.ndarray:
        """Return one part as a read-only view [rows, width] of the mapped file."""
        if number not in self._parts:
            column = self.artifact.table(number)["vector"]
            if column.num_chunks > 1:
                column = pa.chunked_array([pa.concat_arrays(column.chunks)])
            flat = (
                column.chunk(0).flatten().to_numpy(zero_copy_only=True)
                if column.num_chunks
                else np.empty(0, dtype=self.artifact.parameters["dtype"])
            )
            self._parts[number] = flat.reshape(-1, self.width)
        return self._parts[number]

    def blocks(self, rows: int) -> list[tuple[int, int, int]]:
        """Cut all rows into (part, start, stop) of at most `rows`; a function of the artifact."""
        return [
            (part.number, at, min(at + rows, part.rows))
            for part in self.artifact.parts
            for at in range(0, part.rows, rows)
        ]

    def rows(self, ordinals: np.ndarray) -> np.ndarray:
        """Copy the given rows to float32 [n, width]."""
        ordinals = np.asarray(ordinals, dtype=np.int64)
        out = np.empty((len(ordinals), self.width), dtype=np.float32)
        owner = np.searchsorted(self._starts, ordinals, side="right") - 1
        for number in np.unique(owner):
            mine = owner == number
            out[mine] = self.part(int(number))[ordinals[mine] - self._starts[number]]
        return out

    @cached_property
    def longest(self) -> float:
        """The largest Euclidean length of a row, at most 1e-9 of it too large; 0 of no rows."""

        def squares(block: tuple[int, int, int]) -> float:
            part, low, high = block
            return float(longest_row(*halves_and_singles(self.part(part)[low:high])))

        every = on_every_core(squares, self.blocks(_BLOCK), device="cpu")
        return max(every, default=0.0) ** 0.5 * (1 + 1e-9)


class SomeParts:
    """Neighbouring parts of a vectors artifact in place of all of them; rows count from the first.

    `start` is what has to be added to a row for its ordinal in the whole.
    """

    def __init__(self, artifact: Artifact, first: int, stop: int):
        parts = artifact.parts[first:stop]
        self.artifact, self.path = artifact, artifact.path
        self.parameters, self.fingerprint = artifact.parameters, artifact.fingerprint
        self.start = parts[0].start if parts else 0
        self.parts = tuple(replace(part, start=part.start - self.start) for part in parts)
        self.rows = sum(part.rows for part in parts)

    def table(self, number: int, level: int = 2) -> pa.Table:
        """Return one part, mapped and checked."""
        return self.artifact.table(number, level)


def dots(queries: Vectors, docs: Vectors, query: np.ndarray, doc: np.ndarray) -> np.ndarray:
    """Return the inner product of each (query, doc) pair: float32 [n], depending on the pair alone.

    Raises BadInput when the two come from encoders of different width.
    """
    same_width(queries, docs)
    distinct, row = np.unique(query, return_inverse=True)
    return products(queries.rows(distinct), row, docs, doc)


def products(left: np.ndarray, row: np.ndarray, docs: Vectors, doc: np.ndarray) -> np.ndarray:
    """Return the inner product of `left[row[i]]` and document `doc[i]`: float32 [n].

    `left` float32 [a, width]. Documents are read where they lie; nothing is copied.
    """
    out = np.empty(len(doc), dtype=np.float32)
    bits = np.empty(docs.width, dtype=np.uint32)
    ordinals = np.asarray(doc, dtype=np.int64)
    for part in docs.artifact.parts:
        stored = docs.part(part.number)
        half, single = halves_and_singles(stored)
        scratch = bits, bits.view(np.float32)
        pair_dots(left, row, half, single, part.start, ordinals, *scratch, out)
    return out


def halves_and_singles(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what kernels read of stored rows [n, width]: (uint16 bits of float16, float32).

    The one that `stored` is not has no columns.
    """
    half, single = np.empty((0, 0), np.uint16), np.empty((0, 0), np.float32)
    for array in (half, single):
        array.flags.writeable = False  # as mapped ones are: one compiled version for all
    return (stored.view(np.uint16), single) if stored.dtype == np.float16 else (half, stored)


def same_width(queries: Vectors, docs: Vectors) -> None:
    """Refuse vectors that cannot be compared."""
    if queries.width != docs.width:
        raise BadInput(
            f"query vectors have {queries.width} components, document vectors {docs.width}",
            where=docs.artifact.path,
            do="encode both with the same model",
        )
