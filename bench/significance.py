"""How often a true difference of 0 is called significant: seeds as a random effect, and ignored.

Every experiment draws differences [seeds, queries] of two equally good systems; a test at level
0.05 should call 5 % of them significant. Nothing is timed.

    python bench/significance.py [--quick]
"""

from __future__ import annotations

import argparse

import numpy as np
from _report import figure, finish

from rankmill.mining.draws import generator
from rankmill.training.significance import paired_t

QUERY, REST = 0.07, 0.05  # standard deviations of a query's difference and of what is left
DESIGNS = [(n, seeds, spread) for n, seeds in ((50, 3), (100, 3), (100, 5), (300, 3))
           for spread in (0.0, 0.005, 0.01, 0.02)]  # fmt: skip


def rates(queries: int, seeds: int, spread: float, experiments: int) -> tuple[float, float]:
    """Return the shares of experiments called significant: with seeds at random, and ignored."""
    called = np.zeros(2)
    for key in range(experiments):
        draw = generator(1, f"significance.{queries}.{seeds}.{spread}", key)
        d = (
            draw.normal(0, QUERY, queries)
            + draw.normal(0, spread, (seeds, 1))
            + draw.normal(0, REST, (seeds, queries))
        )
        called += paired_t(d) < 0.05, paired_t(d.mean(axis=0)) < 0.05
    return float(called[0] / experiments), float(called[1] / experiments)


def main() -> None:
    """Print the table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    experiments = 500 if parser.parse_args().quick else 4000
    print("| queries | seeds | spread of a seed | random effect | seeds ignored |")
    print("|--:|--:|--:|--:|--:|")
    figures = {}
    for queries, seeds, spread in DESIGNS:
        ours, naive = rates(queries, seeds, spread, experiments)
        print(f"| {queries} | {seeds} | {spread:g} | {ours:.3f} | {naive:.3f} |")
        name = f"level_{queries}_queries_{seeds}_seeds_spread_{spread:g}"
        figures[name] = figure(ours, {"seeds ignored": naive}, ours / naive, 0.05, "share")
    finish("significance", figures)


if __name__ == "__main__":
    main()
