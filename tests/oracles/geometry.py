"""The obvious float64 versions of the geometric statistics: normalise rows, then numpy, one group
at a time.
"""

from __future__ import annotations

import itertools

import numpy as np


def unit(rows) -> np.ndarray:
    """Rows divided by their norms (the feature axis), in float64."""
    rows = np.asarray(rows, np.float64)
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


def distances(rows) -> np.ndarray:
    """Euclidean distances of all pairs i < j of the normalised rows."""
    rows = unit(rows)
    pairs = itertools.combinations(range(len(rows)), 2)
    return np.array([np.sqrt(((rows[i] - rows[j]) ** 2).sum()) for i, j in pairs])


def diameter(rows, quantile: float = 1.0) -> float:
    """numpy's linear quantile of the distances; one row alone has diameter 0."""
    found = distances(rows)
    return float(np.quantile(found, quantile)) if len(found) else 0.0


def radius(rows, centre) -> np.ndarray:
    """Distances of the normalised rows from the normalised `centre`."""
    return np.sqrt(((unit(rows) - unit([centre])) ** 2).sum(axis=1))
