"""Strategies over an order of candidates: the head with anchors over the rest, and rank bands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from ..errors import UsageError
from ..options import Option
from ..parts.parameters import LAST, SOURCE
from .base import (
    FIXED,
    STRATEGIES,
    Candidates,
    chance_beyond,
    draw_uniformly,
    in_window,
    label_of,
)
from .quotas import numbers_of
from .strategies import FromScores

_BAND = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)


@STRATEGIES.register("anchors")
@dataclass(frozen=True, slots=True)
class Anchors(FromScores):
    """The `top` best by the teacher, then anchors spread over the scores of the rest. π = 1.

    With `positives=together` these are the groups of arXiv 2604.04734 as Ettin used it: all
    positives, the head, anchors. The other candidates of a source's list (or of the whole pool)
    stand best first, ties by document. The a places that are left get, for j = 0 … a−1,
    `by=quantile`: the document at the quantile (j + ½)/a of that order; `by=width`: the document,
    not taken yet, whose score is nearest to high − (j + ½)/a·(high − low), the better one of two
    that are equally near. `count` is the most anchors: more positives leave fewer, so groups have
    from 2 + top to 1 + top + count documents. Nothing is drawn, so documents between the anchors
    have probability 0; unknown where a drawn list decides who is there.
    """

    top: Annotated[
        int, Option("The best by the teacher that are always taken.", unit="documents")
    ] = 16
    count: Annotated[int, Option("Most anchors spread over the rest.", unit="documents")] = 240
    by: Annotated[str, Option("Spread over the order (quantile) or over the scores (width).")] = (
        "quantile"
    )
    source: Annotated[str | None, SOURCE] = None
    last: Annotated[int | None, LAST] = None

    def __post_init__(self) -> None:
        if self.top < 0 or self.count < 1:
            raise UsageError(
                f"top={self.top},count={self.count} are no numbers of documents",
                do="give top=16,count=240: the head, at least 0, and anchors, at least 1",
            )
        if self.by not in ("quantile", "width"):
            raise UsageError(f"by={self.by} is unknown", do="write by=quantile or by=width")
        if self.last is not None and self.last < 1:
            raise UsageError(f"last={self.last} is not a rank", do="ranks start at 1")

    def bind(self, labels: Sequence[str]) -> Anchors:
        """Name the source in full, where one is needed."""
        if self.source is None and self.last is None:
            return self
        return replace(self, source=label_of(self.source, labels, "anchors"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates, of the source if one is named, best first.

        Raises UsageError for a size that leaves no place for an anchor, or needs more than `count`.
        """
        if not self.top < size <= self.top + self.count:
            raise UsageError(
                f"top={self.top},count={self.count} does not fit {size} documents beside the "
                "positives",
                do=f"choose groups of {2 + self.top} to {1 + self.top + self.count}, or another "
                "top and count",
            )
        if self.source is None:
            inside = np.flatnonzero(candidates.allowed)
        else:
            inside = in_window(candidates, self.source, 1, self.last)
        return inside[np.argsort(-candidates.score[inside], kind="stable")]

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """1 for the head and the anchors, 0 for the others; NaN where lists are drawn."""
        if candidates.origin_of(self.source) != FIXED:
            return np.full(len(reach), np.nan)
        chances = np.zeros(len(reach))
        chances[self._places(candidates.score[reach], size)] = 1.0
        return chances

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Take the head, then the anchors from the best on."""
        return reach[self._places(candidates.score[reach], size)]

    def _places(self, score: np.ndarray, size: int) -> np.ndarray:
        """Return the places (int64 [size]) that are taken of scores in falling order."""
        rest, number = score[self.top :], size - self.top
        share = (np.arange(number) + 0.5) / number
        if self.by == "quantile":
            places = (share * len(rest)).astype(np.int64)
        else:
            places = np.empty(number, np.int64)
            free = np.ones(len(rest), bool)
            for j, level in enumerate(rest[0] - share * (rest[0] - rest[-1])):
                distance = np.where(free, np.abs(rest - level), np.inf)
                places[j] = np.argmin(distance)
                free[places[j]] = False
        return np.concatenate([np.arange(self.top), self.top + places])


@STRATEGIES.register("bands")
@dataclass(frozen=True, slots=True)
class Bands(FromScores):
    """Uniform draws from bands of ranks, so many from each: π = take / allowed in the band.

    bands([1-32],[100-200]) takes half of the negatives from each band; the first bands take what is
    left over, unless `take` says how many each gives. Ranks are those of a source's list, or of the
    teacher: then the allowed candidates of the pool stand best first, ties by document. A band with
    too few makes no group. If the source draws its lists, π = n / documents of the corpus that may
    be negatives; over the teacher's order of a pool with a drawn list π is unknown.
    """

    gathers: ClassVar[str] = "ranks"  # bands([1-32],[100-200]) is bands(ranks=[1-32,100-200])

    ranks: Annotated[tuple[str, ...], Option("Bands of ranks.", example="[1-32],[100-200]")]
    source: Annotated[
        str | None, Option("Whose ranks; default: the teacher's order of the whole pool.")
    ] = None
    take: Annotated[
        tuple[int, ...] | None,
        Option("How many from each; default: shared evenly.", unit="documents"),
    ] = None

    def __post_init__(self) -> None:
        bands = self.windows
        if not bands or any(not 1 <= first <= last <= 65535 for first, last in bands):
            raise UsageError(
                f"[{','.join(self.ranks)}] are not bands of ranks",
                do="write bands([1-32],[100-200]); ranks go from 1 to 65535, the lower one first",
            )
        if any(first <= last for (first, _), (_, last) in zip(bands[1:], bands, strict=False)):
            raise UsageError(
                f"[{','.join(self.ranks)}] overlap or do not rise", do="write the first ranks first"
            )
        if self.take is not None and (
            len(self.take) != len(bands) or min(self.take) < 0 or not sum(self.take)
        ):
            raise UsageError(
                f"take={list(self.take)} does not fit {len(bands)} bands",
                do="give one number of documents per band",
            )

    @property
    def windows(self) -> list[tuple[int, int]]:
        """First and last rank of every band; (0, 0) for what is not written as one."""
        matches = [_BAND.fullmatch(text) for text in self.ranks]
        return [(int(m[1]), int(m[2])) if m else (0, 0) for m in matches]

    def bind(self, labels: Sequence[str]) -> Bands:
        """Name the source in full, if there is one."""
        if self.source is None:
            return self
        return replace(self, source=label_of(self.source, labels, "bands"))

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the union of the bands, or nothing where one of them is too small."""
        parts, numbers = self._parts(candidates), self._numbers(size)
        if any(len(part) < number for part, number in zip(parts, numbers, strict=True)):
            return np.empty(0, dtype=np.int64)
        return np.sort(np.concatenate(parts))

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """take / documents of the band; alike for all of a drawn list; NaN where it is unknown."""
        if candidates.origin_of(self.source) != FIXED:
            return np.full(len(reach), self.beyond(candidates, reach, size))
        chances = np.zeros(len(candidates))
        for part, number in zip(self._parts(candidates), self._numbers(size), strict=True):
            chances[part] = number / max(1, len(part))
        return chances[reach]

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The same for every document of the corpus, if the source draws."""
        if self.source is None:
            return FromScores.beyond(self, candidates, reach, size)
        return chance_beyond(candidates, self.source, size)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw from every band, then put the group in random order."""
        chosen = [
            draw_uniformly(part, number, draws)
            for part, number in zip(self._parts(candidates), self._numbers(size), strict=True)
        ]
        return draws.permutation(np.concatenate(chosen))

    def _parts(self, candidates: Candidates) -> list[np.ndarray]:
        """Return the allowed candidates of every band, by document."""
        if self.source is not None:
            return [in_window(candidates, self.source, *window) for window in self.windows]
        inside = np.flatnonzero(candidates.allowed)
        best = inside[np.argsort(-candidates.score[inside], kind="stable")]
        return [np.sort(best[first - 1 : last]) for first, last in self.windows]

    def _numbers(self, size: int) -> list[int]:
        """Return how many documents each band gives; raises UsageError for another sum."""
        return numbers_of(self.take, len(self.ranks), size)
