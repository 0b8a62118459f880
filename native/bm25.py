"""BM25 over a batch of queries: the k best documents of each, exactly, block by block.

Score (Robertson and Zaragoza 2009, in Lucene's form without the factor k1 + 1):

    score(q, d) = Σ over distinct terms t of q: count(t, q) · idf(t) · tf / (tf + norm(d))
    norm(d) = k1 · (1 − b + b · |d| / average length)

Three steps, of which the first does nearly all the work:

1. `accumulate` adds impacts in fixed point (multiples of 2^-24): sums of integers do not depend on
   their order, so neither does anything that follows. Every document whose sum comes within the
   rounding error of the k-th best becomes a candidate.
2. `rank` in `bm25_order` sorts the candidates by their sums and marks the runs whose order the
   rounding leaves open.
3. `score_finely` sums those again with 24 bits more, about what float64 holds, and `settle` puts
   them right. So the order is the one that an exhaustive float64 computation gives, but where that
   hangs on float64's own rounding: the same impacts on other terms make a tie here, and ties go by
   document.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

FRACTION_BITS = 24
UNIT = 2.0**-FRACTION_BITS
STRIP = 1 << 13  # documents whose sums (32 KB) stay in the first-level cache
STRIPS = (1 << 16) // STRIP
# What is known of a term in a block, uint32 [FACTS]: how many of its postings stand before each
# strip of documents and before the end, its largest impact in each strip and in all, the places of
# its first posting and of the first impact, and 1 + its row where `spread` laid it out, else 0.
# They lie side by side because a batch has many terms, and every array would be another cache miss.
CUT, TOP = 0, STRIPS + 1
LARGEST, FIRST, AT, ROW, COUNT = range(TOP + STRIPS, TOP + STRIPS + 5)
FACTS = 24  # COUNT belongs to a query; the rest fills up 96 bytes


@numba.njit(cache=True, nogil=True)
def places(rows, uses, starts, first, size, at):
    """Find the postings of a batch's terms in a block; returns how many there are.

    Per term: rows int64 (its row in the block, −1 for none), uses int64 (queries that hold it; 0
    leaves it out). starts [rows + 1]: where each row's postings start. Writes first, size and at
    int64 as `impacts` takes them.
    """
    total = np.int64(0)
    for t in range(rows.size):
        first[t] = size[t] = 0
        if rows[t] >= 0 and uses[t] > 0:
            first[t] = starts[rows[t]]
            size[t] = starts[rows[t] + 1] - first[t]
        at[t] = total
        total += size[t]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def impacts(first, size, at, idf, doc, tf, norm, out, fact):
    """Write the fixed-point impacts of a block's postings for the terms of a batch.

    Per term of the batch: first int64 (its first posting in doc/tf, uint16/uint8), size int64
    (number of postings, 0 when the block lacks it), at int64 (where its impacts start in `out`),
    idf float64. norm float64 [docs]: k1·(1 − b + b·|d|/avg).

    out uint32: round(idf·tf/(tf + norm) / UNIT), 0 for a posting that continues the one before it.
    fact uint32 [terms, FACTS]: see above; zeros where the block lacks the term.
    """
    for t in range(first.size):
        fact[t, :] = 0
        if size[t] == 0:
            continue
        scale, start, w = idf[t] / UNIT, np.uint64(first[t]), np.uint64(at[t])
        fact[t, FIRST], fact[t, AT] = start, w
        largest = np.uint8(0)
        for i in range(np.uint64(size[t])):
            n = np.float64(tf[start + i])
            out[w + i] = np.int32(scale * (n / (n + norm[doc[start + i]])) + 0.5)
        for i in range(np.uint64(size[t])):
            largest = max(largest, tf[start + i])
        if largest == 255:
            _rejoin(first[t], size[t], at[t], scale, doc, tf, norm, out)
        low = 0
        for strip in range(1, STRIPS):
            high = size[t]
            while low < high:
                middle = (low + high) >> 1
                if doc[first[t] + middle] < strip * STRIP:
                    low = middle + 1
                else:
                    high = middle
            fact[t, CUT + strip] = low
        fact[t, CUT + STRIPS] = size[t]
        for strip in range(STRIPS):
            most = np.uint32(0)
            for i in range(np.uint64(fact[t, CUT + strip]), np.uint64(fact[t, CUT + strip + 1])):
                most = max(most, out[w + i])
            fact[t, TOP + strip] = most
            fact[t, LARGEST] = max(fact[t, LARGEST], most)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rejoin(first, size, at, scale, doc, tf, norm, out):
    """Write a term's impacts where counts go on in the next posting."""
    i = 0
    while i < size:
        d, n, more = doc[first + i], np.int64(tf[first + i]), i + 1
        while more < size and doc[first + more] == d:
            n += np.int64(tf[first + more])
            out[at + more] = 0
            more += 1
        out[at + i] = np.int32(scale * (n / (n + norm[d])) + 0.5)
        i = more


