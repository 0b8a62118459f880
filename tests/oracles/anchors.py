"""Anchors and bands, written from their definitions (docs/quantities.md §3, D5 and D6)."""

from __future__ import annotations

import math


def in_order(scores):
    """Candidates best first, ties by place."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def anchors(scores, top, size, by):
    """What is taken, in order: the head, then the anchors."""
    order = in_order(scores)
    rest, a = order[top:], size - top
    taken = order[:top]
    for j in range(a):
        u = (j + 0.5) / a
        if by == "quantile":
            taken.append(rest[math.floor(u * len(rest))])
            continue
        high, low = scores[rest[0]], scores[rest[-1]]
        level = high - u * (high - low)
        free = [i for i in rest if i not in taken]
        nearest = min(abs(scores[i] - level) for i in free)
        taken.append(next(i for i in free if abs(scores[i] - level) == nearest))
    return taken


def band_members(ranks, bands):
    """The candidates of each band: ranks 1 … of one list, 0 = not in it."""
    return [[i for i, r in enumerate(ranks) if first <= r <= last] for first, last in bands]
