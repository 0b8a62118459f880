"""Where a group's documents come from: overlap of sources, ranks of the negatives, what filters
took (docs/quantities.md §6, 15 and 16).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...native import scales
from ..errors import UsageError
from .base import NOT_FOUND, STATISTICS, Column, Rows

if TYPE_CHECKING:
    from ..selection.base import Candidates

TEACHER = "teacher"
_PROFILES = ("min", "mean", "median", "max")


def _label(source: str, labels: Iterable[str], what: str) -> str:
    from ..selection.base import label_of

    return label_of(source, list(labels), what)


class _OnSelection:
    """Groups that rankmill selected, so that their pool is known."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """The selection."""
        return frozenset({"selection"})


def _each(rows: Rows) -> Iterator[tuple[int, Candidates, np.ndarray]]:
    """Yield (row, candidates, indices of its negatives among them)."""
    selected = rows.once("selected", lambda: list(rows.selection.of(rows)))
    for row, (candidates, _, _, _) in enumerate(selected):
        items = slice(int(rows.offsets[row]) + 1, int(rows.offsets[row + 1]))
        negatives = rows.doc[items][rows.positive[items] == 0]
        yield row, candidates, np.searchsorted(candidates.doc, negatives)


@STATISTICS.register("overlap")
@dataclass(frozen=True, slots=True)
class Overlap(_OnSelection):
    """Jaccard overlap of the first `last` ranks of two sources, for the group's query.

    Null where neither found anything.
    """

    a: str
    b: str
    last: int | None = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < 1:
            raise UsageError(f"last={self.last} is not a rank", do="ranks start at 1")

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        return frozenset(_label(source, labels, "overlap") for source in (self.a, self.b))

    def measure(self, rows: Rows) -> Column:
        """Return |A ∩ B| / |A ∪ B| of every row."""
        out = np.full(len(rows), np.nan)
        for row, candidates, _ in _each(rows):
            ranks = [
                candidates.rank[_label(s, candidates.rank, "overlap")] for s in (self.a, self.b)
            ]
            first, second = ((r > 0) & (r <= (self.last or 65535)) for r in ranks)
            either = int((first | second).sum())
            if either:
                out[row] = (first & second).sum() / either
        return out, _null_where(np.isnan(out))


@STATISTICS.register("found_by")
@dataclass(frozen=True, slots=True)
class FoundBy(_OnSelection):
    """The share of the group's negatives that a source had found."""

    source: str

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        return frozenset({_label(self.source, labels, "found_by")})

    def measure(self, rows: Rows) -> Column:
        """Return the share of every row."""
        out = np.full(len(rows), np.nan)
        for row, candidates, negatives in _each(rows):
            rank = candidates.rank[_label(self.source, candidates.rank, "found_by")]
            if len(negatives):
                out[row] = (rank[negatives] > 0).mean()
        return out, _null_where(np.isnan(out))


@STATISTICS.register("negative_rank")
@dataclass(frozen=True, slots=True)
class NegativeRank(_OnSelection):
    """Profile of the negatives' ranks in a source's list, or under the teacher (`teacher`).

    `of`: min, mean, median or max over the negatives that the source found; the teacher ranks all
    candidates of the pool, ties by document. Null where the source found none of them.
    """

    source: str = TEACHER
    of: str = "mean"

    def __post_init__(self) -> None:
        if self.of not in _PROFILES:
            raise UsageError(f"of={self.of} is unknown", do=f"one of {', '.join(_PROFILES)}")

    @property
    def unit(self) -> str:
        """A rank, 1 is best."""
        return "rank"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        if self.source == TEACHER:
            return frozenset()
        return frozenset({_label(self.source, labels, "negative_rank")})

    def measure(self, rows: Rows) -> Column:
        """Return the profile of every row."""
        out = np.full(len(rows), np.nan)
        for row, candidates, negatives in _each(rows):
            rank = self._ranks(candidates)[negatives].astype(np.float64)
            if (rank > 0).any():
                out[row] = getattr(np, self.of)(rank[rank > 0])
        return out, _null_where(np.isnan(out))

    def _ranks(self, candidates: Candidates) -> np.ndarray:
        if self.source != TEACHER:
            return candidates.rank[_label(self.source, candidates.rank, "negative_rank")]
        order = np.argsort(-np.nan_to_num(candidates.score, nan=-np.inf), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        return np.where(np.isnan(candidates.score), 0, rank)


@STATISTICS.register("removed")
@dataclass(frozen=True, slots=True)
class Removed(_OnSelection):
    """How many candidates the filters of the selection removed for this group.

    `filter`: the canonical text of one of them, by default all together. A candidate counts for the
    first filter that removed it.
    """

    filter: str | None = None

    def __post_init__(self) -> None:
        if self.filter is not None:
            from ..selection import FILTERS

            object.__setattr__(self, "filter", FILTERS.text(FILTERS.parse(self.filter)))

    @property
    def unit(self) -> str:
        """Documents."""
        return "count"

    def measure(self, rows: Rows) -> Column:
        """Return the number of every row."""
        known = list(rows.selection.chooser.filters)
        if self.filter is not None and self.filter not in known:
            raise UsageError(
                f"filter={self.filter!r} was not used when these groups were selected",
                do=f"one of {', '.join(known)}" if known else "there were no filters",
            )
        asked = known if self.filter is None else [self.filter]
        selected = rows.once("selected", lambda: list(rows.selection.of(rows)))
        gone = [sum(candidates.removed[text] for text in asked) for candidates, _, _, _ in selected]
        return np.array(gone, np.float64), np.zeros(len(rows), np.uint8) + scales.DEFINED


def _null_where(undefined: np.ndarray) -> np.ndarray:
    return np.where(undefined, NOT_FOUND, scales.DEFINED).astype(np.uint8)