@numba.njit(cache=True, nogil=True)
def spread(which, fact, doc, impact, table):
    """Lay out the impacts of the frequent terms `which` (int64) by document.

    Those of term t go to row fact[t, ROW] − 1 of table uint32 [rows, 65,536], zeros where it is
    absent.
    """
    for t in which:
        r = np.int64(fact[t, ROW]) - 1
        start, w = np.uint64(fact[t, FIRST]), np.uint64(fact[t, AT])
        table[r, :] = 0
        for i in range(np.uint64(fact[t, CUT + STRIPS])):
            table[r, np.uint64(doc[start + i])] += impact[w + i]


BINS = 1024  # of the histogram that keeps each query's threshold
DEFERRED = 7  # sixteenths of the threshold that deferred terms may add
_SPARSE = STRIP // 16  # postings of a strip below which it is not scanned
_CHUNK = 128  # documents of a strip looked at together
_GROUP = 8  # queries that go through a strip together, while its postings are in the cache
_ONE = np.uint64(1)  # unsigned indices spare the check for negative ones in the hot loops


class Bags(NamedTuple):
    """Queries as bags of terms: query q has term[bounds[q]:bounds[q+1]], and each `times` often."""

    bounds: np.ndarray  # int64 [queries + 1]
    term: np.ndarray  # int32, numbers of the batch
    times: np.ndarray  # int32


class Impacts(NamedTuple):
    """The documents start … start + docs − 1 of a collection, and what the batch's terms add to
    them: arrays as `impacts` and `spread` write them."""

    fact: np.ndarray
    table: np.ndarray
    doc: np.ndarray
    impact: np.ndarray
    start: int
    docs: int


class Rounding(NamedTuple):
    """How each query counts, int64 [queries] each: its depth k, and what its fixed point is like.

    Sums are shifted by `shift` bits to fit, `slack` is twice their largest rounding error in units,
    `bin_shift` makes bins of the histogram of them.
    """

    k: np.ndarray
    shift: np.ndarray
    slack: np.ndarray
    bin_shift: np.ndarray


class Candidates(NamedTuple):
    """What is known of each query between blocks, in and out.

    histogram uint32 [queries, BINS] of candidate scores, `above` int64 candidates in bin `low`
    int64 or higher, candidate and score uint32 [queries, capacity], of which `found` int64 are
    used; −1 says that there are more documents that rounding cannot tell apart than capacity.
    """

    histogram: np.ndarray
    above: np.ndarray
    low: np.ndarray
    found: np.ndarray
    candidate: np.ndarray
    score: np.ndarray


@numba.njit(cache=True, nogil=True, forceinline=True)
def _add(sums, doc, i, end, impact, w, count, shift):
    """Add the impacts of the postings i … end−1 of one term to the sums of their documents."""
    i, end, w = np.uint64(i), np.uint64(end), np.uint64(w)
    if count == 1 and shift == 0:
        while i < end:
            sums[doc[i]] += impact[w]
            i, w = i + _ONE, w + _ONE
    else:
        while i < end:
            sums[doc[i]] += np.uint32((np.int64(impact[w]) * count) >> shift)
            i, w = i + _ONE, w + _ONE


