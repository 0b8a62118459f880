"""Keyed BLAKE2b of many short texts, 64 bits of each: what a draw's key is made of.

The digest is that of Python's `hashlib.blake2b(text, digest_size=8, key=key)`. A key fills a block
of its own before the text, so what it leaves is the same for all texts of one seed (RFC 7693).
"""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)

BLOCK = 128
_START = np.array(  # the fractional parts of the square roots of the first eight primes
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_ORDER = np.array(  # of the words of a block, by round
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
_ROUNDS = 12
_32, _24, _16, _63 = np.uint64(32), np.uint64(24), np.uint64(16), np.uint64(63)
_40, _48, _1 = np.uint64(40), np.uint64(48), np.uint64(1)


@_jit
def _mix(v, a, b, c, d, x, y):
    """RFC 7693, section 3.1: four additions, four rotations."""
    va = v[a] + v[b] + x
    vd = v[d] ^ va
    vd = (vd >> _32) | (vd << _32)
    vc = v[c] + vd
    vb = v[b] ^ vc
    vb = (vb >> _24) | (vb << _40)
    va += vb + y
    vd ^= va
    vd = (vd >> _16) | (vd << _48)
    vc += vd
    vb ^= vc
    v[a], v[b], v[c], v[d] = va, (vb >> _63) | (vb << _1), vc, vd


@_jit
def _compress(h, block, v, words, read, last):
    """Take a block (uint8 [128]) into the state h; `read`: bytes up to its end."""
    for i in range(16):
        word = np.uint64(0)
        for b in range(7, -1, -1):
            word = (word << np.uint64(8)) | np.uint64(block[8 * i + b])
        words[i] = word
    for i in range(8):
        v[i], v[i + 8] = h[i], _START[i]
    v[12] ^= np.uint64(read)
    if last:
        v[14] = ~v[14]
    for turn in range(_ROUNDS):
        s = _ORDER[turn % 10]
        for k in range(4):  # columns, then diagonals
            _mix(v, k, 4 + k, 8 + k, 12 + k, words[s[2 * k]], words[s[2 * k + 1]])
        for k in range(4):
            b, c, d = 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4
            _mix(v, k, b, c, d, words[s[8 + 2 * k]], words[s[9 + 2 * k]])
    for i in range(8):
        h[i] ^= v[i] ^ v[i + 8]


@_jit
def keyed(key, prefix, data, bounds, out):
    """Write 64 bits (uint64, the digest read from its lowest byte) of prefix + text for every text.

    key, prefix uint8 (a key of 1 to 64 bytes, text after the prefix); text r is
    data[bounds[r]:bounds[r+1]], uint8, bounds int64 [n+1]. out uint64 [n].
    """
    begun, h = np.empty(8, np.uint64), np.empty(8, np.uint64)
    block, v, words = np.zeros(BLOCK, np.uint8), np.empty(16, np.uint64), np.empty(16, np.uint64)
    for i in range(8):
        begun[i] = _START[i]
    begun[0] ^= np.uint64(0x01010000 ^ (len(key) << 8) ^ 8)
    for i in range(len(key)):  # a slice that is given an array takes seconds to compile
        block[i] = key[i]
    _compress(begun, block, v, words, BLOCK, False)
    for r in range(len(bounds) - 1):
        for i in range(8):
            h[i] = begun[i]
        length, place, read = len(prefix) + bounds[r + 1] - bounds[r], 0, BLOCK
        for p in range(length):
            if place == BLOCK:  # a full block that more follows
                read += BLOCK
                _compress(h, block, v, words, read, False)
                place = 0
            own = p - len(prefix)
            block[place] = prefix[p] if own < 0 else data[bounds[r] + own]
            place += 1
        block[place:] = 0
        _compress(h, block, v, words, read + place, True)
        out[r] = h[0]
