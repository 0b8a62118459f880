"""Kernels between the token store and a training batch: rows of ids gathered into padded arrays.

A row is `prefix first middle second suffix`, padded on the right to the width of the array; a
single text has no `middle` and no `second`. Token parts are gathered one part at a time: every
kernel skips the rows whose text lies in another part.
"""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)


@_jit
def kept_lengths(
    texts: np.ndarray, first: int, offsets: np.ndarray, cap: int, keep: np.ndarray
) -> None:
    """Write how many ids each text of one part gives, at most `cap`.

    `texts` int64 [n]: global ordinals; the part holds `first` … first+len(offsets)−2; `keep` int64
    [n], rows of other parts are left as they are.
    """
    for i in range(texts.size):
        at = texts[i] - first
        if 0 <= at < offsets.size - 1:
            keep[i] = min(cap, offsets[at + 1] - offsets[at])


@_jit
def copy_rows(
    texts: np.ndarray,
    first: int,
    offsets: np.ndarray,
    values: np.ndarray,
    keep: np.ndarray,
    at: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Copy the first `keep[i]` ids of each text of one part to `ids[i, at[i]:]`.

    `offsets` int32 and `values` uint16 or uint32 as they lie in the file; `ids` int64 [n, width].
    """
    for i in range(texts.size):
        local = texts[i] - first
        if 0 <= local < offsets.size - 1:
            source, target = offsets[local], at[i]
            for j in range(keep[i]):
                ids[i, target + j] = values[source + j]


@_jit
def frame_rows(
    first: np.ndarray,
    second: np.ndarray,
    special: np.ndarray,
    special_type: np.ndarray,
    prefix: int,
    middle: int,
    first_type: int,
    second_type: int,
    pad: int,
    ids: np.ndarray,
    mask: np.ndarray,
    types: np.ndarray,
) -> None:
    """Write everything of a batch but the texts: special ids, padding, mask and segments.

    `first`, `second` int64 [n]: ids of each text; `special` and `special_type` hold the prefix, the
    middle and the suffix in order. Writes `ids`, `mask` (1 = token), `types`: int64 [n, width].
    """
    n, width = ids.shape
    for i in range(n):
        j = 0
        for s in range(special.size + 1):
            if s == prefix:  # the first text stands between prefix and middle
                for _ in range(first[i]):
                    types[i, j] = first_type
                    j += 1
            if s == prefix + middle:  # of a single text it has no ids
                for _ in range(second[i]):
                    types[i, j] = second_type
                    j += 1
            if s < special.size:
                ids[i, j] = special[s]
                types[i, j] = special_type[s]
                j += 1
        for c in range(j):
            mask[i, c] = 1
        for c in range(j, width):
            ids[i, c] = pad
            types[i, c] = 0
            mask[i, c] = 0


@_jit
def draw_columns(keys: np.ndarray, columns: int, out: np.ndarray) -> None:
    """Draw `out.shape[1]` of the columns 1 … columns−1 for each row, without replacement.

    `keys` uint64 [n], one per row; `out` int64 [n, m], ascending. Selection sampling (Knuth, TAOCP
    volume 2, 3.4.2, algorithm S) on 32-bit counters; every product stays below 2⁶⁴.
    """
    low = np.uint64(0xFFFFFFFF)
    n, wanted = out.shape
    for i in range(n):
        taken = 0
        for column in range(1, columns):
            h = (keys[i] ^ (keys[i] >> np.uint64(32))) & low
            h = ((h + np.uint64(column) * np.uint64(0x9E3779B1)) & low) * np.uint64(0x85EBCA77)
            h = (h ^ (h >> np.uint64(17)) ^ (keys[i] >> np.uint64(32))) & low
            h = ((h ^ (h >> np.uint64(15))) * np.uint64(0xC2B2AE3D)) & low
            h ^= h >> np.uint64(16)
            left = np.uint64(columns - column)
            if (h * left) >> np.uint64(32) < np.uint64(wanted - taken):
                out[i, taken] = column
                taken += 1
                if taken == wanted:
                    break
