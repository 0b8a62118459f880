"""What a budget of documents seen amounts to: groups, epochs, different pairs and positives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..mining.groups.format import Groups
from ..mining.pair_keys import distinct, pair_keys
from .blend import Blend
from .stream import GroupStream

_BATCH = 1 << 16  # groups
_KEYS = 1 << 24  # pairs told apart at a time: 128 MB


@dataclass(frozen=True, slots=True)
class Budget:
    """`documents` seen in `groups` groups, of `stored`; how many different ones there were of pairs
    of query and document, of pairs with a positive, and of queries."""

    documents: int
    groups: int
    stored: int
    unique_pairs: int
    positives: int
    queries: int

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
    unique = sum((_unique(stream, read, turn, slices) for turn in range(slices)), np.zeros(3, int))
    return Budget(positions * stream.size, positions, stored, *unique.tolist())


def planned(
    groups: Groups | Blend, documents: int, *, seed: int = 0, negatives: int | None = None
) -> Budget:
    """Return what training on so many documents would amount to, before any step of it.

    The documents are rounded up to whole groups, as training does.
    """
    stream = GroupStream(groups, batch=1, seed=seed, negatives=negatives, ahead=0)
    return budget_of(stream, positions_of(documents, stream.size))


def positions_of(documents: int, size: int) -> int:
    """Return how many groups of `size` a budget of documents is: rounded up, one at least."""
    return max(1, math.ceil(documents / size))


def _unique(stream: GroupStream, read: int, turn: int, slices: int) -> np.ndarray:
    """Count what is different among pairs, positives and queries, for one slice of all queries."""
    least = _least_positive(stream.groups)
    keys, positives, queries = [], [], []
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
        pairs = pair_keys(query[:, None], doc)
        keys.append(pairs.reshape(-1))
        positives.append(pairs[rows.groups.grade[mine] >= least])
        queries.append(query)
    counts = (distinct(np.concatenate(parts)).size for parts in (keys, positives, queries))
    return np.array(list(counts))


def _least_positive(groups: Groups | Blend) -> int:
    """Return the least grade of a positive; of a blend the least of its parts."""
    return min(one.min_grade for one in (groups.parts if isinstance(groups, Blend) else [groups]))
