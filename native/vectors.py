"""Kernels over row vectors; sums have one fixed order, so equal inputs give equal bits."""

import numba
import numpy as np

from .hardware import half_to_single, prefetch

_jit = numba.njit(cache=True, nogil=True)
# Reassociation lets the compiler use its widest vectors; the order it picks is part of the build.
_sums = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
_one_exit = numba.njit(forceinline=True)
_HALF = 2.0**112  # a float16's bits, moved up 13 places, read as float32 are its value / 2^112
_AHEAD = 4  # pairs between asking for a document and multiplying it
_LINE = 64  # bytes that come together


@_sums
def _dot(left, right):
    total = 0.0
    for k in range(len(left)):
        total += np.float64(left[k]) * np.float64(right[k])
    return total


@_one_exit
def _ask_for(half, single, row):
    """Prefetch one row of the array that has columns."""
    for k in range(0, half.shape[1], _LINE // 2):
        prefetch(half, row, k)
    for k in range(0, single.shape[1], _LINE // 4):
        prefetch(single, row, k)


@_jit
def pair_dots(left, left_row, half, single, first, right, bits, wide, out):
    """Inner product of `left[left_row[i]]` and document `right[i]`, summed in float64.

    `left` float32 [a, d], `left_row` int [n]; `right` int [n] are ordinals of documents. One part
    of them, from ordinal `first`, is `half`, uint16 bits of float16 [rows, d], or `single`, float32
    [rows, d]; the other has no columns. `bits` uint32 [d] and its float32 view `wide` are scratch.
    Writes `out` float32 [n] for the documents of this part and leaves the others as they are.
    Pairs in the order of their documents are fastest: one is read once for its neighbours.
    """
    rows = half.shape[0] if half.shape[1] > 0 else single.shape[0]
    n, ready = len(right), -1
    for i in range(n):
        at = right[i] - first
        if at < 0 or at >= rows:
            continue
        ahead = min(i + _AHEAD, n - 1)
        soon = right[ahead] - first
        if soon >= 0 and soon < rows and soon != right[max(ahead - 1, 0)] - first:
            _ask_for(half, single, soon)
        if half.shape[1] > 0:
            if at != ready:
                for k in range(half.shape[1]):
                    h = np.uint32(half[at, k])
                    bits[k] = ((h & np.uint32(0x8000)) << np.uint32(16)) | (
                        (h & np.uint32(0x7FFF)) << np.uint32(13)
                    )
                ready = at
            out[i] = np.float32(_dot(left[left_row[i]], wide) * _HALF)
        else:
            out[i] = np.float32(_dot(left[left_row[i]], single[at]))


@_jit
def normalise_rows(rows):
    """Divide each row of float32 [n, d] by its Euclidean length, in place; zero rows stay zero."""
    for i in range(rows.shape[0]):
        total = 0.0
        for k in range(rows.shape[1]):
            total += np.float64(rows[i, k]) * np.float64(rows[i, k])
        if total > 0.0:
            scale = 1.0 / np.sqrt(total)
            for k in range(rows.shape[1]):
                rows[i, k] = np.float32(rows[i, k] * scale)


@_sums
def longest_row(half, single):
    """Return the largest sum of squares of a row, in float64; 0 of no rows.

    Rows are `half`, uint16 bits of float16 [n, d], or `single`, float32 [n, d]; the other has no
    columns.
    """
    longest = 0.0
    for i in range(max(half.shape[0], single.shape[0])):
        total = 0.0
        if half.shape[1] > 0:
            for k in range(half.shape[1]):
                x = np.float64(half_to_single(half[i, k]))
                total += x * x
        else:
            for k in range(single.shape[1]):
                x = np.float64(single[i, k])
                total += x * x
        longest = max(longest, total)
    return longest
