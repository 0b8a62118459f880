"""Strategies that draw from ranks and scores: uniform window, top, random, stratified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..errors import UsageError
from ..options import Option
from ..parts.parameters import FIRST, LAST, SOURCE
from .base import (
    FIXED,
    STRATEGIES,
    Candidates,
    chance_beyond,
    draw_uniformly,
    even_chance,
    in_window,
    label_of,
)


def _checked_window(first: int, last: int | None) -> None:
    if first < 1 or (last is not None and last < first):
        raise UsageError(
            f"first={first},last={last} is not a window of ranks",
            do="ranks start at 1, and the last is not before the first",
        )


class FromScores:
    """A strategy that needs nothing but the pool and its teacher scores."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """Nothing more."""
        return frozenset()

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """The source's list, or all where none is named."""
        source: str | None = getattr(self, "source", None)
        return frozenset(labels if source is None else [source])

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """Nothing outside a fixed list can be chosen; unknown for a list that is drawn."""
        fixed = candidates.origin_of(getattr(self, "source", None)) == FIXED
        return 0.0 if fixed else float("nan")


@STRATEGIES.register("uniform")
@dataclass(frozen=True, slots=True)
class Uniform(FromScores):
    """A uniform draw from the window of ranks first…last of one source: π = n / allowed in it.

    If the source draws its list, π = n / documents of the corpus that may be negatives.
    """

    first: Annotated[int, FIRST] = 1
    last: Annotated[
        int | None,
        Option(
            "Last rank of the window; none: as deep as the list goes.", unit="rank", example="100"
        ),
    ] = 200
    source: Annotated[
        str | None, Option("A source of the pool; default: its only one.", example="bm25")
    ] = None

    def __post_init__(self) -> None:
        _checked_window(self.first, self.last)

    def bind(self, labels: Sequence[str]) -> Uniform:
        """Name the source in full."""
        return replace(self, source=label_of(self.source, labels, "uniform"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates of the window."""
        return in_window(candidates, str(self.source), self.first, self.last)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """n / reachable, or n / population where the source draws."""
        return np.full(len(reach), even_chance(candidates, str(self.source), len(reach), size))

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The same for every document of the corpus, if the source draws."""
        return chance_beyond(candidates, str(self.source), size)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw without replacement."""
        return draw_uniformly(reach, size, draws)


@STRATEGIES.register("random")
@dataclass(frozen=True, slots=True)
class Random(FromScores):
    """A uniform draw from everything that a drawn source (`random`) put into the pool.

    π = n / documents of the corpus that may be negatives, however long the list is.
    """

    source: Annotated[str, Option("The drawn source of the pool.")] = "random"

    def bind(self, labels: Sequence[str]) -> Random:
        """Name the source in full."""
        return replace(self, source=label_of(self.source, labels, "random"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return every allowed candidate of the source."""
        return in_window(candidates, self.source, 1, None)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """n / population, or n / reachable for a source that does not draw."""
        return np.full(len(reach), even_chance(candidates, self.source, len(reach), size))

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The same for every document of the corpus."""
        return chance_beyond(candidates, self.source, size)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw without replacement."""
        return draw_uniformly(reach, size, draws)


@STRATEGIES.register("top")
@dataclass(frozen=True, slots=True)
class Top(FromScores):
    """The best ranks of one source; without a source, the highest teacher scores. π = 1.

    Ties of the teacher go to the lower document ordinal. Nothing is drawn, so documents further
    down have probability 0: a density ratio against any target that holds them is infinite. The
    first ranks of a drawn list are a uniform draw: π = n / documents that may be negatives. The
    best by teacher of a pool that holds a drawn list have no known π: what else might have been
    drawn was not scored.
    """

    source: Annotated[str | None, Option("Whose ranks; default: the teacher's scores.")] = None
    first: Annotated[int, Option("First rank that is taken.", unit="rank")] = 1

    def __post_init__(self) -> None:
        _checked_window(self.first, None)

    def bind(self, labels: Sequence[str]) -> Top:
        """Name the source in full, if there is one."""
        if self.source is None:
            return self
        return replace(self, source=label_of(self.source, labels, "top"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates from rank `first` on, best first."""
        if self.source is not None:
            inside = in_window(candidates, self.source, self.first, None)
            return inside[np.argsort(candidates.rank[self.source][inside], kind="stable")]
        inside = np.flatnonzero(candidates.allowed)
        best = inside[np.argsort(-candidates.score[inside], kind="stable")]
        return best[self.first - 1 :]

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """1 for the first n, 0 below; alike for all documents of a list that is drawn."""
        if self.source is None and candidates.origin_of(None) != FIXED:
            return np.full(len(reach), np.nan)
        if self.source is not None and candidates.origin_of(self.source) != FIXED:
            return np.full(len(reach), even_chance(candidates, self.source, len(reach), size))
        return (np.arange(len(reach)) < size).astype(np.float64)

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The same for every document of the corpus, if the source draws."""
        if self.source is None:
            return FromScores.beyond(self, candidates, reach, size)
        return chance_beyond(candidates, self.source, size)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Take the first `size`."""
        return reach[:size]


@STRATEGIES.register("stratified")
@dataclass(frozen=True, slots=True)
class Stratified(FromScores):
    """An even draw over the range of teacher scores, cut into bins of equal width.

    With one positive these are the margin bins of TAS-Balanced. The reachable candidates (of one
    source's list, or of the whole pool) are put into `bins` equal intervals between their lowest
    and highest score. Every bin gives the same number of documents, bins that run out give all they
    have, and what is left over goes to bins drawn at random: so π = E[documents taken from the bin]
    / documents in the bin, in closed form. Unknown where a drawn list decides what is in the bins.
    """

    bins: Annotated[int, Option("Bins of equal width over the scores.", unit="bins")] = 8
    source: Annotated[str | None, SOURCE] = None
    last: Annotated[int | None, LAST] = None

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise UsageError(f"bins={self.bins} must be at least 1")
        _checked_window(1, self.last)

    def bind(self, labels: Sequence[str]) -> Stratified:
        """Name the source in full, if there is one."""
        if self.source is None and self.last is None:
            return self
        return replace(self, source=label_of(self.source, labels, "stratified"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates, of the source if one is named."""
        if self.source is None:
            return np.flatnonzero(candidates.allowed)
        return in_window(candidates, self.source, 1, self.last)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Expected documents taken from the bin / documents in the bin; NaN for drawn lists."""
        if candidates.origin_of(self.source) != FIXED:
            return np.full(len(reach), np.nan)
        owner = equal_width_bins(candidates.score[reach], self.bins)
        sizes = np.bincount(owner, minlength=self.bins)
        base, open_bins, left = even_shares(sizes, size)
        expected = base.astype(np.float64)
        expected[open_bins] += left / max(1, len(open_bins))
        return expected[owner] / sizes[owner]

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw bin by bin, then put the group in random order."""
        owner = equal_width_bins(candidates.score[reach], self.bins)
        take, open_bins, left = even_shares(np.bincount(owner, minlength=self.bins), size)
        take[draws.permutation(open_bins)[:left]] += 1
        chosen = [
            draw_uniformly(reach[owner == number], take[number], draws)
            for number in np.flatnonzero(take)
        ]
        return draws.permutation(np.concatenate(chosen))


def equal_width_bins(score: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin (int64, 0 = lowest) of each score; equal scores share one bin."""
    low, high = score.min(), score.max()
    if not high > low:
        return np.zeros(len(score), dtype=np.int64)
    place = ((score - low) / (high - low) * bins).astype(np.int64)
    return np.minimum(place, bins - 1)


def even_shares(sizes: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Share `wanted` over bins of the given sizes as evenly as they allow.

    Returns (documents every bin gives for certain int64 [bins], bins that can give one more, how
    many of those are to be drawn). `wanted` is at most the sum of sizes.
    """
    level, left = 0, wanted
    open_bins = np.flatnonzero(sizes > 0)
    while len(open_bins) <= left and len(open_bins):
        step = min(int(sizes[open_bins].min()) - level, left // len(open_bins))
        level += step
        left -= step * len(open_bins)
        open_bins = np.flatnonzero(sizes > level)
    return np.minimum(sizes, level).astype(np.int64), open_bins, left
