"""What a student makes of its training groups, or of others (docs/quantities.md §6, 25).

f are the student's scores of a row's documents, g the teacher's. They are gathered pair by pair
from a scores artifact, which `rankmill diagnose` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...native import divergence
from ..errors import UsageError
from ..names import neutral
from ..options import Option
from ..parts.costs import PAIRS
from ..parts.parameters import SCORE_SCALE, TEMPERATURE
from ..score_kinds import check_scale
from ..store import Artifact
from .base import (
    NO_PROBABILITY,
    ORDER,
    SCALE,
    STATISTICS,
    Column,
    Rows,
    checked_temperature,
    column,
    scale_code,
)
from .disagreement import ScoresBeside, kendall_tau_b


def student_scores(artifact: Artifact) -> ScoresBeside:
    """Return a student's scores, looked up by pair."""
    return ScoresBeside(
        artifact,
        "the student",
        "score the documents of these groups with the student: rankmill diagnose",
        "a student that gives NaN has nothing to diagnose: train it again",
    )


@dataclass(frozen=True, slots=True)
class _OfStudent:
    """A statistic of the student's scores."""

    @property
    def needs(self) -> frozenset[str]:
        """A student's scores of every document."""
        return frozenset({"student"})

    def compare(self, rows: Rows, name: str, **given: Any) -> Column:
        """Return one column of the kernel for T, score, scale and student (scale of f)."""
        f = f_of(rows)
        own = scale_code(rows.student.kind, given.get("student") or "raw")
        if own is None:
            return _nothing(rows, NO_PROBABILITY)
        arguments = (f, SCALE, 1.0 / given.get("T", 1.0), own, float(given.get("scale", 1.0)))
        columns = divergence.STUDENT_COLUMNS
        score = given.get("score", ORDER)
        result = rows.run(divergence.student_columns, len(columns), score, *arguments)
        return column(result, columns.index(name))


def f_of(rows: Rows) -> np.ndarray:
    """Return the student's score of every item, float32 [items]."""
    f: np.ndarray = rows.once("student", lambda: rows.student.of(rows))
    return f


def _nothing(rows: Rows, reason: int) -> Column:
    return np.full(len(rows), np.nan), np.full(len(rows), reason, np.uint8)


def _checked_factor(scale: float) -> None:
    if not 0.0 < scale < float("inf"):
        raise UsageError(f"scale={scale} is not a scale", do="give a number above 0")


@STATISTICS.register("student_kl")
@dataclass(frozen=True, slots=True)
class StudentKl(_OfStudent):
    """KL(softmax(g/T) ‖ softmax(scale·f)), nats: how far the student is from the teacher.

    `score` and `student`: the scales on which g and f are read (f: as stored); `scale`: what the
    trainer multiplies stored scores with, 20 for a student of unit vectors.
    """

    T: Annotated[float, TEMPERATURE] = 1.0
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")
    scale: Annotated[
        float, Option("What the trainer multiplies the student's scores with: 20 for unit vectors.")
    ] = 1.0
    student: Annotated[str | None, Option("Scale of the student's scores; default: as stored.")] = (
        None
    )

    def __post_init__(self) -> None:
        checked_temperature(self.T)
        _checked_factor(self.scale)
        check_scale(self.score)
        if self.student is not None:
            check_scale(self.student)

    @property
    def unit(self) -> str:
        """Nats."""
        return "nats"

    def measure(self, rows: Rows) -> Column:
        """Return the divergence of every row."""
        given = {"T": self.T, "score": self.score, "scale": self.scale, "student": self.student}
        return self.compare(rows, "kl", **given)


@STATISTICS.register("student_tau", PAIRS)
@dataclass(frozen=True, slots=True)
class StudentTau(_OfStudent):
    """Kendall's τ-b between the student's and the teacher's order, in [−1, 1]; null if one is flat.

    Ties are those of the stored scores.
    """

    @property
    def unit(self) -> str:
        """A rank correlation."""
        return "τ-b"

    def measure(self, rows: Rows) -> Column:
        """Return τ-b of every row."""
        rows.check_finite()
        return kendall_tau_b(rows, f_of(rows), rows.scores)


@STATISTICS.register("student_variance")
@dataclass(frozen=True, slots=True)
class StudentVariance(_OfStudent):
    """Population variance of the student's stored scores of a row; near 0 the student collapsed."""

    @property
    def unit(self) -> str:
        """The unit of the stored scores, squared."""
        return "score²"

    def measure(self, rows: Rows) -> Column:
        """Return the variance of every row."""
        return self.compare(rows, "variance")


@STATISTICS.register("student_collapsed")
@dataclass(frozen=True, slots=True)
class StudentCollapsed(_OfStudent):
    """Alarm: 1 where the variance of scale·f is below `below`, so that the loss sees equal scores.

    A softmax of such scores differs from the uniform one by less than about `below`/2 nats.
    """

    below: Annotated[float, Option("Alarm below this variance.")] = 0.01
    scale: Annotated[float, Option("What the trainer multiplies the student's scores with.")] = 1.0
    student: Annotated[str | None, Option("Scale of the student's scores; default: as stored.")] = (
        None
    )

    def __post_init__(self) -> None:
        _checked_factor(self.scale)
        if self.student is not None:
            check_scale(self.student)
        if not 0.0 < self.below < float("inf"):
            raise UsageError(f"below={self.below} is not a variance", do="give a number above 0")

    @property
    def unit(self) -> str:
        """A flag."""
        return "flag"

    def measure(self, rows: Rows) -> Column:
        """Return the flag of every row."""
        values, status = self.compare(rows, "variance", scale=self.scale, student=self.student)
        return np.where(np.isnan(values), np.nan, values < self.below), status
