"""Entropy of the softmax over a list, and how many documents it spreads over.

Scores are float32, so e^x is computed in float32 with an argument that is exact to 2⁻²⁵, summed in
blocks, and only the sums are float64. Lists for which that is not enough (a softmax that is almost
certain, scores beyond 2²¹ temperatures, scales other than the stored one) take the float64 path.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .hardware import fma, larger
from .scales import AS_STORED, DEFINED, FASTMATH, TOO_SHORT, exp_of_negative, load_row, longest_row

LIST_COLUMNS = ("nats", "normalised", "effective_size")

_LOG2_E = math.log2(math.e)
_BLOCK = 256  # float32 partial sums get at most eight terms each before they become float64
_LANES = 32  # rows are padded to whole vectors, so that no document is left to scalar code
_ROUNDER = np.float32(1.5 * 2.0**23)  # x + this has the integer nearest to x in its lowest bits
_LARGEST = 2.0**21  # exponents that `_ROUNDER` still takes
_REACH = 80.0  # temperatures below the highest score: e^−80 is nothing beside _LEAST
_LEAST = 1e-6  # of Σ e^x without the highest document; below, the float64 path
_UNIT = np.float32(1e-30)  # Σ|score|·_UNIT is finite for all finite scores

# 2^r on |r| ≤ ½, minimax: relative error 2e-9 before rounding. From the constant up.
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = (
    1.0000000005541727,
    0.6931472057374555,
    0.24022646890606209,
    0.05550328776556514,
    0.009618488958657107,
    0.0013399931385335861,
    0.00015345811977937867,
)
_S0, _S1, _S2, _S3 = np.float32(_P0), np.float32(_P1), np.float32(_P2), np.float32(_P3)
_S4, _S5, _S6 = np.float32(_P4), np.float32(_P5), np.float32(_P6)


# Reordering would undo the rounding by addition, so these two say that nothing may be reordered;
# without a word the flags of the caller would hold.
@numba.njit(cache=True, nogil=True, forceinline=True, fastmath=False)
def _power_of_two(s, high, low, rounder):
    """Return 2^(s·c − whole), c = high + low, all float32, `rounder` = _ROUNDER − whole.

    s·high + rounder leaves the integer n nearest to s·c − whole in its lowest bits, s·c − n is then
    exact but for its last rounding (2⁻²⁵), and n goes into the exponent: relative error below 2e-7,
    1e-7 of it from the polynomial. n must be at least −126.
    """
    shifted = fma(s, high, rounder)
    r = fma(s, low, fma(s, high, -(shifted - rounder)))
    p = fma(fma(_S6, r, _S5), r, _S4)
    p = fma(fma(fma(fma(p, r, _S3), r, _S2), r, _S1), r, _S0)
    exponent = np.float32(shifted).view(np.int32) << np.int32(23)
    return np.int32(np.float32(p).view(np.int32) + exponent).view(np.float32)


@numba.njit(cache=True, nogil=True, forceinline=True, fastmath=False)
def _fraction_power(r):
    """Return 2^r in float64 for |r| ≤ ½, relative error 2e-9."""
    q = r * r
    p = (_P0 + r * _P1) + q * (_P2 + r * _P3)
    return p + q * q * ((_P4 + r * _P5) + q * _P6)


@numba.njit(cache=True, nogil=True, forceinline=True, fastmath=FASTMATH)
def _copy_and_top(values, begin, count, row):
    """Copy a list to `row`; return its highest score and a sum that is finite if all scores are."""
    top, mass = values[begin], np.float32(0.0)
    for i in range(count):
        score = values[begin + i]
        row[i] = score
        top = larger(score, top)
        mass += abs(score) * _UNIT
    return top, mass


@numba.njit(cache=True, nogil=True, forceinline=True, fastmath=FASTMATH)
def _block_sums(row, start, stop, top, floor, high, low, rounder):
    """Return float32 Σ w, Σ w·(top − s), Σ w² over the scores below the highest, and how many share
    that.

    w = 2^(s·c − whole) as in `_power_of_two`; scores below `floor` count as `floor`.
    """
    total, cross, square = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    ties = np.float32(0.0)
    for i in range(start, stop):
        s = larger(row[i], floor)
        weight = _power_of_two(s, high, low, rounder)
        weight = weight if s < top else np.float32(0.0)
        ties += np.float32(0.0) if s < top else np.float32(1.0)
        total += weight
        cross += weight * (top - s)
        square += weight * weight
    return total, cross, square, ties


@numba.njit(cache=True, nogil=True)
def _sums_in_singles(values, begin, count, inverse_t, row):
    """Return (Σ e^x without one highest document, −Σ x·e^x, Σ e^2x), x = (score − top)/T.

    A NaN comes first where single precision is not enough, or a score is not finite. `row` float32
    is scratch, longer than the list by `_LANES`.
    """
    missing = np.nan, np.nan, np.nan
    top, mass = _copy_and_top(values, np.uint64(begin), np.uint64(count), row)
    if not mass < np.inf:
        return missing
    c = inverse_t * _LOG2_E
    base = np.float64(top) * c
    if not abs(base) < _LARGEST:
        return missing
    floor = np.float32(top - _REACH / inverse_t)
    padded = (count + _LANES - 1) // _LANES * _LANES
    for i in range(np.uint64(count), np.uint64(padded)):
        row[i] = floor
    high = np.float32(c)
    low = np.float32(c - np.float64(high))
    whole = np.floor(base + 0.5)
    rounder = np.float32(np.float64(_ROUNDER) - whole)
    total, cross, square, ties = 0.0, 0.0, 0.0, 0.0
    for block in range(0, padded, _BLOCK):
        last = np.uint64(min(block + _BLOCK, padded))
        some = _block_sums(row, np.uint64(block), last, top, floor, high, low, rounder)
        total += some[0]
        cross += some[1]
        square += some[2]
        ties += some[3]
    left = _fraction_power(whole - base)
    rest = total * left + (ties - 1.0)
    if not rest >= _LEAST:
        return missing
    return rest, cross * left * inverse_t, square * left * left + ties


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _sums_in_doubles(row, count, inverse_t):
    """Return Σ e^x below the highest, −Σ x·e^x, Σ e^2x and how many share the highest.

    For any range of scores. The caller subtracts 1 from the last, outside of what may be reordered:
    added to it first, a small sum would lose its digits.
    """
    top = row[0]
    for i in range(1, count):
        top = max(top, row[i])
    total, cross, square, ties = 0.0, 0.0, 0.0, 0.0
    for i in range(count):
        x = (row[i] - top) * inverse_t
        weight = exp_of_negative(x) if x < 0.0 else 0.0
        total += weight
        cross -= weight * x
        square += weight * weight
        ties += 1.0 if x >= 0.0 else 0.0
    return total, cross, square, ties


@numba.njit(cache=True, nogil=True, error_model="numpy")
def list_columns(values, offsets, scale, inverse_t, start, stop, out, status):
    """Entropy of softmax(score/T) over each row [start, stop), and the effective number of
    documents.

    values float32[items]; offsets int64[rows+1]; scale: a code of `scales`; inverse_t = 1/T; out
    float64[rows, 3] as LIST_COLUMNS: nats in [0, ln k], nats/ln k in [0, 1], 1/Σq² in [1, k];
    status uint8[rows, 3]: an entry is NaN where it is not DEFINED; an empty row is TOO_SHORT, and a
    row of one document has no normalised form. With x = (score − max)/T and R = Σ e^x without one
    highest document, H = log1p(R) + Σ(−x)e^x/(1 + R): only positive terms, nothing cancels.
    Relative error below 1e-6. Source: docs/quantities.md §6, 4.
    """
    longest = longest_row(offsets, start, stop)
    row, singles = np.empty(longest), np.empty(longest + _LANES, np.float32)
    known, log_count = np.int64(1), 0.0
    for r in range(start, stop):
        begin, count = offsets[r], offsets[r + 1] - offsets[r]
        rest, cross, square = np.nan, np.nan, np.nan
        if scale == AS_STORED and count > 1:
            rest, cross, square = _sums_in_singles(values, begin, count, inverse_t, singles)
        state = DEFINED if count > 0 else TOO_SHORT
        if not rest >= 0.0 and count > 0:
            state = load_row(values, begin, begin + count, scale, row)
            if state == DEFINED:
                rest, cross, square, ties = _sums_in_doubles(row, count, inverse_t)
                rest, square = rest + (ties - 1.0), square + ties
        for column in range(3):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        if count != known:
            known, log_count = count, math.log(count)
        nats = math.log1p(rest) + cross / (1.0 + rest)
        nats = min(nats, log_count)  # rounding can pass ln k by a few parts in 1e7
        out[r, 0] = nats
        out[r, 2] = min(max((1.0 + rest) * (1.0 + rest) / square, 1.0), float(count))
        if count > 1:
            out[r, 1] = nats / log_count
        else:
            status[r, 1] = TOO_SHORT
