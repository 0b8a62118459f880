"""From ids to ordinals: a table over an id column, filled and asked by kernels.

Ids that are numbers, most of them used (MS MARCO's are 0 to 8,841,822), are looked up in an array
of 4 bytes a number. Others in a hash table: 8 bytes a slot and two to four slots an id, 8 bytes and
the id itself beside it. For few ids `TextTable.ordinals` needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from ...native.id_table import fill_places, fill_table, find_places, find_rows, read_numbers
from ..processors import in_threads

_SPARSEST = 4  # numbers up to so many times the number of ids get an array


class IdIndex:
    """Where every id stands in a column of ids.

    `repeated`: rows (int64, ascending) whose id stands in an earlier row already; `first[r]` is the
    row where the id of row r stands first, and what `rows` returns.
    """

    def __init__(self, ids: Iterable[pa.Array | pa.ChunkedArray]):
        self._data, self._offsets = _joined(ids)
        count = len(self._offsets) - 1
        self.first = np.empty(count, dtype=np.int64)
        numbers = np.empty(count, dtype=np.int64)
        read_numbers(self._data, self._offsets, numbers)
        self._plain = bool(count and numbers.min() >= 0 and numbers.max() < _SPARSEST * count)
        if self._plain:
            self._table = np.zeros(int(numbers.max()) + 1, dtype=np.uint32)
            fill_places(numbers, self._table, self.first)
            self._data, self._offsets = np.empty(0, np.uint8), np.zeros(1, np.int64)
        else:
            self._table = np.zeros(1 << max(4, (2 * count - 1).bit_length()), dtype=np.uint64)
            fill_table(self._data, self._offsets, self._table, self.first)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def repeated(self) -> np.ndarray:
        """Rows whose id stands in an earlier row."""
        return np.flatnonzero(self.first != np.arange(len(self.first)))

    def rows(self, wanted: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Return the row of each wanted id, int64; −1 where there is none, or a null was asked."""
        data, bounds = _joined([wanted])
        out = np.empty(len(bounds) - 1, dtype=np.int64)

        def find(start: int, stop: int) -> None:
            part, rows = bounds[start : stop + 1], out[start:stop]
            if self._plain:
                find_places(data, part, self._table, rows)
            else:
                find_rows(data, part, self._data, self._offsets, self._table, rows)

        in_threads(find, np.arange(len(bounds)))
        if wanted.null_count:
            out[wanted.is_null().to_numpy(zero_copy_only=False)] = -1
        return out


class NumberedIds:
    """Where the ids stand that an export wrote numbers for; `ours`: the id of each number."""

    def __init__(self, index: IdIndex, ours: Mapping[str, str]):
        self._numbers = IdIndex([pa.array(list(ours), pa.string())])
        self._ordinals = np.append(index.rows(pa.array(list(ours.values()), pa.string())), -1)

    def rows(self, wanted: pa.Array) -> np.ndarray:
        """Return the row of each number's id, int64; −1 where there is none."""
        return self._ordinals[self._numbers.rows(wanted)]


def _joined(columns: Iterable[pa.Array | pa.ChunkedArray]) -> tuple[np.ndarray, np.ndarray]:
    """Return all ids as bytes, uint8, and int64 offsets; a null is an empty id."""
    chunks = [
        chunk.cast(pa.large_string())
        for column in columns
        for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])
        if len(chunk)
    ]
    pieces, offsets, base = [], [np.zeros(1, dtype=np.int64)], 0
    for chunk in chunks:
        _, ends, data = chunk.buffers()
        bounds = np.frombuffer(ends, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        if data is not None:
            pieces.append(np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]])
        offsets.append(bounds[1:] - bounds[0] + base)
        base = int(offsets[-1][-1])
    empty = np.empty(0, dtype=np.uint8)
    data = pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else empty
    return data, np.concatenate(offsets)
