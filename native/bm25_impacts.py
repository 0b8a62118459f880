"""What a block's postings are worth: impacts in fixed point, and the frequent terms by document.

The first part of `native.bm25`, which explains it.
"""

from __future__ import annotations

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
