"""Pairs of groups looked up in ascending sets: which are there, which copy, where they stand.

A pair is the number query·2³² + document, so the pairs of one query stand together and a search
stays among these numbers. Groups: query uint32 [n], doc uint32 [n, k].
"""

from __future__ import annotations

import numba
import numpy as np

from .candidates import place_of

_jit = numba.njit(cache=True, nogil=True)

_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@_jit
def pairs_among(owner, doc, keys, start, stop, out):
    """Write which pairs (owner[g], doc[g, j]) of the rows [start, stop) are among keys.

    owner uint32 [n], doc uint32 [n, k]; keys uint64, ascending; out bool [n, k].
    """
    for g in range(start, stop):
        high = np.uint64(owner[g]) << _HALF
        first = place_of(keys, 0, len(keys), high)
        last = place_of(keys, first, len(keys), high | _LOW)
        if last < len(keys) and keys[last] == high | _LOW:
            last += 1
        for j in range(doc.shape[1]):
            wanted = high | np.uint64(doc[g, j])
            place = place_of(keys, first, last, wanted)
            out[g, j] = place < last and keys[place] == wanted


@_jit
def copies_of_positives(rows, starts, key, positive, judged, start, stop, out):
    """Write which documents have the key of a positive of their query, for queries [start, stop).

    The groups of query r are rows[starts[r]:starts[r+1]] (int64). key uint64 [n, k], 0 for a text
    that copies nothing; positive bool [n, k]. judged = (first, last int64 [queries], key uint64):
    the query's positives beside those of its groups have the keys key[first[r]:last[r]]. out bool
    [n, k]; a positive is a copy of itself.
    """
    begin, end, judged_key = judged
    size = key.shape[1]
    for r in range(start, stop):
        count = end[r] - begin[r]
        for i in range(starts[r], starts[r + 1]):
            for j in range(size):
                count += positive[rows[i], j]
        held = np.empty(count, np.uint64)
        count = 0
        for i in range(begin[r], end[r]):
            held[count] = judged_key[i]
            count += 1
        for i in range(starts[r], starts[r + 1]):
            for j in range(size):
                if positive[rows[i], j]:
                    held[count] = key[rows[i], j]
                    count += 1
        held = np.sort(held)
        for i in range(starts[r], starts[r + 1]):
            for j in range(size):
                own = key[rows[i], j]
                place = place_of(held, 0, count, own)
                out[rows[i], j] = own != 0 and place < count and held[place] == own


@_jit
def places_of_pairs(keys, query, offsets, doc, start, stop, out):
    """Write where the pairs keys[start:stop] stand in doc, −1 for one that is not there.

    keys uint64, ascending; query uint32 [m], ascending; row r holds the documents
    doc[offsets[r]:offsets[r+1]] (uint32), ascending. out int64 [keys].
    """
    if start == stop:
        return
    r = place_of(query, 0, len(query), keys[start] >> _HALF)
    at, rows = offsets[r], len(query)
    for i in range(start, stop):
        while r < rows and np.uint64(query[r]) < keys[i] >> _HALF:
            r += 1
            at = offsets[r]
        out[i] = -1
        if r < rows and np.uint64(query[r]) == keys[i] >> _HALF:
            wanted = keys[i] & _LOW
            at = place_of(doc, at, offsets[r + 1], wanted)
            if at < offsets[r + 1] and doc[at] == wanted:
                out[i] = at
