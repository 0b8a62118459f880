"""Kernels that cut lines of text into fields, and copy fields out as Arrow holds strings.

All bytes of a block of whole lines stand in one array; line r is `data[starts[r]:stops[r]]`.
"""

from __future__ import annotations

import numba
import numpy as np

_TAB, _SPACE, _RETURN = 9, 32, 13


@numba.njit(cache=True, nogil=True)
def _cut_at_tabs(data, start, stop, begins, ends):
    width, limit = 1, begins.size
    begins[0] = start
    for p in range(start, stop):
        if data[p] == _TAB:
            if width <= limit:
                ends[width - 1] = p
            if width < limit:
                begins[width] = p + 1
            width += 1
    if width <= limit:
        ends[width - 1] = stop
    return width


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
def cut_lines(
    data: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    at_blanks: bool,
    widths: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Write how many fields each line has, and where its first fields begin and end.

    `data` uint8; `starts`, `stops` int64 [n]; a carriage return before `stops[r]` belongs to the
    line's end. Fields are parted by every single tab, or with `at_blanks` by runs of blanks and
    tabs, which also may stand at both ends. `widths` int32 [n]: 0 for a line that holds nothing but
    blanks (`at_blanks`: and tabs); `begins`, `ends` int64 [n, limit] are written as far as a line
    has fields.
    """
    for row in range(starts.size):
        start, stop = starts[row], stops[row]
        if stop > start and data[stop - 1] == _RETURN:
            stop -= 1
        if at_blanks:
            widths[row] = _cut_at_blanks(data, start, stop, begins[row], ends[row])
            continue
        p = start
        while p < stop and data[p] == _SPACE:
            p += 1
        widths[row] = _cut_at_tabs(data, start, stop, begins[row], ends[row]) if p < stop else 0


@numba.njit(cache=True, nogil=True)
def copy_fields(data: np.ndarray, begins: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Write field r, `data[begins[r]:…]`, to `out[offsets[r]:offsets[r+1]]`.

    `data`, `out` uint8; `begins` int64 [n]; `offsets` int32 [n+1].
    """
    for row in range(begins.size):
        place = begins[row]
        for i in range(offsets[row], offsets[row + 1]):
            out[i] = data[place]
            place += 1
