"""How the teacher's score falls with rank: as a power law or not (docs/quantities.md §6, 20).

y must be positive, so it is a probability: P = σ(z) for logits, P = e^s for log-probabilities. A
straight line on log–log paper is not evidence by itself; the exponential and the log-normal are
fitted to the same points, and BIC says which of the three describes them best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...draws import key_of
from ...errors import BadInput, UsageError
from ...ordered import least_squares, product
from .resampling import weighted_sums

SHAPES = ("power_law", "exponential", "log_normal")
FEWEST_RANKS = 6  # to tell shapes of two and three coefficients apart


@dataclass(frozen=True, slots=True)
class Decay:
    """A fit of log y against rank.

    `alpha`: y ∝ x^−alpha with its 95 % interval over queries; `r2` of that line; `first`, `last`:
    the declared range of ranks; `points` used; `queries`; `bic` of each of SHAPES, lower is better.
    """

    alpha: float
    low: float
    high: float
    r2: float
    first: int
    last: int
    points: int
    queries: int
    bic: dict[str, float]

    @property
    def best(self) -> str:
        """The shape with the lowest BIC."""
        return min(self.bic, key=lambda shape: self.bic[shape])


def fit_decay(
    curves: np.ndarray, first: int, last: int, *, seed: int = 0, resamples: int = 1000
) -> Decay:
    """Fit the mean curve of queries' scores sorted from best to worst.

    curves float [queries, ranks], NaN beyond the end of a list; ranks are 1-based and first…last
    are used. The interval resamples queries. Raises BadInput for values that are not positive,
    UsageError for a range with fewer than three ranks.
    """
    curves = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    if not 1 <= first <= last - 2:
        raise UsageError(f"ranks {first} to {last} are too few to fit", do="give three or more")
    used = curves[:, first - 1 : last]
    bad = np.argwhere(used <= 0)
    if len(bad):
        row, column = bad[0]
        raise BadInput(
            f"the score at rank {first + column} of query number {row} is {used[row, column]}",
            do="fit probabilities: σ(z) of logits, e^s of log-probabilities",
        )
    kept = ~np.isnan(used).all(axis=0)
    used, rank = used[:, kept], np.arange(first, first + kept.size)[kept].astype(np.float64)
    if len(rank) < 3:
        raise BadInput(f"only {len(rank)} ranks between {first} and {last} have a score")
    y = np.log(_mean(used, np.ones(len(used))))
    line, residual = _least_squares(np.log(rank), y)
    key = key_of(seed, "power_law.bootstrap")
    alphas = []
    held = ~np.isnan(used)
    table = np.concatenate([np.where(held, used, 0.0), held], axis=1)
    for _, sums in weighted_sums(table, key, resamples):
        for total, number in zip(sums[:, : len(rank)], sums[:, len(rank) :], strict=True):
            known = total > 0  # a rank that no drawn query reaches has no mean
            if known.sum() >= 2:
                mean = np.log(total[known] / number[known])
                alphas.append(-_least_squares(np.log(rank[known]), mean)[0][1])
    low, high = np.percentile(alphas, [2.5, 97.5])
    spread = float(((y - y.mean()) ** 2).sum())
    shapes = {
        "power_law": residual,
        "exponential": _least_squares(rank, y)[1],
        "log_normal": _least_squares(np.log(rank), y, degree=2)[1],
    }
    return Decay(
        alpha=float(-line[1]),
        low=float(low),
        high=float(high),
        r2=1.0 - residual / spread if spread > 0 else float("nan"),
        first=first,
        last=last,
        points=len(rank),
        queries=len(used),
        bic={
            name: float(_bic(np.asarray(r), len(rank), 4 if name == "log_normal" else 3))
            for name, r in shapes.items()
        },
    )


def power_law_leads(curves: np.ndarray) -> np.ndarray:
    """Return for every list by how much a power law describes it better than the best of the other
    shapes: BIC of that shape less BIC of the power law, float64 [lists].

    curves float64 [lists, ranks], log y from best to worst, six ranks or more. log y only up to a
    factor and a summand: they change no lead. NaN where all of a list is equal: any shape fits.
    Raises UsageError for fewer ranks: the log-normal has three coefficients.
    """
    y = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    points = y.shape[1]
    if points < FEWEST_RANKS:
        raise UsageError(f"{points} ranks are too few to tell shapes apart", do="give six or more")
    y = y - y.mean(axis=1, keepdims=True)
    spread = (y * y).sum(axis=1)
    y = np.divide(y, np.sqrt(spread / points)[:, None], out=np.zeros_like(y), where=y != 0)
    rank = np.arange(1, points + 1, dtype=np.float64)
    columns = {
        "power_law": [np.log(rank)],
        "exponential": [rank],
        "log_normal": [np.log(rank), np.log(rank) ** 2],
    }
    bic = {
        shape: _bic(_residuals(powers, y), points, len(powers) + 2)
        for shape, powers in columns.items()
    }
    lead = np.minimum(bic["exponential"], bic["log_normal"]) - bic["power_law"]
    return np.where(spread > 0, lead, np.nan)


def _residuals(columns: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Return the residual sum of squares of every row of centred y, float64 [lists]."""
    rest = y
    basis: list[np.ndarray] = [np.ones(y.shape[1]) / np.sqrt(y.shape[1])]
    for column in columns:
        for one in basis:
            column = column - (column * one).sum() * one
        basis.append(column / np.sqrt((column * column).sum()))
        rest = rest - product(rest, basis[-1])[:, None] * basis[-1]
    return np.asarray((rest * rest).sum(axis=1), np.float64)


def _mean(curves: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over the queries that reach a rank; 0 where none does."""
    known = ~np.isnan(curves)
    total = product(weight, known)
    summed = product(weight, np.where(known, curves, 0.0))
    return np.divide(summed, total, out=np.zeros_like(summed), where=total > 0)


def _least_squares(x: np.ndarray, y: np.ndarray, degree: int = 1) -> tuple[np.ndarray, float]:
    """Return (coefficients from the constant up, residual sum of squares)."""
    return least_squares([x**power for power in range(degree + 1)], y)


def _bic(residual: np.ndarray, points: int, parameters: int) -> np.ndarray:
    """BIC of normal errors in log y; a perfect fit is bounded by the resolution of float64."""
    return points * np.log(np.maximum(residual / points, 1e-30)) + parameters * np.log(points)
