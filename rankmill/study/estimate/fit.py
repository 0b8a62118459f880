"""From costs of samples to the cost of the whole: a fixed part, a slope, and a 90 % interval.

A cost y of work x is y = a + b·x + noise, fitted by least squares with a ≥ 0 and b ≥ 0 (who asks
for more never pays less). At x the interval is

    ŷ ± ( √( (t · s · √(1 + 1/n + (x − x̄)² / Σ(xᵢ − x̄)²))² + (u · ŷ)² ) + floor )

with n samples, s their residual standard deviation on n − 2 degrees of freedom, t Student's 95 %
quantile (what a new observation of the fitted line needs), `u` the declared uncertainty of the
model itself, and `floor` what clocks and allocators cannot resolve; nothing is below 0. Samples of
one size tell no slope: the cost is taken as proportional, (x / x̄) · (ȳ ± t · s · √(1 + 1/n)) on
n − 1 degrees of freedom. With fewer than three samples there are no residuals, and 2·u stands in
their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

LEVEL = 0.90


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cost: the declared uncertainty `u` of its model, a share, and the floor."""

    u: float
    floor: float


SECONDS, MEMORY = Kind(0.25, 0.05), Kind(0.15, 64e6)
BYTES, COUNTS = Kind(0.10, 64e3), Kind(0.10, 0.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A point and the ends of its 90 % interval, 0 ≤ low ≤ point ≤ high."""

    point: float
    low: float
    high: float

    def times(self, low: float, point: float, high: float) -> Interval:
        """Return it multiplied by a factor that is itself an interval, its ends with our ends."""
        return Interval(self.point * point, self.low * low, self.high * high)

    def as_json(self) -> dict[str, float]:
        """Return it as plain numbers."""
        return {"point": self.point, "low": self.low, "high": self.high}

    def holds(self, value: float) -> bool:
        """Say whether a value lies inside."""
        return self.low <= value <= self.high


NOTHING = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line with what its interval needs; `spread` is s, None without residuals."""

    fixed: float
    slope: float
    spread: float | None
    quantile: float
    samples: int
    centre: float
    leverage: float  # Σ(xᵢ − x̄)²

    def at(self, x: float, kind: Kind) -> Interval:
        """Return the cost of so much work."""
        point = self.fixed + self.slope * x
        if self.spread is None:
            return known(point, kind)
        away = (x - self.centre) ** 2 / self.leverage if self.leverage else 0.0
        times = 1.0 if self.leverage or not self.centre else x / self.centre
        noise = times * self.quantile * self.spread * np.sqrt(1 + 1 / self.samples + away)
        half = float(np.hypot(noise, kind.u * point)) + kind.floor
        return Interval(point, max(0.0, point - half), point + half)

    def flat_unless_sure(self) -> Line:
        """Return a line without slope unless the slope is told from 0: one that noise made would
        run away over a large whole. The interval stays that of the slope."""
        if self.spread is None or self.leverage == 0:
            return self
        sure = self.slope > self.quantile * self.spread / np.sqrt(self.leverage)
        return self if sure else replace(self, fixed=self.fixed + self.slope * self.centre, slope=0)


def fit(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Line:
    """Fit a line to the costs y (n values ≥ 0) of samples of the sizes x (n values ≥ 0).

    Where all sizes are equal the cost is taken as proportional to the size (fixed, if that is 0).
    Raises ValueError without samples.
    """
    if not len(x) or len(x) != len(y):
        raise ValueError(f"{len(x)} sizes and {len(y)} costs")
    sizes, costs = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    centre, mean = float(sizes.mean()), float(costs.mean())
    leverage = float(((sizes - centre) ** 2).sum())
    if len(set(sizes.tolist())) < 2:
        fixed, slope = (0.0, mean / centre) if centre else (mean, 0.0)
        spread, quantile = _noise(costs - mean, len(sizes) - 1)
        return Line(fixed, slope, spread, quantile, len(sizes), centre, 0.0)
    slope = float(((sizes - centre) * (costs - mean)).sum()) / leverage
    fixed = mean - slope * centre
    if slope < 0:
        fixed, slope = mean, 0.0
    elif fixed < 0:
        fixed, slope = 0.0, float((sizes * costs).sum() / (sizes**2).sum())
    spread, quantile = _noise(costs - fixed - slope * sizes, len(sizes) - 2)
    return Line(fixed, slope, spread, quantile, len(sizes), centre, leverage)


def _noise(residuals: np.ndarray, freedom: int) -> tuple[float | None, float]:
    """Return the standard deviation of residuals, None for fewer than three, and Student's 95 %
    quantile."""
    if len(residuals) < 3:
        return None, 0.0
    from scipy import stats

    spread = float(np.sqrt((residuals**2).sum() / freedom))
    return spread, float(stats.t.ppf(0.5 + LEVEL / 2, freedom))


def known(value: float, kind: Kind) -> Interval:
    """Return the interval of a cost that was measured once: nothing tells how it varies."""
    half = 2 * kind.u * value + kind.floor
    return Interval(value, max(0.0, value - half), value + half)


def together(parts: Iterable[Interval]) -> Interval:
    """Add costs whose errors go together (one machine, one clock): the ends add up."""
    parts = list(parts)
    return Interval(
        sum(one.point for one in parts),
        sum(one.low for one in parts),
        sum(one.high for one in parts),
    )


def largest(parts: Iterable[Interval]) -> Interval:
    """Return the largest of peaks, each end by itself."""
    parts = [NOTHING, *parts]
    return Interval(
        max(one.point for one in parts),
        max(one.low for one in parts),
        max(one.high for one in parts),
    )
