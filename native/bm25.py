"""BM25 over a batch of queries: the k best documents of each, exactly, block by block.

Score (Robertson and Zaragoza 2009, in Lucene's form without the factor k1 + 1):

    score(q, d) = Σ over distinct terms t of q: count(t, q) · idf(t) · tf / (tf + norm(d))
    norm(d) = k1 · (1 − b + b · |d| / average length)

Three steps, of which the first does nearly all the work:

1. `accumulate` adds impacts in fixed point (multiples of 2^-24): sums of integers do not depend on
   their order, so neither does anything that follows. Every document whose sum comes within the
   rounding error of the k-th best becomes a candidate.
2. `rank` sorts the candidates by their sums and marks the runs whose order the rounding leaves
   open.
3. `score_exactly` computes those few in float64, term by term in the order of the query, and
   `settle` puts them right. So the order is the one that an exhaustive float64 computation gives.
"""

from __future__ import annotations

import numba
import numpy as np

BINS = 1024  # of the histogram that keeps each query's threshold
FRACTION_BITS = 24
UNIT = 2.0**-FRACTION_BITS
_CHUNK = 64  # documents that are compared with the threshold at once
_DIGIT = 11  # bits of one pass of the radix sort


@numba.njit(cache=True, nogil=True)
def impacts(first, size, at, idf, doc, tf, norm, out):
    """Write the fixed-point impacts of a block's postings for the terms of a batch.

    Per term of the batch: first int64 (its first posting in doc/tf, uint16/uint8), size int64
    (number of postings, 0 when the block lacks it), at int64 (where its impacts start in `out`),
    idf float64. norm float64 [docs]: k1·(1 − b + b·|d|/avg). out uint32: round(idf·tf/(tf + norm)
    / UNIT), 0 for a posting that continues the one before it.
    """
    for t in range(first.size):
        scale = idf[t] / UNIT
        i, end, w = first[t], first[t] + size[t], at[t]
        while i < end:
            d, n, more = doc[i], np.int64(tf[i]), i + 1
            while more < end and doc[more] == d:
                n += np.int64(tf[more])
                out[w + more - i] = 0
                more += 1
            out[w] = np.uint32(scale * (n / (n + norm[d])) + 0.5)
            w += more - i
            i = more


@numba.njit(cache=True, nogil=True)
def _scatter(sums, doc, impact, count, shift):
    """Add one term's impacts to the sums of its documents."""
    if count == 1 and shift == 0:
        for i in range(doc.size):
            sums[doc[i]] += impact[i]
    else:
        for i in range(doc.size):
            sums[doc[i]] += np.uint32((np.int64(impact[i]) * count) >> shift)


@numba.njit(cache=True, nogil=True)
def _any_at_least(sums, start, stop, least):
    """Say whether a sum in the range reaches `least`; written so that it becomes vector code."""
    found = np.uint32(0)
    for i in range(start, stop):
        found |= np.uint32(sums[i] >= least)
    return found != 0


@numba.njit(cache=True, nogil=True)
def _raise_threshold(histogram, above, low, k):
    """Return (above, low): the highest bin that still has k entries in it or above it."""
    while above - histogram[low] >= k:
        above -= histogram[low]
        low += 1
    return above, low


