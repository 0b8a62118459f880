"""Near copies of a few texts among many: shingles are hashed only until the answer is certain.

The sets, and the overlap by which two texts are near copies, are those of `native.shingles`. Most
texts share next to nothing with an original. After a few dozen shingles that it does not have, even
if all that follow were common, the overlap could not be reached; such a text is left there.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from .candidates import place_of
from .shingles import _fold, _hash

_jit = numba.njit(cache=True, nogil=True)

_BITS = 14  # of a filter that says of a hash that an original's set does not have it
_SEEN = 12  # of a table that counts different hashes, too few rather than too many
_SLACK = 1e-9


class Originals(NamedTuple):
    """Shingle sets of distinct texts: values uint64, offsets int64; and by group which of them are
    its originals, number[first[g]:last[g]] (int64), and their documents, doc uint32."""

    values: np.ndarray
    offsets: np.ndarray
    first: np.ndarray
    last: np.ndarray
    number: np.ndarray
    doc: np.ndarray


class Texts(NamedTuple):
    """Texts of documents base, base + 1, …: data uint8, bounds [documents+1]."""

    data: np.ndarray
    bounds: np.ndarray
    base: int


@_jit
def near_copies(groups, doc, texts, originals, width, least, start, stop, flag):
    """Set the flag of every allowed candidate whose overlap with an original is `least` or more.

    groups: native.kept.Groups; doc uint32 [pairs], ascending in a row. flag uint8, by the places of
    `allowed`. An original is no copy of itself. Only documents of `texts` are looked at.
    """
    limit, longest = texts.base + len(texts.bounds) - 1, 1
    for d in range(len(texts.bounds) - 1):
        longest = max(longest, texts.bounds[d + 1] - texts.bounds[d])
    folded = np.empty(longest, np.uint8)
    filter_, seen = np.zeros(1 << _BITS, np.uint8), np.zeros(1 << _SEEN, np.int64)
    turn = 0
    for g in range(start, stop):
        first, count = groups.first[g], groups.offsets[g + 1] - groups.offsets[g]
        begin = place_of(doc, first, first + count, texts.base)
        end = place_of(doc, begin, first + count, limit)
        if begin == end:
            continue
        for k in range(originals.first[g], originals.last[g]):
            number = originals.number[k]
            own = originals.values[originals.offsets[number] : originals.offsets[number + 1]]
            for h in own:
                filter_[h >> np.uint64(64 - _BITS)] = 1
            for i in range(begin, end):
                at = groups.offsets[g] + i - first
                if not groups.allowed[at] or flag[at] or doc[i] == originals.doc[k]:
                    continue
                turn += 1
                d = np.int64(doc[i]) - texts.base
                span = texts.bounds[d], texts.bounds[d + 1]
                if _possible(texts.data, span, own, width, least, (filter_, seen, turn), folded):
                    flag[at] = _overlap(texts.data, span, own, width, folded) >= least
            for h in own:
                filter_[h >> np.uint64(64 - _BITS)] = 0


@_jit
def _possible(data, span, own, width, least, tables, folded):
    """Say whether an overlap of `least` is possible, from as few shingles as decide it."""
    filter_, seen, turn = tables
    begin, end = span
    size, n, gap, hits, misses = len(own), 0, False, 0, 0
    left = max(1, end - begin - width + 1)  # shingles that can still come, or more
    if min(size, left) < least * size - _SLACK:
        return False
    for p in range(begin, end):
        b = data[p]
        upper = 65 <= b <= 90
        if upper or 97 <= b <= 122 or 48 <= b <= 57 or b >= 128:
            if gap and n:
                folded[n] = 32
                n += 1
                if n >= width:
                    h = _hash(folded, n - width, n)
                    hits, misses = _counted(h, hits, misses, tables)
            gap = False
            folded[n] = b + 32 if upper else b
            n += 1
            if n >= width:
                h = _hash(folded, n - width, n)
                hits, misses = _counted(h, hits, misses, tables)
                common = min(size, hits + end - p - 1)
                if common < least * (size + misses) - _SLACK:
                    return False
        else:
            gap = True
    return True


@_jit
def _counted(h, hits, misses, tables):
    """Count a hash as a possible hit, or as a miss that has not been seen in this text."""
    filter_, seen, turn = tables
    if filter_[h >> np.uint64(64 - _BITS)]:
        return hits + 1, misses
    slot = h >> np.uint64(64 - _SEEN)
    if seen[slot] == turn:
        return hits, misses
    seen[slot] = turn
    return hits, misses + 1


@_jit
def _overlap(data, span, own, width, folded):
    """Return the Jaccard overlap of a text's set with `own`, as `shingles.jaccard` does."""
    n = _fold(data, span[0], span[1], folded)
    if not n:
        return 0.0
    hashes = np.empty(max(1, n - width + 1), np.uint64)
    for i in range(len(hashes)):
        hashes[i] = _hash(folded, i, min(i + width, n))
    hashes = np.sort(hashes)
    different, common, j = 0, 0, 0
    for i in range(len(hashes)):
        if i and hashes[i] == hashes[i - 1]:
            continue
        different += 1
        while j < len(own) and own[j] < hashes[i]:
            j += 1
        common += j < len(own) and own[j] == hashes[i]
    return common / (different + len(own) - common)
