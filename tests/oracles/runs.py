"""Slow, obvious versions of what is done with ranked lists."""

from __future__ import annotations


def pool(lists, positives=()):
    """Return {doc: [(rank, score) or None per list]} of one query; lists are [(doc, score), …]."""
    found = {doc: [None] * len(lists) for doc in positives}
    for number, ranked in enumerate(lists):
        for rank, (doc, score) in enumerate(ranked, 1):
            found.setdefault(doc, [None] * len(lists))[number] = (rank, score)
    return dict(sorted(found.items()))


def rrf(lists, k):
    """Return {doc: sum over lists of 1 / (k + rank)}."""
    total = {}
    for ranked in lists:
        for rank, (doc, _) in enumerate(ranked, 1):
            total[doc] = total.get(doc, 0.0) + 1.0 / (k + rank)
    return total


def combsum(lists):
    """Return {doc: sum over lists of the score scaled to 0…1 within its list}."""
    total = {}
    for ranked in lists:
        scores = [score for _, score in ranked]
        for doc, score in ranked:
            low, high = min(scores), max(scores)
            scaled = (score - low) / (high - low) if high > low else 1.0
            total[doc] = total.get(doc, 0.0) + scaled
    return total


def _normalised(ranked, executor):
    """Return ({doc: value}, value of a document that the list lacks)."""
    scores = [score for _, score in ranked]
    if executor == "raw" or not ranked:
        return dict(ranked), 0.0
    if executor == "min_max":
        low, high = min(scores), max(scores)
        return {d: (s - low) / (high - low) if high > low else 1.0 for d, s in ranked}, 0.0
    mean = sum(scores) / len(scores)
    deviation = (sum((s - mean) ** 2 for s in scores) / len(scores)) ** 0.5
    found = {d: (s - mean) / deviation if deviation > 0 else 0.0 for d, s in ranked}
    return found, min(found.values())


def linear(lists, weights, executor):
    """Return {doc: weighted sum of normalised scores}."""
    docs = {doc for ranked in lists for doc, _ in ranked}
    total = dict.fromkeys(docs, 0.0)
    for ranked, weight in zip(lists, weights, strict=True):
        found, absent = _normalised(ranked, executor)
        for doc in docs:
            total[doc] += weight * found.get(doc, absent)
    return total


def combmnz(lists, executor):
    """Return {doc: summed normalised scores times the number of lists that hold it}."""
    total = linear(lists, [1.0] * len(lists), executor)
    return {d: s * sum(d in dict(ranked) for ranked in lists) for d, s in total.items()}
