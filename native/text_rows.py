"""Kernels that put text together: columns and constants joined row by row, and JSON kept to ASCII.

Texts are UTF-8 bytes with offsets, as Arrow holds them.
"""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)


@_jit
def join_rows(
    data: np.ndarray, ends: np.ndarray, constants: np.ndarray, bounds: np.ndarray, out: np.ndarray
) -> None:
    """Write each row as constant 0, column 0, constant 1, column 1, …, the last constant.

    `data` uint8: the bytes of column 0, of column 1, …; `ends` int64 [columns, rows+1]: where in
    `data` the texts of a column begin and end. Constant c is `constants[bounds[c]:bounds[c+1]]`,
    uint8, bounds int64 [columns+2]. `out` uint8 has exactly the size of all rows.
    """
    place = 0
    columns = ends.shape[0]
    for row in range(ends.shape[1] - 1):
        for column in range(columns):
            for i in range(bounds[column], bounds[column + 1]):
                out[place] = constants[i]
                place += 1
            for i in range(ends[column, row], ends[column, row + 1]):
                out[place] = data[i]
                place += 1
        for i in range(bounds[columns], bounds[columns + 1]):
            out[place] = constants[i]
            place += 1


@_jit
def needs_escape(data: np.ndarray) -> bool:
    """Say whether UTF-8 bytes, uint8, hold one that JSON strings escape; looks at all of them."""
    escaped = False
    for i in range(data.size):
        escaped |= (data[i] < 32) | (data[i] == 34) | (data[i] == 92)
    return escaped


@_jit
def escaped_lengths(data: np.ndarray, offsets: np.ndarray, lengths: np.ndarray) -> None:
    """Write how many bytes `escape` makes of each text: lengths int64 [n], offsets int64 [n+1]."""
    for row in range(lengths.size):
        n = 0
        for i in range(offsets[row], offsets[row + 1]):
            byte = data[i]
            if byte < 0x80:
                n += 1
            elif byte >= 0xF0:
                n += 12
            elif byte >= 0xC0:
                n += 6
        lengths[row] = n


@_jit
def escape(data: np.ndarray, out: np.ndarray) -> None:
    r"""Write UTF-8 as ASCII: what lies beyond becomes \uXXXX, or two of them (RFC 8259, section 7).

    `data` uint8 is valid UTF-8 inside JSON strings; `out` uint8 has the summed `escaped_lengths`.
    """
    digits = b"0123456789abcdef"
    place, i = 0, 0
    while i < data.size:
        byte = np.int64(data[i])
        if byte < 0x80:
            out[place] = byte
            place += 1
            i += 1
            continue
        more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        code = byte & (0x3F >> more)
        for j in range(1, more + 1):
            code = code << 6 | np.int64(data[i + j]) & 0x3F
        i += more + 1
        pair = code > 0xFFFF
        for part in range(2 if pair else 1):
            unit = code
            if pair:
                unit = 0xD800 + (code - 0x10000 >> 10) if part == 0 else 0xDC00 + (code & 0x3FF)
            out[place] = 92
            out[place + 1] = 117
            for j in range(4):
                out[place + 2 + j] = digits[unit >> (12 - 4 * j) & 15]
            place += 6


@_jit
def ends_of_rows(
    data: np.ndarray,
    bounds: np.ndarray,
    rows: np.ndarray,
    tails: np.ndarray,
    tail_bounds: np.ndarray,
    tail_rows: np.ndarray,
    out: np.ndarray,
) -> None:
    """Say of each pair whether text rows[i] is text tail_rows[i], or ends with it after a blank.

    `data`, `tails` uint8; `bounds`, `tail_bounds` int64; rows int64 [n]; out bool [n]. An empty
    tail ends nothing.
    """
    for i in range(rows.size):
        begin, end = bounds[rows[i]], bounds[rows[i] + 1]
        first, last = tail_bounds[tail_rows[i]], tail_bounds[tail_rows[i] + 1]
        size = last - first
        out[i] = False
        if size == 0 or end - begin < size:
            continue
        if end - begin > size:
            before = data[end - size - 1]
            if not (before == 32 or 9 <= before <= 13):
                continue
        same = True
        for j in range(size):
            if data[end - size + j] != tails[first + j]:
                same = False
                break
        out[i] = same
