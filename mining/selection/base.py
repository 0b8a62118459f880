"""What strategies have in common: their family of names, a query's candidates, and a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..names import Family
from ..parts.costs import CANDIDATES
from ..runs.labels import label_of as label_of  # strategies and statistics name sources by it

STRATEGIES = Family(
    "strategy",
    __package__,
    {
        ".anchored": "anchors bands",
        ".quotas": "quotas",
        ".strategies": "random stratified top uniform",
        ".targeted": "entropy_target shell",
        ".weighted": "mixture softmax",
        "..derive.blocks.values": "blocked_cell",
    },
    group="rankmill.strategies",
    plural="strategies",
    costs=CANDIDATES,
)
FILTERS = Family(
    "filter",
    __package__,
    {".filters": "between margin near_copies percentile rank_window share"},
    group="rankmill.filters",
    plural="filters",
    costs=CANDIDATES,
)

FIXED, DRAWN, MIXED = "fixed", "drawn", "mixed"
"""What a source's list is: the same whatever the seed; a uniform draw from the corpus; or made from
such draws and other lists (a fusion with `random` as a member)."""


@dataclass(slots=True)
class Candidates:
    """All pool documents of one query, by ascending ordinal; every array has one entry per
    document.

    doc uint32; score float64, the teacher's, as stored (`kind` says what it is); rank[label]
    uint16, 1-based, 0 = that source did not find it; `allowed` bool: may become a negative;
    `positive` is the index of the group's positive, `also` (int64) those of its further positives.
    `distance()` gives the Euclidean distance of every document from the positive in the vectors of
    a declared encoder; `resemblance(least)` the largest text overlap (`near_copies`) of every
    document with any positive of the query, 0 for one below `least`; `judged` bool says which
    documents have a judgement; `removed` how many each filter took out.

    `origin[label]` says what a source's list is (FIXED unless named), `documents` how many the
    corpus holds that are not empty, `outside` how many of those the pool lacks and may be
    negatives. `barred` bool: can be no negative whatever is drawn or filtered (positives, their
    copies, empty documents); by default those not allowed at first.
    """

    query_id: str
    doc: np.ndarray
    score: np.ndarray
    kind: str
    rank: Mapping[str, np.ndarray]
    allowed: np.ndarray
    positive: int
    distance: Callable[[], np.ndarray] | None = None
    judged: np.ndarray | None = None
    also: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    resemblance: Callable[[float], np.ndarray] | None = None
    removed: Mapping[str, int] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    documents: int = 0
    outside: int = 0
    barred: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.barred is None:
            self.barred = ~self.allowed

    def __len__(self) -> int:
        return len(self.doc)

    def origin_of(self, label: str | None) -> str:
        """Return FIXED, DRAWN or MIXED; no label means the whole pool."""
        if label is not None:
            return self.origin.get(label, FIXED)
        return FIXED if all(one == FIXED for one in self.origin.values()) else MIXED

    @property
    def by_draw_alone(self) -> np.ndarray:
        """Which documents (bool) are in a drawn list and in no fixed one."""
        drawn, fixed = np.zeros(len(self), bool), np.zeros(len(self), bool)
        for label, rank in self.rank.items():
            origin = self.origin_of(label)
            if origin == FIXED:
                fixed |= rank > 0
            elif origin == DRAWN:
                drawn |= rank > 0
        return drawn & ~fixed

    @property
    def share_outside(self) -> float:
        """The share of the documents outside the pool that may be chosen: what filters and missing
        scores leave of those that a source drew, 1 where they take nothing."""
        drawn = self.by_draw_alone & ~np.asarray(self.barred)
        return float(self.allowed[drawn].mean()) if drawn.any() else 1.0

    @property
    def population(self) -> int:
        """How many documents of the corpus can be negatives: what a drawn list is drawn from."""
        return int(self.allowed.sum()) + round(self.outside * self.share_outside)


class Strategy(Protocol):
    """How the negatives of a group are chosen, and with what probability each could have been."""

    @property
    def needs(self) -> frozenset[str]:
        """Return what must be declared besides pool and scores: `vectors`."""
        ...

    def bind(self, labels: Sequence[str]) -> Strategy:
        """Return the same strategy with its source named in full, as the pool's columns are."""
        ...

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the indices (int64) of the allowed candidates that can be chosen at all.

        Fewer than `size` mean that no group can be made.
        """
        ...

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the pool's columns on which the choice depends; the whole pool is all of them."""
        ...

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Return the probability (float64 [reach]) of each to be among the `size` chosen.

        It is that of drawing the lists and the group, both. NaN where it has no closed form.
        `size` is at most the number of reachable candidates.
        """
        ...

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """Return the probability of a document that the strategy's list might have held but did
        not: 0 unless its source draws its lists itself, over the whole corpus."""
        ...

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Return `size` of the reachable indices (int64), in the order chosen."""
        ...


class Filter(Protocol):
    """Which candidates may become negatives."""

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the pool's columns on which the fate of a document depends, beside itself."""
        ...

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Return bool [candidates]: False for those to be removed."""
        ...


def in_window(candidates: Candidates, label: str, first: int, last: int | None) -> np.ndarray:
    """Return the indices of the allowed candidates that a source ranks first…last."""
    rank = candidates.rank[label]
    inside = candidates.allowed & (rank >= first)
    return np.flatnonzero(inside if last is None else inside & (rank <= last))


def even_chance(candidates: Candidates, label: str, listed: int, size: int) -> float:
    """Return the probability of each document where `size` of the `listed` are drawn uniformly.

    `listed` is how many documents of a window of the source's list are allowed. A drawn list is
    itself a uniform draw from the population, whatever its length and the window: `size` documents
    of it are `size` documents of the population. NaN for a MIXED list.
    """
    origin = candidates.origin_of(label)
    if origin == MIXED:
        return float("nan")
    return size / (listed if origin == FIXED else candidates.population)


def chance_beyond(candidates: Candidates, label: str, size: int) -> float:
    """Return `even_chance` of a document that the source's list does not hold: 0 if it is FIXED."""
    fixed = candidates.origin_of(label) == FIXED
    return 0.0 if fixed else even_chance(candidates, label, 0, size)


def draw_uniformly(reach: np.ndarray, size: int, draws: np.random.Generator) -> np.ndarray:
    """Draw `size` of the indices without replacement."""
    return reach[draws.permutation(len(reach))[:size]]
