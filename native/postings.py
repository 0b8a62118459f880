"""Words in reading order turned into postings: for every term, the documents that hold it.

A block holds at most 65,536 documents, so that a document is a 16-bit offset. A term's count in a
document is 8 bits; what is above 255 continues in the next posting of the same document.
"""

from __future__ import annotations

import numba
import numpy as np

BLOCK = 1 << 16  # documents
MOST = 255  # occurrences in one posting


@numba.njit(cache=True, nogil=True)
def invert(words, bounds, term_of, terms):
    """Return (starts int64 [terms + 1], doc uint16, tf uint8 [postings]).

    words uint32 [words]: form of each word, document d's in bounds[d]:bounds[d+1] (int64
    [docs + 1], docs ≤ 65,536). term_of int32 [forms]: term of each form, −1 for none. Term t has
    the postings starts[t]:starts[t+1], ascending by document.
    """
    docs = bounds.size - 1
    size = np.zeros(terms + 1, dtype=np.int64)
    last = np.full(terms, -1, dtype=np.int32)  # the last document that held the term
    count = np.zeros(terms, dtype=np.uint32)  # … and how often so far
    for d in range(docs):
        for i in range(bounds[d], bounds[d + 1]):
            t = term_of[words[i]]
            if t >= 0:
                if last[t] != d:
                    last[t], count[t] = d, 0
                if count[t] % MOST == 0:
                    size[t + 1] += 1
                count[t] += 1
    for t in range(terms):
        size[t + 1] += size[t]
    doc = np.empty(size[terms], dtype=np.uint16)
    tf = np.zeros(size[terms], dtype=np.uint8)
    _fill(words, bounds, term_of, size, last, count, doc, tf)
    return size, doc, tf


@numba.njit(cache=True, nogil=True)
def _fill(words, bounds, term_of, starts, last, count, doc, tf):
    """Write the postings; `last` and `count` are scratch per term."""
    end = starts[:-1].copy()
    last[:] = -1
    for d in range(bounds.size - 1):
        for i in range(bounds[d], bounds[d + 1]):
            t = term_of[words[i]]
            if t >= 0:
                if last[t] != d:
                    last[t], count[t] = d, 0
                if count[t] % MOST == 0:
                    doc[end[t]] = d
                    end[t] += 1
                tf[end[t] - 1] += 1
                count[t] += 1


@numba.njit(cache=True, nogil=True)
def count_documents(terms, starts, doc, tf, out):
    """Add to out int64 [n] how many documents hold each of terms int64 [n], −1 for none.

    The other arguments are what `invert` returns.
    """
    for i in range(terms.size):
        if terms[i] >= 0:
            start, end = starts[terms[i]], starts[terms[i] + 1]
            out[i] += end - start
            for j in range(start, end):
                if tf[j] == MOST and j + 1 < end and doc[j + 1] == doc[j]:
                    out[i] -= 1  # the count goes on in the next posting


@numba.njit(cache=True, nogil=True)
def term_counts(words, bounds, term_of, terms):
    """Return (row_bounds int64 [rows + 1], term int32, count int32): each row's distinct terms.

    Arguments as in `invert`, any number of rows. Terms stand in order of first occurrence.
    """
    rows = bounds.size - 1
    row_bounds = np.zeros(rows + 1, dtype=np.int64)
    term = np.empty(words.size, dtype=np.int32)
    count = np.empty(words.size, dtype=np.int32)
    place = np.full(terms, -1, dtype=np.int64)
    n = 0
    for r in range(rows):
        for i in range(bounds[r], bounds[r + 1]):
            t = term_of[words[i]]
            if t >= 0:
                if place[t] < row_bounds[r]:
                    place[t], term[n], count[n] = n, t, 0
                    n += 1
                count[place[t]] += 1
        row_bounds[r + 1] = n
    return row_bounds, term[:n], count[:n]
