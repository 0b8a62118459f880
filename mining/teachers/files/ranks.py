"""Ranks in place of scores: what list-wise language models and many published runs give.

A rank is a whole number, 1 the best document of its query; a file that counts from 0 is read as if
it counted from 1. It is stored as minus the rank. A list may have gaps, as a sample of a longer one
has, but no two documents of a query share a rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput
from ...inputs.row_shapes import shown
from ...inputs.spelled_numbers import spelled_number

_LARGEST = 1 << 24  # beyond it float32 does not tell whole numbers apart


def rank_of(value: Any, path: Path, line: int, unit: str = "line") -> int:
    """Return a rank as written; raises BadInput for what is no whole number from 0 to 2²⁴ − 1."""
    try:
        spelled = isinstance(value, str)
        rank = spelled_number(value.strip()) if spelled else float(value)
    except (TypeError, ValueError, OverflowError):
        rank = float("nan")
    if isinstance(value, bool):
        rank = float("nan")
    if not (0 <= rank < _LARGEST and rank == int(rank)):
        raise BadInput(
            f"the rank {shown(value)} is not a whole number from 1 on",
            where=f"{path}, {unit} {line}",
            do="of a TREC run the fourth column is read; scores need another --kind",
        )
    return int(rank)


def shared_ranks(rows: np.ndarray, scores: np.ndarray) -> tuple[int, int, int] | None:
    """Return the places of two documents of one query with one rank, and how many such ranks.

    `rows` int [n] ascending; `scores` float32 [n], minus the rank. None where there are none.
    """
    order = np.lexsort((-scores, rows))
    row, score = rows[order], scores[order]
    shared = np.flatnonzero((row[1:] == row[:-1]) & (score[1:] == score[:-1]))
    if not len(shared):
        return None
    first, second = order[shared[0] : shared[0] + 2].tolist()
    return first, second, len(shared)
