"""Score scales: reading one row of float32 scores as float64 on the scale a statistic is defined
on.

Source: quantities.md §2. z is a logit margin, s = log σ(z) = −softplus(−z), P = eˢ, z = s −
log(−expm1(s)).
"""

from __future__ import annotations

import math

import numba

AS_STORED, LOGIT_TO_LOGPROB, LOGPROB_TO_LOGIT, PROB_TO_LOGPROB, PROB_TO_LOGIT = range(5)

# Contraction and reordering are allowed, assumptions about NaN and infinity are not.
FASTMATH = {"reassoc", "contract", "nsz"}

# Why an entry has no value: DEFINED ones become numbers, NOT_FINITE an error, all others null with
# a reason.
DEFINED, NOT_FINITE, SATURATED, TOO_SHORT, NO_SUCH_PAIR, NO_POSITIVE, ZERO_VECTOR = range(7)


@numba.njit(cache=True, nogil=True)
def convert(value: float, scale: int) -> float:
    """Return one score on the wanted scale; ±inf where the stored score is saturated there."""
    if scale == LOGIT_TO_LOGPROB:
        return min(value, 0.0) - math.log1p(math.exp(-abs(value)))
    if scale == LOGPROB_TO_LOGIT:
        return value - math.log(-math.expm1(value)) if value < 0.0 else math.inf
    if scale == PROB_TO_LOGPROB:
        return math.log(value) if value > 0.0 else -math.inf
    if scale == PROB_TO_LOGIT:
        if value <= 0.0:
            return -math.inf
        return math.log(value) - math.log1p(-value) if value < 1.0 else math.inf
    return value


@numba.njit(cache=True, nogil=True)
def load_row(values, begin, end, scale, row):
    """Write scores [begin, end) to `row` (float64) on `scale`; return DEFINED, SATURATED or
    NOT_FINITE.
    """
    bad = 0
    for i in range(begin, end):
        row[i - begin] = values[i]
        if not abs(row[i - begin]) < math.inf:
            bad += 1
    if bad:
        return NOT_FINITE
    if scale != AS_STORED:
        for i in range(end - begin):
            row[i] = convert(row[i], scale)
            if not abs(row[i]) < math.inf:
                bad += 1
    return SATURATED if bad else DEFINED


@numba.njit(cache=True, nogil=True)
def longest_row(offsets, start, stop):
    """Return the largest number of items of the rows [start, stop): the size of the scratch they
    need.
    """
    longest = 0
    for row in range(start, stop):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest
