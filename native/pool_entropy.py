"""Pair sums over long lists without the pairs: cells of scores instead of documents.

The entropy of a pair, h(x) = log(1 + e^−x) + x·e^−x/(1 + e^−x), and its misorder probability q(x) =
e^−x/(1 + e^−x) are analytic in the difference x of two scores, with the nearest poles at ±iπ. So
scores are sorted into cells of width ½ (in units of the temperature); documents of one cell are
paired one by one, and two different cells meet through their Chebyshev moments Σ T_m(score):

    Σ_{i∈A, j∈B} h(a_j − a_i) ≈ Σ_{m,n} c^d_{mn}·M_A[m]·M_B[n],   d = distance of the cells.

With 10 moments the Chebyshev series has an error below 1e-12 nats for each pair (ρ^−10 with ρ above
20, the ellipse that stays inside the strip |Im x| < π); cells more than 40 apart add less than
1e-15 each.
"""

from __future__ import annotations

import numba
import numpy as np

from .scales import FASTMATH

CELL = 0.5
MOMENTS = 10
REACH = 80  # cells: 40 units of score

# A list is worth sorting into cells from here on; shorter ones are paired directly.
LONG = 256


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev coefficients float64 [REACH + 1, MOMENTS, MOMENTS] of h and of q for d = 0 … REACH.

    In the lower cell a = CELL·(u + 1)/2, in the higher one b = CELL·(v + 1)/2 + d·CELL.
    """
    angle = np.pi * (np.arange(MOMENTS) + 0.5) / MOMENTS
    node = CELL * (np.cos(angle) + 1.0) / 2.0
    transform = 2.0 / MOMENTS * np.cos(np.outer(np.arange(MOMENTS), angle))
    transform[0] /= 2.0
    d = np.arange(REACH + 1)[:, None, None] * CELL
    x = d + node[None, None, :] - node[None, :, None]
    q = 1.0 / (1.0 + np.exp(x))
    h = np.logaddexp(0.0, -x) + x * q
    return transform @ h @ transform.T, transform @ q @ transform.T


ENTROPY, MISORDER = _tables()


@numba.njit(cache=True, nogil=True)
def sort_into_cells(a, begin, end, low, cells, ordered, starts):
    """Copy a[begin:end] to `ordered`, cell by cell; starts int64[cells+1] gets where each begins.

    Within a cell the order of `a` stays.
    """
    for cell in range(cells + 1):
        starts[cell] = 0
    for i in range(begin, end):
        starts[min(int((a[i] - low) / CELL), cells - 1) + 1] += 1
    for cell in range(cells):
        starts[cell + 1] += starts[cell]
    for i in range(begin, end):
        cell = min(int((a[i] - low) / CELL), cells - 1)
        ordered[starts[cell]] = a[i]
        starts[cell] += 1
    for cell in range(cells, 0, -1):
        starts[cell] = starts[cell - 1]
    starts[0] = 0


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def moments_of(ordered, starts, low, cells, moments):
    """Write Σ T_m(u) of every cell to moments float64[cells, MOMENTS], u in [−1, 1] across it."""
    for cell in range(cells):
        for m in range(MOMENTS):
            moments[cell, m] = 0.0
        left = low + cell * CELL
        for i in range(starts[cell], starts[cell + 1]):
            u = (ordered[i] - left) * (2.0 / CELL) - 1.0
            before, now = 1.0, u
            moments[cell, 0] += 1.0
            for m in range(1, MOMENTS):
                moments[cell, m] += now
                before, now = now, 2.0 * u * now - before


@numba.njit(cache=True, nogil=True, fastmath=FASTMATH)
def between_cells(starts, cells, moments, entropy, misorder):
    """Return (nats, misorder) summed over all pairs of documents in different cells.

    Kept by distance and by pair of cells, so that rounding grows with the number of cells only.
    """
    nats, wrong = 0.0, 0.0
    for d in range(1, min(cells, REACH + 1)):
        far_nats, far_wrong = 0.0, 0.0
        for cell in range(cells - d):
            if starts[cell + 1] == starts[cell] or starts[cell + d + 1] == starts[cell + d]:
                continue
            cell_nats, cell_wrong = 0.0, 0.0
            for m in range(MOMENTS):
                h, q = 0.0, 0.0
                for n in range(MOMENTS):
                    h += entropy[d, m, n] * moments[cell + d, n]
                    q += misorder[d, m, n] * moments[cell + d, n]
                cell_nats += h * moments[cell, m]
                cell_wrong += q * moments[cell, m]
            far_nats += cell_nats
            far_wrong += cell_wrong
        nats += far_nats
        wrong += far_wrong
    return nats, wrong
