"""The weighted draw of `softmax`: π = 1 − exp(−τw) that sum to n, and a systematic draw with them.

`mining.selection.weighted` has the formulas and is the oracle. There τ is found by 80 halvings;
here in a few steps of Halley's method, whose result is the same but for a few units of the last
place. So everything that follows is looked at twice: could another rounding make another float32
of a probability, or put a point of the draw on another document? If so the query is undecided and
goes the way of the oracle.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from . import philox

_jit = numba.njit(cache=True, nogil=True)

_UNIT = 2.0**-53
_CAP = 10.0  # exp(−exp(10)) is 0: there the oracle cuts exponents off
_STEPS, _NEIGHBOURS = 60, 8
_SUM_ERROR = 64 * _UNIT  # relative, of sums of positive numbers in blocks, here and in the oracle


@_jit
def _rung(log_weight, n, log_tau, out):
    """Write 1 − exp(−exp(log_weight + log_tau)) to out; returns their sum and its slope."""
    total, slope = 0.0, 0.0
    block, block_slope = 0.0, 0.0
    for i in range(n):
        rate = math.exp(min(log_weight[i] + log_tau, _CAP))
        one = -math.expm1(-rate)
        out[i] = one
        block += one
        block_slope += rate * (1.0 - one)
        if i & 31 == 31:
            total += block
            slope += block_slope
            block, block_slope = 0.0, 0.0
    return total + block, slope + block_slope


@_jit
def _solved(log_weight, n, size, weight):
    """Return log τ at which the expected number is `size`, to about its last place; NaN if not."""
    top = -np.inf
    for i in range(n):
        top = max(top, log_weight[i])
    total = 0.0
    for i in range(n):
        weight[i] = math.exp(log_weight[i] - top)
        total += weight[i]
    tau = size / total  # 1 − exp(−x) ≤ x: too little or just enough
    for _ in range(_STEPS):
        missing, first, second = float(size), 0.0, 0.0
        for i in range(n):
            x = tau * weight[i]
            quiet = math.exp(-x)
            missing -= 1.0 - quiet if x > 1e-5 else x - 0.5 * x * x
            first += weight[i] * quiet
            second += weight[i] * weight[i] * quiet
        if not first > 0.0:
            return np.nan
        below = 2.0 * first * first - missing * second
        step = 2.0 * missing * first / below if below > first * first else missing / first
        if step <= -tau:
            step = -0.5 * tau
        tau += step
        if abs(missing) < 1e-6 * size:
            return math.log(tau) - top
    return np.nan


@_jit
def _settled(log_weight, n, size, log_tau, out):
    """Return (log τ, largest error of it, the sum that is written): the least τ that suffices, as
    the oracle finds it, where neighbouring numbers differ by more than rounding does."""
    total, slope = _rung(log_weight, n, log_tau, out)
    noise = _SUM_ERROR * size
    unit = 2.0 * _UNIT * max(abs(log_tau), 1e-300)
    if slope < 1e-3:
        return log_tau, np.nan, total
    if unit * slope < 64.0 * noise:
        log_tau -= (total - size) / slope
        total, slope = _rung(log_weight, n, log_tau, out)
        return log_tau, (abs(total - size) + noise) / slope + 4.0 * unit, total
    before, steps = total, 0
    while total >= size and steps < _NEIGHBOURS:
        log_tau = np.nextafter(log_tau, -np.inf)
        total, slope = _rung(log_weight, n, log_tau, out)
        steps += 1
    while total < size and steps < 2 * _NEIGHBOURS:
        log_tau, before = np.nextafter(log_tau, np.inf), total
        total, slope = _rung(log_weight, n, log_tau, out)
        steps += 1
    certain = before < size - noise and total > size + noise
    return log_tau, 0.0 if certain else np.nan, total


@_jit
def arrivals(log_weight, n, size, work, out):
    """Write π (float64) of n documents with weights exp(log_weight), summing to `size`, to out.

    work float64 [≥ n]. Returns the largest relative error against the oracle, NaN where it is not
    known to be small. `size` of n documents are certain.
    """
    if size == n:
        for i in range(n):
            out[i] = 1.0
        return 0.0
    log_tau = _solved(log_weight, n, size, work)
    if not math.isfinite(log_tau):
        return np.nan
    log_tau, error, total = _settled(log_weight, n, size, log_tau, out)
    scale = size / total
    for i in range(n):
        out[i] = min(1.0, out[i] * scale)
    return 4.0 * error + 4.0 * _SUM_ERROR


@_jit
def same_single(value, error):
    """Say whether all numbers within a relative error round to one float32."""
    return np.float32(value * (1.0 - error)) == np.float32(min(1.0, value * (1.0 + error)))


@_jit
def systematic(state, probability, n, size, error, order, out):
    """Draw `size` of n documents, each with its probability, as the oracle does; False = undecided.

    order int64 [≥ n] is overwritten; out int64 [≥ size] receives the places.
    """
    philox.permutation(state, n, order)
    total = 0.0
    for k in range(n):
        total += probability[order[k]]
    begin, width = philox.uniform(state), total / size
    least = 2.0 * (error + 2.0 * n * _UNIT) * size
    place, end, before = 0, probability[order[0]], 0.0
    for k in range(size):
        point, own = (begin + k) * width, place
        while place < n and end <= point:
            place += 1
            before = end
            if place < n:
                end += probability[order[place]]
        if place == n or end - point <= least or (place > 0 and point - before <= least):
            return False
        if k > 0 and place == own:
            return False
        out[k] = order[place]
    philox.shuffle(state, out, size)
    return True
