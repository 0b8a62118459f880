"""Quotas: so many negatives from each of several sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..errors import UsageError
from ..options import Option
from .base import FIXED, MIXED, STRATEGIES, Candidates, draw_uniformly, in_window, label_of
from .strategies import FromScores


@STRATEGIES.register("quotas")
@dataclass(frozen=True, slots=True)
class Quotas(FromScores):
    """`take[i]` documents, drawn uniformly, from the first `last` ranks of `sources[i]`.

    A document that several sources found belongs to the first of them in this order, so the parts
    do not overlap and π = take / documents of the part, exactly. A list that is drawn comes last,
    wherever it is named: its part is drawn from all documents that belong to no other, and what the
    other parts hold does not depend on the draw. Without `take` the negatives are shared evenly,
    the first sources taking what is left over.
    """

    sources: Annotated[tuple[str, ...], Option("Sources of the pool.", example="[bm25,random]")]
    take: Annotated[
        tuple[int, ...] | None,
        Option("How many from each; default: shared evenly.", unit="documents"),
    ] = None
    last: Annotated[int | None, Option("Only the first ranks of each source.", unit="rank")] = 200

    def __post_init__(self) -> None:
        if len(self.sources) < 2 or len(set(self.sources)) < len(self.sources):
            raise UsageError(
                f"sources=[{','.join(self.sources)}] are not two or more sources",
                do="write sources=[bm25,dense]",
            )
        if self.take is not None and (
            len(self.take) != len(self.sources) or min(self.take) < 0 or not sum(self.take)
        ):
            raise UsageError(
                f"take={list(self.take)} does not fit {len(self.sources)} sources",
                do="give one number of documents per source",
            )
        if self.last is not None and self.last < 1:
            raise UsageError(f"last={self.last} is not a rank", do="ranks start at 1")

    def bind(self, labels: Sequence[str]) -> Quotas:
        """Name the sources in full."""
        in_full = tuple(label_of(source, labels, "quotas") for source in self.sources)
        return replace(self, sources=in_full)

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """The lists of its sources."""
        return frozenset(self.sources)

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the union of the parts, or nothing where one of them is too small."""
        parts, numbers = self._parts(candidates), self._numbers(size)
        if any(len(part) < number for part, number in zip(parts, numbers, strict=True)):
            return np.empty(0, dtype=np.int64)
        return np.sort(np.concatenate(parts))

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """take / documents of the part, of a drawn list: of the population that is in no part."""
        probability = np.full(len(candidates), self.beyond(candidates, reach, size))
        for source, part, number in self._each(candidates, size):
            if candidates.origin_of(source) == FIXED:
                probability[part] = number / max(1, len(part))
        return probability[reach]

    def beyond(self, candidates: Candidates, reach: np.ndarray, size: int) -> float:
        """The part of a source that draws its lists itself."""
        free, share = candidates.population, 0.0
        for source, part, number in self._each(candidates, size):
            origin = candidates.origin_of(source)
            free -= len(part) if origin == FIXED else 0
            share += 0.0 if origin == FIXED else float("nan") if origin == MIXED else number
        return share / free if share else 0.0

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Draw from every part, then put the group in random order."""
        chosen = [
            draw_uniformly(part, number, draws) for _, part, number in self._each(candidates, size)
        ]
        return draws.permutation(np.concatenate(chosen))

    def _each(self, candidates: Candidates, size: int) -> list[tuple[str, np.ndarray, int]]:
        numbers = self._numbers(size)
        return list(zip(self.sources, self._parts(candidates), numbers, strict=True))

    def _parts(self, candidates: Candidates) -> list[np.ndarray]:
        """Return the candidates that belong to each source: fixed lists choose first."""
        free, parts = np.ones(len(candidates), dtype=bool), {}
        for source in sorted(self.sources, key=lambda one: candidates.origin_of(one) != FIXED):
            window = in_window(candidates, source, 1, self.last)
            parts[source] = window[free[window]]
            free[window] = False
        return [parts[source] for source in self.sources]

    def _numbers(self, size: int) -> list[int]:
        """Return how many documents each source gives; raises UsageError for another sum."""
        return numbers_of(self.take, len(self.sources), size)


def numbers_of(take: Sequence[int] | None, parts: int, size: int) -> list[int]:
    """Return how many of `size` documents each of some parts gives: as equal as can be, the first
    ones more, or what `take` says; raises UsageError for another sum."""
    if take is None:
        each, over = divmod(size, parts)
        return [each + (place < over) for place in range(parts)]
    if sum(take) != size:
        raise UsageError(
            f"take={list(take)} are {sum(take)} documents, the group wants {size}",
            do="let the numbers sum to the size of the group less its positives",
        )
    return list(take)
