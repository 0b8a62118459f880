"""The order in which groups are seen: a pure function of (seed, epoch, index), held nowhere.

A *position* counts groups since the start of training: position = epoch · groups + index. Positions
are the only state of a stream, so it resumes from one integer, and the order is the same for any
number of processes: a step takes positions [step · batch, (step+1) · batch), and each process takes
its `share` of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mining.draws import key_of
from ..mining.errors import UsageError
from ..native.permutation import ROUNDS, permute


@dataclass(frozen=True, slots=True)
class Order:
    """A shuffled order over `groups` groups, a new one each epoch; `shuffle=False` reads straight
    through.
    """

    groups: int
    seed: int = 0
    shuffle: bool = True

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UsageError(f"an order over {self.groups} groups", do="give at least one group")

    def epoch(self, position: int) -> tuple[int, int]:
        """Return (epoch, index) of a position."""
        return divmod(position, self.groups)

    @property
    def horizon(self) -> int:
        """Positions after which every group has come."""
        return self.groups

    def epochs(self, start: int, stop: int) -> np.ndarray:
        """Return the epoch that each position start … stop−1 lies in: int64."""
        return np.arange(start, stop, dtype=np.int64) // self.groups

    def at(self, position: int) -> int:
        """Return the ordinal of the group at one position."""
        return int(self.take(position, position + 1)[0])

    def take(self, start: int, stop: int) -> np.ndarray:
        """Return the group ordinals at positions start … stop−1, across epochs: int64."""
        if not 0 <= start <= stop:
            raise UsageError(f"positions {start} to {stop}", do="positions count up from 0")
        out = np.empty(stop - start, np.int64)
        position = start
        while position < stop:
            epoch, index = self.epoch(position)
            run = min(stop - position, self.groups - index)
            part = out[position - start : position - start + run]
            if self.shuffle:
                permute(index, self.groups, _keys(self.seed, epoch), part)
            else:
                part[:] = np.arange(index, index + run)
            position += run
        return out


def share(start: int, stop: int, rank: int, world: int) -> tuple[int, int]:
    """Return the positions of one process out of [start, stop): contiguous, sizes differing by at
    most one.

    The shares of ranks 0 … world−1, one after the other, are [start, stop). A tail shorter than
    `world` leaves the last ranks empty-handed; no group is dropped or seen twice.
    """
    if not 0 <= rank < world:
        raise UsageError(f"rank {rank} of {world} processes", do="ranks count from 0 to world−1")
    length, extra = divmod(stop - start, world)
    first = start + rank * length + min(rank, extra)
    return first, first + length + (rank < extra)


def _keys(seed: int, epoch: int) -> np.ndarray:
    """Return the round keys of one epoch, uint64[ROUNDS]."""
    return np.array([key_of(seed, "order", f"{epoch}/{r}") for r in range(ROUNDS)], np.uint64)
