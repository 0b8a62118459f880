"""Queries and training seeds as crossed random effects: where the spread of a mean comes from.

The table y [seeds, queries] holds one value per seed and query: μ + query + seed + rest, all but μ
random with mean 0 (two-way crossed classification, one observation per cell, so the interaction of
query and seed is the rest). Every query meets every seed, hence the closed forms of the balanced
case hold, which are those of REML where no component is negative (Searle, Casella and McCulloch,
Variance Components, 1992, ch. 4). A query's mean over seeds alone, tested as if the seeds were all
there are, calls chance a difference: see docs/evaluation.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..mining.errors import BadInput


@dataclass(frozen=True, slots=True)
class Effects:
    """Variance components of one table, and the standard error of its mean.

    `queries`, `seeds`, `interaction`: variances (unit²) of one query, one seed, and the rest, never
    below 0. `error`: standard error of the mean when both a new seed and new queries could have
    been drawn; `freedom`: its degrees of freedom (Satterthwaite 1946).
    """

    mean: float
    queries: float
    seeds: float
    interaction: float
    error: float
    freedom: float
    seed_count: int

    @property
    def seeds_share(self) -> float:
        """The share of the mean's error variance that more queries would not remove, 0 to 1."""
        return self.seeds / self.seed_count / self.error**2 if self.error else 0.0


def effects(table: np.ndarray) -> Effects:
    """Return the variance components of y [seeds, queries], both two at least.

    Mean squares MS_q, MS_s, MS_e estimate σ_e² + S·σ_q², σ_e² + n·σ_s², σ_e²; the variance of the
    mean is (MS_q + MS_s − MS_e)/(n·S). A component that comes out below 0 is 0, and its mean square
    leaves the sum, as in reader-by-case studies (Hillis 2007).

    Raises BadInput for a table of another shape or with values that are not finite.
    """
    y = np.asarray(table, np.float64)
    if y.ndim != 2 or min(y.shape) < 2:
        raise BadInput(
            f"values of shape {y.shape}",
            do="give [seeds, queries], at least two of each: one seed has no spread",
        )
    if not np.isfinite(y).all():
        raise BadInput("a value is not finite", do="a query without answers counts 0, not NaN")
    seeds, queries = y.shape
    start = y[0, 0]
    y = y - start  # equal values have exactly no spread
    mean, by_seed, by_query = y.mean(), y.mean(axis=1), y.mean(axis=0)
    rest = y - by_seed[:, None] - by_query + mean
    of_seeds, of_queries = seeds - 1, queries - 1
    ms_seed = queries * by_seed.var(ddof=1)
    ms_query = seeds * by_query.var(ddof=1)
    ms_rest = float((rest**2).sum() / (of_seeds * of_queries))
    terms = [(ms_query, of_queries)] if ms_query > ms_rest else []
    terms += [(ms_seed, of_seeds)] if ms_seed > ms_rest else []
    if len(terms) != 1:  # both are there, and the rest was counted twice; or neither is
        terms.append((-ms_rest if terms else ms_rest, of_seeds * of_queries))
    total = sum(square for square, _ in terms)
    spread = sum(square**2 / freedom for square, freedom in terms)
    return Effects(
        mean=float(start + mean),
        queries=max(0.0, float(ms_query - ms_rest) / seeds),
        seeds=max(0.0, float(ms_seed - ms_rest) / queries),
        interaction=ms_rest,
        error=math.sqrt(total / (seeds * queries)),
        freedom=float(total**2 / spread) if spread > 0 else float(of_queries),
        seed_count=seeds,
    )


def error_of_mean(table: np.ndarray) -> tuple[float, float]:
    """Return (standard error, degrees of freedom) of the mean of [queries] or [seeds, queries].

    One seed: the spread over queries alone, n − 1 degrees; it says nothing of another seed.
    """
    y = np.atleast_2d(np.asarray(table, np.float64))
    if y.shape[0] > 1:
        found = effects(y)
        return found.error, found.freedom
    return float((y[0] - y[0, 0]).std(ddof=1)) / math.sqrt(y.shape[1]), float(y.shape[1] - 1)
