"""The order of BM25 candidates: sorted by their fixed-point sums, and settled with 24 bits more
where the rounding leaves it open. The second half of `native.bm25`, which explains it."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

FINER_BITS = 24  # of the sums that settle an order, beyond those of the first sums
_DIGIT = 11  # bits of one pass of the radix sort
_CROWD = 48  # keys of one digit that insertion sort is still quick for
_LONG_RUN = 64  # entries that insertion sort is too slow for


class Lists(NamedTuple):
    """The candidates of each query: found, candidate and score as in `bm25.Candidates`.

    Where rounding leaves the order of a run open (neighbours within `slack`), open_order uint8 is
    run number modulo 255 + 1, elsewhere 0; opened int64 [queries] counts what is open.
    """

    found: np.ndarray
    candidate: np.ndarray
    score: np.ndarray
    open_order: np.ndarray
    opened: np.ndarray


class Open(NamedTuple):
    """The candidates with an open order: those of query q stand from at[q] to end[q] − 1.

    at, end, next int64 [queries]: `next` moves on with the blocks. By document: doc uint32, and
    place uint32, its number among all that are open. score int64, by that number.
    """

    at: np.ndarray
    end: np.ndarray
    next: np.ndarray
    doc: np.ndarray
    place: np.ndarray
    score: np.ndarray


class Frequencies(NamedTuple):
    """The documents start … start + docs − 1 and where the batch's terms stand in them; the arrays
    as in `bm25.impacts`."""

    start: int
    docs: int
    first: np.ndarray
    size: np.ndarray
    doc: np.ndarray
    tf: np.ndarray
    idf: np.ndarray
    norm: np.ndarray


@numba.njit(cache=True, nogil=True)
def _sort(key, n, bits, other, tally):
    """Sort key uint64 [n] whose upper half has so many bits; the lower half is ascending before.

    By the highest digit alone and insertion, unless many keys share one; then digit by digit.
    """
    highest = 32 + max(0, bits - _DIGIT)
    if _pass(key, n, highest, other, tally) > _CROWD:
        for shift in range(32, 32 + bits, _DIGIT):
            _pass(key, n, shift, other, tally)
        return
    for i in range(1, n):  # little is out of place
        j, a = i, key[i]
        while j > 0 and key[j - 1] > a:
            key[j], j = key[j - 1], j - 1
        key[j] = a


@numba.njit(cache=True, nogil=True)
def _pass(key, n, shift, other, tally):
    """Sort by the digit from bit `shift` on, stably; return how many keys share the commonest."""
    tally[:] = 0
    low, mask = np.uint64(shift), np.uint64((1 << _DIGIT) - 1)
    for i in range(n):
        tally[(key[i] >> low) & mask] += 1
    total, most = 0, 0
    for digit in range(1 << _DIGIT):
        most = max(most, tally[digit])
        total, tally[digit] = total + tally[digit], total
    for i in range(n):
        digit = (key[i] >> low) & mask
        other[tally[digit]] = key[i]
        tally[digit] += 1
    for i in range(n):  # a slice that is given a slice takes seconds to compile
        key[i] = other[i]
    return most


@numba.njit(cache=True, nogil=True)
def rank(queries, rounding, low, lists):
    """Sort the candidates of each query by (−score, doc), in place, and drop those beyond k.

    Arguments: `bm25.Rounding`, low int64 [queries] as in `bm25.Candidates`, `Lists`. `found`
    shrinks to the end of the run that holds place k[q].
    """
    k, _, slack, bin_shift = rounding
    found, candidate, score, open_order, opened = lists
    capacity, half = candidate.shape[1], np.uint64(32)
    key, other = np.empty(capacity, np.uint64), np.empty(capacity, np.uint64)
    tally = np.empty(1 << _DIGIT, np.int64)
    for q in range(queries[0], queries[1]):
        least, most, n = np.uint32(max(1, (low[q] << bin_shift[q]) - slack[q])), np.uint32(0), 0
        for i in range(found[q]):
            most = max(most, score[q, i])
        for i in range(found[q]):  # always write, sometimes advance
            key[n] = np.uint64(most - score[q, i]) << half | np.uint64(candidate[q, i])
            n += score[q, i] >= least
        bits, width = 0, max(0, np.int64(most) - np.int64(least))
        while width >> bits:
            bits += 1
        _sort(key, n, bits, other, tally)
        i, run = 0, 0
        while i < n and i < k[q]:
            end = i + 1
            while end < n and np.int64((key[end] >> half) - (key[end - 1] >> half)) <= slack[q]:
                end += 1
            if end > i + 1:
                opened[q] += end - i
            for j in range(i, end):
                candidate[q, j], score[q, j] = key[j], most - np.uint32(key[j] >> half)
                open_order[q, j] = 0 if end == i + 1 else run % 255 + 1
            i, run = end, run + 1
        found[q] = i


@numba.njit(cache=True, nogil=True, forceinline=True)
def _find(doc, low, size, n, offset, at):
    """Write where each offset uint16 [n] stands, or would stand, in doc[low : low + size] to at.

    One step of all the searches, then the next: without a branch to miss, their loads overlap.
    """
    for i in range(n):
        at[i] = low
    left = size
    while left > 1:
        half = left >> 1
        for i in range(n):
            at[i] += half * (doc[np.uint64(at[i] + half - 1)] < offset[i])
        left -= half


@numba.njit(cache=True, nogil=True)
def list_open(queries, lists, open_):
    """List the candidates of each query with an open order by document: `Lists`, `Open`."""
    found, candidate, _, open_order, _ = lists
    fine_at, _, _, fine_doc, fine_place, _ = open_
    capacity, half = candidate.shape[1], np.uint64(32)
    key, other = np.empty(capacity, np.uint64), np.empty(capacity, np.uint64)
    tally = np.empty(1 << _DIGIT, np.int64)
    for q in range(queries[0], queries[1]):
        n, most, bits = 0, np.uint32(0), 0
        for i in range(found[q]):
            if open_order[q, i] > 0:
                most = max(most, candidate[q, i])
                key[n] = np.uint64(candidate[q, i]) << half | np.uint64(fine_at[q] + n)
                n += 1
        while most >> bits:
            bits += 1
        _sort(key, n, bits, other, tally)
        for i in range(n):
            fine_doc[fine_at[q] + i], fine_place[fine_at[q] + i] = key[i] >> half, key[i]


@numba.njit(cache=True, nogil=True)
def score_finely(queries, bags, block, unit, open_):
    """Sum the scores of the candidates with an open order in one block of documents.

    Arguments: `Bags`, `Frequencies`, `Open`; blocks come in order. Scores are added in units of
    unit[q] (float64) · 2^-24. Such sums do not depend on the order of the terms, and their rounding
    is as small as that of float64.
    """
    bounds, term, count = bags
    start, docs, first, size, doc, tf, idf, norm = block
    _, fine_end, fine_next, fine_doc, fine_place, fine = open_
    place, offset = np.empty(fine.size, np.int64), np.empty(fine.size, np.uint16)
    at = np.empty(fine.size, np.int64)
    for q in range(queries[0], queries[1]):
        n, i, scale = 0, fine_next[q], 2.0**FINER_BITS / unit[q]
        while i < fine_end[q] and np.int64(fine_doc[i]) < start + docs:
            place[n], offset[n] = fine_place[i], np.int64(fine_doc[i]) - start
            n, i = n + 1, i + 1
        if n == 0:
            continue
        fine_next[q] = i
        for j in range(bounds[q], bounds[q + 1]):
            t = term[j]
            low, end, weight = first[t], first[t] + size[t], count[j] * idf[t]
            if low == end:
                continue
            _find(doc, low, size[t], n, offset, at)
            for i in range(n):
                w, times = at[i] + (doc[at[i]] < offset[i]), np.int64(0)
                while w < end and doc[w] == offset[i]:
                    times, w = times + np.int64(tf[w]), w + 1
                if times > 0:
                    points = weight * (times / (times + norm[offset[i]]))
                    fine[place[i]] += np.int64(points * scale + 0.5)


@numba.njit(cache=True, nogil=True)
def _sift(fine, doc, order, root, end):
    """Let an entry sink in the heap order[:end], whose root is the worst entry."""
    while True:
        child = 2 * root + 1
        if child >= end:
            return
        a, b = order[child], order[min(child + 1, end - 1)]
        if fine[b] < fine[a] or (fine[b] == fine[a] and doc[b] > doc[a]):
            child, a = min(child + 1, end - 1), b
        b = order[root]
        if fine[b] < fine[a] or (fine[b] == fine[a] and doc[b] >= doc[a]):
            return
        order[root], order[child] = a, b
        root = child


@numba.njit(cache=True, nogil=True)
def _order_long(fine, doc, order):
    """Sort the numbers of a run's entries, order int64 [n], best first (heap sort)."""
    for root in range(order.size // 2 - 1, -1, -1):
        _sift(fine, doc, order, root, order.size)
    for end in range(order.size - 1, 0, -1):
        order[0], order[end] = order[end], order[0]
        _sift(fine, doc, order, 0, end)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _order_run(fine, taken, doc, q, first, n, order):
    """Write the numbers 0 … n−1 of a run's entries to order int64, best first, ties by doc.

    Their scores are fine[taken…], their documents doc[q, first…].
    """
    for i in range(n):
        order[i] = i
    if n > _LONG_RUN:
        run = slice(taken, taken + n)
        return _order_long(fine[run], doc[q, first : first + n], order[:n])
    for i in range(1, n):  # insertion sort: most runs are pairs
        j, o = i, order[i]
        while j > 0:
            before = order[j - 1]
            a, b = fine[taken + before], fine[taken + o]
            if a > b or (a == b and doc[q, first + before] < doc[q, first + o]):
                break
            order[j], j = before, j - 1
        order[j] = o


@numba.njit(cache=True, nogil=True)
def settle(queries, k, unit, lists, open_, out_at, doc, points):
    """Write the best k[q] of each query, best first, to doc uint32 and points float32 from
    out_at[q] on.

    `Lists` as `rank`, `Open` as `score_finely` leaves them; the other candidates' score is
    score · unit[q]. A score that float32 would round up to the one before it, though it is lower,
    is written as the next float32 below: a list is always ordered by (−score, doc) as stored.
    """
    found, candidate, score, open_order, _ = lists
    fine_at, fine = open_.at, open_.score
    order = np.empty(candidate.shape[1], np.int64)
    for q in range(queries[0], queries[1]):
        taken, i, before, written = fine_at[q], 0, np.inf, np.float32(np.inf)
        out, finer = out_at[q], unit[q] / 2.0**FINER_BITS
        while i < min(found[q], k[q]):
            end, run = i + 1, open_order[q, i]
            if run != 0:
                while end < found[q] and open_order[q, end] == run:
                    end += 1
                _order_run(fine, taken, candidate, q, i, end - i, order)
            for j in range(i, min(end, k[q])):
                precise, d = score[q, j] * unit[q], candidate[q, j]
                if run != 0:
                    o = order[j - i]
                    precise, d = fine[taken + o] * finer, candidate[q, i + o]
                if precise < before:
                    written = min(np.float32(precise), np.nextafter(written, np.float32(0)))
                doc[out], points[out], before, out = d, written, precise, out + 1
            if run != 0:
                taken += end - i
            i = end
