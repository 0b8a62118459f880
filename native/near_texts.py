"""Near copies of a few texts among many: shingles are looked at only until the answer is certain.

The sets, and the overlap by which two texts are near copies, are those of `native.shingles`. Most
texts share next to nothing with an original. After a few dozen shingles that it does not have, even
if all that follow were common, the overlap could not be reached; such a text is left there. Up to
there a shingle is the number that its bytes spell: cheaper than its hash, and another one for
another shingle.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from .candidates import place_of
from .shingles import _fold, _hash

_jit = numba.njit(cache=True, nogil=True)

_BITS = 13  # of a filter that says of a hash that an original's set does not have it
_SEEN = 10  # of a table that counts different hashes, too few rather than too many
_SLACK = 1e-9
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BYTE, _KEPT = np.uint64(8), np.uint64((1 << 48) - 1)
_FOLDED = np.array(  # what `_fold` makes of a byte, 0 for those between words
    [
        b + 32 if 65 <= b <= 90 else b if 97 <= b <= 122 or 48 <= b <= 57 or b >= 128 else 0
        for b in range(256)
    ],
    np.uint64,
)
WIDTH = 6  # bytes of a shingle: they fit a number


class Originals(NamedTuple):
    """Distinct texts, data uint8, bounds int64, and their shingle sets: values uint64, offsets
    int64; and by group which of them are its originals, number[first[g]:last[g]] (int64), and their
    documents, doc uint32."""

    data: np.ndarray
    bounds: np.ndarray
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
def near_copies(groups, doc, texts, originals, least, start, stop, flag):
    """Set the flag of every allowed candidate whose overlap with an original is `least` or more.

    groups: native.kept.Groups; doc uint32 [pairs], ascending in a row. flag uint8, by the places of
    `allowed`. An original is no copy of itself. Only documents of `texts` are looked at.
    """
    limit, longest = texts.base + len(texts.bounds) - 1, 1
    for bounds in (texts.bounds.astype(np.int64), originals.bounds):
        for d in range(len(bounds) - 1):
            longest = max(longest, bounds[d + 1] - bounds[d])
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
            whole = originals.bounds[number], originals.bounds[number + 1]
            _note(originals.data, whole, folded, filter_, 1)
            for i in range(begin, end):
                at = groups.offsets[g] + i - first
                if not groups.allowed[at] or flag[at] or doc[i] == originals.doc[k]:
                    continue
                turn += 1
                d = np.int64(doc[i]) - texts.base
                span = texts.bounds[d], texts.bounds[d + 1]
                if _possible(texts.data, span, len(own), least, (filter_, seen, turn)):
                    flag[at] = _overlap(texts.data, span, own, folded) >= least
            _note(originals.data, whole, folded, filter_, 0)


@_jit
def _note(data, span, folded, filter_, present):
    """Write whether the shingles of a text are in the filter."""
    n, x = _fold(data, span[0], span[1], folded), np.uint64(0)
    for p in range(n):
        x = ((x << _BYTE) | np.uint64(folded[p])) & _KEPT
        if p >= WIDTH - 1:
            filter_[(x * _MIX) >> np.uint64(64 - _BITS)] = present


@_jit
def _possible(data, span, size, least, tables):
    """Say whether an overlap of `least` with a set of `size` is possible, from as few shingles as
    decide it."""
    begin, end = span
    left = max(1, end - begin - WIDTH + 1)  # shingles that can still come, or more
    if min(size, left) < least * size - _SLACK:
        return False
    n, gap, counted, x = 0, False, (0, 0), np.uint64(0)
    for p in range(begin, end):
        b = _FOLDED[data[p]]
        if b == 0:
            gap = True
            continue
        if gap and n:
            x = ((x << _BYTE) | np.uint64(32)) & _KEPT
            n += 1
            if n >= WIDTH:
                counted = _counted(x, counted, tables)
        gap = False
        x = ((x << _BYTE) | b) & _KEPT
        n += 1
        if n >= WIDTH:
            counted = _counted(x, counted, tables)
            common = min(size, counted[0] + end - p - 1)
            if common < least * (size + counted[1]) - _SLACK:
                return False
    return True


@_jit
def _counted(x, counted, tables):
    """Count a shingle as a possible hit, or as a miss that has not been seen in this text."""
    filter_, seen, turn = tables
    h = x * _MIX
    if filter_[h >> np.uint64(64 - _BITS)]:
        return counted[0] + 1, counted[1]
    slot = h >> np.uint64(64 - _SEEN)
    if seen[slot] == turn:
        return counted
    seen[slot] = turn
    return counted[0], counted[1] + 1


@_jit
def _overlap(data, span, own, folded):
    """Return the Jaccard overlap of a text's set with `own`, as `shingles.jaccard` does."""
    n = _fold(data, span[0], span[1], folded)
    if not n:
        return 0.0
    hashes = np.empty(max(1, n - WIDTH + 1), np.uint64)
    for i in range(len(hashes)):
        hashes[i] = _hash(folded, i, min(i + WIDTH, n))
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
