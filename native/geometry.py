"""Distances inside a group of document vectors: diameter with its quantiles, radius around positive
and query.

All distances are between rows divided by their own norm (the feature axis): Euclidean d in [0, 2],
or cosine distance d²/2, also in [0, 2]. Source: docs/quantities.md §5, P5; §6, 8 and 9.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from . import distances
from .scales import DEFINED, NOT_FINITE, TOO_SHORT, ZERO_VECTOR, longest_row

_FEW = 24  # largest distances that are kept by insertion
RADIUS_COLUMNS = ("mean", "max", "query")  # after one column per quantile of the diameter


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
def _insert_largest(squares, count, keep):
    """Write the `keep` largest of squares[:count] to its end, ascending; what is before is lost."""
    low = count - keep
    for i in range(low + 1, count):
        value, j = squares[i], i
        while j > low and squares[j - 1] > value:
            squares[j] = squares[j - 1]
            j -= 1
        squares[j] = value
    for i in range(low):
        value, j = squares[i], low
        if value > squares[low]:
            while j + 1 < count and squares[j + 1] < value:
                squares[j] = squares[j + 1]
                j += 1
            squares[j] = value


@numba.njit(cache=True, nogil=True)
def _keep_largest(squares, count, keep):
    """Move the `keep` largest of squares[:count] to its end, ascending.

    A few by insertion, which seldom moves anything; many by a heap sort that stops early.
    """
    if keep <= _FEW:
        _insert_largest(squares, count, keep)
        return
    for node in range(count // 2 - 1, -1, -1):
        _sink(squares, node, count)
    for last in range(count - 1, count - 1 - keep, -1):
        squares[0], squares[last] = squares[last], squares[0]
        _sink(squares, 0, last)


@numba.njit(cache=True, nogil=True)
def _distance(square, cosine):
    return 0.5 * square if cosine else math.sqrt(square)


@numba.njit(cache=True, nogil=True)
def geometry_columns(
    half, single, index, queries, offsets, quantiles, cosine, start, stop, out, status
):
    """Diameter quantiles and radii of the groups [start, stop).

    Stored vectors: `half`, the uint16 bits of float16 [n, dim], or `single` float32 [n, dim]; the
    other has no columns. index int64[items]: the vector of each item; offsets int64[rows+1] into
    index; queries float32[rows, dim] or [0, dim], one per row; quantiles float64[m]; cosine: bool.
    out float64[rows, m+3]: the m quantiles (numpy's linear rule) of the k(k−1)/2 distances, 0 for a
    single document; mean and maximum distance from item 0 to the others; mean distance from the
    query to all items. status uint8[rows, m+3]: ZERO_VECTOR where a vector has no direction,
    NOT_FINITE where it holds NaN, infinity or components whose squares overflow; TOO_SHORT for
    empty rows, for radii of a single document, and for the query radius without queries.
    """
    m, longest = quantiles.shape[0], longest_row(offsets, start, stop)
    dim = max(half.shape[1], single.shape[1])
    width = (dim + distances.PADDED - 1) // distances.PADDED * distances.PADDED
    rows = (longest // distances.TILE + 1) * distances.TILE  # one more, for the query
    vectors, products = np.zeros((rows, width), np.float32), np.empty((rows, rows), np.float32)
    inverse = np.zeros(rows, np.float32)
    squares = np.empty(max(longest, longest * (longest - 1) // 2), np.float32)
    lowest = 1.0
    for q in range(m):
        lowest = min(lowest, quantiles[q])
    for r in range(start, stop):
        begin, end = offsets[r], offsets[r + 1]
        count = end - begin
        distances.load(half, single, index, begin, end, vectors)
        ahead = offsets[min(r + 2, stop)]
        distances.multiply(vectors, count, products, half, single, index, end, ahead)
        state = distances.invert_norms(products, count, inverse) if count > 0 else TOO_SHORT
        for column in range(m + 3):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        distances.square_distances(vectors, products, inverse, count, squares)
        _radii(squares, count, cosine, m, out[r], status[r])
        _diameters(squares, count * (count - 1) // 2, quantiles, lowest, cosine, out[r])
        status[r, m + 2] = TOO_SHORT
        if queries.shape[0] > 0:
            state = _squares_from(queries[r], vectors, inverse, count, squares)
            status[r, m + 2] = state
            if state == DEFINED:
                out[r, m + 2] = _mean_distance(squares, count, cosine)


@numba.njit(cache=True, nogil=True)
def _squares_from(query, vectors, inverse, count, squares):
    """Write |q − v|² of the query to each unit row; return DEFINED or why not."""
    norm = np.float32(0.0)
    for c in range(query.shape[0]):
        norm += query[c] * query[c]
    if not norm < np.float32(np.inf):
        return NOT_FINITE
    if not norm > np.float32(0.0):
        return ZERO_VECTOR
    scale = np.float32(1.0) / np.sqrt(norm)
    for i in range(count):
        squares[i] = distances.apart(query, vectors[i], scale, inverse[i])
    return DEFINED


@numba.njit(cache=True, nogil=True)
def _mean_distance(squares, count, cosine):
    total = 0.0
    for i in range(count):
        total += _distance(squares[i], cosine)
    return total / count


@numba.njit(cache=True, nogil=True)
def _radii(squares, count, cosine, m, out, status):
    """Mean and maximum of the first count − 1 distances: those from item 0."""
    if count < 2:
        status[m] = status[m + 1] = TOO_SHORT
        return
    largest = np.float32(0.0)
    for i in range(count - 1):
        largest = max(largest, squares[i])
    out[m], out[m + 1] = _mean_distance(squares, count - 1, cosine), _distance(largest, cosine)


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
