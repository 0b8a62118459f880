"""Is one system better than another? Paired tests over queries, intervals, families.

The unit is the query: every function takes per-query differences d = a − b of two systems on the
same queries, float64 [queries], or [seeds, queries] where training seeds are a random effect
(random_effects.py). Rules: paper-experiments.md §7. Nothing here draws from a global generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..mining.draws import generator
from ..mining.errors import BadInput
from .random_effects import error_of_mean

EXACT_QUERIES = 12  # up to this many differences, all 2ⁿ sign patterns are tried
_BLOCK = 1 << 22  # random numbers held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval at a confidence level."""

    mean: float
    low: float
    high: float
    level: float = 0.95


def paired_t(d: np.ndarray) -> float:
    """Return the two-sided p value of the paired t-test (Student 1908).

    Several seeds: of the mean of the crossed random-effects model instead. Differences that are all
    equal have no variance: p is 1 when they are 0, else 0.
    """
    d = checked(d)
    error, freedom = error_of_mean(d)
    if error == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(d.mean()) / error, freedom))


def paired_randomisation(d: np.ndarray, *, draws: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p value of the sign-flip test (Fisher 1935; Smucker et al., CIKM 2007).

    All 2ⁿ patterns for n ≤ 12, else `draws` keyed ones, the observed one counted among them. Of
    several seeds the mean is tested: the claim is about these students, not about a new seed.
    """
    d = checked(d).mean(axis=0)
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
    """Return the mean with its Student t interval; several seeds as in `paired_t`."""
    d = checked(d)
    error, freedom = error_of_mean(d)
    half = stats.t.ppf(0.5 + level / 2, freedom) * error
    return Interval(float(d.mean()), float(d.mean() - half), float(d.mean() + half), level)


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean with its percentile bootstrap interval (Efron 1979).

    `values` [queries]: queries are resampled. [seeds, queries]: seeds are resampled, then queries
    (the same queries for all seeds of a draw), so the interval holds for a new seed as well.
    """
    table = checked(values)
    means = bootstrap_means(table, draws=draws, seed=seed)
    return _around(float(table.mean()), means, level)


def bootstrap_means(table: np.ndarray, *, draws: int, seed: int, key: str = "") -> np.ndarray:
    """Return the means of `draws` resamples of [seeds, queries], float64 [draws]."""
    seeds, queries = table.shape
    random = generator(seed, "bootstrap", f"{key}{seeds}x{queries}")
    means, done = np.empty(draws), 0
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
    return means


def macro_interval(
    tables: Sequence[np.ndarray], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Return the mean of the data sets' means with its bootstrap interval.

    `tables`: one [queries] or [seeds, queries] per data set. Data sets are resampled, then seeds
    and queries within each, so the interval holds for other data sets of the kind; a few data sets
    make it wide, as they should.
    """
    checks = [checked(table) for table in tables]
    means = np.stack(
        [
            bootstrap_means(table, draws=draws, seed=seed, key=f"{place} ")
            for place, table in enumerate(checks)
        ]
    )
    count = len(checks)
    drawn = generator(seed, "bootstrap.data_sets", count).integers(0, count, (count, draws))
    drawn_means = np.take_along_axis(means, drawn, axis=0).mean(axis=0)
    return _around(float(np.mean([table.mean() for table in checks])), drawn_means, level)


def _around(mean: float, resampled: np.ndarray, level: float) -> Interval:
    """Return the percentile interval; rounding of equal values never leaves the mean outside."""
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(mean, min(mean, float(low)), max(mean, float(high)), level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p values, in the order given (Holm 1979)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def checked(d: np.ndarray) -> np.ndarray:
    """Return values as float64 [seeds, queries]; raises BadInput for another shape or NaN."""
    table = np.atleast_2d(np.asarray(d, np.float64))
    if table.ndim != 2 or table.shape[1] < 2 or not table.shape[0]:
        raise BadInput(
            f"differences of shape {np.shape(d)}", do="give one value per query, two at least"
        )
    bad = np.flatnonzero(~np.isfinite(table).all(axis=0))
    if bad.size:
        raise BadInput(
            f"the difference of query {int(bad[0])} is not finite",
            do="a query without answers counts 0, not NaN",
        )
    return table
