"""Nearest neighbours of vectors: log density, intrinsic dimension (docs/quantities.md §6, 19).

The match of a vector with itself is removed by its id, never by its position: an exact copy may
stand before it in the list. Copies have distance 0 and no logarithm: they are dropped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..draws import generator
from ..errors import BadInput, UsageError

_BLOCK = 512


def nearest_distances(vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the Euclidean distances (float64 [n, k], ascending) of every row to its k nearest
    others.

    Rows are taken as they are; divide by their norms first where the metric wants that. Exact: the
    candidates of a matrix product are measured again as Σ(a − b)², and where its rounding leaves
    open whether others are as near, all rows are. So neither BLAS nor its threads decide a bit.
    Work is n²·dim, memory 512·n.
    Raises BadInput for fewer than k + 1 rows.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    n = len(rows)
    if n <= k:
        raise BadInput(f"{n} vectors have no {k} neighbours each", do="give more vectors")
    squares = (rows * rows).sum(axis=1)
    spare = min(n, k + 9)  # the product may order near neighbours wrongly
    nearest = np.empty((n, k))
    for start in range(0, n, _BLOCK):
        mine = np.arange(start, min(start + _BLOCK, n))
        rough = squares[mine, None] + squares[None, :] - 2.0 * rows[mine] @ rows.T
        rough[np.arange(len(mine)), mine] = np.inf  # itself, by id
        near = np.argpartition(rough, spare - 1, axis=1)[:, :spare]
        exact = ((rows[mine, None, :] - rows[near]) ** 2).sum(axis=2)
        exact[near == mine[:, None]] = np.inf
        nearest[mine] = np.sort(exact, axis=1)[:, :k]
        worst = np.take_along_axis(rough, near, axis=1).max(axis=1)  # all others are no nearer
        least = worst - _rounding(squares[mine], squares.max(), rows.shape[1])
        unsure = (spare < n) & (nearest[mine, k - 1] > 0) & (nearest[mine, k - 1] >= least)
        for row in mine[unsure]:
            squared = ((rows[row] - rows) ** 2).sum(axis=1)
            squared[row] = np.inf
            nearest[row] = np.sort(squared)[:k]
    return np.sqrt(nearest)


def _rounding(squares: np.ndarray, largest: float, dim: int) -> np.ndarray:
    """Bound |‖a‖² + ‖b‖² − 2a·b as computed − Σ(a − b)² as computed|, for every b.

    Each of three sums has an error of at most γ·(its terms' magnitudes), γ = (dim + 2)·2⁻⁵³, in any
    order (Higham §3.1); magnitudes add up to (‖a‖ + ‖b‖)² ≤ 2(‖a‖² + ‖b‖²). Σ(a − b)² is no larger.
    """
    return 2 * (dim + 4) * 2.0**-53 * 2 * (squares + largest)


def two_nn(r1: np.ndarray, r2: np.ndarray) -> tuple[float, int]:
    """Return TwoNN's intrinsic dimension 1 / mean ln(r₂/r₁), and how many rows were dropped for r₁
    = 0.

    NaN where no row is left, or where all ratios are 1. Facco et al., Scientific Reports 7, 2017;
    the maximum likelihood form, which uses every ratio.
    """
    r1, r2 = np.asarray(r1, np.float64), np.asarray(r2, np.float64)
    kept = r1 > 0
    if not kept.any():
        return float("nan"), int((~kept).sum())
    mean = float(np.log(r2[kept] / r1[kept]).mean())
    return (1.0 / mean if mean > 0 else float("nan")), int((~kept).sum())


def log_density(r_k: np.ndarray, dimension: float) -> np.ndarray:
    """Return −d̂·ln r_k (nats, up to a constant that all rows share); NaN where r_k = 0.

    In logarithms throughout: r^(−d) leaves float64 for dimensions that encoders have.
    """
    if not dimension > 0:
        raise UsageError(f"dimension={dimension} must be above 0")
    distance = np.asarray(r_k, dtype=np.float64)
    known = distance > 0
    out = np.full(distance.shape, np.nan)
    out[known] = -dimension * np.log(distance[known])
    return out


@dataclass(frozen=True, slots=True)
class Dimension:
    """An intrinsic dimension with its 95 % bootstrap interval, and what it was made from."""

    value: float
    low: float
    high: float
    rows: int
    dropped: int


def intrinsic_dimension(vectors: np.ndarray, *, seed: int = 0, resamples: int = 500) -> Dimension:
    """Estimate TwoNN's dimension of rows float [n, dim]; the interval resamples rows' distance
    ratios.

    Neighbouring rows share neighbours, so the interval is somewhat too narrow.
    """
    distances = nearest_distances(vectors, 2)
    value, dropped = two_nn(distances[:, 0], distances[:, 1])
    kept = distances[distances[:, 0] > 0]
    if not len(kept):
        return Dimension(value, value, value, 0, dropped)
    ratios = np.log(kept[:, 1] / kept[:, 0])
    draws = generator(seed, "neighbours.bootstrap")
    drawn = draws.integers(0, len(ratios), (resamples, len(ratios)))
    means = np.percentile(ratios[drawn].mean(axis=1), [97.5, 2.5])
    low, high = (float(1.0 / m) if m > 0 else float("nan") for m in means)
    return Dimension(value, low, high, len(kept), dropped)
