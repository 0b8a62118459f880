"""Distances inside a group of document vectors: diameter with its quantiles, radius around positive
and query.

All distances are between rows divided by their own norm (the feature axis): Euclidean d in [0, 2],
or cosine distance d²/2, also in [0, 2]. They are summed as Σ(a − b)², never as 2 − 2·a·b, which
would lose the digits of close neighbours. Source: quantities.md §5 P5 and §6, 8 and 9.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .scales import DEFINED, FASTMATH, TOO_SHORT, ZERO_VECTOR, longest_row

RADIUS_COLUMNS = ("mean", "max", "query")  # after one column per quantile of the diameter


@numba.njit(cache=True, nogil=True)
def widen(half, bits):
    """Write float16 values, given as uint16 bits, to `bits`, the uint32 view of a float32 array.

    Exponent and mantissa move up by 13 bits; the float32 so made is the value times 2^−112, also
    for subnormals, so the caller multiplies by 2^112. Returns False when some value is NaN or
    infinite.
    """
    special = np.uint32(0)
    for i in range(half.shape[0]):
        h = np.uint32(half[i])
        special = max(special, h & np.uint32(0x7C00))
        bits[i] = ((h & np.uint32(0x8000)) << np.uint32(16)) | (
            (h & np.uint32(0x7FFF)) << np.uint32(13)
        )
    return special < np.uint32(0x7C00)


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _normalise(vectors, row, dim):
    """Divide one row by its norm; False where that is zero or not finite."""
    square = np.float32(0.0)
    for c in range(dim):
        square += vectors[row, c] * vectors[row, c]
    if not (square > np.float32(0.0) and square < np.float32(np.inf)):
        return False
    inverse = np.float32(1.0) / np.sqrt(square)
    for c in range(dim):
        vectors[row, c] *= inverse
    return True


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _squares_from(vectors, i, begin, end, out, at):
    """Write the squared distances of row i to rows [begin, end) of `vectors` from out[at] on."""
    for j in range(begin, end):
        total = np.float32(0.0)
        for c in range(vectors.shape[1]):
            gap = vectors[i, c] - vectors[j, c]
            total += gap * gap
        out[at + j - begin] = total


@numba.njit(cache=True, nogil=True)
def _sink(heap, node, count):
    """Restore the max-heap heap[:count] below `node`."""
    value = heap[node]
    while 2 * node + 1 < count:
        child = 2 * node + 1
        if child + 1 < count and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[node] = heap[child]
        node = child
    heap[node] = value


@numba.njit(cache=True, nogil=True)
def _keep_largest(squares, count, keep):
    """Move the `keep` largest of squares[:count] to its end, ascending: a heap sort that stops
    early.
    """
    for node in range(count // 2 - 1, -1, -1):
        _sink(squares, node, count)
    for last in range(count - 1, count - 1 - keep, -1):
        squares[0], squares[last] = squares[last], squares[0]
        _sink(squares, 0, last)


@numba.njit(cache=True, nogil=True)
def _distance(square, cosine):
    return 0.5 * square if cosine else math.sqrt(square)


@numba.njit(cache=True, nogil=True)
def geometry_columns(vectors, queries, offsets, quantiles, cosine, out, status):
    """Diameter quantiles and radii of every row of a block of groups.

    vectors float32[items, dim], normalised in place; queries float32[rows or 0, dim], likewise;
    offsets int64[rows+1] into items; quantiles float64[m]; cosine: bool. out float64[rows, m+3]:
    the m quantiles (numpy's linear rule) of the k(k−1)/2 distances, 0 for a single document; mean
    and maximum distance from item 0 to the others; mean distance from the query to all items.
    status uint8[rows, m+3]: ZERO_VECTOR where a vector has no direction; TOO_SHORT for empty rows,
    for radii of a single document, and for the query radius without queries.
    """
    m, longest = quantiles.shape[0], longest_row(offsets, 0, offsets.shape[0] - 1)
    squares = np.empty(max(1, longest * (longest - 1) // 2), np.float32)
    lowest = 1.0
    for q in range(m):
        lowest = min(lowest, quantiles[q])
    for r in range(offsets.shape[0] - 1):
        begin, end = offsets[r], offsets[r + 1]
        count = end - begin
        state = DEFINED if count > 0 else TOO_SHORT
        for i in range(begin, end):
            if not _normalise(vectors, i, vectors.shape[1]):
                state = ZERO_VECTOR
        for column in range(m + 3):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        pairs = 0
        for i in range(begin, end - 1):
            _squares_from(vectors, i, i + 1, end, squares, pairs)
            pairs += end - i - 1
        _radii(squares, count, cosine, m, out[r], status[r])
        _diameters(squares, pairs, quantiles, lowest, cosine, out[r])
        _query_radius(vectors, queries, r, begin, end, cosine, m, out[r], status[r])


@numba.njit(cache=True, nogil=True)
def _radii(squares, count, cosine, m, out, status):
    """Mean and maximum of the first count − 1 distances: those from item 0."""
    if count < 2:
        status[m] = status[m + 1] = TOO_SHORT
        return
    total, largest = 0.0, 0.0
    for i in range(count - 1):
        distance = _distance(squares[i], cosine)
        total += distance
        largest = max(largest, distance)
    out[m], out[m + 1] = total / (count - 1), largest


@numba.njit(cache=True, nogil=True)
def _diameters(squares, pairs, quantiles, lowest, cosine, out):
    """The quantiles by numpy's linear rule; reorders `squares`."""
    if pairs > 0:
        _keep_largest(squares, pairs, min(pairs, pairs - int(math.floor(lowest * (pairs - 1)))))
    for q in range(quantiles.shape[0]):
        if pairs == 0:
            out[q] = 0.0
            continue
        position = quantiles[q] * (pairs - 1)
        low = int(math.floor(position))
        below = _distance(squares[low], cosine)
        above = _distance(squares[min(low + 1, pairs - 1)], cosine)
        out[q] = below + (above - below) * (position - low)


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _query_radius(vectors, queries, r, begin, end, cosine, m, out, status):
    """Mean distance from the query's vector to all items of its row."""
    if queries.shape[0] == 0:
        status[m + 2] = TOO_SHORT
        return
    if not _normalise(queries, r, queries.shape[1]):
        status[m + 2] = ZERO_VECTOR
        return
    total = 0.0
    for i in range(begin, end):
        square = np.float32(0.0)
        for c in range(queries.shape[1]):
            gap = queries[r, c] - vectors[i, c]
            square += gap * gap
        total += _distance(square, cosine)
    out[m + 2] = total / (end - begin)
