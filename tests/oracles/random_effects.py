"""Crossed random effects the slow way: every sum written out over queries and seeds."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def mean_squares(y: list[list[float]]) -> tuple[float, float, float]:
    """Return (MS of queries, MS of seeds, MS of the rest) of y[seed][query]."""
    seeds, queries = len(y), len(y[0])
    grand = sum(sum(row) for row in y) / (seeds * queries)
    of_seed = [sum(row) / queries for row in y]
    of_query = [sum(y[s][q] for s in range(seeds)) / seeds for q in range(queries)]
    queries_ss = sum(seeds * (m - grand) ** 2 for m in of_query)
    seeds_ss = sum(queries * (m - grand) ** 2 for m in of_seed)
    rest_ss = 0.0
    for s in range(seeds):
        for q in range(queries):
            rest_ss += (y[s][q] - of_seed[s] - of_query[q] + grand) ** 2
    return (
        queries_ss / (queries - 1),
        seeds_ss / (seeds - 1),
        rest_ss / ((queries - 1) * (seeds - 1)),
    )


def components(y: list[list[float]]) -> tuple[float, float, float]:
    """Return the variances (query, seed, rest) that the mean squares' expectations give."""
    query, seed, rest = mean_squares(y)
    seeds, queries = len(y), len(y[0])
    return max(0.0, (query - rest) / seeds), max(0.0, (seed - rest) / queries), rest


def half_width(y: list[list[float]], level: float) -> float:
    """Return Banerjee's half-width of the mean of y[seed][query], every sum written out."""
    query, seed, _ = mean_squares(y)
    seeds, queries = len(y), len(y[0])
    of_queries = t_quantile((1 + level) / 2, queries - 1) ** 2 * query
    of_seeds = t_quantile((1 + level) / 2, seeds - 1) ** 2 * seed
    return float(((of_queries + of_seeds) / (seeds * queries)) ** 0.5)


def t_quantile(p: float, freedom: int) -> float:
    """Return Student's quantile: closed forms for 1 and 2 degrees of freedom, else SciPy's."""
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    return float(stats.t.ppf(p, freedom))


def percentile_bootstrap(
    y: np.ndarray, draws: int, random: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of y [seeds, queries], seeds drawn anew, then
    queries: the interval that reports printed before, kept to show what it covers."""
    seeds, queries = y.shape
    of_seeds = random.integers(0, seeds, (draws, seeds, 1))
    of_queries = random.integers(0, queries, (draws, 1, queries))
    means = y[of_seeds, of_queries].mean(axis=(1, 2))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
