"""A mean over fixed sets of queries, and whether a claim about it holds, fails, or is undecided.

A table y_k [seeds, queries of set k] for every set k = 1 … K; seed i is the same student on all
sets of one training collection. What is estimated is the mean of the sets' means. The sets are
fixed, queries and seeds are random: the variance has a part for the queries of every set,
v_k/K² on n_k − 1 degrees of freedom, and one for the seeds' means over the sets, on S − 1; the
half-width is Banerjee's over these parts (random_effects.py). With one set it is `uncertainty`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..mining.errors import BadInput
from .equivalence import LEAST_POWER
from .random_effects import Uncertainty, parts_of
from .significance import Interval, checked

Expect = Literal["equivalent", "more", "less", "not_less"]
EXPECTED = ("equivalent", "more", "less", "not_less")
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"


@dataclass(frozen=True, slots=True)
class Effect:
    """A mean with what it is uncertain by: `over` says over what, `queries` counts those of all
    sets."""

    mean: float
    known: Uncertainty
    over: str
    queries: int
    seeds: int

    def interval(self, level: float) -> Interval:
        """Return the interval at a level."""
        half = self.known.half_width(level)
        return Interval(self.mean, self.mean - half, self.mean + half, level, self.over)


def over_sets(tables: Sequence[np.ndarray]) -> Effect:
    """Return the mean of the sets' means of tables [seeds, queries], equally many seeds each.

    Raises BadInput for no table, and for unequal numbers of seeds.
    """
    checks = [checked(table) for table in tables]
    if len({len(table) for table in checks}) != 1:
        raise BadInput(
            f"{len(checks)} sets with {', '.join(str(len(table)) for table in checks)} seeds",
            do="take the seeds that all sets have",
        )
    count, seeds = len(checks), len(checks[0])
    parts = [(float(v) / count**2, n) for v, n in (parts_of(table)[0] for table in checks)]
    if seeds > 1:
        by_seed = np.mean([table.mean(axis=1) for table in checks], axis=0)
        by_seed = by_seed - by_seed[0]  # equal values have exactly no spread
        parts.append((float(by_seed.var(ddof=1)) / seeds, seeds - 1))
    mean = float(np.mean([table.mean() for table in checks]))
    queries = sum(table.shape[1] for table in checks)
    return _effect(mean, parts, queries, seeds)


def over_seeds(values: np.ndarray) -> Effect:
    """Return the mean of one value per seed: Student's t over seeds. Raises BadInput for one."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise BadInput(
            f"values of shape {values.shape} over seeds", do="give two seeds or more, all finite"
        )
    spread = values - values[0]
    parts = [(float(spread.var(ddof=1)) / len(values), len(values) - 1)]
    return _effect(float(values.mean()), parts, 0, len(values))


def _effect(mean: float, parts: Sequence[tuple[float, int]], queries: int, seeds: int) -> Effect:
    known = Uncertainty(math.sqrt(sum(variance for variance, _ in parts)), tuple(parts))
    said = [] if not queries else ["queries"]
    said += [f"{seeds} seeds"] if seeds > 1 else []
    return Effect(mean, known, " and ".join(said), queries, seeds)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a claim's tests say: the p values of «it holds» and of «it fails» (raw, or after Holm
    over the claims of a study), and the power."""

    expect: Expect
    margin: float
    p_holds: float
    p_fails: float
    power: float

    def verdict(self, alpha: float) -> str:
        """Return holds, fails or undecided at a level; "equivalent" is never said of a test whose
        power was below one half."""
        enough = self.expect != "equivalent" or self.power >= LEAST_POWER
        if self.p_holds < alpha and enough:
            return HOLDS
        return FAILS if self.p_fails < alpha else UNDECIDED


def judged(effect: Effect, expect: Expect, margin: float, alpha: float) -> Judgement:
    """Test a claim about an effect d with a margin δ that was declared before.

    | expect | holds: rejects | fails: rejects | power: the chance that |
    | equivalent | abs d ≥ δ, both one-sided | abs d ≤ δ | d = 0 is shown to be within ±δ |
    | more | d ≤ 0, two-sided | d ≥ δ | d = δ is told from 0 |
    | less | d ≥ 0, two-sided | d ≤ −δ | d = −δ is told from 0 |
    | not_less | d ≤ −δ | d ≥ −δ, two-sided | d = 0 is shown to be above −δ |

    The power is Φ of how far that difference lies from what is rejected, in standard errors, with
    the spread at hand.
    """
    d, known = effect.mean, effect.known
    if expect == "equivalent":
        holds = max(known.below(d + margin), known.below(margin - d))
        fails = known.p_value(abs(d) - margin) if abs(d) > margin else 1.0
        return Judgement(expect, margin, holds, fails, _within(known, margin, alpha))
    if expect == "not_less":
        holds = known.below(d + margin)
        fails = known.p_value(d + margin) if d < -margin else 1.0
        return Judgement(expect, margin, holds, fails, _beyond(known, margin, 1 - 2 * alpha))
    signed = d if expect == "more" else -d
    holds = known.p_value(signed) if signed > 0 else 1.0
    fails = known.below(margin - signed)
    return Judgement(expect, margin, holds, fails, _beyond(known, margin, 1 - alpha))


def _within(known: Uncertainty, margin: float, alpha: float) -> float:
    from scipy import stats

    if known.error == 0:
        return 1.0
    room = (margin - known.half_width(1 - 2 * alpha)) / known.error
    return max(0.0, float(2 * stats.norm.cdf(room) - 1))


def _beyond(known: Uncertainty, margin: float, level: float) -> float:
    from scipy import stats

    if known.error == 0:
        return 1.0
    return float(stats.norm.cdf((margin - known.half_width(level)) / known.error))


def reversed_equivalence(a: np.ndarray, b: np.ndarray) -> bool:
    """Say what the reference's test calls equivalent: unpaired, a margin of 0.1 % of the observed
    difference, and both one-sided p values *above* .10 (docs/quantities.md).

    a, b: values [queries] of one seed. It is here to show what it concludes, for no other use.
    """
    from scipy import stats

    difference = float(np.mean(a) - np.mean(b))
    margin = 0.001 * abs(difference)
    error = math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))
    if error == 0:
        return difference == 0
    freedom = 2 * len(a) - 2
    low = stats.t.sf((difference + margin) / error, freedom)
    high = stats.t.cdf((difference - margin) / error, freedom)
    return bool(low > 0.10 and high > 0.10)
