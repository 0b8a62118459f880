"""How far two orders of the same items agree: counts over all pairs in O(n log n).

Items are taken in the order of y, block by block of equal y, and a Fenwick tree over the ranks of x
says how many of those before lie below, at and above each (Knight, "A computer method for
calculating Kendall's tau with ungrouped data", JASA 1966; the tree in place of the merge sort).
"""

from __future__ import annotations

import numba
import numpy as np

PAIR_COUNTS = ("concordant", "discordant", "tied_in_x", "tied_in_y", "tied_in_both")


@numba.njit(cache=True, nogil=True)
def _up_to(tree, place):
    """Return how many items have a rank of 1 … place."""
    total = 0
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total


@numba.njit(cache=True, nogil=True)
def _add(tree, place):
    while place < len(tree):
        tree[place] += 1
        place += place & -place


@numba.njit(cache=True, nogil=True)
def _ranks(x, rank):
    """Write dense ranks 1 … of x; return the number of ranks and of pairs tied in x."""
    order = np.argsort(x, kind="mergesort")
    place, equal, tied = 0, 0, 0
    for i in range(len(x)):
        if i == 0 or x[order[i]] != x[order[i - 1]]:
            place, equal = place + 1, 0
        tied += equal
        equal += 1
        rank[order[i]] = place
    return place, tied


@numba.njit(cache=True, nogil=True)
def _count(x, y, out):
    n = len(x)
    rank = np.empty(n, np.int64)
    ranks, tied = _ranks(x, rank)
    tree = np.zeros(ranks + 1, np.int64)
    order = np.argsort(y, kind="mergesort")
    concordant, discordant, in_x, in_y, start = 0, 0, 0, 0, 0
    while start < n:
        stop = start
        while stop < n and y[order[stop]] == y[order[start]]:
            stop += 1
        for i in range(start, stop):
            below, reached = _up_to(tree, rank[order[i]] - 1), _up_to(tree, rank[order[i]])
            concordant += below
            in_x += reached - below
            discordant += start - reached
        for i in range(start, stop):
            _add(tree, rank[order[i]])
        in_y += (stop - start) * (stop - start - 1) // 2
        start = stop
    both = tied - in_x
    out[0], out[1], out[2], out[3], out[4] = concordant, discordant, in_x, in_y - both, both


@numba.njit(cache=True, nogil=True)
def count_pairs(x, y, offsets, start, stop, out):
    """Count the pairs of each row [start, stop) by how x and y order them.

    x, y float64[items], without NaN, infinities allowed; offsets int64[rows+1]; out int64[rows, 5]
    as PAIR_COUNTS: ordered alike, ordered the other way round, tied in x alone, in y alone, in
    both. The five sum to n(n − 1)/2; an empty row and a row of one item have zeros.
    """
    for row in range(start, stop):
        begin, end = offsets[row], offsets[row + 1]
        _count(x[begin:end], y[begin:end], out[row])


def kendall_tau_b(counts: np.ndarray) -> np.ndarray:
    """Return τ-b of each row of PAIR_COUNTS, float64 [rows], in [−1, 1]; NaN where x or y is
    constant.

    τ-b = (C − D)/√((C + D + tied in y alone)(C + D + tied in x alone)). Source: Kendall, "The
    treatment of ties in ranking problems" (Biometrika 1945).
    """
    ordered = (counts[:, 0] + counts[:, 1]).astype(np.float64)
    roots = np.sqrt(ordered + counts[:, 3]) * np.sqrt(ordered + counts[:, 2])
    difference = (counts[:, 0] - counts[:, 1]).astype(np.float64)
    tau = np.divide(difference, roots, out=np.full(len(counts), np.nan), where=roots > 0)
    return np.clip(tau, -1.0, 1.0)  # √a·√a may be a little less than a


@numba.njit(cache=True, nogil=True)
def count_inverted(x, y, positive, offsets, start, stop, out):
    """Count the pairs of a positive and a negative that x and y order the other way round.

    x, y float64[items], without NaN; positive uint8[items]; offsets int64[rows+1]; out int64[rows,
    2]: pairs that x and y both order, and differently, and all pairs of a positive and a negative.
    A tie of x or of y is no inversion. A row without positives, or without negatives, has zeros.
    Positives and negatives are laid out apart, so that a row is compared by vector code: at most
    n²/4 comparisons. Source: docs/quantities.md §6, 26.
    """
    longest = 0
    for row in range(start, stop):
        longest = max(longest, offsets[row + 1] - offsets[row])
    others_x, others_y = np.empty(longest), np.empty(longest)
    for row in range(start, stop):
        negatives = 0
        for i in range(offsets[row], offsets[row + 1]):
            if not positive[i]:
                others_x[negatives], others_y[negatives] = x[i], y[i]
                negatives += 1
        inverted, positives = 0, 0
        for i in range(offsets[row], offsets[row + 1]):
            if positive[i]:
                positives += 1
                for j in range(negatives):
                    down = (x[i] > others_x[j]) & (y[i] < others_y[j])
                    inverted += down | ((x[i] < others_x[j]) & (y[i] > others_y[j]))
        out[row, 0], out[row, 1] = inverted, positives * negatives
