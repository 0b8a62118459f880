"""Kernel that merges ranked lists: the running top k of a search over blocks of documents."""

import numba

_jit = numba.njit(cache=True, nogil=True)


@_jit
def merge_ranked(best_score, best_doc, score, doc, base, merged_score, merged_doc):
    """Merge two ranked lists per row into the best `k`, ties by document, lower first.

    `best_score` float32 and `best_doc` int64 [n, k] hold the lists so far, `score`, `doc` [n, m]
    those of a new block whose documents count from `base`; −1 ends a list. Writes `merged_…`
    [n, k].
    """
    k, m = best_score.shape[1], score.shape[1]
    for row in range(best_score.shape[0]):
        i, j = 0, 0
        for at in range(k):
            left = i < k and best_doc[row, i] >= 0
            right = j < m and doc[row, j] >= 0
            if left and right:
                a, b = best_score[row, i], score[row, j]
                left = a > b or (a == b and best_doc[row, i] < doc[row, j] + base)
                right = not left
            if left:
                merged_score[row, at] = best_score[row, i]
                merged_doc[row, at] = best_doc[row, i]
                i += 1
            elif right:
                merged_score[row, at] = score[row, j]
                merged_doc[row, at] = doc[row, j] + base
                j += 1
            else:
                merged_score[row, at] = -float("inf")
                merged_doc[row, at] = -1
