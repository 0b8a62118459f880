"""Do the printed intervals hold? How often they cover the true difference, how wide they are, and
how often a test at level 0.05 is wrong; seeds as a random effect, and ignored.

Every experiment draws differences [seeds, queries] of two systems whose true difference is 0, from
four shapes of equal variance: normal, heavy tails (Student's t with 3 degrees of freedom), mostly 0
(seven in ten, the others Laplace), skewed (four in ten gain, mean of all 0, skewness 1.5). Width:
median, against the interval with known variances. TOST: rejections by one of its two
tests where the true difference is the margin, which bounds how often both reject; beside it the
same without the correction for skewness (Student's t alone). Nothing is timed.

    python bench/significance.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from _report import figure, finish
from scipy import stats

from rankmill.mining.draws import generator
from rankmill.training.equivalence import reaches
from rankmill.training.random_effects import half_width, parts_of, skew_of

QUERY, REST = 0.07, 0.05  # standard deviations of a query's difference and of what is left
QUERIES, SEEDS = (43, 100, 323, 1000), (1, 2, 3, 5)
SPREADS = (0.0, 0.005, 0.01, 0.02, 0.1)  # standard deviations of a seed's difference
BLOCK = 2_000_000  # differences held at once


def _normal(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return draw.normal(0, 1, shape)


def _heavy(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return draw.standard_t(3, shape) / np.sqrt(3)


def _zeros(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (draw.random(shape) < 0.3) * draw.laplace(0, 1 / np.sqrt(0.6), shape)


def _skewed(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return ((draw.random(shape) < 0.4) * draw.normal(0.5, 0.5, shape) - 0.2) / 0.4


SHAPES = {"normal": _normal, "heavy": _heavy, "zeros": _zeros, "skewed": _skewed}
# Covered, covered with seeds ignored, width, size of TOST, the same without correction.
Found = tuple[float, float, float, float, float]


def experiments(shape: str, queries: int, seeds: int, count: int) -> Iterator[tuple[float, Found]]:
    """Yield (spread of a seed, what was found) of `count` experiments, the same for each spread."""
    draw = generator(1, f"significance.{shape}.{queries}", seeds)
    judged: dict[float, list[np.ndarray]] = {spread: [] for spread in SPREADS}
    done = 0
    while done < count:
        rows = min(count - done, max(1, BLOCK // (queries * seeds)))
        d = QUERY * SHAPES[shape](draw, (rows, 1, queries))
        d = d + REST * SHAPES[shape](draw, (rows, seeds, queries))
        of_seed = draw.normal(0, 1, (rows, seeds, 1))
        for spread in SPREADS:
            judged[spread].append(_judged(d + spread * of_seed))
        done += rows
    for spread, blocks in judged.items():
        covered, ignored, half, *sides = np.concatenate(blocks, axis=1)
        error = np.sqrt(QUERY**2 / queries + spread**2 / seeds + REST**2 / (queries * seeds))
        width = float(np.median(half) / (stats.norm.ppf(0.975) * error))
        below, above, t_below, t_above = (float(side.mean()) for side in sides)
        sizes = max(below, above), max(t_below, t_above)
        yield spread, (float(covered.mean()), float(ignored.mean()), width, *sizes)


def _judged(d: np.ndarray) -> np.ndarray:
    """Return, of tables [n, seeds, queries], covered, covered with seeds ignored, half-width, and
    whether 0 lies beyond the lower and the upper bound of TOST, and of t alone: [7, n]."""
    mean, parts = d.mean(axis=(1, 2)), parts_of(d)
    half, ignored = half_width(parts, 0.95), half_width(parts[:1], 0.95)
    below, above = reaches(parts, skew_of(d), 0.05)
    alone = half_width(parts, 0.90)
    inside = [np.abs(mean) <= half, np.abs(mean) <= ignored, half]
    return np.stack([*inside, mean > below, mean < -above, mean > alone, mean < -alone])


def main() -> None:
    """Print the table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    count = 500 if parser.parse_args().quick else 4000
    print("| queries | seeds | spread of a seed | covers 95 %: " + " | ".join(SHAPES), end="")
    print(" | seeds ignored (lowest) | width, known = 1 | TOST at 5 % (largest) | by t alone |")
    print("|--:|--:|--:|" + "--:|" * (len(SHAPES) + 4))
    figures = {}
    for queries in QUERIES:
        for seeds in SEEDS:
            by_shape = [dict(experiments(shape, queries, seeds, count)) for shape in SHAPES]
            for spread in SPREADS:
                rates = np.array([of[spread] for of in by_shape])
                covered, ignored, width, size, alone = rates.T
                said = " | ".join(f"{share:.3f}" for share in covered)
                print(f"| {queries} | {seeds} | {spread:g} | {said}", end="")
                print(f" | {ignored.min():.3f} | {width.max():.2f}", end="")
                print(f" | {size.max():.3f} | {alone.max():.3f} |")
                name = f"coverage_{queries}_queries_{seeds}_seeds_spread_{spread:g}"
                lowest = float(covered.min())
                peers = {"seeds ignored": float(ignored.min())}
                ratio = lowest / peers["seeds ignored"]
                figures[name] = figure(lowest, peers, ratio, 0.93, "share")
                largest, by_t = float(size.max()), {"t alone": float(alone.max())}
                name = name.replace("coverage", "size")
                figures[name] = figure(largest, by_t, largest / by_t["t alone"], 0.06, "share")
    finish("significance", figures)


if __name__ == "__main__":
    main()
