"""A stable sort of (key, score) pairs by their integer keys: least significant digits first.

Keys of pairs, query·2ᵇ + document, have some forty bits: four rounds of eleven. Each round counts
the digits and moves every pair once, so the work is linear, and equal keys keep their order.
"""

from __future__ import annotations

import numba
import numpy as np

DIGIT_BITS = 11
_DIGITS = 1 << DIGIT_BITS


@numba.njit(cache=True, nogil=True)
def sort_round(
    keys: np.ndarray,
    scores: np.ndarray,
    shift: int,
    out_keys: np.ndarray,
    out_scores: np.ndarray,
) -> None:
    """Move pairs in the order of bits shift … shift+10 of their keys, those of equal bits as they
    stand.

    `keys`, `out_keys` uint64 [n]; `scores`, `out_scores` float32 [n].
    """
    places = np.zeros(_DIGITS + 1, np.int64)
    mask, low = np.uint64(_DIGITS - 1), np.uint64(shift)
    for i in range(keys.size):
        places[np.int64((keys[i] >> low) & mask) + 1] += 1
    for digit in range(_DIGITS):
        places[digit + 1] += places[digit]
    for i in range(keys.size):
        own = np.int64((keys[i] >> low) & mask)
        place = places[own]
        places[own] = place + 1
        out_keys[place] = keys[i]
        out_scores[place] = scores[i]


@numba.njit(cache=True, nogil=True)
def rising(keys: np.ndarray) -> bool:
    """Say whether no key (uint64 [n]) is smaller than the one before it."""
    for i in range(1, keys.size):
        if keys[i] < keys[i - 1]:
            return False
    return True
