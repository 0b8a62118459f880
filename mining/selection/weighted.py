"""Strategies that favour some candidates: softmax of score or rank, and mixtures with a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..errors import UsageError
from ..options import Option
from ..parts.parameters import FIRST, LAST, SOURCE, TEMPERATURE
from .base import (
    DRAWN,
    FIXED,
    MIXED,
    STRATEGIES,
    Candidates,
    chance_beyond,
    draw_uniformly,
    even_chance,
    in_window,
    label_of,
)
from .strategies import FromScores


@STRATEGIES.register("softmax")
@dataclass(frozen=True, slots=True)
class Softmax(FromScores):
    """A draw weighted by softmax(score/T) of the teacher, or by exp(−rank/T) of a source.

    The inclusion probabilities are π = 1 − exp(−τ·w) with τ such that they sum to n, and the draw
    is a systematic one over a random order, which has exactly these π. It is not Gumbel top-k,
    whose π have no closed form: the two agree where all π are small, and are up to 0.101 apart
    where one document outweighs the rest, in pools of any size. The ranks of a drawn list say
    nothing of a document, so `by=rank` over one gives π = n / documents that may be negatives;
    `by=score` over one has no known π.
    """

    T: Annotated[float, TEMPERATURE] = 1.0
    by: Annotated[str, Option("What weighs: the teacher's score, or the rank in a source.")] = (
        "score"
    )
    source: Annotated[str | None, SOURCE] = None
    last: Annotated[int | None, LAST] = None

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
        """π = 1 − exp(−τ·w); alike for all by the ranks of a drawn list, NaN by its scores."""
        if candidates.origin_of(self.source) == FIXED:
            return self._drawn(candidates, reach, size)
        if self.by == "score":
            return np.full(len(reach), np.nan)
        return np.full(len(reach), even_chance(candidates, str(self.source), len(reach), size))

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The same for every document of the corpus, by the ranks of a drawn list."""
        if self.by == "score":
            return FromScores.beyond(self, candidates, reach, size)
        return chance_beyond(candidates, str(self.source), size)

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
    rung = _rung(log_weight, high)
    return np.minimum(1.0, rung * (size / rung.sum()))


def _rung(log_weight: np.ndarray, log_tau: float) -> np.ndarray:
    return -np.expm1(-np.exp(np.minimum(log_weight + log_tau, 10.0)))


def systematic(probability: np.ndarray, size: int, draws: np.random.Generator) -> np.ndarray:
    """Draw `size` distinct indices such that each is included with exactly its probability.

    The indices stand in random order on a line, each as long as its probability; points at distance
    1 from a random start choose those they fall on. Exact up to rounding: less than size·2⁻⁵⁰.
    """
    order = draws.permutation(len(probability))
    ends = np.cumsum(probability[order])
    points = (draws.random() + np.arange(size)) * (ends[-1] / size)
    points = np.minimum(points, np.nextafter(ends[-1], 0.0))  # never past a document of π > 0
    place = np.searchsorted(ends, points, side="right")
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
    n the density ratio against the uniform target is at most 1/λ, whatever the window leaves out:
    π ≥ number / documents of the target. The target of a list that is drawn is the corpus.
    """

    first: Annotated[int, FIRST] = 1
    last: Annotated[int | None, Option("Last rank of the window.", unit="rank")] = 200
    source: Annotated[str | None, SOURCE] = None
    target: Annotated[
        str, Option("The source that some documents are drawn from, whatever the window holds.")
    ] = "random"
    target_last: Annotated[
        int | None, Option("Only its first ranks; default: all.", unit="rank")
    ] = None
    number: Annotated[int, Option("How many come from the target.", unit="documents")] = 1

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

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Both lists."""
        return frozenset([str(self.source), self.target])

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the union of both windows, or nothing where one of them is too small.

        Whether a group is made must not depend on which documents were drawn, only on how many:
        so with a drawn list the target may take any document of the window.
        """
        window, target = self._windows(candidates)
        shared = len(window)
        if self._origins(candidates) == (FIXED, FIXED):
            shared = len(np.intersect1d(window, target))
        enough = len(window) - min(self.number, shared) >= size - self.number
        if self.number > min(size, len(target)) or not enough:
            return np.empty(0, dtype=np.int64)
        return np.union1d(window, target)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Exact, by the hypergeometric number of window documents that the target took first.

        A drawn list counts as the whole population: `number` of its documents are `number` of the
        population, and what is drawn next from it is drawn from the rest of the population.
        """
        if MIXED in self._origins(candidates):
            return np.full(len(reach), np.nan)
        inside = [
            np.isin(reach, one) if origin == FIXED else np.ones(len(reach), bool)
            for one, origin in zip(
                self._windows(candidates), self._origins(candidates), strict=True
            )
        ]
        sizes, chances = self._sizes(candidates), np.zeros(len(reach))
        for of_window, of_target in ((True, True), (True, False), (False, True)):
            mine = (inside[0] == of_window) & (inside[1] == of_target)
            if mine.any():
                chances[mine] = self._chance(sizes, size, of_window, of_target)
        return chances

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """That of a document which only a drawn list could have held."""
        origins = self._origins(candidates)
        if MIXED in origins:
            return float("nan")
        source, target = (origin == DRAWN for origin in origins)
        if not source and not target:
            return 0.0
        return self._chance(self._sizes(candidates), size, source, target)

    def _sizes(self, candidates: Candidates) -> tuple[int, int, int]:
        """Return the documents of window and target and those that they share, a drawn list holding
        all there are."""
        (window, target), origins = self._windows(candidates), self._origins(candidates)
        if origins == (FIXED, FIXED):
            return len(window), len(target), len(np.intersect1d(window, target))
        of_window, of_target = (
            len(one) if origin == FIXED else candidates.population
            for one, origin in zip((window, target), origins, strict=True)
        )
        return of_window, of_target, min(of_window, of_target)

    def _chance(
        self, sizes: tuple[int, int, int], size: int, of_window: bool, of_target: bool
    ) -> float:
        """Return π of a document by which of the lists hold it."""
        window, target, shared = sizes
        taken = self.number / target if of_target else 0.0
        if not of_window:
            return taken
        own, rest = int(of_target), size - self.number
        then = _expected_share(window, rest, target - own, shared - own, self.number)
        return taken + (1.0 - taken) * then

    def _origins(self, candidates: Candidates) -> tuple[str, str]:
        source, target = str(self.source), self.target
        return candidates.origin_of(source), candidates.origin_of(target)

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
    total, expected = math.comb(population, number), 0.0
    for taken in range(max(0, number - (population - shared)), min(number, shared) + 1):
        ways = math.comb(shared, taken) * math.comb(population - shared, number - taken)
        expected += ways / total * rest / (window - taken)
    return expected
