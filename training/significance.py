"""Is one system better than another? Paired tests over queries, intervals, and equivalence done
right.

The unit is the query: every function takes per-query differences d = a − b (float64 [queries]) of
two systems on the same queries, or a matrix [seeds, queries] where training seeds are a random
effect. Rules and power table: paper-experiments.md §7. Nothing here draws from a global generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ..mining.draws import generator
from ..mining.errors import BadInput, UsageError

EXACT_QUERIES = 12  # up to this many differences, all 2ⁿ sign patterns are tried
LEAST_POWER = 0.5  # below this, "equivalent" is never said
_BLOCK = 1 << 22  # random numbers held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval at a confidence level."""

    mean: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A paired TOST: p = max(p_low, p_high); `power` is that of the test at a true difference of 0.

    `interval` has level 1 − 2α: both one-sided tests pass exactly when it lies inside ±margin.
    `outcome` is equivalent, different or undecided.
    """

    margin: float
    alpha: float
    p_low: float
    p_high: float
    p_different: float
    power: float
    interval: Interval
    outcome: str

    @property
    def p(self) -> float:
        """The p value of the equivalence claim."""
        return max(self.p_low, self.p_high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair of systems: difference of means with its interval, p values raw and by Holm."""

    a: str
    b: str
    queries: int
    difference: Interval
    p_t: float
    p_randomisation: float
    p_adjusted: float


def paired_t(d: np.ndarray) -> float:
    """Return the two-sided p value of the paired t-test (Student 1908).

    Differences that are all equal have no variance: p is 1 when they are 0, else 0.
    """
    d = _checked(d)
    error = _standard_error(d)
    if error == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(d.mean()) / error, d.size - 1))