@numba.njit(cache=True, nogil=True)
def _drop_below(doc, score, n, least):
    """Keep the candidates of at least that score, in place and in order; return how many."""
    kept = 0
    for i in range(n):
        if score[i] >= least:
            doc[kept], score[kept] = doc[i], score[i]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def accumulate(
    queries, bounds, term, count, first, size, at, doc, impact, start, docs, k, shift, slack,
    bin_shift, sums, histogram, above, low, found, candidate, score,
):  # fmt: skip
    """Add one block's documents to the candidates of the queries [queries[0], queries[1]).

    Query q has the terms term[bounds[q]:bounds[q+1]] (int32, numbers of the batch) with their
    counts (int32); first, size, at, doc, impact as in `impacts`. The block's documents are
    start … start + docs − 1. Per query: shift, bin_shift int64, slack int64 (twice the largest
    rounding error of a sum, in units).

    State per query, in and out: histogram uint32 [queries, BINS] of candidate scores, `above` int64
    candidates in bin `low` int64 or higher, candidate uint32 and score uint32 [queries, capacity]
    of which `found` int64 are used; found = −1 says that the capacity does not hold all documents
    that rounding cannot tell apart. sums uint32 [docs or more] is scratch: zeros in, zeros out.
    """
    capacity = candidate.shape[1]
    for q in range(queries[0], queries[1]):
        if found[q] < 0:
            continue
        matched = 0
        for j in range(bounds[q], bounds[q + 1]):
            t = term[j]
            if size[t] > 0:
                matched += size[t]
                _scatter(
                    sums,
                    doc[first[t] : first[t] + size[t]],
                    impact[at[t] : at[t] + size[t]],
                    np.int64(count[j]),
                    shift[q],
                )
        if matched == 0:
            continue
        n, a, b = found[q], above[q], low[q]
        least = np.uint32(max(1, (b << bin_shift[q]) - slack[q]))
        for chunk in range(0, docs, _CHUNK):
            stop = min(chunk + _CHUNK, docs)
            if _any_at_least(sums, chunk, stop, least):
                for d in range(chunk, stop):
                    if sums[d] >= least and n >= 0:
                        s = np.int64(sums[d])
                        candidate[q, n], score[q, n] = start + d, s
                        n += 1
                        if s >> bin_shift[q] >= b:
                            histogram[q, s >> bin_shift[q]] += 1
                            a, b = _raise_threshold(histogram[q], a + 1, b, k)
                            least = np.uint32(max(1, (b << bin_shift[q]) - slack[q]))
                        if n == capacity:
                            n = _drop_below(candidate[q], score[q], n, least)
                            if n > capacity - capacity // 4:
                                n = -1
            for d in range(chunk, stop):
                sums[d] = 0
        found[q], above[q], low[q] = n, a, b


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
def rank(queries, k, slack, bin_shift, low, found, candidate, score, open_order):
    """Sort the candidates of each query by (−score, doc), in place, and drop those beyond k.

    What shares a run of scores within `slack` of each other with place k or better, and is not
    alone in it, gets open_order uint8 = run number modulo 255 + 1, every other 0; `found` shrinks
    to the end of the run that holds place k.
    """
    capacity = candidate.shape[1]
    key, key_2 = np.empty(capacity, np.uint64), np.empty(capacity, np.uint64)
    value, value_2 = np.empty(capacity, np.uint32), np.empty(capacity, np.uint32)
    tally = np.empty(1 << _DIGIT, np.int64)
    for q in range(queries[0], queries[1]):
        if found[q] <= 0:
            continue
        doc, points = candidate[q], score[q]
        least = np.uint32(max(1, (low[q] << bin_shift[q]) - slack[q]))
        n = _drop_below(doc, points, found[q], least)
        most = np.uint64(0)
        for i in range(n):
            most = max(most, np.uint64(points[i]))
        for i in range(n):
            key[i], value[i] = most - np.uint64(points[i]), doc[i]
        bits, width = 0, np.int64(most) - np.int64(least)
        while width >> bits:
            bits += 1
        _sort(key, value, n, bits, key_2, value_2, tally)
        i, run = 0, 0
        while i < n and i < k:
            end = i + 1
            while end < n and np.int64(key[end] - key[end - 1]) <= slack[q]:
                end += 1
            for j in range(i, end):
                doc[j], points[j] = value[j], np.uint32(most - key[j])
                open_order[q, j] = run % 255 + 1 if end - i > 1 else 0
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
def settle(queries, k, unit, found, candidate, score, open_order, exact_at, exact, doc, points):
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
            while run != 0 and end < found[q] and open_order[q, end] == run:
                end += 1
            order[0] = 0
            if run != 0:
                _order_run(exact[taken : taken + end - i], candidate[q, i:end], order[: end - i])
            for j in range(i, min(end, k)):
                precise = score[q, j] * unit[q]
                if run != 0:
                    precise = exact[taken + order[j - i]]
                if precise < before:
                    written = min(np.float32(precise), np.nextafter(written, np.float32(0)))
                doc[q, j], points[q, j] = candidate[q, i + order[j - i]], written
                before = precise
            if run != 0:
                taken += end - i
            i = end
        found[q] = min(found[q], k)
