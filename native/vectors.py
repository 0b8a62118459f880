"""Kernels over row vectors; sums have one fixed order, so equal inputs give equal bits."""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)


@_jit
def pair_dots(left, right, left_row, right_row, out):
    """Inner product of `left[left_row[i]]` and `right[right_row[i]]`, summed in float64 in order.

    `left` [a, d] and `right` [b, d] float32; rows int [n]; `out` float32 [n]. The four partial sums
    of a pair are always the same four.
    """
    width = left.shape[1]
    for i in range(len(left_row)):
        a, b = left_row[i], right_row[i]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        k = 0
        while k + 4 <= width:
            s0 += np.float64(left[a, k]) * np.float64(right[b, k])
            s1 += np.float64(left[a, k + 1]) * np.float64(right[b, k + 1])
            s2 += np.float64(left[a, k + 2]) * np.float64(right[b, k + 2])
            s3 += np.float64(left[a, k + 3]) * np.float64(right[b, k + 3])
            k += 4
        while k < width:
            s0 += np.float64(left[a, k]) * np.float64(right[b, k])
            k += 1
        out[i] = np.float32((s0 + s1) + (s2 + s3))


@_jit
def normalise_rows(rows):
    """Divide each row of float32 [n, d] by its Euclidean length, in place; zero rows stay zero."""
    for i in range(rows.shape[0]):
        total = 0.0
        for k in range(rows.shape[1]):
            total += np.float64(rows[i, k]) * np.float64(rows[i, k])
        if total > 0.0:
            scale = 1.0 / np.sqrt(total)
            for k in range(rows.shape[1]):
                rows[i, k] = np.float32(rows[i, k] * scale)
