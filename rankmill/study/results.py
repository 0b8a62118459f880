"""Handles to what a recipe made: the keys are the recipe's own short names, systems are values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rankmill.mining.collection import Collection
    from rankmill.mining.store import Artifact

__all__ = ["BM25_SOURCE", "Judged", "Results", "System", "Trained"]

BM25_SOURCE = "bm25(k1=0.9,b=0.4)"
Role = Literal["first stage", "BM25", "teacher", "untrained start", "student"]
FIRST_STAGE: Role = "first stage"
BM25: Role = "BM25"
TEACHER: Role = "teacher"
START: Role = "untrained start"
STUDENT: Role = "student"
SEARCH = ", full retrieval"  # what a system is called when it searches the corpus itself
REFERENCES: tuple[Role, ...] = (START, FIRST_STAGE, BM25, TEACHER)
RESERVED = tuple(REFERENCES)
"""What samplers may not be called: these systems go by their role in results."""


@dataclass(frozen=True, slots=True)
class System:
    """What is judged: a role, of a student its sampler and loss, and whether it searches itself.

    `name` is what stored comparisons and JSON call it: the role, of a student its sampler, and its
    loss where a recipe has several.
    """

    role: Role
    sampler: str = ""
    loss: str = ""
    searches: bool = False

    @property
    def name(self) -> str:
        """The system's name in comparisons and JSON."""
        own = self.role if self.role != STUDENT else self.trained_as
        return own + SEARCH if self.searches else own

    @property
    def trained_as(self) -> str:
        """A student's sampler, and its loss where there are several."""
        return f"{self.sampler}, {self.loss}" if self.loss else self.sampler

    @property
    def is_student(self) -> bool:
        """Whether it was trained by the recipe."""
        return self.role == STUDENT


@dataclass(frozen=True, slots=True)
class Trained:
    """The students of one sampler and one loss, one per training seed.

    `system.loss` is empty where the recipe has one loss; `loss` is its short name always.
    """

    system: System
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

    system: System
    domain: str
    run: Artifact
    evaluation: Artifact
    seed: int | None = None


@dataclass(slots=True)
class Results:
    """Everything that a recipe made.

    `other`: by label the scores of the teachers that statistics compare with.

    `comparisons`: by domain, the family of students against what was there before, and that of
    samplers against each other, where there are such pairs.
    """

    collection: Collection
    runs: dict[str, Artifact] = field(default_factory=dict)
    pool: Artifact | None = None
    scores: Artifact | None = None
    other: dict[str, Artifact] = field(default_factory=dict)
    groups: dict[str, Artifact] = field(default_factory=dict)
    statistics: dict[str, Artifact] = field(default_factory=dict)
    students: dict[System, Trained] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    against: dict[str, Artifact] = field(default_factory=dict)
    samplers: dict[str, Artifact] = field(default_factory=dict)

    @property
    def systems(self) -> dict[str, System]:
        """The systems that were judged, by name."""
        return {judged.system.name: judged.system for judged in self.judged}
