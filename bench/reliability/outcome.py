"""What an experiment is asked, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_TOLD = 20  # faults that a result tells in words; all are counted


@dataclass(frozen=True, slots=True)
class Form:
    """How much is tried: `count` cases (what a case is, the experiment says), drawn by `seed`; no
    new one is begun after `seconds`. `world` holds a workspace with every kind of artifact, which
    nobody changes; `place` is an empty folder of the experiment's own."""

    name: str
    count: int
    seconds: float
    seed: int
    world: Path
    place: Path
    began: float = field(default_factory=time.monotonic)

    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.began > self.seconds


@dataclass(slots=True)
class Result:
    """What came of an experiment.

    `injected`: what was done, counted (`{"kills": 120}`). `wrong`: each case that did not end as
    promised, in a sentence. `roots`: root hashes, or sums over several, that were compared; where
    all is well there is one. `notes`: what a reader has to know.
    """

    cases: int = 0
    injected: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def inject(self, what: str, times: int = 1) -> None:
        """Count what was done."""
        self.injected[what] = self.injected.get(what, 0) + times

    def told(self) -> dict[str, Any]:
        """Return the result as JSON values, the first faults in words."""
        return {
            "cases": self.cases,
            "injected": self.injected,
            "wrong": len(self.wrong),
            "first_wrong": self.wrong[:MOST_TOLD],
            "roots": self.roots,
            "notes": self.notes,
            "figures": self.figures,
        }
