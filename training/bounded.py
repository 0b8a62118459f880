"""Intervals that are shown of means of measures that have ends, such as 0 and 1.

Student's t knows nothing of the ends. The mean cannot lie beyond them, so what is left of an
interval that is cut there holds it as often as the whole: it is cut, and says so. With two queries
there is one degree of freedom, 12.7 standard errors to each side: too few for any interval. The
intervals that tests invert to (`significance.py`) are as they were.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .measures import parse_measures
from .pair_risk import PairRisk
from .significance import Interval, t_interval

LEAST_QUERIES = 3
_FROM_0_TO_1 = frozenset(
    "AP AP_IA Accuracy BPref Bpref Compat ERR ERR_IA IPrec Judged MAP MAP_IA MRR NDCG NERR8 NERR9 "
    "NERR10 NERR11 P P_IA PairRisk Precision R RBP RPrec RR Recall Rprec SetAP SetF SetP SetR "
    "StRecall Success alpha_nDCG infAP nDCG nERR_IA nNRBP α_nDCG".split()
)


def range_of(measure: str) -> tuple[float, float] | None:
    """Return the least and the largest value of a measure; None for one without ends, such as
    NumRet, or whose ends are not known."""
    parsed = parse_measures(measure)[0]
    if not isinstance(parsed, PairRisk) and parsed.params.get("gains"):  # may be negative
        return None
    name = str(parsed).partition("(")[0].partition("@")[0]
    return (0.0, 1.0) if name in _FROM_0_TO_1 else None


def mean_interval(values: np.ndarray, measure: str) -> Interval:
    """Return the mean of [queries] or [seeds, queries] values of a measure with its interval."""
    table = np.atleast_2d(np.asarray(values, np.float64))
    if table.shape[1] < LEAST_QUERIES:
        seeds = "" if len(table) == 1 else f" and {len(table)} seeds"
        alone = Interval(float(table.mean()), None, None, over=f"queries{seeds}")
        return _too_few(alone, table.shape[1])
    return cut(t_interval(values), range_of(measure))


def difference_interval(interval: Interval, queries: int, measure: str) -> Interval:
    """Return the interval of a difference of two means of a measure, as it is shown."""
    if queries < LEAST_QUERIES:
        return _too_few(interval, queries)
    ends = range_of(measure)
    return cut(interval, None if ends is None else (ends[0] - ends[1], ends[1] - ends[0]))


def cut(interval: Interval, ends: tuple[float, float] | None) -> Interval:
    """Return the part of an interval that lies between two ends; `reason` says where it is cut."""
    if ends is None or interval.low is None or interval.high is None:
        return interval
    least, most = ends
    beyond = [least] * (interval.low < least) + [most] * (interval.high > most)
    if not beyond:
        return interval
    return replace(
        interval,
        low=min(max(interval.low, least), interval.mean),
        high=max(min(interval.high, most), interval.mean),
        reason=f"cut at {' and '.join(f'{end:g}' for end in beyond)}",
    )


def _too_few(interval: Interval, queries: int) -> Interval:
    reason = f"too few queries: {queries}, at least {LEAST_QUERIES} needed"
    return replace(interval, low=None, high=None, reason=reason)
