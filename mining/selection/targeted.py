"""Strategies that aim at a statistic of the group: its locality, or the teacher's entropy on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ...native.scales import AS_STORED, LOGIT_TO_LOGPROB, PROB_TO_LOGPROB
from ..draws import generator
from ..errors import UsageError
from ..options import Option
from ..parts.costs import SWAPS, VECTORS
from ..parts.parameters import DRAWS, LAST, SOURCE, TEMPERATURE
from ..score_kinds import refuse_ranks
from .base import FIXED, STRATEGIES, Candidates, draw_uniformly, in_window, label_of
from .strategies import FromScores


@STRATEGIES.register("shell", VECTORS)
@dataclass(frozen=True, slots=True)
class Shell(FromScores):
    """A uniform draw from a shell around the positive in the vectors of a declared encoder.

    Candidates (of one source, or of the whole pool) are ordered by their distance from the
    positive, ties by document; those from the share `near` to the share `far` of that order form
    the shell: shell(0, 0.25) is the nearest quarter, shell(0.75, 1) the farthest. π = n / documents
    in it; unknown where a drawn list decides who is near.
    """

    near: Annotated[
        float, Option("Where the shell begins, as a share of the candidates by distance.")
    ] = 0.0
    far: Annotated[float, Option("Where it ends.")] = 0.25
    source: Annotated[str | None, SOURCE] = None
    last: Annotated[int | None, LAST] = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.near < self.far <= 1.0:
            raise UsageError(
                f"near={self.near},far={self.far} is not a shell", do="write 0 ≤ near < far ≤ 1"
            )

    @property
    def needs(self) -> frozenset[str]:
        """Vectors of the documents."""
        return frozenset({"vectors"})

    def bind(self, labels: Sequence[str]) -> Shell:
        """Name the source in full, where one is needed."""
        if self.source is None and self.last is None:
            return self
        return replace(self, source=label_of(self.source, labels, "shell"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates of the shell; documents with a zero vector are in none."""
        if self.source is None:
            inside = np.flatnonzero(candidates.allowed)
        else:
            inside = in_window(candidates, self.source, 1, self.last)
        assert candidates.distance is not None, "select_groups checks what a strategy needs"
        distance = candidates.distance()[inside]
        inside, distance = inside[~np.isnan(distance)], distance[~np.isnan(distance)]
        order = inside[np.argsort(distance, kind="stable")]
        low, high = round(self.near * len(order)), round(self.far * len(order))
        return order[low:high]

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """n / documents of the shell; NaN for drawn lists."""
        fixed = candidates.origin_of(self.source) == FIXED
        return np.full(len(reach), size / len(reach) if fixed else np.nan)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw without replacement."""
        return draw_uniformly(reach, size, draws)


@STRATEGIES.register("entropy_target", SWAPS)
@dataclass(frozen=True, slots=True)
class EntropyTarget(FromScores):
    """A group whose pair entropy D3 (bits, temperature T) comes close to `H`.

    Starts from a uniform draw and proposes `steps` swaps of a random member with a random outsider;
    a swap stays when it brings the entropy of the whole group, positive included, closer to `H`.
    The scale is log-probability, or the score as stored for similarities. The probability of a
    document has no closed form. With `draws`, the search is repeated that often and π estimated by
    the share of searches that chose the document, a uniform draw counted as one more: its standard
    error is at most 1/(2·√draws). Without, and over a drawn list, inclusion is NaN, never a number
    that looks like one.
    """

    H: Annotated[float, Option("The pair entropy that groups shall have.", unit="bits")] = 0.5
    T: Annotated[float, TEMPERATURE] = 1.0
    steps: Annotated[int, Option("Swaps that are tried.", unit="swaps")] = 200
    source: Annotated[str | None, SOURCE] = None
    last: Annotated[int | None, LAST] = None
    draws: Annotated[int | None, DRAWS] = None

    def __post_init__(self) -> None:
        if self.draws is not None and self.draws < 1:
            raise UsageError(f"draws={self.draws} is too few to estimate from", do="give 100")
        if not 0.0 <= self.H <= 1.0:
            raise UsageError(f"H={self.H} is not a pair entropy", do="give bits from 0 to 1")
        if not 0.0 < self.T < float("inf"):
            raise UsageError(f"T={self.T} is not a temperature", do="give a number above 0")
        if self.steps < 0:
            raise UsageError(f"steps={self.steps} is negative")

    def bind(self, labels: Sequence[str]) -> EntropyTarget:
        """Name the source in full, where one is needed."""
        if self.source is None and self.last is None:
            return self
        return replace(self, source=label_of(self.source, labels, "entropy_target"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates, of the source if one is named."""
        if self.source is None:
            return np.flatnonzero(candidates.allowed)
        return in_window(candidates, self.source, 1, self.last)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Unknown, or estimated by repeated searches that depend on the query alone."""
        if self.draws is None or candidates.origin_of(self.source) != FIXED:
            return np.full(len(reach), np.nan)
        hits = np.zeros(len(candidates))
        for number in range(self.draws):
            again = generator(number, "entropy_target.inclusion", candidates.query_id)
            hits[self.choose(candidates, reach, size, again)] += 1.0
        return (hits[reach] + size / len(reach)) / (self.draws + 1)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Search by swaps; one swap costs one row of the matrix of pair entropies."""
        order = draws.permutation(reach)
        score = log_probabilities(candidates.score, candidates.kind) / self.T
        items = np.concatenate([[candidates.positive], order])
        bits = pair_bits(score[items])
        members, outside = list(range(size + 1)), list(range(size + 1, len(items)))
        wanted = self.H * (size + 1) * size / 2.0
        total = float(bits[np.ix_(members, members)].sum()) / 2.0
        for _ in range(self.steps if outside else 0):
            leaving, coming = draws.integers(1, size + 1), draws.integers(len(outside))
            old, new = members[leaving], outside[coming]
            change = bits[new, members].sum() - bits[new, old] - bits[old, members].sum()
            if abs(total + change - wanted) < abs(total - wanted):
                members[leaving], outside[coming] = new, old
                total += float(change)
        return items[members[1:]]


def log_probabilities(score: np.ndarray, kind: str) -> np.ndarray:
    """Return s = log σ(z) of stored scores (float64), or similarities as they are.

    Raises UsageError for ranks.
    """
    refuse_ranks(kind, "a log-probability")
    code = {"logit": LOGIT_TO_LOGPROB, "probability": PROB_TO_LOGPROB}.get(kind, AS_STORED)
    if code == LOGIT_TO_LOGPROB:
        return -np.logaddexp(0.0, -score)
    if code == PROB_TO_LOGPROB:
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(score), -700.0)
    return score


def pair_bits(score: np.ndarray) -> np.ndarray:
    """Return the binary entropy (bits) of every ordered pair, 0 on the diagonal."""
    x = np.abs(score[:, None] - score[None, :])
    r = np.exp(-x)
    bits = (np.log1p(r) + x * r / (1.0 + r)) / np.log(2.0)
    np.fill_diagonal(bits, 0.0)
    return bits
