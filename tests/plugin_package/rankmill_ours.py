"""A plug-in source, teacher and statistic, registered by their entry points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rankmill.plugins import Collection, Column, Rows, Search, source, statistic, teacher


@source("shared_words")
@dataclass(frozen=True, slots=True)
class SharedWords:
    """Documents by the number of different words shared with the query, at least `least`."""

    least: int = 1

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError(f"least={self.least} must be at least 1")

    def searcher(self, collection: Collection) -> Search:
        """Hold which documents have which word."""
        holders: dict[str, list[int]] = {}
        for doc, text in enumerate(collection.corpus.texts(range(len(collection.corpus)))):
            for word in set(text.lower().split()):
                holders.setdefault(word, []).append(doc)

        def search(text: str, depth: int) -> tuple[list[int], list[float]]:
            words = set(text.lower().split())
            shared = Counter(doc for word in words for doc in holders.get(word, ()))
            found = {doc: float(n) for doc, n in shared.items() if n >= self.least}
            return list(found), list(found.values())

        return search


@teacher("overlap")
@dataclass(frozen=True, slots=True)
class Overlap:
    """Scores by the share of the query's words that a document holds, less its length / `per`."""

    per: float = 1000.0
    kind = "similarity"

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return one number for every (query, document)."""
        return [self._one(set(query.split()), set(doc.split())) for query, doc in pairs]

    def _one(self, query: set[str], doc: set[str]) -> float:
        return len(query & doc) / max(len(query), 1) - len(doc) / self.per


@statistic("spread")
@dataclass(frozen=True, slots=True)
class Spread:
    """The largest score of a row less the smallest, `times` over."""

    times: float = 1.0
    unit = "as stored"
    needs = frozenset[str]()
    version = "2"

    def measure(self, rows: Rows) -> Column:
        """Return values and status, 0 = defined, of every row."""
        high = np.maximum.reduceat(rows.scores, rows.offsets[:-1]).astype(np.float64)
        low = np.minimum.reduceat(rows.scores, rows.offsets[:-1])
        return self.times * (high - low), np.zeros(len(rows), np.uint8)
