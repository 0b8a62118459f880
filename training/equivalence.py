"""Are two systems as good as each other? Paired TOST with a margin that was declared first.

"Not different" is not "equivalent": that needs both one-sided tests to reject, and a test that
could have found equivalence in the first place. So the power stands beside every verdict, and
below one half the word is never said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ..mining.errors import BadInput, UsageError
from .random_effects import Uncertainty, uncertainty
from .significance import Interval, checked, paired_t, t_interval

LEAST_POWER = 0.5  # below this, "equivalent" is never said


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A paired TOST.

    `p_low`, `p_high`: of the one-sided tests against −margin and +margin; `p_different`: of the
    paired t-test; `power`: of one test at level α and a true difference of 0. `interval` has level
    1 − 2α: both tests pass exactly when it lies inside ±margin. `p_adjusted`: the larger of the
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

    d: differences [queries] or [seeds, queries]; each test is the one-sided half of `paired_t`, so
    its size is at most `alpha` with two seeds too. Equivalent iff both one-sided tests reject at
    `alpha` and the test had a power of at least 0.5 with these queries, seeds and spread; different
    iff the paired t-test rejects and equivalence was not shown; else undecided. The margin must be
    declared before the data are seen.
    """
    d = checked(d)
    _check_margin(margin, alpha)
    known, mean = uncertainty(d), float(d.mean())
    p_low, p_high = known.below(mean + margin), known.below(margin - mean)
    power, different = _power(known, margin, alpha), paired_t(d)
    p = max(p_low, p_high)
    outcome = _outcome(p, different, power, alpha)
    interval = t_interval(d, 1 - 2 * alpha)
    return Equivalence(margin, alpha, p_low, p_high, different, p, power, interval, outcome)


def tost_power(n: int, sd: float, margin: float, *, alpha: float = 0.05) -> float:
    """Return the power of `paired_tost` at a true difference of 0 with n queries of spread sd.

    For planning; one seed, normal differences. Raises BadInput for fewer than two queries.
    """
    if n < 2:
        raise BadInput(f"{n} queries have no spread", do="compare on at least two queries")
    _check_margin(margin, alpha)
    error = sd / math.sqrt(n)
    return _power(Uncertainty(error, ((error**2, n - 1),)), margin, alpha)


def _power(known: Uncertainty, margin: float, alpha: float) -> float:
    """E over the estimates of max(0, 2Φ((δ − h)/σ) − 1), σ the standard error of the mean and h the
    half-width at level 1 − 2α.

    h² = Σ t²v·χ²_ν/ν over the parts, integrated by the midpoints of quantiles of each χ² (Phillips
    1990 gives the integral for one part).
    """
    if known.error == 0:
        return 1.0
    count = 4000 if len(known.parts) == 1 else 500
    quantiles = (np.arange(count) + 0.5) / count
    squared = np.zeros(1)
    for variance, freedom in known.parts:
        drawn = stats.chi2.ppf(quantiles, freedom) / freedom
        reach = stats.t.ppf(1 - alpha, freedom) ** 2 * variance * drawn
        squared = (squared[:, None] + reach).ravel()
    inside = (margin - np.sqrt(squared)) / known.error
    return float(np.maximum(0.0, 2 * stats.norm.cdf(inside) - 1).mean())


def _outcome(p: float, p_different: float, power: float, alpha: float) -> str:
    if p < alpha and power >= LEAST_POWER:
        return "equivalent"
    return "different" if p_different < alpha else "undecided"


def _check_margin(margin: float, alpha: float) -> None:
    if not 0 < margin < math.inf:
        raise UsageError(f"margin={margin} is not positive", do="declare it, for example 0.02")
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha={alpha} is not a level", do="give it between 0 and 0.5")
