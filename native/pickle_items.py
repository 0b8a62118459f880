"""The bytes of a pickled dictionary from whole numbers to floats, read as data: nothing is run.

What a pickle says of such a dictionary is, for each item, an integer in one of four spellings and
a float of eight bytes; the kernel stops at anything else.
"""

from __future__ import annotations

import numba
import numpy as np

_BININT, _BININT1, _BININT2, _LONG1, _BINFLOAT = 0x4A, 0x4B, 0x4D, 0x8A, 0x47


@numba.njit(cache=True, nogil=True)
def _whole(data, start, size):
    """Return the little-endian number of `size` bytes, signed where it is that of a long one."""
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(data[start + i]) << np.uint64(8 * i)
    return value


@numba.njit(cache=True, nogil=True)
def read_items(data: np.ndarray, start: int, keys: np.ndarray, bits: np.ndarray) -> tuple[int, int]:
    """Read items from `start` on; returns how many there are, and the place after the last.

    `data` uint8; `keys` int64 [n] gets the integers, `bits` uint64 [n] the bits of the floats
    (IEEE 754 binary64); at most n items are read, and only whole ones.
    """
    place, count = start, 0
    while count < keys.size and place < data.size:
        code, at = data[place], place + 1
        size = 1 if code == _BININT1 else 2 if code == _BININT2 else 4 if code == _BININT else 0
        if code == _LONG1 and at < data.size:
            size, at = int(data[at]), at + 1
        if not 0 < size <= 8 or at + size + 9 > data.size or data[at + size] != _BINFLOAT:
            break
        number = _whole(data, at, size)
        signed = code == _BININT or code == _LONG1
        if signed and size < 8 and data[at + size - 1] >= 128:
            number |= ~((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))
        keys[count] = np.int64(number)
        at += size + 1
        pattern = np.uint64(0)
        for i in range(8):
            pattern = pattern << np.uint64(8) | np.uint64(data[at + i])
        bits[count] = pattern
        place, count = at + 8, count + 1
    return count, place
