"""Slow, obvious BM25: every document scored in float64 for every query, in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

Scored = list[tuple[int, float]]


def stored_off(query: Sequence[str], score: Any, documents: int) -> Any:
    """How far a stored score may be from the exact one.

    Impacts are multiples of 2⁻²⁴, rounded once for every time that their term stands in the query;
    where the query's idf, at most ln(1 + N) a word, might not fit 2³¹ of them, bits of each term
    are cut; and the sum is stored in float32.
    """
    words = len(query)
    shift = max(0, math.ceil(math.log2(words * math.log(1 + documents) + 1)) - 7) if words else 0
    cut = words * 2.0 ** (shift - 24) if shift else 0.0
    return words * 2.0**-25 + cut + 1.01 * 2.0**-24 * score


def bm25(
    docs: Sequence[Sequence[str]],
    queries: Sequence[Sequence[str]],
    k: int,
    k1: float = 0.9,
    b: float = 0.4,
) -> list[Scored]:
    """Return for each query the k best (document, score), best first, ties by document.

    Documents and queries are lists of terms. As in Lucene, a document without terms counts neither
    for N nor for the average length. Documents that share no term with the query are not listed.
    """
    bags = [Counter(doc) for doc in docs]
    filled = sum(1 for doc in docs if doc)
    average = sum(len(doc) for doc in docs) / max(filled, 1)
    df = Counter(term for bag in bags for term in bag)
    found = []
    for query in queries:
        scored = []
        for d, bag in enumerate(bags):
            parts = []
            for term, count in Counter(query).items():
                if bag[term]:
                    idf = math.log1p((filled - df[term] + 0.5) / (df[term] + 0.5))
                    norm = k1 * (1 - b + b * len(docs[d]) / average)
                    parts.append(count * (idf * (bag[term] / (bag[term] + norm))))
            if any(bag[term] for term in query):
                scored.append((d, math.fsum(parts)))  # does not depend on their order
        found.append(sorted(scored, key=lambda entry: (-entry[1], entry[0]))[:k])
    return found
