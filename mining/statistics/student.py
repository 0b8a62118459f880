"""What a student makes of its training groups, or of others (docs/quantities.md §6, 25).

f are the student's scores of a row's documents, g the teacher's. They are gathered pair by pair
from a scores artifact, which `rankmill diagnose` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...native import divergence, pair_order, scales
from ..errors import BadPair, UsageError
from ..names import neutral
from ..pair_keys import pair_keys
from ..processors import in_threads
from ..score_kinds import check_scale
from ..store import Artifact
from ..teachers.lookup import PairScores
from .base import (
    CONSTANT,
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


class StudentScores:
    """A student's scores artifact, looked up by pair; `kind` is that of its scores."""

    def __init__(self, artifact: Artifact):
        self.artifact, self.kind = artifact, str(artifact.metadata["kind"])
        self.scores = PairScores(artifact)

    def of(self, rows: Rows) -> np.ndarray:
        """Return f of every item, float32 [items]; raises BadInput for a pair without one."""
        query = np.repeat(rows.query, np.diff(rows.offsets))
        order = np.argsort(pair_keys(query, rows.doc), kind="stable")
        scores = np.full(len(order), np.nan, np.float32)
        missing = np.ones(len(order), bool)
        if len(order):
            self.scores.fill(query[order], rows.doc[order], scores, missing)
        if missing.any():
            at = order[np.flatnonzero(missing)[0]]
            raise BadPair(
                f"{int(missing.sum()):,} pairs have no score of the student, the first is {{doc}}",
                query=query[at],
                doc=rows.doc[at],
                within=self.artifact.path,
                do="score the documents of these groups with the student: rankmill diagnose",
            )
        if not np.isfinite(scores).all():
            at = order[np.flatnonzero(~np.isfinite(scores))[0]]
            raise BadPair(
                "the student's score of {doc} is not finite",
                query=query[at],
                doc=rows.doc[at],
                within=self.artifact.path,
                do="a student that gives NaN has nothing to diagnose: train it again",
            )
        out = np.empty_like(scores)
        out[order] = scores
        out.flags.writeable = False
        return out


@dataclass(frozen=True, slots=True)
class _OfStudent:
    """A statistic of the student's scores."""

    @property
    def needs(self) -> frozenset[str]:
        """A student's scores of every document."""
        return frozenset({"student"})

    def compare(self, rows: Rows, name: str, **given: Any) -> Column:
        """Return one column of the kernel for T, score, scale and student (scale of f)."""
        f = rows.once("student", lambda: rows.student.of(rows))
        own = scale_code(rows.student.kind, given.get("student") or "raw")
        if own is None:
            return _nothing(rows, NO_PROBABILITY)
        arguments = (f, SCALE, 1.0 / given.get("T", 1.0), own, float(given.get("scale", 1.0)))
        columns = divergence.STUDENT_COLUMNS
        score = given.get("score", ORDER)
        result = rows.run(divergence.student_columns, len(columns), score, *arguments)
        return column(result, columns.index(name))


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

    T: float = 1.0
    score: str = neutral("logprob")
    scale: float = 1.0
    student: str | None = None

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


@STATISTICS.register("student_tau")
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
        f = rows.once("student", lambda: rows.student.of(rows))
        counts = np.empty((len(rows), len(pair_order.PAIR_COUNTS)), np.int64)
        ours, theirs = f.astype(np.float64), rows.scores.astype(np.float64)
        _refuse_not_finite(rows)
        for array in (ours, theirs):
            array.flags.writeable = False

        def work(start: int, stop: int) -> None:
            pair_order.count_pairs(ours, theirs, rows.offsets, start, stop, counts)

        in_threads(work, rows.offsets)
        tau = pair_order.kendall_tau_b(counts)
        short = np.diff(rows.offsets) < 2
        status = np.where(np.isnan(tau), CONSTANT, scales.DEFINED)
        return tau, np.where(short, scales.TOO_SHORT, status).astype(np.uint8)


def _refuse_not_finite(rows: Rows) -> None:
    """Raise BadInput for a teacher's score that is NaN or infinite, as the kernels' runner does."""
    rows.run(
        divergence.student_columns,
        len(divergence.STUDENT_COLUMNS),
        ORDER,
        rows.once("student", lambda: rows.student.of(rows)),
        SCALE,
        1.0,
        scales.AS_STORED,
        1.0,
    )


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

    below: float = 0.01
    scale: float = 1.0
    student: str | None = None

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