def paired_randomisation(d: np.ndarray, *, draws: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p value of the sign-flip test (Fisher 1935; Smucker et al., CIKM 2007).

    All 2ⁿ patterns for n ≤ 12, else `draws` keyed ones, the observed one counted among them.
    """
    d = _checked(d)
    observed = abs(d.sum()) * (1 - 1e-12)  # equal sums count, whatever the order of addition
    if d.size <= EXACT_QUERIES:
        patterns = (np.arange(1 << d.size)[:, None] >> np.arange(d.size)) & 1
        return float((np.abs((2.0 * patterns - 1) @ d) >= observed).mean())
    random, extreme, done = generator(seed, "randomisation", d.size), 1, 1
    while done < draws:
        rows = min(draws - done, max(1, _BLOCK // d.size))
        signs = 2.0 * random.integers(0, 2, (rows, d.size), dtype=np.int8) - 1
        extreme += int((np.abs(signs @ d) >= observed).sum())
        done += rows
    return extreme / draws


def t_interval(d: np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean with its Student t interval."""
    d = _checked(d)
    half = stats.t.ppf(0.5 + level / 2, d.size - 1) * _standard_error(d)
    return Interval(float(d.mean()), float(d.mean() - half), float(d.mean() + half), level)


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean with its percentile bootstrap interval (Efron 1979).

    `values` [queries]: queries are resampled. [seeds, queries]: seeds are resampled, then queries
    (the same queries for all seeds of a draw), so the interval holds for a new seed as well.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    _checked(table.mean(axis=0))
    seeds, queries = table.shape
    random, means, done = generator(seed, "bootstrap", f"{seeds}x{queries}"), np.empty(draws), 0
    while done < draws:
        rows = min(draws - done, max(1, _BLOCK // queries))
        rows_of = random.integers(0, queries, (rows, queries))
        if seeds == 1:
            means[done : done + rows] = table[0][rows_of].mean(axis=1)
        else:
            weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), rows) / seeds
            mixed = weights @ table  # [rows, queries], the seeds of each draw averaged
            means[done : done + rows] = np.take_along_axis(mixed, rows_of, axis=1).mean(axis=1)
        done += rows
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(table.mean()), float(low), float(high), level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p values, in the order given (Holm 1979)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def paired_tost(d: np.ndarray, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Test whether two systems differ by less than ±margin (Schuirmann 1987), paired over queries.

    Equivalent iff both one-sided tests reject at `alpha` and the test had a power of at least 0.5
    with these queries and this spread; different iff the paired t-test rejects and equivalence was
    not shown; else undecided. The margin must be declared before the data are seen.
    """
    d = _checked(d)
    if not 0 < margin < math.inf:
        raise UsageError(f"margin={margin} is not positive", do="declare it, for example 0.02")
    error, freedom = _standard_error(d), d.size - 1
    if error == 0:
        p_low, p_high = float(d.mean() <= -margin), float(d.mean() >= margin)
    else:
        p_low = float(stats.t.sf((d.mean() + margin) / error, freedom))
        p_high = float(stats.t.cdf((d.mean() - margin) / error, freedom))
    power, different = tost_power(d.size, float(d.std(ddof=1)), margin, alpha=alpha), paired_t(d)
    outcome = "undecided"
    if max(p_low, p_high) < alpha and power >= LEAST_POWER:
        outcome = "equivalent"
    elif different < alpha:
        outcome = "different"
    interval = t_interval(d, 1 - 2 * alpha)
    return Equivalence(margin, alpha, p_low, p_high, different, power, interval, outcome)


def tost_power(n: int, sd: float, margin: float, *, alpha: float = 0.05) -> float:
    """Return the power of `paired_tost` at a true difference of 0, normal differences of spread sd.

    E over s of max(0, 2Φ((δ√n − t·s)/σ) − 1), s² = σ²χ²/(n−1), by the midpoints of 4,000 quantiles
    of χ² (Phillips 1990 gives the integral).
    """
    if n < 2:
        raise BadInput(f"{n} queries have no spread", do="compare on at least two queries")
    if sd == 0:
        return 1.0
    quantiles = (np.arange(4000) + 0.5) / 4000
    spread = np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))
    reach = margin * math.sqrt(n) / sd - stats.t.ppf(1 - alpha, n - 1) * spread
    return float(np.maximum(0.0, 2 * stats.norm.cdf(reach) - 1).mean())


def compare(
    systems: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare systems pair by pair on the same queries; Holm over the declared family `pairs`.

    `systems`: name → per-query values [queries] or [seeds, queries] (averaged over seeds for the
    tests; the interval resamples seeds too, pairing seed i with seed i). Default family: all pairs.
    """
    names = list(systems)
    if pairs is None:
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    rows = []
    for a, b in pairs:
        x, y = (np.atleast_2d(np.asarray(systems[name], np.float64)) for name in (a, b))
        if x.shape[1] != y.shape[1]:
            raise BadInput(
                f"{a} has {x.shape[1]} queries, {b} has {y.shape[1]}",
                do="evaluate both on the same queries; a query without answers counts 0",
            )
        d = x.mean(axis=0) - y.mean(axis=0)
        both = x - y if x.shape == y.shape else d
        interval = bootstrap_interval(both, level=level, draws=draws, seed=seed)
        p_t, p_random = paired_t(d), paired_randomisation(d, draws=draws, seed=seed)
        rows.append(Comparison(a, b, d.size, interval, p_t, p_random, p_t))
    adjusted = holm([row.p_t for row in rows])
    return [replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True)]


def spread_of_mean_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the variance of mean(a) − mean(b) from queries and from seeds: σ_d²/n and σ_seed²/S.

    a, b: [seeds, queries]. The second part, estimated from the seed means of both systems, does not
    shrink with more queries (paper-experiments.md §7).
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    if a.shape[0] < 2 or b.shape[0] < 2:
        raise BadInput("one seed has no spread", do="train each system with at least two seeds")
    d = _checked(a.mean(axis=0) - b.mean(axis=0))
    from_seeds = sum(x.mean(axis=1).var(ddof=1) / x.shape[0] for x in (a, b))
    return float(d.var(ddof=1) / d.size), float(from_seeds)


def _standard_error(d: np.ndarray) -> float:
    return float(d.std(ddof=1)) / math.sqrt(d.size)


def _checked(d: np.ndarray) -> np.ndarray:
    d = np.asarray(d, np.float64)
    if d.ndim != 1 or d.size < 2:
        raise BadInput(
            f"differences of shape {d.shape}", do="give one value per query, two at least"
        )
    if not np.isfinite(d).all():
        raise BadInput(
            f"the difference of query {int(np.flatnonzero(~np.isfinite(d))[0])} is not finite",
            do="a query without answers counts 0, not NaN",
        )
    return d
