"""Kernels of exact dense search: vectors as 16-bit integers, and what their products cannot rule
out.

A vector x is scaled by s and rounded to integers X of 16 bits, no longer than about 2^15, so that
products of two are exact in 32 bits. A product p = Q·D then lies within

    E = ‖s·q − Q‖·max ‖t·d‖ + ‖Q‖·max ‖t·d − D‖ + (rounding of the canonical score)

of the canonical score times s·t (Cauchy–Schwarz). With p_k the k-th largest product of a query, at
least k documents score p_k − E or more, so every document of the list has p ≥ p_k − 2E.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from .hardware import half_to_single
from .integer_tile import PANEL, ROWS, first_bit, multiply_tile, reaching
from .nearest import tighten

_jit = numba.njit(cache=True, nogil=True)
LENGTH = 32000.0  # of a scaled vector; rounding adds √d/2 at most, which leaves room to 2^15


class Block(NamedTuple):
    """Documents base…base+rows−1: `panels` int16 as `fill_panels` wrote them, and `allowed` uint8
    per document of the collection, 0 for those that no list may hold."""

    panels: np.ndarray
    rows: int
    base: int
    allowed: np.ndarray


@_jit
def fill_panels(half, single, scale, whole, panels):
    """Write documents times `scale`, rounded, as the panels that `multiply_tile` reads.

    Rows are `half`, uint16 bits of float16 [n, d], or `single`, float32 [n, d]; the other has no
    columns. `scale` float32. `panels` int16 [⌈n / PANEL⌉, ⌈d / 2⌉, PANEL, 2];
    what no document fills is 0. `whole` int16 [PANEL, 2·⌈d / 2⌉] is scratch.
    """
    rows, width = max(half.shape[0], single.shape[0]), max(half.shape[1], single.shape[1])
    pairs, columns = whole.view(np.int32), panels.view(np.int32)
    whole[:] = 0
    for panel in range(panels.shape[0]):
        first = panel * PANEL
        stop = min(PANEL, rows - first)
        for i in range(stop):
            if half.shape[1] > 0:
                for k in range(width):
                    whole[i, k] = np.int16(np.rint(half_to_single(half[first + i, k]) * scale))
            else:
                for k in range(width):
                    whole[i, k] = np.int16(np.rint(single[first + i, k] * scale))
        whole[stop:] = 0
        for pair in range(panels.shape[1]):
            for column in range(PANEL):
                columns[panel, pair, column, 0] = pairs[column, pair]


@_jit
def fill_rows(rows, scale, whole, norms):
    """Write queries times their scale, rounded, and what that took.

    `rows` float32 [n, d], `scale` float64 [n]. Writes `whole` int16 [at least n, 2·⌈d / 2⌉], 0 in
    what is left over, and `norms` float64 [n, 2]: lengths of the integers and of what was lost.
    """
    whole[:] = 0
    for i in range(rows.shape[0]):
        kept, lost = 0.0, 0.0
        for k in range(rows.shape[1]):
            x = np.float64(rows[i, k]) * scale[i]
            y = np.rint(x)
            whole[i, k] = np.int16(y)
            kept += y * y
            lost += (x - y) * (x - y)
        norms[i, 0], norms[i, 1] = np.sqrt(kept), np.sqrt(lost)


@_jit
def keep_whole(queries, block, depth, bound, floor, count, value, doc, tally, product):
    """Multiply queries with a block of documents; keep those that reach the query's floor.

    `queries` int16 as `fill_rows` wrote them, the rows a multiple of ROWS; `product` int32 [rows of
    queries, PANEL] is scratch. Everything else as `nearest.keep_near` has it, with `floor` int32
    [n], `value` int32 [n, room], room ≥ 2·depth + PANEL, and `bound` E.
    """
    panels, rows, base, allowed = block
    room = value.shape[1] - PANEL
    full = np.minimum(np.maximum(count, depth) + depth, room)
    for panel in range(panels.shape[0]):
        for row in range(0, len(queries), ROWS):
            multiply_tile(queries, row, panels[panel], product)
        first = base + panel * PANEL
        stop = min(PANEL, rows - panel * PANEL)
        for q in range(len(count)):
            mask = reaching(product, q, floor[q])
            if mask == 0 or count[q] < 0:
                continue
            n = count[q]
            if n > full[q]:
                n = tighten(depth, bound[q], n, floor, value, doc, q, tally)
                full[q] = min(n + depth, room)
                if n > full[q]:
                    count[q] = -1
                    continue
                mask = reaching(product, q, floor[q])
            while mask != 0:
                column = first_bit(mask)
                mask &= mask - np.uint32(1)
                if column < stop and allowed[first + column] != 0:
                    value[q, n], doc[q, n] = product[q, column], first + column
                    n += 1
            count[q] = n
