"""Are two systems as good as each other? Paired TOST with a margin that was declared first.

"Not different" is not "equivalent": that needs both one-sided tests to reject, and a test that
could have found equivalence in the first place. So the power stands beside every verdict, and
below one half the word is never said.

Student's t is bold on one side where few queries are skewed: a test at 5 % errs in 7 to 8 % of
experiments with 43 queries of skewness 1. Johnson (JASA 73, 1978) moves both ends of the interval
by κ₃/(6·s²·n)·(1 + 2t²), which mends that side, and makes the other bold where tails are heavy or
most differences are 0. So an end moves outward only: each test asks for what t asks for, and for
more where the skewness says that t is bold (docs/evaluation.md has what that gives).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..mining.errors import BadInput, UsageError
from .random_effects import Uncertainty, skew_of, squared_half_width, uncertainty
from .significance import Interval, checked, paired_t, t_interval

LEAST_POWER = 0.5  # below this, "equivalent" is never said
METHOD = "johnson"  # part of the fingerprint: verdicts of another method are never taken for ours
Parts = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A paired TOST.

    `p_low`, `p_high`: of the one-sided tests against −margin and +margin; `p_different`: of the
    paired t-test; `power`: of one test at level α and a true difference of 0. `interval` has level
    1 − 2α: both tests pass exactly when it lies inside ±margin; where differences are skewed it
    reaches further to one side. `p_adjusted`: the larger of the
    two, after Holm over the family (alone: as it is). `outcome`: equivalent, different, undecided.
    """

    margin: float
    alpha: float
    p_low: float
    p_high: float
    p_different: float
    p_adjusted: float
    power: float
    interval: Interval
    outcome: str

    @property
    def p(self) -> float:
        """The p value of the equivalence claim."""
        return max(self.p_low, self.p_high)

    def within_family(self, p_adjusted: float, p_different: float) -> Equivalence:
        """Return the verdict after both p values were adjusted over a family."""
        outcome = _outcome(p_adjusted, p_different, self.power, self.alpha)
        return replace(self, p_adjusted=p_adjusted, p_different=p_different, outcome=outcome)


def paired_tost(d: np.ndarray, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Test whether two systems differ by less than ±margin (Schuirmann 1987), paired over queries.

    d: differences [queries] or [seeds, queries]; each test is the one-sided half of `paired_t`,
    corrected for skewness where that asks for more. Equivalent iff both one-sided tests reject at
    `alpha` and the test had a power of at least 0.5 with these queries, seeds and spread; different
    iff the paired t-test rejects and equivalence was not shown; else undecided. The margin must be
    declared before the data are seen.
    """
    d = checked(d)
    _check_margin(margin, alpha)
    known, mean, skew = uncertainty(d), float(d.mean()), float(skew_of(d))
    p_low = _one_sided(known, max(0.0, -skew), mean + margin)
    p_high = _one_sided(known, max(0.0, skew), margin - mean)
    power, different = _power(known, margin, alpha, skew), paired_t(d)
    p = max(p_low, p_high)
    outcome = _outcome(p, different, power, alpha)
    below, above = (float(reach) for reach in reaches(known.parts, skew, alpha))
    level = 1 - 2 * alpha
    interval = Interval(mean, mean - below, mean + above, level, t_interval(d, level).over)
    return Equivalence(margin, alpha, p_low, p_high, different, p, power, interval, outcome)


def reaches(parts: Parts, skew: np.ndarray | float, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the one-sided bounds at error `p` lie below and above the mean.

    `parts`, `skew`: of `parts_of` and `skew_of`, floats or arrays.
    """
    half, moved = np.sqrt(squared_half_width(parts, 2 * p)), skew * _factor(parts, p)
    return half + np.maximum(0.0, -moved), half + np.maximum(0.0, moved)


def _factor(parts: Parts, p: float) -> float:
    """Johnson's 1 + 2t², t the quantile of Student's t over the queries, which come first."""
    from scipy import special  # slow to import

    return 1 + 2 * float(special.stdtrit(parts[0][1], p)) ** 2


def _one_sided(known: Uncertainty, skew: float, distance: float) -> float:
    """Return the p value of a bound that lies `distance` beyond the mean, `skew` ≥ 0 on its side:
    the p at which the bound just reaches it."""
    if skew == 0 or distance <= 0:
        return known.below(distance)
    if distance <= skew:
        return 0.5
    low, high = -300.0, math.log(0.5)  # ln p
    for _ in range(64):
        p = math.exp((low + high) / 2)
        reached = float(reaches(known.parts, skew, p)[1]) >= distance
        low, high = (math.log(p), high) if reached else (low, math.log(p))
    return math.exp(high)


def tost_power(n: int, sd: float, margin: float, *, alpha: float = 0.05) -> float:
    """Return the power of `paired_tost` at a true difference of 0 with n queries of spread sd.

    For planning; one seed, normal differences. Raises BadInput for fewer than two queries.
    """
    if n < 2:
        raise BadInput(f"{n} queries have no spread", do="compare on at least two queries")
    _check_margin(margin, alpha)
    error = sd / math.sqrt(n)
    return _power(Uncertainty(error, ((error**2, n - 1),)), margin, alpha)


def _power(known: Uncertainty, margin: float, alpha: float, skew: float = 0.0) -> float:
    """E over the estimates of max(0, Φ((δ − h)/σ) + Φ((δ − h − c)/σ) − 1), σ the standard error of
    the mean, h the half-width at level 1 − 2α and c what skewness adds to it on one side.

    h² = Σ t²v·χ²_ν/ν over the parts, integrated by the midpoints of quantiles of each χ² (Phillips
    1990 gives the integral for one part).
    """
    from scipy import stats

    if known.error == 0:
        return 1.0
    added = abs(skew) * _factor(known.parts, alpha) / known.error
    count = 4000 if len(known.parts) == 1 else 500
    quantiles = (np.arange(count) + 0.5) / count
    squared = np.zeros(1)
    for variance, freedom in known.parts:
        drawn = stats.chi2.ppf(quantiles, freedom) / freedom
        reach = stats.t.ppf(1 - alpha, freedom) ** 2 * variance * drawn
        squared = (squared[:, None] + reach).ravel()
    inside = (margin - np.sqrt(squared)) / known.error
    both = stats.norm.cdf(inside) + stats.norm.cdf(inside - added) - 1
    return float(np.maximum(0.0, both).mean())


def _outcome(p: float, p_different: float, power: float, alpha: float) -> str:
    if p < alpha and power >= LEAST_POWER:
        return "equivalent"
    return "different" if p_different < alpha else "undecided"


def _check_margin(margin: float, alpha: float) -> None:
    if not 0 < margin < math.inf:
        raise UsageError(f"margin={margin} is not positive", do="declare it, for example 0.02")
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha={alpha} is not a level", do="give it between 0 and 0.5")
