"""Squared distances between all rows of a small set of vectors, each divided by its norm.

|a − b|² = 2 − 2·a·b needs half the arithmetic of Σ(a − b)² and loses the digits of close
neighbours, so pairs that come out near are measured again by the sum.
"""

from __future__ import annotations

import numba
import numpy as np

from .hardware import half_to_single, prefetch
from .scales import DEFINED, FASTMATH, NOT_FINITE, ZERO_VECTOR

TILE = 4  # rows against rows at a time: sixteen sums in registers, eight loads a step
PADDED = 16  # columns of scratch are whole vectors, so that no column is left to scalar code
_NEAR = np.float32(0.25)  # |a − b|² below which the digits that 2 − 2·a·b loses are fetched back
_NEXT = np.uint64(1)


@numba.njit(cache=True, nogil=True, forceinline=True, fastmath=FASTMATH)
def _copy(half, single, row, vectors, i):
    """Write one stored vector as float32 to vectors[i]; the columns beyond it stay as they are."""
    for c in range(np.uint64(half.shape[1])):
        vectors[i, c] = half_to_single(half[row, c])
    for c in range(np.uint64(single.shape[1])):
        vectors[i, c] = single[row, c]


@numba.njit(cache=True, nogil=True)
def load(half, single, index, begin, end, vectors):
    """Write the stored vectors index[begin:end] to the first rows of `vectors` float32."""
    for i in range(np.uint64(end - begin)):
        _copy(half, single, np.uint64(index[np.uint64(begin) + i]), vectors, i)


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _tile(v, i, j, width, products):
    """Write the inner products of rows i … i+3 with rows j … j+3."""
    zero = np.float32(0.0)
    a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
    c0, c1, c2, c3, d0, d1, d2, d3 = zero, zero, zero, zero, zero, zero, zero, zero
    i1, j1 = i + _NEXT, j + _NEXT
    i2, j2 = i1 + _NEXT, j1 + _NEXT
    i3, j3 = i2 + _NEXT, j2 + _NEXT
    for c in range(width):
        a, b, x, y = v[i, c], v[i1, c], v[i2, c], v[i3, c]
        q0, q1, q2, q3 = v[j, c], v[j1, c], v[j2, c], v[j3, c]
        a0, a1, a2, a3 = a0 + a * q0, a1 + a * q1, a2 + a * q2, a3 + a * q3
        b0, b1, b2, b3 = b0 + b * q0, b1 + b * q1, b2 + b * q2, b3 + b * q3
        c0, c1, c2, c3 = c0 + x * q0, c1 + x * q1, c2 + x * q2, c3 + x * q3
        d0, d1, d2, d3 = d0 + y * q0, d1 + y * q1, d2 + y * q2, d3 + y * q3
    products[i, j], products[i, j1], products[i, j2], products[i, j3] = a0, a1, a2, a3
    products[i1, j], products[i1, j1], products[i1, j2], products[i1, j3] = b0, b1, b2, b3
    products[i2, j], products[i2, j1], products[i2, j2], products[i2, j3] = c0, c1, c2, c3
    products[i3, j], products[i3, j1], products[i3, j2], products[i3, j3] = d0, d1, d2, d3


@numba.njit(cache=True, nogil=True, forceinline=True)
def _ask_for(half, single, row):
    """Prefetch one stored vector, a cache line at a time."""
    for c in range(0, half.shape[1], 32):
        prefetch(half, row, c)
    for c in range(0, single.shape[1], 16):
        prefetch(single, row, c)


@numba.njit(cache=True, nogil=True)
def multiply(vectors, count, products, half, single, index, ahead, end):
    """Write vectors·vectorsᵀ to `products` for the first `count` rows, upper triangle.

    Meanwhile the stored vectors index[ahead:end] are prefetched, a few after each tile: rows at
    random places are waited for, and the waiting then falls into the arithmetic. Rows of scratch
    are a multiple of TILE, so what lies beyond `count` may be anything.
    """
    size, width = np.uint64((count + TILE - 1) // TILE * TILE), np.uint64(vectors.shape[1])
    tiles = (count + TILE - 1) // TILE * ((count + TILE - 1) // TILE + 1) // 2
    each = (end - ahead + tiles - 1) // max(1, tiles)
    for i in range(np.uint64(0), size, np.uint64(TILE)):
        for j in range(i, size, np.uint64(TILE)):
            _tile(vectors, i, j, width, products)
            for place in range(ahead, min(ahead + each, end)):
                _ask_for(half, single, index[place])
            ahead += each


@numba.njit(cache=True, nogil=True)
def invert_norms(products, count, inverse):
    """Write 1/norm of each row; return DEFINED, ZERO_VECTOR or, before that, NOT_FINITE."""
    state = DEFINED
    for i in range(count):
        square = products[i, i]
        if not square < np.float32(np.inf):
            state = NOT_FINITE
        elif not square > np.float32(0.0):
            state = ZERO_VECTOR if state == DEFINED else state
        else:
            inverse[i] = np.float32(1.0) / np.sqrt(square)
    return state


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def apart(a, b, scale_a, scale_b):
    """Return Σ (a·scale_a − b·scale_b)², float32."""
    total = np.float32(0.0)
    for c in range(a.shape[0]):
        gap = a[c] * scale_a - b[c] * scale_b
        total += gap * gap
    return total


@numba.njit(cache=True, nogil=True)
def square_distances(vectors, products, inverse, count, squares):
    """Write |a − b|² of all pairs i < j of unit rows to `squares`, in the order 01, 02, …, 12, …"""
    at = 0
    for i in range(count):
        for j in range(i + 1, count):
            cosine = products[i, j] * inverse[i] * inverse[j]
            square = np.float32(2.0) - np.float32(2.0) * cosine
            if square < _NEAR:
                square = apart(vectors[i], vectors[j], inverse[i], inverse[j])
            squares[at] = square
            at += 1
