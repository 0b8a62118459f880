"""Keys of texts that are alike but for white space, case and punctuation.

Text comes as Arrow holds it: valid UTF-8, all bytes in one array, row r = data[bounds[r]:
bounds[r+1]].
"""

from __future__ import annotations

import numba
import numpy as np

DROPPED, MARK, UNSETTLED = 1, 2, 4
"""Classes of code points: not looked at; a mark that is dropped behind a dropped one. 0: kept. With
UNSETTLED on top: a text with such a one may not be in normal form."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # the finaliser of MurmurHash3
_SHIFT, _HALF = np.uint64(33), np.uint64(32)
_SHARP_S, _S = 0xDF, 0x73


@numba.njit(cache=True, nogil=True)
def _step(h, code):
    h = (h ^ np.uint64(code)) * _FACTOR
    return h ^ (h >> _HALF)


@numba.njit(cache=True, nogil=True)
def folded_keys(data, bounds, start, stop, classes, folds, out, unsettled):
    """Write a 64-bit hash of the code points that are kept of each text [start, stop), folded.

    data uint8, bounds int64 [n+1]; classes uint8 and folds uint32 [0x110000]: what is dropped, and
    the case folding of each code point (ß counts as ss). out uint64 [n]; 0 for a text of which
    nothing is kept. unsettled bool [n]: has a code point of that class.
    """
    for row in range(start, stop):
        h, kept, gap, seen = _FACTOR, 0, True, 0
        at, end = bounds[row], bounds[row + 1]
        while at < end:
            byte = np.int64(data[at])
            at += 1
            code = byte
            if byte >= 0x80:
                more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
                code = byte & (0x3F >> more)
                for _ in range(more):
                    code = code << 6 | np.int64(data[at]) & 0x3F
                    at += 1
            kind = classes[code] & ~UNSETTLED
            seen |= classes[code]
            if kind == DROPPED or (kind == MARK and gap):
                gap = True
                continue
            gap = False
            kept += 1
            code = np.int64(folds[code])
            if code == _SHARP_S:
                h = _step(h, _S)
                code = _S
            h = _step(h, code)
        h = (h ^ (h >> _SHIFT)) * _MIX
        h ^= h >> _SHIFT
        if kept == 0:
            h = np.uint64(0)
        elif h == 0:
            h = np.uint64(1)
        out[row] = h
        unsettled[row] = seen & UNSETTLED != 0
