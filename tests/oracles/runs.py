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
