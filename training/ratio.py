"""A gain per unit of cost, with its interval: the ratio of two means (Fieller 1954).

The gain is a table g [seeds, queries], the cost c [seeds] that of each seed's student. A rate r is
kept where the test of `significance.paired_t` keeps "the mean of g − r·c is 0": the interval is the
set of such r, so a rate of 0 lies in it exactly when 0 lies in the interval of the gain. What the
cost of another student may be comes in through the spread of c over the seeds. With Banerjee's
half-widths (random_effects.py) the condition is

    (ḡ − r·c̄)² ≤ t²(n − 1)·v_q + t²(S − 1)/S · (s_gg − 2·r·s_gc + r²·s_cc)

a quadratic in r. Where the cost is not told from 0 itself the set has no ends, and no interval is
given. With one seed, or a cost that does not vary, it is the gain's interval divided by the cost.

E. C. Fieller, Some problems in interval estimation, J. Royal Statistical Society B 16 (1954).
"""

from __future__ import annotations

import math

import numpy as np

from ..mining.errors import BadInput
from .random_effects import half_width, parts_of
from .significance import Interval, checked, t_interval


def ratio_interval(gain: np.ndarray, cost: np.ndarray, level: float = 0.95) -> Interval:
    """Return mean gain per unit of mean cost, with its interval.

    `gain` [seeds, queries] or [queries], `cost` [seeds], float64, of the same students; in another
    order of seeds it is another interval. Raises BadInput for another shape, and for a cost that is
    not finite or whose mean is not above 0.
    """
    table, spent = checked(gain), np.atleast_1d(np.asarray(cost, np.float64))
    if spent.shape != (len(table),) or not np.isfinite(spent).all() or not spent.mean() > 0:
        raise BadInput(
            f"costs {spent.tolist()} of {len(table)} seeds",
            do="give one finite cost per seed, more than 0 in the mean",
        )
    unit = float(spent.mean())
    interval = t_interval(table, level)
    rate = interval.mean / unit
    by_seed, relative = table.mean(axis=1), spent / unit
    if len(table) == 1 or not np.ptp(relative):
        assert interval.low is not None
        assert interval.high is not None
        return Interval(rate, interval.low / unit, interval.high / unit, level, interval.over)
    over_queries, (_, freedom) = parts_of(table)
    reach = float(half_width(((1 / len(table), freedom),), level)) ** 2
    by_seed, relative = by_seed - by_seed.mean(), relative - relative.mean()
    pairs = ((by_seed, by_seed), (by_seed, relative), (relative, relative))
    s_gg, s_gc, s_cc = (float((x * y).sum()) / freedom for x, y in pairs)
    a = 1 - reach * s_cc
    if a <= 0:
        reason = f"the cost of {len(table)} seeds spreads too much"
        return Interval(rate, None, None, level, interval.over, reason)
    b = interval.mean - reach * s_gc
    c = interval.mean**2 - float(half_width((over_queries,), level)) ** 2 - reach * s_gg
    half = math.sqrt(max(0.0, b * b - a * c))
    low, high = ((b + sign * half) / a / unit for sign in (-1, 1))
    return Interval(rate, min(low, rate), max(high, rate), level, interval.over)
