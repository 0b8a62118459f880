"""Near copies of texts: sets of hashed character shingles, their Jaccard overlap, and MinHash.

A text is folded first: ASCII letters become lower case, every run of other ASCII that is no digit
becomes one blank, bytes of other scripts stay. Its shingles are all windows of `width` bytes; a
shorter text is one shingle, a text without letters and digits has none.

Text comes as Arrow holds it: all bytes in one array, row r = data[bounds[r]:bounds[r+1]].
"""

from __future__ import annotations

import numba
import numpy as np

_PRIME = np.uint64(1099511628211)  # FNV-1a, 64 bits
_BASIS = np.uint64(14695981039346656037)
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # the finaliser of MurmurHash3
_SHIFT = np.uint64(33)


@numba.njit(cache=True, nogil=True)
def _fold(data, begin, end, out):
    """Write the folded bytes of data[begin:end] to out and return how many they are."""
    n, gap = 0, False
    for p in range(begin, end):
        b = data[p]
        upper = 65 <= b <= 90
        if upper or 97 <= b <= 122 or 48 <= b <= 57 or b >= 128:
            if gap and n:
                out[n] = 32
                n += 1
            gap = False
            out[n] = b + 32 if upper else b
            n += 1
        else:
            gap = True
    return n


@numba.njit(cache=True, nogil=True)
def _hash(folded, begin, end):
    """FNV-1a of folded[begin:end], finished so that all 64 bits depend on all bytes."""
    h = _BASIS
    for p in range(begin, end):
        h = (h ^ np.uint64(folded[p])) * _PRIME
    h = (h ^ (h >> _SHIFT)) * _MIX
    return h ^ (h >> _SHIFT)


@numba.njit(cache=True, nogil=True)
def shingle_sets(data, bounds, width, start, stop, out, counts):
    """Write the shingle set of each text [start, stop), ascending, without repetition.

    data uint8, bounds int64 [n+1]. The set of row r goes to out (uint64) from position
    bounds[r] − bounds[start] on, where there is room for it: a text has no more shingles than
    bytes. counts int64 [n] receives its size, 0 for a text without letters and digits.
    """
    longest = 0
    for r in range(start, stop):
        longest = max(longest, bounds[r + 1] - bounds[r])
    folded = np.empty(longest + 1, np.uint8)
    for r in range(start, stop):
        n = _fold(data, bounds[r], bounds[r + 1], folded)
        at = bounds[r] - bounds[start]
        count = max(1, n - width + 1) if n else 0
        for i in range(count):
            out[at + i] = _hash(folded, i, min(i + width, n))
        hashes = np.sort(out[at : at + count])
        kept = 0
        for i in range(count):
            if i == 0 or hashes[i] != hashes[i - 1]:
                out[at + kept] = hashes[i]
                kept += 1
        counts[r] = kept


@numba.njit(cache=True, nogil=True)
def minhash(values, offsets, factor, term, start, stop, out):
    """Write the MinHash signature of each set [start, stop) to out uint32 [n, hashes].

    values uint64 with offsets int64 [n+1] as `shingle_sets` gives them; factor (odd) and term
    uint32 [hashes] are the hash functions factor·x + term mod 2³². The share of equal places of two
    signatures estimates the Jaccard overlap of the sets, with standard error √(J(1 − J)/hashes).
    An empty set has the largest value everywhere. Broder, Compression and Complexity of Sequences
    1997.
    """
    hashes = len(factor)
    for r in range(start, stop):
        row = out[r]
        for j in range(hashes):
            row[j] = np.uint32(0xFFFFFFFF)
        for i in range(offsets[r], offsets[r + 1]):
            x = np.uint32(values[i] >> np.uint64(32))
            for j in range(hashes):
                row[j] = min(row[j], np.uint32(factor[j] * x + term[j]))


@numba.njit(cache=True, nogil=True)
def jaccard(values, offsets, left, right, least, out):
    """Write |A ∩ B| / |A ∪ B| of the sets left[i] and right[i] to out float64 [pairs].

    values uint64 with offsets int64 [n+1], every set ascending. An overlap below `least` is written
    as 0: such a pair is left as soon as more shingles differ than |A ∪ B| − |A ∩ B| ≤
    (1 − least) / (1 + least) · (|A| + |B|) allows, which for hashed shingles is early. Two empty
    sets give 0.
    """
    allowed = (1.0 - least) / (1.0 + least) + 1e-9
    for pair in range(len(left)):
        i, end_i = offsets[left[pair]], offsets[left[pair] + 1]
        j, end_j = offsets[right[pair]], offsets[right[pair] + 1]
        total, common, differ = end_i - i + end_j - j, 0, 0
        most = allowed * total
        out[pair] = 0.0
        if abs((end_i - i) - (end_j - j)) > most:
            continue
        while i < end_i and j < end_j and differ <= most:
            a, b = values[i], values[j]
            common += a == b
            differ += a != b
            i += a <= b
            j += b <= a
        if total and differ <= most:
            overlap = common / (total - common)
            out[pair] = overlap if overlap >= least else 0.0
