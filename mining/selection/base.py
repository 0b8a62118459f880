"""What strategies have in common: their family of names, a query's candidates, and a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..errors import BadInput, UsageError
from ..names import Family, nearest

STRATEGIES = Family("strategy")
FILTERS = Family("filter")


@dataclass(slots=True)
class Candidates:
    """All pool documents of one query, by ascending ordinal; every array has one entry per
    document.

    doc uint32; score float64, the teacher's, as stored (`kind` says what it is); rank[label]
    uint16, 1-based, 0 = that source did not find it; `allowed` bool: may become a negative;
    `positive` is the index of the group's positive, `also` (int64) those of its further positives.
    `reached[label]()` gives the probability at which a drawn source had included the document, 1
    for sources that do not draw; `distance()` the Euclidean distance of every document from the
    positive in the vectors of a declared encoder; `resemblance(least)` the largest text overlap
    (`near_copies`) of every document with any positive of the query, 0 for one below `least`;
    `judged` bool says which documents have a judgement; `removed` how many each filter took out.
    """

    query_id: str
    doc: np.ndarray
    score: np.ndarray
    kind: str
    rank: Mapping[str, np.ndarray]
    allowed: np.ndarray
    positive: int
    reached: Callable[[str], np.ndarray]
    distance: Callable[[], np.ndarray] | None = None
    judged: np.ndarray | None = None
    also: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    resemblance: Callable[[float], np.ndarray] | None = None
    removed: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.doc)


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

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Return the probability (float64 [reach]) of each to be among the `size` chosen.

        NaN where it has no closed form. `size` is at most the number of reachable candidates.
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

    def keeps(self, candidates: Candidates) -> np.ndarray:
        """Return bool [candidates]: False for those to be removed."""
        ...


def label_of(source: str | None, labels: Sequence[str], what: str) -> str:
    """Return the pool column that a `source=` parameter means.

    A label in full, or the name before its bracket where only one label has it. None is allowed for
    a pool of one source. Raises UsageError naming the labels.
    """
    known = f"the pool has: {', '.join(labels) or 'no source'}"
    if source is None:
        if len(labels) == 1:
            return labels[0]
        raise UsageError(f"{what} must name its source: the pool has {len(labels)}", do=known)
    if source in labels:
        return source
    found = [label for label in labels if label.partition("(")[0] == source]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{what}: {len(found)} sources are called {source}", do=known)
    raise BadInput(
        f"{what}: the pool has no source {source!r}", where=known, do=nearest(source, list(labels))
    )


def in_window(candidates: Candidates, label: str, first: int, last: int | None) -> np.ndarray:
    """Return the indices of the allowed candidates that a source ranks first…last."""
    rank = candidates.rank[label]
    inside = candidates.allowed & (rank >= first)
    return np.flatnonzero(inside if last is None else inside & (rank <= last))


def drawn_share(candidates: Candidates, label: str, reach: np.ndarray, size: int) -> float:
    """Return the probability that a uniform draw of `size` from a drawn list gives every document.

    0 for a source that does not draw, or that has drawn everything there is.
    """
    reached = candidates.reached(label)[reach]
    if not len(reach) or reached.min() >= 1.0:
        return 0.0
    return float(size / len(reach) * reached.min())


def draw_uniformly(reach: np.ndarray, size: int, draws: np.random.Generator) -> np.ndarray:
    """Draw `size` of the indices without replacement."""
    return reach[draws.permutation(len(reach))[:size]]