@numba.njit(cache=True, nogil=True, forceinline=True)
def _collect(sums, start, least, flag, flags, hits, some_doc, some_sum):
    """List the documents of the strip from `start` whose sums reach `least`, and zero the sums.

    Chunks of documents by their largest sum, then words of 8 in those, then documents. flag uint8
    [_CHUNK] and hits uint32 [2, STRIP / 8 + 1] are scratch, flags is the memory of `flag` as
    uint64. Returns how many there are; they are ascending.
    """
    first, chunks, words, n = np.uint64(start), np.uint64(0), np.uint64(0), np.uint64(0)
    for chunk in range(np.uint64(STRIP // _CHUNK)):
        at, most = first + chunk * np.uint64(_CHUNK), np.uint32(0)
        for i in range(at, at + np.uint64(_CHUNK)):  # no branch: becomes vector code
            most = max(most, sums[i])
        hits[0, chunks] = at  # always write, sometimes advance: no branch to miss
        chunks += np.uint64(most >= least)
    for c in range(chunks):
        at = np.uint64(hits[0, c])
        for i in range(np.uint64(_CHUNK)):
            flag[i] = sums[at + i] >= least
        for word in range(np.uint64(_CHUNK // 8)):
            hits[1, words] = at + (word << np.uint64(3))
            words += np.uint64(flags[word] != 0)
    for w in range(words):
        at = np.uint64(hits[1, w])
        for i in range(at, at + np.uint64(8)):
            some_doc[n], some_sum[n] = i, sums[i]
            n += np.uint64(sums[i] >= least)
    for i in range(np.uint64(STRIP)):
        sums[first + i] = 0
    return np.int64(n)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _collect_touched(terms, facts, o, later, strip, sums, doc, least, some_doc, some_sum):
    """Do what `_collect` does by the postings that were added, where they are few."""
    n = np.int64(0)
    for i in range(terms):
        if later[i] == 0:
            first = np.uint64(facts[o, i, FIRST])
            here, end = np.uint64(facts[o, i, CUT + strip]), np.uint64(facts[o, i, CUT + strip + 1])
            for p in range(first + here, first + end):
                d = doc[p]
                if sums[d] >= least:
                    j = n
                    while j > 0 and some_doc[j - 1] > d:  # ascending
                        some_doc[j], some_sum[j], j = some_doc[j - 1], some_sum[j - 1], j - 1
                    some_doc[j], some_sum[j] = d, sums[d]
                    n += 1
                sums[d] = 0
    return n


@numba.njit(cache=True, nogil=True)
def _gather(low, high, term, count, fact, order, facts):
    """Write what a block knows of a query's terms low … high−1 to facts uint32 [terms, FACTS].

    They come with the least impact first, and with their count in the query.
    """
    for i in range(high - low):
        order[i] = low + i
    for i in range(1, high - low):  # insertion sort: queries are short
        j, chosen = i, order[i]
        weight = np.int64(fact[term[chosen], LARGEST]) * count[chosen]
        while j > 0 and np.int64(fact[term[order[j - 1]], LARGEST]) * count[order[j - 1]] > weight:
            order[j] = order[j - 1]
            j -= 1
        order[j] = chosen
    for i in range(high - low):
        t = term[order[i]]
        for column in range(FACTS):
            facts[i, column] = fact[t, column]
        facts[i, COUNT] = count[order[i]]


@numba.njit(cache=True, nogil=True, forceinline=True)
def _most_of_strips(low, high, term, count, fact, shift, most):
    """Write what the terms low … high−1 can add to a document of each strip: int64 [STRIPS]."""
    for strip in range(STRIPS):
        most[strip] = high - low  # the rounding of each term
    for j in range(low, high):
        t, times = term[j], np.int64(count[j])
        for strip in range(STRIPS):
            most[strip] += np.int64(fact[t, TOP + strip]) * times >> shift


@numba.njit(cache=True, nogil=True, forceinline=True)
def _defer(n, facts, o, strip, shift, least, later):
    """Choose the terms of a query that are looked up only for the strip's promising documents.

    Those are terms of little impact that `spread` laid out, as long as all of them together stay
    below DEFERRED sixteenths of the threshold `least`. Writes to later int64, by place in facts[o],
    what each can add to a document at most, 0 for the other terms; returns the sum of it.
    """
    rest, budget = np.int64(0), least * DEFERRED >> 4
    for i in range(n):
        top, times = np.int64(facts[o, i, TOP + strip]), np.int64(facts[o, i, COUNT])
        more = (top * times >> shift) + 1
        later[i] = more if facts[o, i, ROW] > 0 and rest + more <= budget else 0
        rest += later[i]
    return rest


@numba.njit(cache=True, nogil=True, forceinline=True)
def drop_below(doc, score, n, least):
    """Keep the candidates of at least that score, in place and in order; return how many."""
    kept = 0
    for i in range(n):
        if score[i] >= least:
            doc[kept], score[kept] = doc[i], score[i]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True, forceinline=True)
def _look_up(n, terms, facts, o, later, least, table, shift, some_doc, some_sum):
    """Add the deferred terms to the listed sums, and drop those that stay too low.

    A document must reach `least` before any of them; returns how many are left.
    """
    for i in range(terms - 1, -1, -1):  # largest first: most documents drop out early
        if n > 0 and later[i] > 0:
            r, times = np.uint64(facts[o, i, ROW] - 1), np.int64(facts[o, i, COUNT])
            for j in range(np.uint64(n)):
                some_sum[j] += np.uint32(np.int64(table[r, some_doc[j]]) * times >> shift)
            least += later[i]
            n = drop_below(some_doc, some_sum, n, least)
    return n


@numba.njit(cache=True, nogil=True)
def raise_low(bags, block, rounding, low):
    """Raise low int64 [queries] to what k documents of the first block are sure to reach.

    A term with at least k postings there gives its k-th largest impact, to the precision of a
    histogram; k is here the deepest query's. Arguments: `Bags`, `Impacts`, `Rounding`.
    """
    bounds, term, count = bags
    fact, impact = block.fact, block.impact
    k, shift, _, bin_shift = rounding
    deepest = np.int64(0)
    for q in range(k.size):
        deepest = max(deepest, k[q])
    floor, tally = np.zeros(len(fact), dtype=np.int64), np.zeros(257, dtype=np.int64)
    for t in range(len(fact)):
        size, at = np.int64(fact[t, CUT + STRIPS]), np.int64(fact[t, AT])
        if size >= deepest:
            step = np.int64(fact[t, LARGEST]) // 256 + 1
            tally[:] = 0
            for i in range(size):
                tally[np.int64(impact[at + i]) // step] += 1
            left, b = deepest, 256
            while left > tally[b]:
                left -= tally[b]
                b -= 1
            floor[t] = b * step
    for q in range(low.size):
        for j in range(bounds[q], bounds[q + 1]):
            sure = floor[term[j]] * count[j] >> shift[q]
            low[q] = max(low[q], sure >> bin_shift[q])


@numba.njit(cache=True, nogil=True, forceinline=True)
def _share_for_guess(start, strip, all_docs):
    """Return the share of all documents up to a strip, 0 where no threshold is guessed there."""
    if all_docs == 0 or strip & (strip + 1) != 0:
        return 0.0
    return (start + (strip + 1) * STRIP) / all_docs


@numba.njit(cache=True, nogil=True, forceinline=True)
def _raise(q, n, some_sum, k, seen, bin_shift, histogram, above, low):
    """Count the n listed sums of query q and raise its threshold; return it, a bin's number.

    Where `seen`, the share of documents so far, is above 0, the threshold is raised to what they
    promise: twice as many candidates as that share of k, and six standard deviations, must have
    passed it. Too high a guess shows in the end: fewer than k candidates passed.
    """
    a, b = above[q], low[q]
    for i in range(n):
        place = np.int64(some_sum[i]) >> bin_shift
        histogram[q, place] += 1
        a += place >= b
    wanted = np.float64(k)
    if seen > 0.0:
        wanted = min(wanted, 2.0 * k * seen + 6.0 * np.sqrt(k * seen) + 8.0)
    while a - histogram[q, b] >= wanted:
        a -= histogram[q, b]
        b += 1
    above[q], low[q] = a, b
    return b


@numba.njit(cache=True, nogil=True)
def _make_room(q, least, found, candidate, score):
    """Drop the candidates of query q that the threshold has left behind."""
    found[q] = drop_below(candidate[q], score[q], found[q], least)


@numba.njit(cache=True, nogil=True, forceinline=True)
def _enter(q, n, some_doc, some_sum, start, least, found, candidate, score):
    """Make the listed documents that reach `least` candidates of query q."""
    had = found[q]
    for i in range(n):
        candidate[q, had], score[q, had] = start + some_doc[i], some_sum[i]
        had += some_sum[i] >= least
    found[q] = had


@numba.njit(cache=True, nogil=True, forceinline=True)
def _add_now(n, facts, o, later, strip, sums, doc, impact, shift):
    """Add a query's terms that are not deferred to a strip's sums; return their postings."""
    touched = np.int64(0)
    for i in range(n):
        here, end = np.int64(facts[o, i, CUT + strip]), np.int64(facts[o, i, CUT + strip + 1])
        if here < end and later[i] == 0:
            touched += end - here
            first, at = np.int64(facts[o, i, FIRST]), np.int64(facts[o, i, AT])
            times = np.int64(facts[o, i, COUNT])
            _add(sums, doc, first + here, first + end, impact, at + here, times, shift)
    return touched


@numba.njit(cache=True, nogil=True)
def accumulate(queries, bags, block, all_docs, rounding, sums, candidates):
    """Add one block's documents to the candidates of the queries [queries[0], queries[1]).

    Arguments: `Bags`, `Impacts`, `Rounding`, `Candidates`. The block is one of all_docs, or of 0,
    which forbids guessing a threshold; if in the end low > 0 and above < k, a guess was too high
    and candidates lack. sums uint32 [65,536] is scratch: zeros in, zeros out.
    """
    bounds, term, count = bags
    fact, table, doc, impact, start, docs = block
    k, shift, slack, bin_shift = rounding
    histogram, above, low, found, candidate, score = candidates
    longest = np.max(bounds[1:] - bounds[:-1]) + 1
    later, order = np.zeros(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    facts = np.empty((_GROUP, longest, FACTS), dtype=np.uint32)
    most = np.empty((_GROUP, STRIPS), dtype=np.int64)
    hit, got = np.empty(STRIP + 8, np.uint32), np.empty(STRIP + 8, np.uint32)
    flag = np.empty(_CHUNK, dtype=np.uint8)
    flags, hits = flag.view(np.uint64), np.empty((2, STRIP // 8 + 1), dtype=np.uint32)
    for group in range(queries[0], queries[1], _GROUP):
        last = min(group + _GROUP, queries[1])
        for q in range(group, last):
            begin, end, some = bounds[q], bounds[q + 1], most[q - group]
            _most_of_strips(begin, end, term, count, fact, shift[q], some)
            if some.max() >= max(1, (low[q] << bin_shift[q]) - slack[q]):
                _gather(begin, end, term, count, fact, order, facts[q - group])
        for strip in range((docs + STRIP - 1) // STRIP):
            seen = _share_for_guess(start, strip, all_docs)
            for q in range(group, last):
                o, terms = q - group, bounds[q + 1] - bounds[q]
                least = max(1, (low[q] << bin_shift[q]) - slack[q])
                if found[q] < 0 or most[o, strip] < least:
                    continue  # no document of the strip can come near the threshold
                rest = _defer(terms, facts, o, strip, shift[q], least, later)
                touched = _add_now(terms, facts, o, later, strip, sums, doc, impact, shift[q])
                bottom = np.uint32(max(1, least - rest))
                if touched < _SPARSE:
                    n = _collect_touched(terms, facts, o, later, strip, sums, doc, bottom, hit, got)
                else:
                    n = _collect(sums, strip * STRIP, bottom, flag, flags, hits, hit, got)
                if rest > 0:
                    n = _look_up(n, terms, facts, o, later, least - rest, table, shift[q], hit, got)
                if n > 0:
                    b = _raise(q, n, got, k[q], seen, bin_shift[q], histogram, above, low)
                    least = max(1, (b << bin_shift[q]) - slack[q])
                    if found[q] + n > candidate.shape[1]:
                        n = drop_below(hit, got, n, least)
                        _make_room(q, least, found, candidate, score)
                    if found[q] + n > candidate.shape[1]:
                        found[q] = -1
                    else:
                        _enter(q, n, hit, got, start, least, found, candidate, score)
