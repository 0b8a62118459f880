"""bfloat16 in kernels: rounding to it, and what rounding leaves; numba has no such type."""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)
_one_exit = numba.njit(forceinline=True)
_sums = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
_HALF = np.float32(2.0**112)  # a float16's bits, moved up 13 places, read as float32: value / 2^112


@_one_exit
def as_float(bits):
    """The float32 of these 32 bits."""
    return np.uint32(bits).view(np.float32)


@_one_exit
def from_half(h):
    """The float32 value of a float16's bits."""
    sign, rest = np.uint32(h) & np.uint32(0x8000), np.uint32(h) & np.uint32(0x7FFF)
    return as_float(sign << np.uint32(16) | rest << np.uint32(13)) * _HALF


@_one_exit
def to_narrow(x):
    """The bits of a finite float32 rounded to bfloat16, ties to even."""
    bits = np.float32(x).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@_one_exit
def from_narrow(bits):
    """The float32 value of bfloat16 bits."""
    return as_float(np.uint32(bits) << np.uint32(16))


@_jit
def narrow_halves(stored, out):
    """Round float16 [n, d], given as its uint16 bits, to bfloat16: writes uint16 bits [n, d]."""
    for i in range(stored.shape[0]):
        for k in range(stored.shape[1]):
            out[i, k] = to_narrow(from_half(stored[i, k]))


@_jit
def narrow_singles(stored, out):
    """Round float32 [n, d] to bfloat16: writes its uint16 bits [n, d]."""
    for i in range(stored.shape[0]):
        for k in range(stored.shape[1]):
            out[i, k] = to_narrow(stored[i, k])


@_sums
def narrowing_norms(rows, narrow, norms):
    """Write float64 [n, 3]: Euclidean lengths of each row, of it rounded, and of what was lost.

    `rows` float32 [n, d], `narrow` uint16 [n, d] its bfloat16 bits.
    """
    for i in range(rows.shape[0]):
        whole, kept, lost = 0.0, 0.0, 0.0
        for k in range(rows.shape[1]):
            x, y = np.float64(rows[i, k]), np.float64(from_narrow(narrow[i, k]))
            whole += x * x
            kept += y * y
            lost += (x - y) * (x - y)
        norms[i, 0], norms[i, 1], norms[i, 2] = np.sqrt(whole), np.sqrt(kept), np.sqrt(lost)
