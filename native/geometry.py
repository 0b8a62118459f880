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

from .scales import DEFINED, FASTMATH, NOT_FINITE, TOO_SHORT, ZERO_VECTOR, longest_row

_FEW = 24  # largest distances that are kept by insertion
RADIUS_COLUMNS = ("mean", "max", "query")  # after one column per quantile of the diameter


@numba.njit(cache=True, nogil=True)
def _touch(half, single, index, begin, end):
    """Read one number per cache line of the rows to come: their cache misses then overlap."""
    seen = 0.0
    for i in range(begin, end):
        for c in range(0, half.shape[1], 32):
            seen += half[index[i], c]
        for c in range(0, single.shape[1], 16):
            seen += single[index[i], c]
    return seen


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _load_unit(half, single, row, bits, vectors, i):
    """Write one stored vector, divided by its norm, to vectors[i]; return DEFINED or why not.

    A float16 is widened by moving exponent and mantissa up 13 bits in `bits`, the uint32 view of
    `vectors`: that is its value times 2^−112, also for subnormals. NaN and infinity would come out
    as 65536 and more, so only rows of such a norm are looked at again.
    """
    scale = np.float32(1.0)
    if half.shape[1] > 0:
        scale = np.float32(2.0**112)
        for c in range(half.shape[1]):
            h = np.uint32(half[row, c])
            bits[i, c] = ((h & np.uint32(0x8000)) << np.uint32(16)) | (
                (h & np.uint32(0x7FFF)) << np.uint32(13)
            )
    else:
        for c in range(single.shape[1]):
            vectors[i, c] = single[row, c]
    square = np.float32(0.0)
    for c in range(vectors.shape[1]):
        component = vectors[i, c] * scale
        square += component * component
    if not square < np.float32(65536.0**2):
        for c in range(half.shape[1]):
            if (half[row, c] & 0x7C00) == 0x7C00:
                return NOT_FINITE
    if not square < np.float32(np.inf):
        return NOT_FINITE
    if not square > np.float32(0.0):
        return ZERO_VECTOR
    inverse = scale / np.sqrt(square)
    for c in range(vectors.shape[1]):
        vectors[i, c] *= inverse
    return DEFINED


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _squares_from(vectors, i, begin, end, out, at):
    """Write the squared distances of row i to rows [begin, end) of `vectors` from out[at] on.

    Four at a time, so that row i is read once for four.
    """
    j = begin
    while j + 4 <= end:
        s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for c in range(vectors.shape[1]):
            a = vectors[i, c]
            g0, g1 = a - vectors[j, c], a - vectors[j + 1, c]
            g2, g3 = a - vectors[j + 2, c], a - vectors[j + 3, c]
            s0 += g0 * g0
            s1 += g1 * g1
            s2 += g2 * g2
            s3 += g3 * g3
        out[at], out[at + 1], out[at + 2], out[at + 3] = s0, s1, s2, s3
        j += 4
        at += 4
    for last in range(j, end):
        total = np.float32(0.0)
        for c in range(vectors.shape[1]):
            gap = vectors[i, c] - vectors[last, c]
            total += gap * gap
        out[at + last - j] = total


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _squares_of_two(vectors, i, count, out, first, second):
    """Write the squared distances of rows i and i + 1 to all later rows below `count`.

    Those of row i go to `out` from `first` on, those of row i + 1 from `second` on. Eight sums at a
    time: six rows are read for eight distances.
    """
    pair = np.float32(0.0)
    for c in range(vectors.shape[1]):
        gap = vectors[i, c] - vectors[i + 1, c]
        pair += gap * gap
    out[first] = pair
    first += 1
    j = i + 2
    while j + 4 <= count:
        s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        t0, t1, t2, t3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for c in range(vectors.shape[1]):
            a, b = vectors[i, c], vectors[i + 1, c]
            v0, v1, v2, v3 = vectors[j, c], vectors[j + 1, c], vectors[j + 2, c], vectors[j + 3, c]
            s0 += (a - v0) * (a - v0)
            s1 += (a - v1) * (a - v1)
            s2 += (a - v2) * (a - v2)
            s3 += (a - v3) * (a - v3)
            t0 += (b - v0) * (b - v0)
            t1 += (b - v1) * (b - v1)
            t2 += (b - v2) * (b - v2)
            t3 += (b - v3) * (b - v3)
        out[first], out[first + 1], out[first + 2], out[first + 3] = s0, s1, s2, s3
        out[second], out[second + 1], out[second + 2], out[second + 3] = t0, t1, t2, t3
        j, first, second = j + 4, first + 4, second + 4
    for last in range(j, count):
        s, t = np.float32(0.0), np.float32(0.0)
        for c in range(vectors.shape[1]):
            s += (vectors[i, c] - vectors[last, c]) * (vectors[i, c] - vectors[last, c])
            t += (vectors[i + 1, c] - vectors[last, c]) * (vectors[i + 1, c] - vectors[last, c])
        out[first + last - j], out[second + last - j] = s, t


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
    bits = np.empty((longest + 1, dim), np.uint32)
    vectors = bits.view(np.float32)
    squares = np.empty(max(longest, longest * (longest - 1) // 2), np.float32)
    nothing = half[:, :0]
    lowest = 1.0
    for q in range(m):
        lowest = min(lowest, quantiles[q])
    for r in range(start, stop):
        begin, end = offsets[r], offsets[r + 1]
        count = end - begin
        state = DEFINED if count > 0 else TOO_SHORT
        if not _touch(half, single, index, begin, end) < np.inf:
            state = NOT_FINITE
        for i in range(count):
            loaded = _load_unit(half, single, index[begin + i], bits, vectors, i)
            if state == DEFINED or loaded == NOT_FINITE:
                state = loaded
        for column in range(m + 3):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        pairs = count * (count - 1) // 2
        at = 0
        for i in range(0, count - 1, 2):
            _squares_of_two(vectors, i, count, squares, at, at + count - i - 1)
            at += 2 * (count - i) - 3
        _radii(squares, count, cosine, m, out[r], status[r])
        _diameters(squares, pairs, quantiles, lowest, cosine, out[r])
        if queries.shape[0] == 0:
            status[r, m + 2] = TOO_SHORT
            continue
        state = _load_unit(nothing, queries, r, bits, vectors, count)
        status[r, m + 2] = state
        if state == DEFINED:
            _squares_from(vectors, count, 0, count, squares, 0)
            out[r, m + 2] = _mean_distance(squares, count, cosine)


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
