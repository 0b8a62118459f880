"""Moments of a table over many resamples of its rows: what a bootstrap of correlations sums.

A resample gives every row a weight, how often its query was drawn. With columns standardised
beforehand, weighted means are near 0 and second moments near 1, so that a covariance is the
difference of two sums without losing digits.
"""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)

_TILE = 256  # rows of a table that stay in cache while all resamples pass over them


@_jit
def products(table, out):
    """Write the columns of a table and their products: table float64 [n, c], out [n, c + c(c+1)/2],
    first the columns, then z_i·z_j for i ≤ j, row by row of the upper triangle."""
    n, c = table.shape
    for r in range(n):
        k = c
        for i in range(c):
            out[r, i] = table[r, i]
            for j in range(i, c):
                out[r, k] = table[r, i] * table[r, j]
                k += 1


@_jit
def weighted_sums(table, owner, weight, first, last, out):
    """Write Σ_r weight[s, owner[r]]·table[r] for the resamples [first, last).

    table float64 [n, m], owner int64 [n], weight uint16 [resamples, owners]; out float64
    [resamples, m]. Rows are added from the first to the last, whatever the threads.
    """
    n, m = table.shape
    for s in range(first, last):
        out[s] = 0.0
    for begin in range(0, n, _TILE):
        end = min(begin + _TILE, n)
        for s in range(first, last):
            for r in range(begin, end):
                w = np.float64(weight[s, owner[r]])
                if w > 0.0:
                    for k in range(m):
                        out[s, k] += w * table[r, k]
