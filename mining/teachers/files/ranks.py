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

_LARGEST = 1 << 24  # beyond it float32 does not tell whole numbers apart


def rank_of(value: Any, path: Path, line: int) -> int:
    """Return a rank as written; raises BadInput for what is no whole number from 0 to 2²⁴ − 1."""
    try:
        rank = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        rank = float("nan")
    if not (0 <= rank < _LARGEST and rank == int(rank)):
        raise BadInput(
            f"the rank {value!r} is not a whole number from 1 on",
            where=f"{path}, line {line}",
            do="of a TREC run the fourth column is read; scores need another --kind",
        )
    return int(rank)


def scores_of_ranks(ranks: np.ndarray) -> np.ndarray:
    """Return minus the rank of each pair (float32 [n]), counted from 1; `ranks` int [n]."""
    first = 1 if len(ranks) and ranks.min() == 0 else 0
    return -(ranks + first).astype(np.float32)


def refuse_shared_ranks(
    rows: np.ndarray, scores: np.ndarray, lines: np.ndarray, file: str | Path
) -> None:
    """Raise BadInput when two documents of a query have one rank; `rows` int [n] ascending."""
    order = np.lexsort((-scores, rows))
    row, score = rows[order], scores[order]
    shared = np.flatnonzero((row[1:] == row[:-1]) & (score[1:] == score[:-1]))
    if len(shared):
        at = np.sort(lines[order[shared[0] : shared[0] + 2]])
        raise BadInput(
            f"two documents of one query have rank {-score[shared[0]]:g} "
            f"({len(shared):,} such ranks)",
            where=f"{file}, lines {at[0]} and {at[1]}",
            do="a rank belongs to one document; if these are scores, say which --kind",
        )
