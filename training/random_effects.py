"""Queries and training seeds as crossed random effects: where the spread of a mean comes from.

The table y [seeds, queries] holds one value per seed and query: μ + query + seed + rest, all but μ
random with mean 0 (two-way crossed classification, one observation per cell, so the interaction of
query and seed is the rest). Every query meets every seed, hence the closed forms of the balanced
case hold, which are those of REML where no component is negative (Searle, Casella and McCulloch,
Variance Components, 1992, ch. 4). A query's mean over seeds alone, tested as if the seeds were all
there are, calls chance a difference: see docs/evaluation.md.

Intervals are Banerjee's (Sankhyā 22, 1960; Sankhyā A 23, 1961), which hold for every value of the
components, also with two seeds. The variance of the mean is (θ_q + θ_s − θ_e)/(nS), θ the expected
mean squares, so at most a sum of two parts, each with an independent estimate v_i = MS_i/(nS) of
ν_i = n − 1 and S − 1 degrees of freedom; the half-width is √(Σ t²_νi·v_i). Why it covers: with Z
standard normal P(Z² ≤ u) is concave in u, so for weights w_i ≥ 0, Σ w_i = 1, and x_i = χ²_νi/ν_i,
P(Z² ≤ Σ w_i t_i² x_i) ≥ Σ w_i P(Z² ≤ t_i² x_i), and each of these is the level of Student's t.
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
    been drawn. It describes; intervals and tests rest on `uncertainty`.
    """

    mean: float
    queries: float
    seeds: float
    interaction: float
    error: float
    seed_count: int

    @property
    def seeds_share(self) -> float:
        """The share of the mean's error variance that more queries would not remove, 0 to 1."""
        return self.seeds / self.seed_count / self.error**2 if self.error else 0.0


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """How far a mean may be from what it estimates: the one source of its intervals and p values.

    `parts`: estimates of parts of the mean's variance (unit²), each with its degrees of freedom;
    one part is Student's t. `error`: the standard error they amount to, for planning a test.
    """

    error: float
    parts: tuple[tuple[float, int], ...]

    def half_width(self, level: float) -> float:
        """Return how far the interval at `level` reaches to each side."""
        return float(half_width(self.parts, level))

    def p_value(self, distance: float) -> float:
        """Return the two-sided p value of a mean that lies `distance` from what is claimed: 1 minus
        the level at which the interval just reaches the claim."""
        from scipy import stats

        distance = abs(distance)
        if not any(variance for variance, _ in self.parts):
            return 1.0 if distance == 0 else 0.0
        if len(self.parts) == 1:
            ((variance, freedom),) = self.parts
            return float(2 * stats.t.sf(distance / math.sqrt(variance), freedom))
        low, high = -300.0, 0.0  # ln p; at p = 1 the interval is the mean alone
        for _ in range(64):
            middle = (low + high) / 2
            reached = squared_half_width(self.parts, math.exp(middle)) >= distance**2
            low, high = (middle, high) if reached else (low, middle)
        return math.exp(high)

    def below(self, distance: float) -> float:
        """Return the one-sided p value against "at most the claim", `distance` below the mean."""
        half = self.p_value(distance) / 2
        return half if distance > 0 else 1.0 - half


def uncertainty(table: np.ndarray) -> Uncertainty:
    """Return how uncertain the mean of [queries] or [seeds, queries] is.

    One seed: over queries alone, n − 1 degrees of freedom; it says nothing of another seed.
    """
    y = np.atleast_2d(np.asarray(table, np.float64))
    if y.shape[0] > 1:
        return Uncertainty(effects(y).error, parts_of(y))
    ((variance, freedom),) = parts_of(y)
    return Uncertainty(math.sqrt(variance), ((variance, freedom),))


def parts_of(table: np.ndarray) -> tuple[tuple[float, int], ...]:
    """Return the parts of `Uncertainty` of a [seeds, queries] table; of tables [..., seeds,
    queries] arrays of them."""
    y = np.asarray(table, np.float64)
    seeds, queries = y.shape[-2:]
    y = y - y[..., :1, :1]  # equal values have exactly no spread
    over_queries = y.mean(axis=-2).var(axis=-1, ddof=1) / queries
    if seeds == 1:
        return ((over_queries, queries - 1),)
    over_seeds = y.mean(axis=-1).var(axis=-1, ddof=1) / seeds
    return (over_queries, queries - 1), (over_seeds, seeds - 1)


def skew_of(table: np.ndarray) -> np.ndarray:
    """Return κ₃/(6·s²·n) of a [seeds, queries] table, or of tables [..., seeds, queries]: how far
    the skewness of n queries pulls Student's t, in the unit of the values (Johnson 1978).

    κ₃ and s²: third cumulant and variance of the queries' means over seeds, estimated without bias.
    0 for fewer than three queries, and where they do not spread.
    """
    y = np.asarray(table, np.float64)
    queries = y.shape[-1]
    if queries < 3:
        return np.zeros(y.shape[:-2])
    means = (y - y[..., :1, :1]).mean(axis=-2)
    around = means - means.mean(axis=-1, keepdims=True)
    squares, cubes = (around**2).sum(axis=-1), (around**3).sum(axis=-1)
    spreads = squares > 0
    return cubes * spreads / (6 * (queries - 2) * np.where(spreads, squares, 1.0))


def half_width(parts: tuple[tuple[float, int], ...], level: float) -> np.ndarray:
    """Return √(Σ t²·variance) at a two-sided level; variances may be arrays."""
    return np.sqrt(squared_half_width(parts, 1 - level))


def squared_half_width(parts: tuple[tuple[float, int], ...], p: float) -> np.ndarray:
    """Return Σ t²·variance at a two-sided p, as small as floats go; variances may be arrays."""
    from scipy import special  # slow to import

    reach = [special.stdtrit(freedom, p / 2) ** 2 * variance for variance, freedom in parts]
    return np.sum(reach, axis=0)


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
    ms_seed = queries * by_seed.var(ddof=1)
    ms_query = seeds * by_query.var(ddof=1)
    ms_rest = float((rest**2).sum() / ((seeds - 1) * (queries - 1)))
    above = max(0.0, float(ms_query - ms_rest)), max(0.0, float(ms_seed - ms_rest))
    return Effects(
        mean=float(start + mean),
        queries=above[0] / seeds,
        seeds=above[1] / queries,
        interaction=ms_rest,
        error=math.sqrt((ms_rest + sum(above)) / (seeds * queries)),
        seed_count=seeds,
    )
