"""Handles to what a recipe made: the keys are the recipe's own short names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rankmill.mining.collection import Collection
    from rankmill.mining.store import Artifact

FIRST_STAGE = "first stage"
BM25 = "BM25"
TEACHER = "teacher"
START = "untrained start"
SEARCH = ", full retrieval"  # what a system is called when it searches the corpus itself
REFERENCES = (START, FIRST_STAGE, BM25, TEACHER)


@dataclass(frozen=True, slots=True)
class Trained:
    """The students of one sampler and one loss, one per training seed."""

    system: str
    sampler: str
    loss: str
    seeds: dict[int, Artifact]

    @property
    def artifact(self) -> Artifact:
        """The student of the first seed: the one that pictures show."""
        return next(iter(self.seeds.values()))


@dataclass(frozen=True, slots=True)
class Judged:
    """One system on one domain: the run that was judged and its per-query values.

    `seed`: of a student; None for systems that no training seed changes.
    """

    system: str
    domain: str
    run: Artifact
    evaluation: Artifact
    seed: int | None = None


@dataclass(slots=True)
class Results:
    """Everything that a recipe made.

    `comparisons`: by domain, the family of students against what was there before, and that of
    samplers against each other, where there are such pairs.
    """

    collection: Collection
    runs: dict[str, Artifact] = field(default_factory=dict)
    pool: Artifact | None = None
    scores: Artifact | None = None
    groups: dict[str, Artifact] = field(default_factory=dict)
    statistics: dict[str, Artifact] = field(default_factory=dict)
    students: dict[str, Trained] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    against: dict[str, Artifact] = field(default_factory=dict)
    samplers: dict[str, Artifact] = field(default_factory=dict)
