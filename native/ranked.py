"""Lists of scored documents put in order: the best first, equal scores by document.

A score and its place become one integer that grows as the score falls, so that sorting integers
sorts lists; places of ascending documents settle ties.
"""

from __future__ import annotations

import numba
import numpy as np

from .merge import merge_sorted


@numba.njit(cache=True, nogil=True)
def rank_lists(
    offsets: np.ndarray,
    docs: np.ndarray,
    bits: np.ndarray,
    rows: np.ndarray,
    out_offsets: np.ndarray,
    out_docs: np.ndarray,
    out_bits: np.ndarray,
) -> None:
    """Write list `rows[i]` to out_offsets[i] … out_offsets[i+1]−1, by (−score, document).

    offsets int64 [lists+1] into docs uint32, ascending in a list, and bits uint32, their finite
    float32 scores bit by bit; rows int64 [n], −1 for a list that is not there, which must get no
    room. Lists are cut to the room that out_offsets (int64 [n+1]) has for them. 0 and −0 are equal.
    """
    sign, down = np.uint32(1 << 31), np.uint32(0xFFFFFFFF)
    for i in range(rows.size):
        room = out_offsets[i + 1] - out_offsets[i]
        if room == 0:
            continue
        start = offsets[rows[i]]
        count = offsets[rows[i] + 1] - start
        keys = np.empty(count, np.uint64)
        for place in range(count):
            own = bits[start + place]
            if own == sign:
                own = np.uint32(0)
            # of negative scores larger bits are smaller numbers: they are kept, others turned round
            falling = own if own & sign else np.uint32((own | sign) ^ down)
            keys[place] = np.uint64(falling) << np.uint64(32) | np.uint64(place)
        keys = merge_sorted(keys, np.empty(count, np.uint64))
        for rank in range(room):
            place = start + np.int64(keys[rank] & np.uint64(down))
            out_docs[out_offsets[i] + rank] = docs[place]
            out_bits[out_offsets[i] + rank] = bits[place]
