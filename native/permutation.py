"""A keyed bijection on 0 … n−1 that needs no memory: a Feistel network, walked until it lands
inside.

Source: Black and Rogaway, "Ciphers with arbitrary finite domains" (CT-RSA 2002), cycle walking;
round mixing as in the finaliser of xxHash. Every product stays below 2⁶⁴, so plain Python gives the
same numbers.
"""

from __future__ import annotations

import numba
import numpy as np

ROUNDS = 6
MIN_BITS = 6  # tiny domains get poor mixing from halves of one or two bits


@numba.njit(cache=True, nogil=True)
def permute(first: int, size: int, keys: np.ndarray, out: np.ndarray) -> None:
    """Write the images of first, first+1, … under the bijection on 0 … size−1.

    Parameters: `keys` uint64[ROUNDS], the low 32 bits of each are used; `out` int64[m], with
    first + m ≤ size < 2⁶². An empty `out` is left as it is.
    """
    bits = MIN_BITS
    while (np.int64(1) << bits) < size:
        bits += 1
    right_bits = np.uint64(bits - bits // 2)
    left_mask = (np.uint64(1) << np.uint64(bits // 2)) - np.uint64(1)
    right_mask = (np.uint64(1) << right_bits) - np.uint64(1)
    low = np.uint64(0xFFFFFFFF)
    bound = np.uint64(size)
    for i in range(out.size):
        x = np.uint64(first + i)
        while True:
            left, right = x >> right_bits, x & right_mask
            for r in range(ROUNDS):
                h = right if r % 2 == 0 else left
                h = (((h ^ keys[r]) & low) * np.uint64(0x9E3779B1)) & low
                h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x85EBCA77)) & low
                h = ((h ^ (h >> np.uint64(13))) * np.uint64(0xC2B2AE3D)) & low
                h ^= h >> np.uint64(16)
                if r % 2 == 0:
                    left ^= h & left_mask
                else:
                    right ^= h & right_mask
            x = (left << right_bits) | right
            if x < bound:
                break
        out[i] = np.int64(x)
