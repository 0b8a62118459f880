"""The union of several runs' lists as arrays: what the pool stores and fusion sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...native.merge import MAX_RANK, merge_lists
from ..errors import BadInput

Lists = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(offsets int64 [queries+1] from 0, docs uint32, scores float32), each list best first."""


@dataclass(frozen=True, slots=True)
class Union:
    """Every document once per query, ascending, with rank and score in each run.

    `offsets` int64 [queries+1], `docs` uint32 [n], `ranks` uint16 [runs, n] (1-based, 0 = not
    found), `scores` float32 [runs, n] (NaN = not found).
    """

    offsets: np.ndarray
    docs: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray


def union_of(runs: Sequence[Lists], extra: tuple[np.ndarray, np.ndarray] | None = None) -> Union:
    """Merge the runs' lists query by query; `extra` (offsets, docs) adds documents without a rank.

    All must cover the same queries. Raises BadInput for a list longer than ranks of 16 bits reach.
    """
    lists = [*runs]
    if extra is not None:
        offsets, docs = extra
        lists.append((offsets, docs, np.full(len(docs), np.nan, dtype=np.float32)))
    longest = max((int(np.diff(o).max(initial=0)) for o, _, _ in runs), default=0)
    if longest > MAX_RANK:
        raise BadInput(
            f"a list of {longest:,} documents: ranks are stored up to {MAX_RANK:,}",
            do=f"mine with a depth of at most {MAX_RANK:,}",
        )
    ends = np.cumsum([0, *(len(docs) for _, docs, _ in lists)])
    flat_offsets = np.stack([o + e for (o, _, _), e in zip(lists, ends[:-1], strict=True)])
    flat_docs = np.concatenate([docs for _, docs, _ in lists])
    flat_scores = np.concatenate([scores for _, _, scores in lists])
    total = int(ends[-1])
    out_offsets = np.zeros(flat_offsets.shape[1], dtype=np.int64)
    out_docs = np.empty(total, dtype=np.uint32)
    ranks = np.zeros((len(runs), total), dtype=np.uint16)
    scores = np.full((len(runs), total), np.nan, dtype=np.float32)
    merge_lists(
        flat_offsets, flat_docs, flat_scores, len(runs), out_offsets, out_docs, ranks, scores
    )
    used = int(out_offsets[-1])
    return Union(out_offsets, out_docs[:used], ranks[:, :used], scores[:, :used])
