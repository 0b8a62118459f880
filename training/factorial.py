"""Two factors crossed: main effects and interaction, queries and training seeds random.

The table y [A, B, seeds, queries] holds one value per level of either factor, seed and query. An
effect is a contrast of the cells, Σ c_ab·y_ab with Σ c_ab = 0: for a main effect the difference of
two levels, means over the other factor; for the interaction a difference of such differences.
Taken within every seed and query it is a table [seeds, queries] whose mean is the effect, and the
model of `random_effects` is that table's: query, seed and rest of the *contrast*, crossed. So a
factor may act differently on every query and every seed (all random slopes are in: Barr, Levy,
Scheepers and Tily, J. Memory and Language 68, 2013), and nothing is assumed about how the variances
of different contrasts compare. Intervals are Banerjee's: they hold with two seeds, and are wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..mining.errors import BadInput
from .random_effects import Effects, effects
from .significance import Interval, holm, paired_t, t_interval

Step = tuple[int, int]  # from one level to a later one


@dataclass(frozen=True, slots=True)
class FactorEffect:
    """One effect: what changes by `step` of a factor, or how steps of two of them interact.

    `difference`: with the interval that `p` inverts to, over queries, and over seeds where there
    are several. `p_adjusted`: by Holm over all effects of the design. `variance`: the components of
    the contrast, None with one seed.
    """

    factor: str
    step: str
    interaction: bool
    difference: Interval
    p: float
    p_adjusted: float
    variance: Effects | None


def two_factors(
    table: np.ndarray,
    factors: tuple[str, str],
    levels: tuple[Sequence[str], Sequence[str]],
    *,
    level: float = 0.95,
) -> list[FactorEffect]:
    """Return the main effects and interactions of y [A, B, seeds, queries], float64.

    Every step from one level to a later one, main effects first; with two levels each, three rows.
    Raises BadInput for a table of another shape, or with values that are not finite.
    """
    y = np.asarray(table, np.float64)
    wanted = tuple(len(one) for one in levels)
    if y.ndim != 4 or y.shape[:2] != wanted or min(wanted) < 2:
        raise BadInput(
            f"values of shape {y.shape} for factors of {wanted[0]} and {wanted[1]} levels",
            do="give [levels, levels, seeds, queries], two levels at least of each factor",
        )
    rows = []
    for steps, contrast in contrasts(y):
        taken = [(place, step) for place, step in enumerate(steps) if step is not None]
        p = paired_t(contrast)
        rows.append(
            FactorEffect(
                factor=" × ".join(factors[place] for place, _ in taken),
                step=", ".join(_said(levels[place], step) for place, step in taken),
                interaction=len(taken) == 2,
                difference=t_interval(contrast, level),
                p=p,
                p_adjusted=p,
                variance=effects(contrast) if contrast.shape[0] > 1 else None,
            )
        )
    adjusted = holm([row.p for row in rows])
    return [replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True)]


def contrasts(y: np.ndarray) -> Iterator[tuple[tuple[Step | None, Step | None], np.ndarray]]:
    """Yield the steps of an effect, and its contrast [..., seeds, queries] of y [A, B, ..., seeds,
    queries]: first the steps of A, then those of B, then both."""
    of_a, of_b = (list(combinations(range(count), 2)) for count in y.shape[:2])
    for i, j in of_a:
        yield ((i, j), None), (y[j] - y[i]).mean(axis=0)
    for k, m in of_b:
        yield (None, (k, m)), (y[:, m] - y[:, k]).mean(axis=0)
    for i, j in of_a:
        for k, m in of_b:
            yield ((i, j), (k, m)), (y[j, m] - y[i, m]) - (y[j, k] - y[i, k])


def _said(levels: Sequence[str], step: Step) -> str:
    return f"{levels[step[0]]} → {levels[step[1]]}"
