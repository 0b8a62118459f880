"""Contrasts of two crossed factors the slow way: every sum written out over seeds and queries."""

from __future__ import annotations

from oracles.random_effects import half_width

Cells = dict[tuple[int, int], list[list[float]]]  # (level of A, level of B) → y[seed][query]


def contrast(cells: Cells, weights: dict[tuple[int, int], float]) -> list[list[float]]:
    """Return Σ weight·y of the cells, for every seed and query."""
    first = next(iter(cells.values()))
    return [
        [sum(w * cells[c][s][q] for c, w in weights.items()) for q in range(len(first[0]))]
        for s in range(len(first))
    ]


def effect(
    cells: Cells, weights: dict[tuple[int, int], float], level: float
) -> tuple[float, float, float]:
    """Return an effect with the ends of its interval; two seeds at least."""
    d = contrast(cells, weights)
    mean = sum(sum(row) for row in d) / (len(d) * len(d[0]))
    half = half_width(d, level)
    return mean, mean - half, mean + half
