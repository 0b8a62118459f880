"""Entropy of teacher scores per row over all pairs of a group (D3, D4), and item by item.

Every kernel handles rows [start, stop) of a list column given as (values, offsets), so the caller
cuts the rows into ranges of equal work and runs one per thread; a row is summed in one fixed order,
in any thread.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from . import pool_entropy
from .scales import (
    DEFINED,
    FASTMATH,
    NO_SUCH_PAIR,
    NOT_FINITE,
    TOO_SHORT,
    convert,
    exp_of_negative,
    load_row,
    longest_row,
)

PAIR_COLUMNS = ("all", "pos_pos", "pos_neg", "neg_neg", "misorder")

_LN2 = math.log(2.0)
_SAFE_RANGE = 600.0  # exp(−600) is still a normal float64, so e_i + e_j is never 0
_TILE = 512  # a product of at most 960 factors in [½, 1] stays a normal float64
_ENOUGH_FOR_CELLS = 1e-5  # nats per pair above which an error of 1e-12 is below 1e-7 of the sum
_EXACT_BELOW = 1e-6  # nats per pair under which a product rounded to 3·2⁻⁵³ misses the ninth digit


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _pairs_fast(x, e, i0, i1, j0, j1):
    """Return (entropy in nats, misorder) summed over pairs i in [i0, i1), j in [max(j0, i+1), j1).

    With e = exp(x − any constant), p = max(e_i, e_j)/(e_i + e_j) and q = 1 − p, one pair has
    entropy −ln p + |x_i − x_j|·q. The logarithms are gathered in a product: one division per pair,
    one logarithm per few hundred pairs. Sums are kept by tile and by i, so that rounding grows with
    the number of documents and not with that of pairs.
    """
    nats, misorder, product, pending = 0.0, 0.0, 1.0, 0
    for i in range(i0, i1):
        x_i, e_i = x[i], e[i]
        row_nats, row_misorder = 0.0, 0.0
        for tile in range(max(j0, i + 1), j1, _TILE):
            end = min(tile + _TILE, j1)
            tile_nats, tile_misorder = 0.0, 0.0
            for j in range(tile, end):
                inverse = 1.0 / (e_i + e[j])
                q = min(e_i, e[j]) * inverse
                product *= max(e_i, e[j]) * inverse
                tile_nats += abs(x_i - x[j]) * q
                tile_misorder += q
            row_nats += tile_nats
            row_misorder += tile_misorder
            pending += end - tile
            if pending > 960 - _TILE:
                row_nats -= math.log(product)
                product, pending = 1.0, 0
        nats += row_nats
        misorder += row_misorder
    return nats - math.log(product), misorder


@numba.njit(cache=True, nogil=True)
def _pairs_exact(scores, inverse_t, i0, i1, j0, j1):
    """Do the same pair by pair with log1p: for score ranges beyond exp, and for entropies near
    zero.

    `scores` undivided: their differences are exact, however large they are beside T.
    """
    nats, misorder = 0.0, 0.0
    for i in range(i0, i1):
        row_nats, row_misorder = 0.0, 0.0
        for j in range(max(j0, i + 1), j1):
            x = abs(scores[i] - scores[j]) * inverse_t
            r = math.exp(-x)
            row_nats += math.log1p(r) + (x * r / (1.0 + r) if r > 0.0 else 0.0)
            row_misorder += r / (1.0 + r)
        nats += row_nats
        misorder += row_misorder
    return nats, misorder


@numba.njit(cache=True, nogil=True)
def _pairs_by_cells(x, begin, end):
    """All pairs of the long block x[begin:end] by `pool_entropy`, in scratch of its own.

    Absolute error below 1e-12 nats per pair in blocks of up to 4096, then growing by 2⁻⁵³ with each
    document.
    """
    low, high = x[begin], x[begin]
    for i in range(begin, end):
        low, high = min(low, x[i]), max(high, x[i])
    cells = int((high - low) / pool_entropy.CELL) + 1
    ordered, starts = np.empty(end - begin), np.empty(cells + 1, np.int64)
    pool_entropy.sort_into_cells(x, begin, end, low, cells, ordered, starts)
    moments = np.empty((cells, pool_entropy.MOMENTS))
    pool_entropy.moments_of(ordered, starts, low, cells, moments)
    nats, wrong = pool_entropy.between_cells(
        starts, cells, moments, pool_entropy.ENTROPY, pool_entropy.MISORDER
    )
    e = np.empty(end - begin)
    for cell in range(cells):
        left = low + cell * pool_entropy.CELL
        for i in range(starts[cell], starts[cell + 1]):
            e[i] = math.exp(ordered[i] - left)  # near 1: all its digits, wherever the cell lies
        h, q = _pairs_fast(
            ordered, e, starts[cell], starts[cell + 1], starts[cell], starts[cell + 1]
        )
        nats += h
        wrong += q
    return nats, wrong


@numba.njit(cache=True, nogil=True)
def _pairs(scores, inverse_t, x, e, spread, i0, i1, j0, j1):
    """Return the sums of one block of pairs by the fastest way that is exact enough.

    `scores` of the row, x = (scores − max)/T, e = exp(x) and the spread of x; none is written to.
    """
    if spread < _SAFE_RANGE and i0 == j0 and i1 - i0 >= pool_entropy.LONG:
        nats, misorder = _pairs_by_cells(x, i0, i1)
        if nats > _ENOUGH_FOR_CELLS * (i1 - i0) * (j1 - j0):
            return nats, misorder
    elif spread < _SAFE_RANGE:
        nats, misorder = _pairs_fast(x, e, i0, i1, j0, j1)
        if nats > _EXACT_BELOW * (i1 - i0) * (j1 - j0):
            return nats, misorder
    return _pairs_exact(scores, inverse_t, i0, i1, j0, j1)


@numba.njit(cache=True, nogil=True)
def _positives_first(row, positive, begin, count, scores):
    """Copy a row to `scores`, positives first; return how many are positive."""
    positives = 0
    for i in range(count):
        if positive[begin + i]:
            positives += 1
    p, n = 0, positives
    for i in range(count):
        if positive[begin + i]:
            scores[p] = row[i]
            p += 1
        else:
            scores[n] = row[i]
            n += 1
    return positives


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH | {"nnan"})  # only finite rows come here
def _exponentials(scores, inverse_t, count, x, e):
    """Write x = (score − max)/T and exp(x); return max − min of x, infinite if T is so small.

    The difference comes before the division: scores far from zero would lose their digits in it.
    """
    top, bottom = scores[0], scores[0]
    for i in range(1, count):
        top, bottom = max(top, scores[i]), min(bottom, scores[i])
    for i in range(count):
        x[i] = (scores[i] - top) * inverse_t
        e[i] = exp_of_negative(x[i])
    return (top - bottom) * inverse_t


@numba.njit(cache=True, nogil=True)
def pair_columns(values, offsets, positive, scale, inverse_t, start, stop, out, status):
    """Pair entropy D3 of the rows [start, stop), whole and split by role, and the misorder
    probability.

    values float32[items]; offsets int64[rows+1]; positive uint8[items], 1 for a positive; scale: a
    code of `scales`; inverse_t = 1/T; out float64[rows, 5] as PAIR_COLUMNS: bits, bits, bits, bits,
    probability; status uint8[rows, 5]. An entry is written only where its status is DEFINED, NaN
    elsewhere: TOO_SHORT for rows under two items, NO_SUCH_PAIR for a role that no pair of the row
    has. Source: docs/quantities.md §3, D3 and D4.
    """
    longest = longest_row(offsets, start, stop)
    row, scores = np.empty(longest), np.empty(longest)
    x, e = np.empty(longest), np.empty(longest)
    for r in range(start, stop):
        begin, count = offsets[r], offsets[r + 1] - offsets[r]
        state = load_row(values, begin, offsets[r + 1], scale, row)
        if state == DEFINED and count < 2:
            state = TOO_SHORT
        for column in range(5):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        split = _positives_first(row, positive, begin, count, scores)
        spread = _exponentials(scores, inverse_t, count, x, e)
        all_nats, all_wrong = 0.0, 0.0
        for role in range(3):  # pos–pos, pos–neg, neg–neg
            i0, i1 = (split, count) if role == 2 else (0, split)
            j0, j1 = (0, split) if role == 0 else (split, count)
            pairs = (i1 - i0) * (j1 - j0) if role == 1 else (i1 - i0) * (i1 - i0 - 1) // 2
            if pairs == 0:
                status[r, 1 + role] = NO_SUCH_PAIR
                continue
            nats, wrong = _pairs(scores, inverse_t, x, e, spread, i0, i1, j0, j1)
            out[r, 1 + role] = nats / pairs / _LN2
            all_nats += nats
            all_wrong += wrong
        out[r, 0] = all_nats / (count * (count - 1) // 2) / _LN2
        out[r, 4] = all_wrong / (count * (count - 1) // 2)


@numba.njit(cache=True, nogil=True)
def item_entropy(values, offsets, scale, inverse_t, start, stop, out, status):
    """Average h(σ(z/T)), the entropy of each score's own probability, over each row [start, stop).

    Arrays as in `pair_columns`; scale: the code that reads a score as a logit z, or AS_STORED; out
    float64[rows, 1]: nats in [0, ln 2], h(σ(z)) = log1p(e^−|z|) + |z|·e^−|z|/(1 + e^−|z|); a
    probability of 0 or 1 has 0. status uint8[rows, 1]: an empty row is TOO_SHORT. Source:
    docs/quantities.md §4, bce.
    """
    for r in range(start, stop):
        total, finite = 0.0, True
        for i in range(offsets[r], offsets[r + 1]):
            finite &= abs(values[i]) < math.inf
            a = abs(convert(np.float64(values[i]), scale)) * inverse_t
            e = math.exp(-a)
            total += math.log1p(e) + (a * e / (1.0 + e) if e > 0.0 else 0.0)
        count = offsets[r + 1] - offsets[r]
        state = DEFINED if count > 0 else TOO_SHORT
        if not finite:
            state = NOT_FINITE
        out[r, 0], status[r, 0] = total / count if state == DEFINED else np.nan, state
