"""Crossed random effects the slow way: every sum written out over queries and seeds."""

from __future__ import annotations


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
