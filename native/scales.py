"""Score scales: reading one row of float32 scores as float64 on the scale a statistic is defined
on.

Source: docs/quantities.md §2. z is a logit margin, s = log σ(z) = −softplus(−z), P = eˢ, z = s −
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


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH, inline="always")
def exp_of_negative(x):
    """e^x for x ≤ 0 as (e^(x/2048))^2048: a Taylor polynomial of degree 11 and eleven squarings.

    This form has no table, branch or bit trick, so a loop over it becomes vector code. Relative
    error below 1e-12 for x > −50 and below 1e-10 down to −700; smaller x count as −700 (1e-304).
    """
    t = (x if x > -700.0 else -700.0) * (1.0 / 2048.0)
    t2 = t * t
    t4 = t2 * t2
    w = (1.0 + t) + t2 * (0.5 + t * (1.0 / 6.0))
    u = (1.0 / 24.0 + t * (1.0 / 120.0)) + t2 * (1.0 / 720.0 + t * (1.0 / 5040.0))
    v = (1.0 / 40320.0 + t * (1.0 / 362880.0)) + t2 * (1.0 / 3628800.0 + t * (1.0 / 39916800.0))
    w += t4 * (u + t4 * v)
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    w *= w
    return w * w


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH, inline="always")
def log1p_of_share(u):
    """log(1 + u) for u in [0, 1] as 2·artanh(y), y = u/(2 + u) ≤ ⅓.

    The series vectorises. Relative error below 1e-14, also for the smallest u.
    """
    y = u / (2.0 + u)
    q = y * y
    w = 1.0 / 21.0 + q * (1.0 / 23.0 + q * (1.0 / 25.0 + q * (1.0 / 27.0 + q * (1.0 / 29.0))))
    w = 1.0 / 13.0 + q * (1.0 / 15.0 + q * (1.0 / 17.0 + q * (1.0 / 19.0 + q * w)))
    w = 1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * w)))
    return 2.0 * y * (1.0 + q * (1.0 / 3.0 + q * w))


@numba.njit(cache=True, nogil=True)
def convert(value: float, scale: int) -> float:
    """Return one score on the wanted scale; ±inf where the stored score is saturated there."""
    if scale == LOGPROB_TO_LOGIT:
        return value - math.log(-math.expm1(value)) if value < 0.0 else math.inf
    if scale == PROB_TO_LOGPROB:
        return math.log(value) if value > 0.0 else -math.inf
    if scale == PROB_TO_LOGIT:
        if value <= 0.0:
            return -math.inf
        return math.log(value) - math.log1p(-value) if value < 1.0 else math.inf
    return value


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _log_sigmoid(row, count):
    """Replace logits z by s = log σ(z) = min(z, 0) − log(1 + e^−|z|)."""
    for i in range(count):
        z = row[i]
        row[i] = (z if z < 0.0 else 0.0) - log1p_of_share(exp_of_negative(-abs(z)))


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def _copy_and_sum(values, begin, count, row):
    """Write `count` scores to `row`; return Σ|score|, infinite or NaN if one is not finite."""
    total = 0.0
    for i in range(count):
        row[i] = values[begin + i]
        total += abs(row[i])
    return total


@numba.njit(cache=True, nogil=True)
def load_row(values, begin, end, scale, row):
    """Write scores [begin, end) to `row` (float64) on `scale`; return DEFINED or why not."""
    if not _copy_and_sum(values, begin, end - begin, row) < math.inf:
        return NOT_FINITE
    if scale == LOGIT_TO_LOGPROB:
        _log_sigmoid(row, end - begin)
    elif scale != AS_STORED:
        for i in range(end - begin):
            row[i] = convert(row[i], scale)
            if not abs(row[i]) < math.inf:
                return SATURATED
    return DEFINED


@numba.njit(cache=True, nogil=True)
def longest_row(offsets, start, stop):
    """Return the largest number of items of the rows [start, stop): the size of the scratch they
    need.
    """
    longest = 0
    for row in range(start, stop):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest
