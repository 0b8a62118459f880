"""Where the documents of groups stand in the lists of their pool: overlap, shares, ranks.

Group g holds the documents doc[offsets[g]:offsets[g+1]] and asks row at[g] of the pool (int64, −1:
none here, the group is left as it is). A row of the pool holds ascending documents
pool_doc[pool_offsets[r]:pool_offsets[r+1]]; a rank is uint16, 0 where the source did not find one.
"""

from __future__ import annotations

import numba
import numpy as np

from .candidates import place_of

_jit = numba.njit(cache=True, nogil=True)

MIN, MEAN, MEDIAN, MAX = 0, 1, 2, 3


@_jit
def places_of_negatives(doc, positive, offsets, at, pool_offsets, pool_doc, start, stop, out):
    """Write where the negatives of groups [start, stop) stand in pool_doc.

    doc uint32, positive uint8 [items]; out int64 [items], −1 for a positive and for a document that
    the pool lacks.
    """
    for g in range(start, stop):
        if at[g] < 0:
            continue
        first, last = pool_offsets[at[g]], pool_offsets[at[g] + 1]
        for i in range(offsets[g], offsets[g + 1]):
            place = place_of(pool_doc, first, last, doc[i])
            there = place < last and pool_doc[place] == doc[i]
            out[i] = place if there and not positive[i] else -1


@_jit
def overlap(a, b, at, pool_offsets, most, start, stop, out):
    """Write |A ∩ B| / |A ∪ B| of the ranks 1 … most of two sources for groups [start, stop).

    a, b uint16 [pairs]; out float64 [groups], NaN where neither found anything.
    """
    for g in range(start, stop):
        if at[g] < 0:
            continue
        both, either = 0, 0
        for i in range(pool_offsets[at[g]], pool_offsets[at[g] + 1]):
            first = 0 < a[i] <= most
            second = 0 < b[i] <= most
            both += first & second
            either += first | second
        out[g] = both / either if either else np.nan


@_jit
def found_share(rank, positive, place, offsets, at, start, stop, out):
    """Write the share of the negatives of groups [start, stop) that a source found.

    rank uint16 [pairs]; place: of `places_of_negatives`; out float64 [groups], NaN without
    negatives.
    """
    for g in range(start, stop):
        if at[g] < 0:
            continue
        hits, count = 0, 0
        for i in range(offsets[g], offsets[g + 1]):
            if not positive[i]:
                count += 1
                hits += place[i] >= 0 and rank[place[i]] > 0
        out[g] = hits / count if count else np.nan


@_jit
def rank_profile(rank, place, offsets, at, of, start, stop, out):
    """Write the MIN, MEAN, MEDIAN or MAX rank of the negatives of groups [start, stop) in a list.

    rank uint16 [pairs]; place: of `places_of_negatives`; out float64 [groups], over what the source
    found, NaN where that is nothing. Sums of ranks are whole numbers below 2⁵³.
    """
    for g in range(start, stop):
        if at[g] < 0:
            continue
        ranks, count = np.empty(offsets[g + 1] - offsets[g], np.int64), 0
        for i in range(offsets[g], offsets[g + 1]):
            if place[i] >= 0 and rank[place[i]] > 0:
                ranks[count] = rank[place[i]]
                count += 1
        out[g] = _profile(ranks[:count], of)


@_jit
def score_profile(score, place, offsets, at, pool_offsets, of, start, stop, out):
    """Write `rank_profile` under the teacher: the best of all scored documents of the row is 1.

    score float64 [pairs], NaN where there is none: such a document has no rank. Equal scores: the
    smaller document first.
    """
    for g in range(start, stop):
        if at[g] < 0:
            continue
        ranks, count = np.empty(offsets[g + 1] - offsets[g], np.int64), 0
        first, last = pool_offsets[at[g]], pool_offsets[at[g] + 1]
        for i in range(offsets[g], offsets[g + 1]):
            own = place[i]
            if own < 0 or np.isnan(score[own]):
                continue
            before = 0
            for j in range(first, own):
                before += score[j] >= score[own]
            for j in range(own, last):
                before += score[j] > score[own]
            ranks[count] = before + 1
            count += 1
        out[g] = _profile(ranks[:count], of)


@_jit
def _profile(ranks, of):
    if not len(ranks):
        return np.nan
    if of == MIN:
        return np.float64(ranks.min())
    if of == MAX:
        return np.float64(ranks.max())
    if of == MEAN:
        return ranks.sum() / len(ranks)
    ordered = np.sort(ranks)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return np.float64(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2
