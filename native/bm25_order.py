"""The order of BM25 candidates: sorted by their fixed-point sums, and settled in float64 where the
rounding leaves it open. The second half of `native.bm25`, which explains it."""

from __future__ import annotations

import numba
import numpy as np

from .bm25 import drop_below

_SMALL_BITS = 18  # sums whose rounding error may exceed 2^-18 of them are computed exactly
_DIGIT = 11  # bits of one pass of the radix sort


@numba.njit(cache=True, nogil=True)
def _sort(key, value, n, bits, key_2, value_2, tally):
    """Sort (key uint64, value uint32)[:n] by the lowest `bits` bits of the key, stably."""
    for shift in range(0, bits, _DIGIT):
        tally[:] = 0
        for i in range(n):
            tally[(key[i] >> np.uint64(shift)) & np.uint64((1 << _DIGIT) - 1)] += 1
        total = 0
        for digit in range(1 << _DIGIT):
            total, tally[digit] = total + tally[digit], total
        for i in range(n):
            digit = (key[i] >> np.uint64(shift)) & np.uint64((1 << _DIGIT) - 1)
            key_2[tally[digit]], value_2[tally[digit]] = key[i], value[i]
            tally[digit] += 1
        for i in range(n):
            key[i], value[i] = key_2[i], value_2[i]


@numba.njit(cache=True, nogil=True)
def rank(queries, k, lengths, slack, bin_shift, low, found, candidate, score, open_order, opened):
    """Sort the candidates of each query by (−score, doc), in place, and drop those beyond k.

    Where rounding leaves the order of a run open (neighbours within `slack`), open_order uint8
    becomes run number modulo 255 + 1, elsewhere 0. A run of equal sums and equal lengths (uint32
    by document) is a tie and not open, unless it is so low that its rounding shows.
    `found` shrinks to the end of the run that holds place k; opened int64 [queries] counts what is
    open.
    """
    capacity = candidate.shape[1]
    key, key_2 = np.empty(capacity, np.uint64), np.empty(capacity, np.uint64)
    value, value_2 = np.empty(capacity, np.uint32), np.empty(capacity, np.uint32)
    tally = np.empty(1 << _DIGIT, np.int64)
    for q in range(queries[0], queries[1]):
        if found[q] <= 0:
            continue
        doc, points = candidate[q], score[q]
        least = max(1, (low[q] << bin_shift[q]) - slack[q])
        n = drop_below(doc, points, found[q], least)
        most = np.uint64(0)
        for i in range(n):
            most = max(most, np.uint64(points[i]))
        for i in range(n):
            key[i], value[i] = most - np.uint64(points[i]), doc[i]
        bits, width = 0, np.int64(most) - least
        while width >> bits:
            bits += 1
        _sort(key, value, n, bits, key_2, value_2, tally)
        i, run = 0, 0
        while i < n and i < k:
            end, tie = i + 1, True
            while end < n and np.int64(key[end] - key[end - 1]) <= slack[q]:
                tie &= key[end] == key[i] and lengths[value[end]] == lengths[value[i]]
                end += 1
            tie &= np.int64(most - key[i]) >= slack[q] << _SMALL_BITS
            if not tie:
                opened[q] += end - i
            for j in range(i, end):
                doc[j], points[j] = value[j], np.uint32(most - key[j])
                open_order[q, j] = 0 if tie else run % 255 + 1
            i, run = end, run + 1
        found[q] = i


@numba.njit(cache=True, nogil=True)
def score_exactly(query, offset, out, bounds, term, count, first, size, doc, tf, idf, norm):
    """Write the float64 score of (query[i] int64, offset[i] int64 in the block) to out[i].

    Terms are summed in the order of the query; the other arguments as in `impacts` and
    `accumulate`.
    """
    for i in range(query.size):
        total = 0.0
        for j in range(bounds[query[i]], bounds[query[i] + 1]):
            t = term[j]
            low, end = first[t], first[t] + size[t]
            high = end
            while low < high:
                middle = (low + high) >> 1
                if doc[middle] < offset[i]:
                    low = middle + 1
                else:
                    high = middle
            n = 0
            while low < end and doc[low] == offset[i]:
                n += np.int64(tf[low])
                low += 1
            if n > 0:
                total += count[j] * (idf[t] * (n / (n + norm[offset[i]])))
        out[i] = total


@numba.njit(cache=True, nogil=True)
def _worse(exact, doc, a, b):
    """Say whether entry a comes after entry b: a lower score, or the same and a later document."""
    return exact[a] < exact[b] or (exact[a] == exact[b] and doc[a] > doc[b])


@numba.njit(cache=True, nogil=True)
def _order_run(exact, doc, order):
    """Write the numbers 0 … n−1 of a run's entries to order int64 [n], best first (heap sort)."""
    n = order.size
    for i in range(n):
        order[i] = i
    for step in range(n // 2 + n - 1):
        root, end = n // 2 - 1 - step, n
        if root < 0:  # the heap stands: its root, the worst left, goes to the end
            root, end = 0, n - 1 - (step - n // 2)
            order[0], order[end] = order[end], order[0]
        while True:
            child = 2 * root + 1
            if child >= end:
                break
            if child + 1 < end and _worse(exact, doc, order[child + 1], order[child]):
                child += 1
            if not _worse(exact, doc, order[child], order[root]):
                break
            order[root], order[child] = order[child], order[root]
            root = child


@numba.njit(cache=True, nogil=True)
def _level_ties(exact, doc, score, lengths):
    """Give documents of equal sum and equal length the same exact score: that of the first.

    Their counts are the same or trade places between terms of equal weight; float64 sums of those
    could differ in the last bit, by the order of their terms alone.
    """
    for i in range(exact.size):
        j = i - 1
        while j >= 0 and score[j] == score[i]:
            if lengths[doc[j]] == lengths[doc[i]]:
                exact[i] = exact[j]
                break
            j -= 1


@numba.njit(cache=True, nogil=True)
def settle(
    queries, k, lengths, unit, found, candidate, score, open_order, exact_at, exact, doc, points
):
    """Write each query's list, best first, to doc uint32 and points float32 [queries, k].

    `exact` float64 holds the exact scores of the candidates with an open order, query by query from
    exact_at[q] on; the others' is score · unit[q]. `found` becomes the length of the list. A score
    that float32 would round up to the one before it, though it is lower, is written as the next
    float32 below: a list is always ordered by (−score, doc) as stored.
    """
    order = np.empty(candidate.shape[1], np.int64)
    for q in range(queries[0], queries[1]):
        taken, i, before = exact_at[q], 0, np.inf
        written = np.float32(np.inf)
        while i < min(found[q], k):
            end, run = i + 1, open_order[q, i]
            if run != 0:
                while end < found[q] and open_order[q, end] == run:
                    end += 1
                some = exact[taken : taken + end - i]
                _level_ties(some, candidate[q, i:end], score[q, i:end], lengths)
                _order_run(some, candidate[q, i:end], order[: end - i])
            for j in range(i, min(end, k)):
                precise, d = score[q, j] * unit[q], candidate[q, j]
                if run != 0:
                    precise, d = exact[taken + order[j - i]], candidate[q, i + order[j - i]]
                if precise < before:
                    written = min(np.float32(precise), np.nextafter(written, np.float32(0)))
                doc[q, j], points[q, j], before = d, written, precise
            if run != 0:
                taken += end - i
            i = end
        found[q] = min(found[q], k)
