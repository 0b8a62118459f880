"""Kernels that cut lines of text into fields, and copy fields out as Arrow holds strings.

All bytes of a block of whole lines stand in one array; line r is `data[starts[r]:stops[r]]`.
"""

from __future__ import annotations

import numba
import numpy as np

_TAB, _SPACE, _RETURN = 9, 32, 13


_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONES = np.uint64(0x0101010101010101)


@numba.njit(cache=True, nogil=True)
def find_byte(data: np.ndarray, words: np.ndarray, byte: int, places: np.ndarray) -> int:
    """Write where `data` (uint8) holds a byte, ascending, as many as `places` (int64) has room for;
    returns how many there are.

    `words` uint64: the same memory, without the last bytes that fill no word; it may be empty. A
    word that does not hold the byte is passed over whole (Warren, Hacker's Delight, section 6-1).
    """
    pattern = _ONES * np.uint64(byte)
    count, bytes_of_words = 0, 8 * words.size
    for w in range(words.size):
        x = words[w] ^ pattern  # a byte of it is 0 where data has the one that is wanted
        if ((x & _SEVEN) + _SEVEN | x | _SEVEN) != ~np.uint64(0):
            for p in range(8 * w, 8 * w + 8):
                if data[p] == byte:
                    if count < places.size:
                        places[count] = p
                    count += 1
    for p in range(bytes_of_words, data.size):
        if data[p] == byte:
            if count < places.size:
                places[count] = p
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _cut_at_tabs(tabs, next_tab, start, stop, begins, ends):
    """Cut one line; returns its width, and the first tab behind it."""
    width, limit = 1, begins.size
    begins[0] = start
    while next_tab < tabs.size and tabs[next_tab] < stop:
        p = tabs[next_tab]
        next_tab += 1
        if width <= limit:
            ends[width - 1] = p
        if width < limit:
            begins[width] = p + 1
        width += 1
    if width <= limit:
        ends[width - 1] = stop
    return width, next_tab


@numba.njit(cache=True, nogil=True)
def _cut_at_blanks(data, start, stop, begins, ends):
    width, limit, p = 0, begins.size, start
    while p < stop:
        while p < stop and (data[p] == _SPACE or data[p] == _TAB):
            p += 1
        if p == stop:
            break
        first = p
        while p < stop and data[p] != _SPACE and data[p] != _TAB:
            p += 1
        if width < limit:
            begins[width] = first
            ends[width] = p
        width += 1
    return width


@numba.njit(cache=True, nogil=True)
def cut_at_blanks(
    data: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    widths: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Write how many fields each line has, and where its first fields begin and end.

    `data` uint8; `starts`, `stops` int64 [n]; a carriage return before `stops[r]` belongs to the
    line's end. Fields are parted by runs of blanks and tabs, which also may stand at both ends.
    `widths` int32 [n]: 0 for a line that holds nothing else; `begins`, `ends` int64 [n, limit] are
    written as far as a line has fields.
    """
    for row in range(starts.size):
        start, stop = starts[row], stops[row]
        if stop > start and data[stop - 1] == _RETURN:
            stop -= 1
        widths[row] = _cut_at_blanks(data, start, stop, begins[row], ends[row])


@numba.njit(cache=True, nogil=True)
def cut_at_tabs(
    data: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    tabs: np.ndarray,
    widths: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Do the same where every single tab parts two fields; `tabs` int64: where they stand in the
    lines, ascending. `widths` is 0 for a line that holds nothing but blanks.
    """
    next_tab = np.int64(0)
    for row in range(starts.size):
        start, stop = starts[row], stops[row]
        if stop > start and data[stop - 1] == _RETURN:
            stop -= 1
        p = start
        while p < stop and data[p] == _SPACE:
            p += 1
        widths[row] = 0
        if p < stop:
            widths[row], next_tab = _cut_at_tabs(
                tabs, next_tab, start, stop, begins[row], ends[row]
            )


@numba.njit(cache=True, nogil=True)
def copy_fields(data: np.ndarray, begins: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Write field r, `data[begins[r]:…]`, to `out[offsets[r]:offsets[r+1]]`.

    `data`, `out` uint8; `begins` int64 [n]; `offsets` int32 [n+1]. Places are unsigned: with signed
    ones, which might count from the end, the loop is no vector code.
    """
    for row in range(begins.size):
        source, target = np.uint64(begins[row]), np.uint64(offsets[row])
        for i in range(np.uint64(offsets[row + 1]) - target):
            out[target + i] = data[source + i]
