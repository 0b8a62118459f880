"""A cell on one domain: what a student of it cost alone, what it gained, how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rankmill.study import words
from rankmill.study.costs.gains import Spent
from rankmill.study.grid.design import Cell
from rankmill.training.comparison import Comparison


@dataclass(frozen=True, slots=True)
class CellGain:
    """A cell on one domain: what its student would have cost alone, in processor and accelerator
    seconds, and what it gained over its untrained start.

    `front`: no other cell of the domain gains more for less or the same cost, by the unit and the
    baseline that decide (`Answer.shown`). `below`: its difference from the best cell; None for the
    best.
    """

    cell: Cell
    domain: str
    spent: Spent
    gained: Comparison
    below: Comparison | None
    front: bool

    @property
    def per_hour(self) -> float:
        """Mean gain per hour of processor and accelerator time."""
        return 3600 * self.gained.difference.mean / max(self.spent.seconds, 1e-9)

    @property
    def verdict(self) -> str:
        """How it stands to the best cell of its domain, by the adjusted test; one that was stopped
        is never the best, and may stand above it over the seeds that it has."""
        if self.below is None:
            return "best"
        if self.below.p_adjusted < 0.05:
            lower = self.below.difference.mean < 0
            return "below the best" if lower else "above the best over the seeds of both"
        return "not distinguishable from the best"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "cell": self.cell.name,
            **self.cell.levels,
            "domain": self.domain,
            "seconds": self.spent.seconds,
            "pairs": self.spent.pairs,
            "gain": words.plain(self.gained),
            "below_best": None if self.below is None else words.plain(self.below),
            "verdict": self.verdict,
            "per_hour": self.per_hour,
            "front": self.front,
        }
