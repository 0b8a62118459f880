"""Moments of a table over many resamples of its rows: what a bootstrap of correlations sums.

A resample gives every row a weight, how often its query was drawn. With columns standardised
beforehand, weighted means are near 0 and second moments near 1, so that a covariance is the
difference of two sums without losing digits.
"""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)

_TILE = 256  # rows of a table that stay in cache while all resamples pass over them; in fours


@_jit
def products(table, owner, out):
    """Sum the columns of a table and their products by owner: table float64 [n, c], owner int64.

    out [owners, ≥ c + c(c+1)/2] is added to: first the columns, then z_i·z_j for i ≤ j, row by row
    of the upper triangle.
    """
    n, c = table.shape
    for r in range(n):
        row, k = out[owner[r]], c
        for i in range(c):
            row[i] += table[r, i]
            for j in range(i, c):
                row[k] += table[r, i] * table[r, j]
                k += 1


@_jit
def weighted_sums(table, weight, first, last, out):
    """Write Σ_r weight[s, r]·table[r] for the resamples [first, last).

    table float64 [n, m], weight uint16 [resamples, n], out float64 [resamples, m]. Rows are added
    four at a time from the first to the last, whatever the threads.
    """
    n, m = table.shape
    for s in range(first, last):
        out[s] = 0.0
    for begin in range(0, n, _TILE):
        end = min(begin + _TILE, n)
        fours = begin + (end - begin) // 4 * 4
        for s in range(first, last):
            total, w = out[s], weight[s]
            for r in range(begin, fours, 4):
                a, b = np.float64(w[r]), np.float64(w[r + 1])
                c, d = np.float64(w[r + 2]), np.float64(w[r + 3])
                one, two, three, four = table[r], table[r + 1], table[r + 2], table[r + 3]
                for k in range(m):
                    total[k] += (a * one[k] + b * two[k]) + (c * three[k] + d * four[k])
            for r in range(fours, end):
                for k in range(m):
                    total[k] += w[r] * table[r, k]


@_jit
def falling(values, offsets, start, stop, out):
    """Write the largest values of rows [start, stop), largest first: out float64 [rows, most].

    Row r is values[offsets[r]:offsets[r+1]], float64; places beyond its end are left as they are.
    """
    for r in range(start, stop):
        ordered = np.sort(values[offsets[r] : offsets[r + 1]])
        for k in range(min(len(ordered), out.shape[1])):
            out[r, k] = ordered[len(ordered) - 1 - k]
