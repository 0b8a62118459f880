"""The interval of a ratio of means, slowly: every rate that a test keeps, one after the other."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def keeps(gain: np.ndarray, cost: np.ndarray, rate: float, level: float) -> bool:
    """Say whether "the mean of gain − rate · cost is 0" is kept: Banerjee's half-width, by hand."""
    seeds, queries = gain.shape
    table = np.array([[gain[s, q] - rate * cost[s] for q in range(queries)] for s in range(seeds)])
    tail = (1 - level) / 2
    by_query, by_seed = table.mean(axis=0), table.mean(axis=1)
    squared = stats.t.isf(tail, queries - 1) ** 2 * by_query.var(ddof=1) / queries
    if seeds > 1:
        squared += stats.t.isf(tail, seeds - 1) ** 2 * by_seed.var(ddof=1) / seeds
    return bool(abs(table.mean()) <= math.sqrt(squared))


def ends(
    gain: np.ndarray, cost: np.ndarray, level: float = 0.95
) -> tuple[float | None, float | None]:
    """Return the lowest and the highest rate that is kept; None for an end that there is not."""
    middle = float(gain.mean() / cost.mean())
    return _end(gain, cost, middle, -1, level), _end(gain, cost, middle, 1, level)


def _end(
    gain: np.ndarray, cost: np.ndarray, middle: float, sign: int, level: float
) -> float | None:
    step = abs(middle) + 1e-6
    for _ in range(60):
        if not keeps(gain, cost, middle + sign * step, level):
            break
        step *= 2
    else:
        return None
    low, high = 0.0, step
    for _ in range(80):
        half = (low + high) / 2
        low, high = (half, high) if keeps(gain, cost, middle + sign * half, level) else (low, half)
    return middle + sign * low
