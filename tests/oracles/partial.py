"""Partial correlations the slow way: the residuals of two regressions, correlated."""

from __future__ import annotations

import numpy as np


def partial(
    gain: np.ndarray, wanted: np.ndarray, given: list[np.ndarray], taken_out: np.ndarray
) -> float:
    """Return the correlation of what regressions on the given columns, and on a constant for every
    value of `taken_out`, leave of the gain and of what is wanted."""
    dummies = [(taken_out == one).astype(float) for one in np.unique(taken_out)]
    x = np.column_stack([*dummies, *given])
    left = [y - x @ np.linalg.lstsq(x, y, rcond=None)[0] for y in (gain, wanted)]
    return float(left[0] @ left[1] / np.sqrt((left[0] @ left[0]) * (left[1] @ left[1])))


def bootstrap(
    gain: np.ndarray,
    wanted: np.ndarray,
    given: list[np.ndarray],
    taken_out: np.ndarray,
    query: np.ndarray,
    weights: np.ndarray,
) -> list[float]:
    """Return the same of resamples: every row as often as its query was drawn; a query that is
    drawn twice is two queries where queries' means are taken out."""
    made = []
    queries = np.unique(query)
    for weight in weights:
        times = np.array([weight[np.flatnonzero(queries == q)[0]] for q in query])
        rows = np.repeat(np.arange(len(query)), times)
        made.append(
            partial(gain[rows], wanted[rows], [one[rows] for one in given], taken_out[rows])
        )
    return made
