"""Filters: which candidates may become negatives. Gaps and ranks, so that no sign can turn them
round.

A filter compares teacher scores within one query only, and says on which scale. Every filter counts
what it removed (`filtered:<text>` in the manifest).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ..errors import BadInput, UsageError
from ..names import neutral
from ..options import Option
from ..parts.costs import TEXTS
from ..parts.parameters import FIRST, LAST, ONE_SOURCE, SCORE_SCALE
from ..score_kinds import SCALES, check_scale, has_probability
from .base import FILTERS, Candidates, label_of
from .targeted import log_probabilities


class OfOneDocument:
    """A filter that decides from a document, its score and the positive, not from other lists."""

    __slots__ = ()

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """No list of the pool."""
        return frozenset()


def on_scale(candidates: Candidates, scale: str) -> np.ndarray:
    """Return the query's scores (float64) as `raw`, or on the scale `logit` or `logprob`.

    Raises BadInput where a similarity or a rank is asked for a probability.
    """
    if scale != "raw" and not has_probability(candidates.kind):
        raise BadInput(
            f"a {candidates.kind} has no {'log-probability' if scale == 'logprob' else scale}",
            where=f"query {candidates.query_id!r}",
            do=f"write score=raw with a gap in units of the {candidates.kind}",
        )
    return scaled(candidates.score, candidates.kind, scale)


def scaled(score: np.ndarray, kind: str, scale: str) -> np.ndarray:
    """Return scores (float64) of a kind that has the scale on it: `raw`, `logit` or `logprob`.

    A missing one, NaN, stays NaN.
    """
    if scale == "raw" or scale == kind == "logit":
        return score
    with np.errstate(divide="ignore", invalid="ignore"):
        s = log_probabilities(score, kind)
        return s if scale == "logprob" else s - np.log(-np.expm1(s))


@FILTERS.register("margin")
@dataclass(frozen=True, slots=True)
class Margin(OfOneDocument):
    """Keep candidates that score at least `gap` below the positive: s_j ≤ s_0 − gap.

    gap = 0 removes what the teacher puts above the positive. The gap has the unit of `score`: 0.5
    on log-probabilities and 3 on logits are the two in circulation.
    """

    gap: Annotated[
        float, Option("How far below the positive a candidate must score, in units of the scale.")
    ] = 0.5
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        check_scale(self.score)
        if not math.isfinite(self.gap):
            raise UsageError(f"gap={self.gap} is not a gap", do=f"give a number; scales: {SCALES}")

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Compare every score with the positive's."""
        score = on_scale(candidates, self.score)
        return score <= score[candidates.positive] - self.gap


@FILTERS.register("share")
@dataclass(frozen=True, slots=True)
class Share(OfOneDocument):
    """Keep candidates with at most the share `of` of the positive's probability: P_j ≤ of·P_0.

    Written as a gap of log-probabilities, so it means the same for every sign of the logits.
    """

    of: Annotated[float, Option("Most probability that stays, as a share of the positive's.")] = (
        0.95
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.of <= 1.0:
            raise UsageError(f"of={self.of} is not a share", do="give a number above 0, up to 1")

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Compare log-probabilities."""
        score = on_scale(candidates, "logprob")
        return score <= score[candidates.positive] + math.log(self.of)


@FILTERS.register("between")
@dataclass(frozen=True, slots=True)
class Between(OfOneDocument):
    """Keep candidates with low ≤ score ≤ high, an absolute floor and ceiling on `score`."""

    low: Annotated[
        float | None, Option("Lowest score that stays; default: no floor.", example="-5")
    ] = None
    high: Annotated[float | None, Option("Highest score that stays; default: no ceiling.")] = None
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        check_scale(self.score)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low < high or (self.low is None and self.high is None):
            raise UsageError(
                f"low={self.low},high={self.high} keeps nothing or everything",
                do="give a floor, a ceiling, or a floor below a ceiling",
            )

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Compare with the bounds, both included."""
        score = on_scale(candidates, self.score)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return (score >= low) & (score <= high)


@FILTERS.register("percentile")
@dataclass(frozen=True, slots=True)
class Percentile:
    """Keep the candidates between two shares of the query's allowed ones, by teacher score.

    percentile(0, 0.9) removes the tenth that the teacher likes best. Ties go by document ordinal.
    """

    low: Annotated[
        float, Option("Share of the candidates, from the lowest score on, that goes.")
    ] = 0.0
    high: Annotated[
        float, Option("Share up to which they stay: 0.9 removes the tenth that scores best.")
    ] = 0.9

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise UsageError(
                f"low={self.low},high={self.high} are not shares", do="write 0 ≤ low < high ≤ 1"
            )

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """The whole pool: every candidate moves the shares of the others."""
        return frozenset(labels)

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Order the allowed candidates by score, lowest first."""
        allowed = np.flatnonzero(candidates.allowed)
        order = allowed[np.argsort(candidates.score[allowed], kind="stable")]
        kept = np.zeros(len(candidates), dtype=bool)
        kept[order[round(self.low * len(order)) : round(self.high * len(order))]] = True
        return kept


@FILTERS.register("rank_window")
@dataclass(frozen=True, slots=True)
class RankWindow:
    """Keep candidates that a source ranks first…last; what it did not find is removed."""

    source: Annotated[str, ONE_SOURCE]
    first: Annotated[int, FIRST] = 1
    last: Annotated[int | None, LAST] = None

    def __post_init__(self) -> None:
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise UsageError(
                f"first={self.first},last={self.last} is not a window of ranks",
                do="ranks start at 1",
            )

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """The source's list."""
        return frozenset([label_of(self.source, labels, "rank_window")])

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Read the source's ranks."""
        rank = candidates.rank[label_of(self.source, list(candidates.rank), "rank_window")]
        last = 65535 if self.last is None else self.last
        return (rank >= self.first) & (rank <= last)


@FILTERS.register("near_copies", TEXTS)
@dataclass(frozen=True, slots=True)
class NearCopies(OfOneDocument):
    """Remove near copies of any positive of the query: texts whose overlap is `of` or more.

    The overlap is the exact Jaccard overlap of folded character shingles (`text.near_copies`).
    """

    of: Annotated[float, Option("Overlap with a positive from which a text is a near copy.")] = 0.8

    def __post_init__(self) -> None:
        if not 0.0 < self.of <= 1.0:
            raise UsageError(f"of={self.of} is not an overlap", do="give a number above 0, up to 1")

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Compare texts, of this query's candidates only."""
        assert candidates.resemblance is not None, "the reader of candidates gives it"
        return candidates.resemblance(self.of) < self.of
