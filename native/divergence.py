"""How far two models' scores are apart within each row, and how much a student's vary."""

from __future__ import annotations

import math

import numba
import numpy as np

from .scales import DEFINED, TOO_SHORT, load_row, longest_row

STUDENT_COLUMNS = ("kl", "variance")


@numba.njit(cache=True, nogil=True)
def _log_softmax(row, count, factor):
    """Replace scores by ln softmax(factor · score)."""
    top = -math.inf
    for i in range(count):
        row[i] *= factor
        top = max(top, row[i])
    total = 0.0
    for i in range(count):
        total += math.exp(row[i] - top)
    normaliser = top + math.log(total)
    for i in range(count):
        row[i] -= normaliser


@numba.njit(cache=True, nogil=True)
def _variance(row, count, factor):
    mean, squares = 0.0, 0.0
    for i in range(count):
        mean += factor * row[i]
    mean /= count
    for i in range(count):
        squares += (factor * row[i] - mean) ** 2
    return squares / count


@numba.njit(cache=True, nogil=True)
def student_columns(
    values, offsets, student, scale, inverse_t, own_scale, factor, start, stop, out, status
):
    """Compare the student's scores f with the teacher's g on each row [start, stop).

    values, student float32[items]: g and f; offsets int64[rows+1]; scale, own_scale: codes of
    `scales` for g and for f; inverse_t = 1/T; out float64[rows, 2] as STUDENT_COLUMNS: KL(softmax(
    g/T) ‖ softmax(factor·f)) in nats, at least 0; population variance of factor·f. status
    uint8[rows, 2]: an entry is NaN where it is not DEFINED; a row under two items is TOO_SHORT.
    Source: docs/quantities.md §4, kl, and §6, 25.
    """
    longest = longest_row(offsets, start, stop)
    g, f = np.empty(longest), np.empty(longest)
    for r in range(start, stop):
        begin, count = offsets[r], offsets[r + 1] - offsets[r]
        state = load_row(values, begin, offsets[r + 1], scale, g)
        own = load_row(student, begin, offsets[r + 1], own_scale, f)
        if state == DEFINED:
            state = own
        if state == DEFINED and count < 2:
            state = TOO_SHORT
        for column in range(2):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        out[r, 1] = _variance(f, count, factor)
        _log_softmax(g, count, inverse_t)
        _log_softmax(f, count, factor)
        total = 0.0
        for i in range(count):
            total += math.exp(g[i]) * (g[i] - f[i])
        out[r, 0] = max(total, 0.0)  # rounding of equal distributions


@numba.njit(cache=True, nogil=True)
def _standardise(row, count):
    """Replace scores by (s − mean)/standard deviation; equal ones become 0."""
    deviation, mean = math.sqrt(_variance(row, count, 1.0)), 0.0
    for i in range(count):
        mean += row[i]
    mean /= count
    for i in range(count):
        row[i] = (row[i] - mean) / deviation if deviation > 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def jensen_shannon(
    x, y, offsets, x_scale, y_scale, standardised, inverse_t, start, stop, out, status
):
    """Compare the softmaxes of two teachers' scores on each row [start, stop).

    x, y float32[items], finite; offsets int64[rows+1]; x_scale, y_scale: codes of `scales`;
    standardised: each row of each is first brought to mean 0 and population variance 1, equal
    scores to 0; inverse_t = 1/T; out float64[rows]: ½ KL(p‖m) + ½ KL(q‖m) in nats, in [0, ln 2],
    with p = softmax(x/T), q = softmax(y/T), m = ½(p + q). status uint8[rows]: an entry is NaN where
    it is not DEFINED; a row under two items is TOO_SHORT. Absolute error below 1e-13 for rows whose
    scores are within 100 T of each other. Source: Lin, "Divergence measures based on the Shannon
    entropy" (IEEE Trans. Inf. Theory 1991); docs/quantities.md §6, 26.
    """
    longest = longest_row(offsets, start, stop)
    p, q = np.empty(longest), np.empty(longest)
    for r in range(start, stop):
        count = offsets[r + 1] - offsets[r]
        state = load_row(x, offsets[r], offsets[r + 1], x_scale, p)
        other = load_row(y, offsets[r], offsets[r + 1], y_scale, q)
        if state == DEFINED:
            state = other
        if state == DEFINED and count < 2:
            state = TOO_SHORT
        out[r], status[r] = np.nan, state
        if state != DEFINED:
            continue
        if standardised:
            _standardise(p, count)
            _standardise(q, count)
        _log_softmax(p, count, inverse_t)
        _log_softmax(q, count, inverse_t)
        total = 0.0
        for i in range(count):
            larger = max(p[i], q[i])
            middle = larger + math.log(0.5 * (math.exp(p[i] - larger) + math.exp(q[i] - larger)))
            total += math.exp(p[i]) * (p[i] - middle) + math.exp(q[i]) * (q[i] - middle)
        out[r] = min(max(0.5 * total, 0.0), math.log(2.0))
