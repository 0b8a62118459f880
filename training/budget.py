"""What a budget of documents seen amounts to: groups, epochs over them, different pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mining.pair_keys import pair_keys
from .stream import GroupStream

_BATCH = 1 << 16  # groups
_KEYS = 1 << 24  # pairs told apart at a time: 128 MB


@dataclass(frozen=True, slots=True)
class Budget:
    """`documents` seen in `groups` groups, of `stored`; `unique_pairs`: of query and document."""

    documents: int
    groups: int
    stored: int
    unique_pairs: int

    @property
    def epochs(self) -> float:
        """How often each stored group is seen, on average."""
        return round(self.groups / self.stored, 4)

    def __str__(self) -> str:
        return (
            f"{self.documents:,} documents seen in {self.groups:,} groups: {self.epochs:g} epochs "
            f"over {self.stored:,}, {self.unique_pairs:,} different pairs"
        )


def budget_of(stream: GroupStream, positions: int) -> Budget:
    """Count what a stream hands out up to a position; it is read without its texts.

    A second epoch brings new pairs only where negatives are drawn anew, so the rest is not read.
    """
    stored = stream.order.groups
    read = positions if stream.negatives is not None else min(positions, stream.order.horizon)
    slices = -(-read * stream.size // _KEYS)
    unique = sum(_unique(stream, read, turn, slices) for turn in range(slices))
    return Budget(positions * stream.size, positions, stored, unique)


def _unique(stream: GroupStream, read: int, turn: int, slices: int) -> int:
    """Count the different pairs whose query is in one slice of all queries."""
    keys = []
    for start in range(0, read, _BATCH):
        rows = GroupStream(
            stream.groups,
            batch=_BATCH,
            seed=stream.seed,
            shuffle=stream.order.shuffle,
            negatives=stream.negatives,
            ahead=0,
        ).batch_at(start, min(start + _BATCH, read))
        mine = rows.groups.query % slices == turn
        query, doc = rows.groups.query[mine], rows.groups.doc[mine]
        keys.append(pair_keys(query[:, None], doc).reshape(-1))
    return int(np.unique(np.concatenate(keys)).size)
