"""What the pictures of cells draw, as plain values: gain against cost, means over two crossed
factors, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rankmill.mining.errors import UsageError


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with its 95 % confidence interval, or the `reason` why it has none."""

    value: float
    low: float | None
    high: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.low is None or self.high is None:
            if self.reason is None:
                raise UsageError(f"no interval of {self.value}, and no reason")
        elif not self.low <= self.value <= self.high:
            raise UsageError(f"interval {self.low} … {self.high} does not hold {self.value}")


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell of a study: its cost, its gain with the interval; `color` and `mark` name the levels
    by which it is drawn; `front`: on the frontier."""

    name: str
    cost: float
    gain: Interval
    color: str
    mark: str
    front: bool


@dataclass(frozen=True, slots=True)
class CostPicture:
    """Gain against cost: `cost` says what the cost is of, in `unit`; `over` what the gain is over.

    `colors`, `marks`: what the two looks stand for, such as sampler and student. `color_levels`,
    `mark_levels`: their levels in the order of all pictures of a page, which gives the looks; by
    default those of the spots as they come.
    """

    title: str
    measure: str
    over: str
    cost: str
    unit: str
    colors: str
    marks: str
    spots: Sequence[Spot]
    color_levels: Sequence[str] = ()
    mark_levels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Crossing:
    """Means of a measure over two crossed factors, by their levels (across, lines)."""

    title: str
    measure: str
    across: str
    lines: str
    means: Mapping[tuple[str, str], Interval]


@dataclass(frozen=True, slots=True)
class EffectBars:
    """Effects by name, each with its interval around no effect, on one evaluation set."""

    title: str
    measure: str
    effects: Mapping[str, Interval]
