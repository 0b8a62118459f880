"""Strategies that favour some candidates: softmax of score or rank, and mixtures with a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UsageError
from .base import STRATEGIES, Candidates, draw_uniformly, drawn_share, in_window, label_of
from .strategies import FromScores


@STRATEGIES.register("softmax")
@dataclass(frozen=True, slots=True)
class Softmax(FromScores):
    """A draw weighted by softmax(score/T) of the teacher, or by exp(−rank/T) of a source.

    The inclusion probabilities are π = 1 − exp(−τ·w) with τ such that they sum to n: those of
    Gumbel top-k for large pools, within 0.04 in the small ones that were tried. Gumbel top-k itself
    has no closed form, so the draw is a systematic one over a random order, which has exactly these
    π.
    """

    T: float = 1.0
    by: str = "score"
    source: str | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.T < float("inf"):
            raise UsageError(f"T={self.T} is not a temperature", do="give a number above 0")
        if self.by not in ("score", "rank"):
            raise UsageError(f"by={self.by} is unknown", do="write by=score or by=rank")
        if self.last is not None and self.last < 1:
            raise UsageError(f"last={self.last} is not a rank", do="ranks start at 1")

    def bind(self, labels: Sequence[str]) -> Softmax:
        """Name the source in full, where one is needed."""
        if self.source is None and self.last is None and self.by == "score":
            return self
        return replace(self, source=label_of(self.source, labels, "softmax"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates, of the source if one is named."""
        if self.source is None:
            return np.flatnonzero(candidates.allowed)
        return in_window(candidates, self.source, 1, self.last)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """π = 1 − exp(−τ·w), times the source's own probability where that draws itself."""
        probability = self._drawn(candidates, reach, size)
        if self.source is not None:
            probability = probability * candidates.reached(self.source)[reach]
        return probability

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw systematically over a random order."""
        return reach[systematic(self._drawn(candidates, reach, size), size, draws)]

    def _drawn(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        if self.by == "score":
            return arrivals(candidates.score[reach] / self.T, size)
        return arrivals(-candidates.rank[str(self.source)][reach] / self.T, size)


def arrivals(log_weight: np.ndarray, size: int) -> np.ndarray:
    """Return π = 1 − exp(−τ·w), summing to `size`, for weights w = exp(log_weight).

    The probability that an exponential clock of rate w has rung by the time τ at which `size`
    clocks are expected to have rung.
    """
    if size == len(log_weight):
        return np.ones(size)
    low, high = -log_weight.max() - 40.0, 40.0 - log_weight.min()  # of log τ
    for _ in range(80):
        middle = (low + high) / 2.0
        if _rung(log_weight, middle).sum() < size:
            low = middle
        else:
            high = middle
    found = _rung(log_weight, high)
    return np.minimum(1.0, found * (size / found.sum()))


def _rung(log_weight: np.ndarray, log_tau: float) -> np.ndarray:
    return -np.expm1(-np.exp(np.minimum(log_weight + log_tau, 10.0)))


def systematic(probability: np.ndarray, size: int, draws: np.random.Generator) -> np.ndarray:
    """Draw `size` distinct indices such that each is included with exactly its probability.

    The indices stand in random order on a line, each as long as its probability; points at distance
    1 from a random start choose those they fall on.
    """
    order = draws.permutation(len(probability))
    ends = np.cumsum(probability[order])
    points = (draws.random() + np.arange(size)) * (ends[-1] / size)
    place = np.minimum(np.searchsorted(ends, points, side="right"), len(order) - 1)
    chosen = np.unique(place)
    if len(chosen) < size:  # rounding can put two points on one document of probability 1
        rest = np.setdiff1d(np.arange(len(order)), chosen)
        best = rest[np.argsort(-probability[order][rest], kind="stable")]
        chosen = np.concatenate([chosen, best[: size - len(chosen)]])
    return draws.permutation(order[chosen])


@STRATEGIES.register("mixture")
@dataclass(frozen=True, slots=True)
class Mixture(FromScores):
    """`number` documents from the target distribution, the rest from a window of another source.

    First `number` documents are drawn uniformly from the first `target_last` ranks of `target`,
    then the others uniformly from ranks first…last of `source`, never one twice. With λ = number /
    n the density ratio against the uniform target is at most 1/λ, whatever the window leaves out.
    """

    first: int = 1
    last: int | None = 200
    source: str | None = None
    target: str = "random"
    target_last: int | None = None
    number: int = 1

    def __post_init__(self) -> None:
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise UsageError(
                f"first={self.first},last={self.last} is not a window of ranks",
                do="ranks start at 1",
            )
        if self.number < 1:
            raise UsageError(f"number={self.number} must be at least 1")

    def bind(self, labels: Sequence[str]) -> Mixture:
        """Name both sources in full; the source may be left out where the pool has one other."""
        target = label_of(self.target, labels, "mixture")
        others = [label for label in labels if label != target] or [target]
        source = label_of(self.source, others if self.source is None else labels, "mixture")
        return replace(self, source=source, target=target)

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the union of both windows, or nothing where one of them is too small."""
        window, target = self._windows(candidates)
        shared = len(np.intersect1d(window, target))
        enough = len(window) - min(self.number, shared) >= size - self.number
        if self.number > min(size, len(target)) or not enough:
            return np.empty(0, dtype=np.int64)
        return np.union1d(window, target)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Exact, by the hypergeometric number of window documents that the target took first.

        A target source that drew itself multiplies its own probability into the target's part.
        """
        window, target = self._windows(candidates)
        of_window, of_target = np.isin(reach, window), np.isin(reach, target)
        shared, rest = int((of_window & of_target).sum()), size - self.number
        taken = np.where(of_target, self.number / len(target), 0.0)
        then = np.zeros(len(reach))
        for also, population, others in (
            (True, len(target) - 1, shared - 1),
            (False, len(target), shared),
        ):
            mine = of_window & (of_target == also)
            if mine.any():
                then[mine] = _expected_share(len(window), rest, population, others, self.number)
        return taken * candidates.reached(self.target)[reach] + (1.0 - taken) * then

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The target's part, if the target draws."""
        return drawn_share(candidates, self.target, self._windows(candidates)[1], self.number)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw from the target, then from what is left of the window, in random order."""
        window, target = self._windows(candidates)
        taken = draw_uniformly(target, self.number, draws)
        rest = draw_uniformly(np.setdiff1d(window, taken), size - self.number, draws)
        return draws.permutation(np.concatenate([taken, rest]))

    def _windows(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        return (
            in_window(candidates, str(self.source), self.first, self.last),
            in_window(candidates, self.target, 1, self.target_last),
        )


def _expected_share(window: int, rest: int, population: int, shared: int, number: int) -> float:
    """E[rest / (window − H)], H of `shared` window documents among `number` drawn of `population`.

    `population` and `shared` leave out the document whose probability is asked for, given that it
    was not drawn.
    """
    total, found = math.comb(population, number), 0.0
    for taken in range(max(0, number - (population - shared)), min(number, shared) + 1):
        ways = math.comb(shared, taken) * math.comb(population - shared, number - taken)
        found += ways / total * rest / (window - taken)
    return found
