"""Does the teacher agree with the labels (docs/quantities.md §6, 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...native import agreement as native
from ...native import scales
from ..errors import UsageError
from ..names import nearest, neutral
from ..options import Option
from ..parts.parameters import SCORE_SCALE
from ..score_kinds import check_scale
from .base import ORDER, SCALE, STATISTICS, Column, Rows, column

_MARGINS = ("min", "mean", "variance")


def _measure(rows: Rows, name: str, scale: str, margin: float = 0.0) -> Column:
    columns = native.AGREEMENT_COLUMNS
    arguments = (rows.own_positive(), rows.positive, SCALE, margin)
    result = rows.run(native.agreement_columns, len(columns), scale, *arguments)
    values, status = column(result, columns.index(name))
    return values, np.where(status == scales.NO_POSITIVE, rows.without_positive, status)


class _NeedsLabels:
    """Positives are known, and one of them is the row's own: see `Rows`."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """Labels."""
        return frozenset({"labels"})


@STATISTICS.register("teacher_agrees")
@dataclass(frozen=True, slots=True)
class TeacherAgrees(_NeedsLabels):
    """1 where no document scores above the group's positive; a tie agrees, `ties` counts them."""

    @property
    def unit(self) -> str:
        """A flag."""
        return "flag"

    def measure(self, rows: Rows) -> Column:
        """Return the flag of every row; the order of scores is the same on every scale."""
        return _measure(rows, "first", ORDER)


@STATISTICS.register("positive_rank")
@dataclass(frozen=True, slots=True)
class PositiveRank(_NeedsLabels):
    """1 + the number of documents that the teacher scores above the row's own positive.

    Documents with the same score are not above it: of a tie it takes the best rank, and `ties`
    counts them.
    """

    @property
    def unit(self) -> str:
        """A rank, 1 is best."""
        return "rank"

    def measure(self, rows: Rows) -> Column:
        """Return the rank of every row's own positive."""
        return _measure(rows, "rank", ORDER)


@STATISTICS.register("ties")
@dataclass(frozen=True, slots=True)
class Ties(_NeedsLabels):
    """Documents with exactly the positive's teacher score."""

    @property
    def unit(self) -> str:
        """Documents."""
        return "count"

    def measure(self, rows: Rows) -> Column:
        """Return the number of ties of every row."""
        return _measure(rows, "ties", ORDER)


@STATISTICS.register("suspects")
@dataclass(frozen=True, slots=True)
class Suspects(_NeedsLabels):
    """False-negative suspects: negatives at or above s_0 − margin, the margin in units of the
    `score` scale.
    """

    margin: Annotated[
        float, Option("How far below the positive a suspect may score, in units of the scale.")
    ] = 0.5
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        check_scale(self.score)
        if not 0.0 <= self.margin < float("inf"):
            raise UsageError(
                f"margin={self.margin} is not a margin", do="give a number of 0 or more"
            )

    @property
    def unit(self) -> str:
        """Documents."""
        return "count"

    def measure(self, rows: Rows) -> Column:
        """Return the number of suspects of every row."""
        return _measure(rows, "suspects", self.score, self.margin)


@STATISTICS.register("margin")
@dataclass(frozen=True, slots=True)
class Margin(_NeedsLabels):
    """Minimum, mean or population variance of s_0 − s_j over the negatives, on the `score` scale;
    marginMSE learns from those of `raw`.
    """

    of: Annotated[str, Option("min, mean or variance over the negatives.")] = "mean"
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        check_scale(self.score)
        if self.of not in _MARGINS:
            raise UsageError(f"of={self.of} is unknown", do=nearest(str(self.of), _MARGINS))

    @property
    def unit(self) -> str:
        """The scale's unit, squared for the variance."""
        return self.score + ("²" if self.of == "variance" else "")

    def measure(self, rows: Rows) -> Column:
        """Return the margin statistic of every row."""
        return _measure(rows, f"margin_{self.of}", self.score)


@STATISTICS.register("score_variance")
@dataclass(frozen=True, slots=True)
class ScoreVariance(_NeedsLabels):
    """Population variance of the teacher's scores of the group."""

    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        check_scale(self.score)

    @property
    def unit(self) -> str:
        """The scale's unit, squared."""
        return self.score + "²"

    def measure(self, rows: Rows) -> Column:
        """Return the variance of every row."""
        return _measure(rows, "variance", self.score)
