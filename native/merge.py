"""Union of ranked lists: every document once, ascending, with its rank and score in each list."""

from __future__ import annotations

import numba
import numpy as np

MAX_RANK = 65_535
"""Ranks are stored in 16 bits; 0 means that the list does not hold the document."""


@numba.njit(cache=True, nogil=True)
def merge_sorted(keys: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Merge sort from the bottom up; compiles and runs faster than numba's own sort here."""
    count, width = len(keys), 1
    while width < count:
        for low in range(0, count, 2 * width):
            middle = min(low + width, count)
            high = min(low + 2 * width, count)
            left, right = low, middle
            for at in range(low, high):
                if left < middle and (right >= high or keys[left] <= keys[right]):
                    spare[at] = keys[left]
                    left += 1
                else:
                    spare[at] = keys[right]
                    right += 1
        keys, spare = spare, keys
        width *= 2
    return keys


@numba.njit(cache=True, nogil=True)
def merge_lists(
    offsets: np.ndarray,
    docs: np.ndarray,
    scores: np.ndarray,
    ranked: int,
    out_offsets: np.ndarray,
    out_docs: np.ndarray,
    out_ranks: np.ndarray,
    out_scores: np.ndarray,
) -> None:
    """Merge the lists of every query.

    `offsets` int64 [lists, queries+1] into the flat `docs` uint32 and `scores` float32: list l of
    query q is `docs[offsets[l, q] : offsets[l, q+1]]`, best first, each document once. The first
    `ranked` lists are runs, at most 65,535 long; later ones only add documents (positives).

    Out: `out_offsets` int64 [queries+1]; `out_docs` uint32 [≥ all entries], ascending within a
    query; `out_ranks` uint16 [ranked, …], 1-based, 0 = not in the list; `out_scores` float32
    [ranked, …], NaN = not in the list. The union of empty lists is empty. The caller fills
    `out_ranks` with 0 and `out_scores` with NaN.
    """
    lists, ends = offsets.shape
    total = 0
    out_offsets[0] = 0
    for query in range(ends - 1):
        count = 0
        for number in range(lists):
            count += offsets[number, query + 1] - offsets[number, query]
        # document, list and position in one number: sorting puts equal documents side by side
        keys = np.empty(count, dtype=np.uint64)
        at = 0
        for number in range(lists):
            start = offsets[number, query]
            for place in range(offsets[number, query + 1] - start):
                key = np.uint64(docs[start + place]) << np.uint64(32)
                keys[at] = key | np.uint64(number << 16)
                if number < ranked:
                    keys[at] |= np.uint64(place)
                at += 1
        keys = merge_sorted(keys, np.empty(count, dtype=np.uint64))
        for index in range(count):
            doc = np.uint32(keys[index] >> np.uint64(32))
            if total == out_offsets[query] or out_docs[total - 1] != doc:
                out_docs[total] = doc
                total += 1
            owner = np.int64((keys[index] >> np.uint64(16)) & np.uint64(0xFFFF))
            if owner < ranked:
                position = np.int64(keys[index] & np.uint64(0xFFFF))
                out_ranks[owner, total - 1] = position + 1
                out_scores[owner, total - 1] = scores[offsets[owner, query] + position]
        out_offsets[query + 1] = total
