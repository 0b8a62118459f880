"""Filters over the candidates of many groups: each takes from `allowed` what it does not keep.

A group g looks at the pairs first[g], first[g]+1, … of flat columns; its own flags stand in
`allowed` uint8, allowed[offsets[g]:offsets[g+1]]. `removed` int64 [n] counts what a filter took.
`undecided` uint8 [n] is set where rounding could decide, so that the formula itself is asked.

Loops over candidates have no branch: whether one is kept cannot be foretold, and a wrong guess
costs the processor more than ten candidates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)

_BAND = 1e-9  # of the logit, relative: far above the rounding of the formulas below


class Groups(NamedTuple):
    """Groups: first int64 [n], offsets int64 [n+1], positive int64 [n] (the place in its row),
    allowed uint8 [offsets[n]]."""

    first: np.ndarray
    offsets: np.ndarray
    positive: np.ndarray
    allowed: np.ndarray


@_jit
def begin(groups, score, marks, start, stop):
    """Allow what has a score, no mark, and is not the group's own positive."""
    for g in range(start, stop):
        allowed, own = _flags(groups, g), _scores(groups, score, g)
        mark = marks[groups.first[g] : groups.first[g] + len(allowed)]
        for i in range(len(allowed)):
            allowed[i] = (mark[i] == 0) & (own[i] == own[i])
        if groups.positive[g] >= 0:
            allowed[groups.positive[g]] = 0


@_jit
def _flags(groups, g):
    """Return the flags of a group: a view."""
    return groups.allowed[groups.offsets[g] : groups.offsets[g + 1]]


@_jit
def _scores(groups, score, g):
    """Return the scores of a group's candidates: a view."""
    first = groups.first[g]
    return score[first : first + groups.offsets[g + 1] - groups.offsets[g]]


@_jit
def log_probability(logit):
    """log σ(z) = −log(1 + e^−z)."""
    if logit > 0.0:
        return -math.log1p(math.exp(-logit))
    return logit - math.log1p(math.exp(logit))


@_jit
def keep_below(groups, score, gap, as_log_probability, start, stop, removed, undecided):
    """Keep s_j ≤ s_0 − gap, s the score (float64) as it is or its log-probability.

    log σ rises, so that a log-probability is compared by the logit that has it: one logarithm for
    a group in place of two functions for each document.
    """
    for g in range(start, stop):
        allowed, scores = _flags(groups, g), _scores(groups, score, g)
        own = scores[groups.positive[g]]
        limit, band = own - gap, 0.0
        if as_log_probability:
            s = log_probability(own)
            bound = s - gap
            if bound >= 0.0:
                limit = np.inf
            else:
                slope = -math.expm1(bound)
                limit = bound - math.log(slope)
                band = _BAND * (1.0 + abs(limit)) + 1e-15 * (abs(s) + abs(gap)) / slope
        sharp, even, top = band > 0.0, gap == 0.0, limit + band
        taken, unsure = 0, 0
        for i in range(len(allowed)):
            x, was = scores[i], allowed[i] != 0
            near = sharp & (abs(x - limit) <= band) & ((x != own) | (not even))
            gone = was & (not near) & (not (x <= top))
            unsure += was & near
            taken += gone
            allowed[i] = was & (not gone)
        removed[g] += taken
        if unsure:
            undecided[g] = 1


@_jit
def keep_between(groups, score, bounds, start, stop, removed, undecided):
    """Keep low ≤ score ≤ high; bounds = (low, high, band): within the band of one is undecided."""
    low, high, band = bounds
    sharp, about_low, about_high = band > 0.0, band * (1.0 + abs(low)), band * (1.0 + abs(high))
    for g in range(start, stop):
        allowed, scores = _flags(groups, g), _scores(groups, score, g)
        taken, unsure = 0, 0
        for i in range(len(allowed)):
            x, was = scores[i], allowed[i] != 0
            near = sharp & ((abs(x - low) < about_low) | (abs(x - high) < about_high))
            gone = was & (not near) & (not ((x >= low) & (x <= high)))
            unsure += was & near
            taken += gone
            allowed[i] = was & (not gone)
        removed[g] += taken
        if unsure:
            undecided[g] = 1


@_jit
def keep_ranks(groups, rank, low, high, start, stop, removed):
    """Keep the documents that a source ranks low…high; rank uint16, 0 = not found."""
    for g in range(start, stop):
        allowed = _flags(groups, g)
        ranks, taken = rank[groups.first[g] : groups.first[g] + len(allowed)], 0
        for i in range(len(allowed)):
            was = allowed[i] != 0
            kept = was & (ranks[i] >= low) & (ranks[i] <= high)
            taken += was & (not kept)
            allowed[i] = kept
        removed[g] += taken


@_jit
def keep_unmarked(groups, flag, start, stop, removed):
    """Keep the documents whose flag (uint8, by `allowed`'s places) is 0."""
    for g in range(start, stop):
        for i in range(groups.offsets[g], groups.offsets[g + 1]):
            if groups.allowed[i] and flag[i]:
                groups.allowed[i] = 0
                removed[g] += 1


@_jit
def keep_shares(groups, score, low, high, start, stop, removed):
    """Keep the allowed candidates between two shares of their order by score, ties by document."""
    for g in range(start, stop):
        at, first = groups.offsets[g], groups.first[g]
        inside = np.flatnonzero(groups.allowed[at : groups.offsets[g + 1]])
        order = inside[np.argsort(score[first + inside], kind="mergesort")]
        begin, end = int(np.rint(low * len(order))), int(np.rint(high * len(order)))
        for k in range(len(order)):
            if not begin <= k < end:
                groups.allowed[at + order[k]] = 0
                removed[g] += 1
