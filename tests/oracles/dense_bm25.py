"""Exhaustive BM25 in float64 over a whole collection, with NumPy: quicker than `oracles.bm25`, and
as simple: every document gets a score for every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np


class Exhaustive:
    """Documents as lists of terms."""

    def __init__(self, docs: Sequence[Sequence[str]], k1: float = 0.9, b: float = 0.4):
        lengths = np.array([len(doc) for doc in docs], dtype=np.float64)
        self.filled = int(np.count_nonzero(lengths))
        self.norm = k1 * (1 - b + b * lengths / (lengths.sum() / self.filled))
        self.counts: dict[str, list[tuple[int, int]]] = {}
        for number, doc in enumerate(docs):
            for term, count in Counter(doc).items():
                self.counts.setdefault(term, []).append((number, count))

    def best(self, query: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k best (documents, scores), ties by document.

        A document's impacts are summed from the smallest on, so that the same impacts on other
        terms give the same float64 sum.
        """
        rows = []
        for term, times in Counter(query).items():
            row = np.zeros(len(self.norm))
            if found := self.counts.get(term):
                doc, count = np.array(found).T
                idf = np.log1p((self.filled - len(doc) + 0.5) / (len(doc) + 0.5))
                row[doc] = times * (idf * (count / (count + self.norm[doc])))
            rows.append(row)
        score = np.sort(np.array(rows or [np.zeros(len(self.norm))]), axis=0).sum(axis=0)
        hits = np.flatnonzero(score > 0)
        order = hits[np.lexsort((hits, -score[hits]))][:k]
        return order, score[order]
