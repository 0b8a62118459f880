"""Where the documents of a group come from, by lists and sets, group by group."""

from __future__ import annotations

import math
import statistics

_PROFILES = {"min": min, "mean": statistics.fmean, "median": statistics.median, "max": max}


def overlap(a, b, last):
    """Return |A ∩ B| / |A ∪ B| of the first `last` ranks of two lists (0: not found)."""
    first, second = ({i for i, rank in enumerate(r) if 0 < rank <= last} for r in (a, b))
    return len(first & second) / len(first | second) if first | second else math.nan


def found_share(docs, rank, negatives):
    """Return the share of the negatives that a list found; it may lack a document altogether."""
    found = dict(zip(docs, rank, strict=True))
    return sum(found.get(d, 0) > 0 for d in negatives) / len(negatives) if negatives else math.nan


def rank_profile(docs, rank, negatives, of):
    """Return a profile of the ranks of the negatives that a list found."""
    found = dict(zip(docs, rank, strict=True))
    ranks = [found[d] for d in negatives if found.get(d, 0) > 0]
    return float(_PROFILES[of](ranks)) if ranks else math.nan


def teacher_ranks(docs, score):
    """Return the ranks under the teacher, 1 is best, ties by document, 0 without a score."""
    known = [i for i in range(len(docs)) if not math.isnan(score[i])]
    order = sorted(known, key=lambda i: (-score[i], docs[i]))
    return [1 + order.index(i) if i in known else 0 for i in range(len(docs))]


def source_entropy(rank, score):
    """Return −Σ w log₂ w over what a list holds, w = s/Σs; NaN for a negative score or none."""
    listed = [s for r, s in zip(rank, score, strict=True) if r > 0]
    if not listed or not min(listed) >= 0 or sum(listed) == 0:
        return math.nan
    shares = [s / math.fsum(listed) for s in listed]
    return -math.fsum(w * math.log2(w) for w in shares if w > 0)
