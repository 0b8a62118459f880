"""Does the teacher agree with the label: rank of the positive, suspected false negatives, score
margins.
"""

from __future__ import annotations

import numba
import numpy as np

from .scales import DEFINED, NO_POSITIVE, NO_SUCH_PAIR, TOO_SHORT, load_row, longest_row

AGREEMENT_COLUMNS = (
    "first",
    "rank",
    "ties",
    "suspects",
    "margin_min",
    "margin_mean",
    "margin_variance",
    "variance",
)


@numba.njit(cache=True, nogil=True)
def agreement_columns(values, offsets, first, positive, scale, margin, start, stop, out, status):
    """Compare the score s_0 of a row's own positive with the rest of each row [start, stop).

    Arrays as in `entropy.pair_columns`; first int64[rows]: the place of that positive in `values`,
    −1 where there is none; margin ≥ 0 in the unit of `scale`; out float64[rows, 8] as
    AGREEMENT_COLUMNS: 1 if no document scores above it (a tie agrees and is counted apart); 1 +
    number of documents above it; documents with exactly its score; negatives at or above its score
    − margin; minimum, mean and population variance of s_0 − s_j over the negatives j; population
    variance of the scores. status uint8[rows, 8]: TOO_SHORT under two items, NO_POSITIVE where
    `first` is −1, NO_SUCH_PAIR for the three margins of a row without negatives. Source:
    docs/quantities.md §6, 6 and 7.
    """
    row = np.empty(longest_row(offsets, start, stop))
    for r in range(start, stop):
        begin, count = offsets[r], offsets[r + 1] - offsets[r]
        state = load_row(values, begin, offsets[r + 1], scale, row)
        if state == DEFINED and count < 2:
            state = TOO_SHORT
        if state == DEFINED and first[r] < 0:
            state = NO_POSITIVE
        for column in range(8):
            out[r, column], status[r, column] = np.nan, state
        if state != DEFINED:
            continue
        mine = first[r] - begin
        best, above, ties, suspects, negatives = row[mine], 0, 0, 0, 0
        least, total, mean = np.inf, 0.0, best
        for i in range(count):
            if i == mine:
                continue
            above += row[i] > best
            ties += row[i] == best
            mean += row[i]
            if not positive[begin + i]:
                negatives += 1
                suspects += row[i] >= best - margin
                least = min(least, best - row[i])
                total += best - row[i]
        mean /= count
        centre = total / negatives if negatives else 0.0
        gap_squares, squares = 0.0, (best - mean) ** 2
        for i in range(count):
            if i == mine:
                continue
            squares += (row[i] - mean) ** 2
            if not positive[begin + i]:
                gap_squares += (best - row[i] - centre) ** 2
        out[r, 0], out[r, 1], out[r, 2], out[r, 3] = above == 0, 1 + above, ties, suspects
        out[r, 7] = squares / count
        if negatives:
            out[r, 4], out[r, 5], out[r, 6] = least, centre, gap_squares / negatives
        else:
            status[r, 4] = status[r, 5] = status[r, 6] = NO_SUCH_PAIR


@numba.njit(cache=True, nogil=True)
def positives_won(values, offsets, positive, out):
    """Count the pairs of a positive and another document of its row that the positive wins, loses.

    values float32[n] finite; offsets int64[rows + 1] from 0 to n, a row may be empty; positive
    bool[n]; out int64[2]: the pairs in which the positive scores higher, and lower. Equal scores
    are neither, and a row without a positive or without another document has no pair. Each other
    document is looked up among the sorted positives of its row.
    """
    mine = np.empty(longest_row(offsets, 0, len(offsets) - 1), values.dtype)
    out[0] = out[1] = 0
    for r in range(len(offsets) - 1):
        count = 0
        for i in range(offsets[r], offsets[r + 1]):
            if positive[i]:
                mine[count] = values[i]
                count += 1
        if count == 0:
            continue
        mine[:count].sort()
        for i in range(offsets[r], offsets[r + 1]):
            if not positive[i]:
                out[0] += count - np.searchsorted(mine[:count], values[i], side="right")
                out[1] += np.searchsorted(mine[:count], values[i], side="left")
