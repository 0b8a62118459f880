"""Is one system better than another? Paired tests over queries, intervals, families.

The unit is the query: every function takes per-query differences d = a − b of two systems on the
same queries, float64 [queries], or [seeds, queries] where training seeds are a random effect
(random_effects.py). Rules: docs/evaluation.md. An interval at level 1 − p ends where the test
has the p value p: the two never disagree. Nothing here draws from a global generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..mining.draws import generator
from ..mining.errors import BadInput
from ..mining.ordered import product
from .random_effects import Uncertainty, uncertainty

EXACT_QUERIES = 12  # up to this many differences, all 2ⁿ sign patterns are tried
LEAST_SETS = 3  # two data sets leave one degree of freedom: 12.7 standard errors to each side
_BLOCK = 1 << 22  # random numbers held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval at a confidence level.

    `over`: what might have been drawn anew, so what the claim is about; "queries" alone means these
    students on new queries. `low` and `high` are None, and `reason` says why, where the data allow
    no interval; of an interval that is cut where its measure ends `reason` says where (bounded.py).
    """

    mean: float
    low: float | None
    high: float | None
    level: float = 0.95
    over: str = "queries"
    reason: str | None = None

    @property
    def scope(self) -> str:
        """What the interval is about, in words; "over queries only" where no seed was repeated."""
        return "over queries only; one seed" if self.over == "queries" else f"over {self.over}"


def paired_t(d: np.ndarray) -> float:
    """Return the two-sided p value of the paired t-test (Student 1908).

    Several seeds: of queries and seeds as crossed random effects (`random_effects`). Differences
    that are all equal have no variance: p is 1 when they are 0, else 0.
    """
    d = checked(d)
    return uncertainty(d).p_value(float(d.mean()))


def paired_randomisation(d: np.ndarray, *, draws: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p value of the sign-flip test (Fisher 1935; Smucker et al., CIKM 2007).

    All 2ⁿ patterns for n ≤ 12, else `draws` keyed ones, the observed one counted among them. Of
    several seeds the mean is tested: the claim is about these students, not about a new seed.
    """
    d = checked(d).mean(axis=0)
    observed = abs(d.sum()) * (1 - 1e-12)  # equal sums count, whatever the order of addition
    if d.size <= EXACT_QUERIES:
        patterns = (np.arange(1 << d.size)[:, None] >> np.arange(d.size)) & 1
        return float((np.abs(product(2.0 * patterns - 1, d)) >= observed).mean())
    random, extreme, done = generator(seed, "randomisation", d.size), 1, 1
    while done < draws:
        rows = min(draws - done, max(1, _BLOCK // d.size))
        signs = 2.0 * random.integers(0, 2, (rows, d.size), dtype=np.int8) - 1
        extreme += int((np.abs(product(signs, d)) >= observed).sum())
        done += rows
    return extreme / draws


def t_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Return the mean with the interval that `paired_t` inverts to.

    `values` [queries]: Student's t over queries, n − 1 degrees of freedom. [seeds, queries]: it
    holds for a new seed as well, at its level or above, whatever the spread of seeds (Banerjee
    1961, see `random_effects`); two seeds make it wide, as they should.
    """
    table = checked(values)
    over = "queries" if len(table) == 1 else f"queries and {len(table)} seeds"
    return _around(float(table.mean()), uncertainty(table), level, over)


def macro_interval(tables: Sequence[np.ndarray], *, level: float = 0.95) -> Interval:
    """Return the mean of the data sets' means with its interval.

    `tables`: one [queries] or [seeds, queries] per data set, equally many seeds everywhere: seed i
    is the same student on every set. Data sets stand where queries stood: the interval is that of
    the table of means [seeds, data sets], so it holds for other data sets of the kind, and the
    spread of queries is in it already. Fewer than three data sets: no interval, with the reason.

    Raises BadInput for unequal numbers of seeds.
    """
    checks = [checked(table) for table in tables]
    if len({len(table) for table in checks}) != 1:
        raise BadInput(
            f"data sets with {', '.join(str(len(table)) for table in checks)} seeds",
            do="evaluate the same students on every data set",
        )
    means = np.stack([table.mean(axis=1) for table in checks], axis=1)
    seeds, sets = means.shape
    over = f"{sets} data sets" if seeds == 1 else f"{sets} data sets and {seeds} seeds"
    mean = float(np.mean([table.mean() for table in checks]))
    if sets < LEAST_SETS:
        reason = f"too few data sets: {sets}, at least {LEAST_SETS} needed"
        return Interval(mean, None, None, level, over, reason)
    return _around(mean, uncertainty(means), level, over)


def _around(mean: float, known: Uncertainty, level: float, over: str) -> Interval:
    half = known.half_width(level)
    return Interval(mean, mean - half, mean + half, level, over)


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
            f"differences of shape {np.shape(d)}",
            do="give one value per query, two at least: of one query nothing can be tested",
        )
    bad = np.flatnonzero(~np.isfinite(table).all(axis=0))
    if bad.size:
        raise BadInput(
            f"the difference of query {int(bad[0])} is not finite",
            do="a query without answers counts 0, not NaN",
        )
    return table
