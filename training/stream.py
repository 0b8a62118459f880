"""Groups into batches: read from the memory map in the order of `order.py`, packed ahead of time.

A stream knows one integer, its position. `batch_at(start, stop)` is a pure function of positions;
iterating only calls it from a background thread, a few batches ahead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..mining.ahead import Ahead
from ..mining.draws import key_of
from ..mining.errors import BadInput, UsageError
from ..mining.groups.format import GroupArrays, Groups
from ..mining.store import Artifact
from ..native.gather import draw_columns
from .blend import Blend, BlendedOrder, artifacts_of
from .order import Order, share
from .packing import Allocate, Packed


class Packer(Protocol):
    """Turns text ordinals into model input; see `packing.Towers` and `packing.Pairs`."""

    def __call__(self, query: np.ndarray, doc: np.ndarray, allocate: Allocate) -> dict[str, Packed]:
        """Pack queries uint32 [n] and documents uint32 [n, k]."""
        ...


@dataclass(slots=True)
class Batch:
    """Groups at positions start … stop−1 of the stream (of this process), and their texts.

    `rows` int64 [n] are the groups' ordinals in the artifact; `groups` their arrays; `further` bool
    [n, k] the positives behind the first column: they are no negatives of it. Packed texts live in
    buffers that are used again: keep nothing of a batch after asking for the next.
    """

    start: int
    stop: int
    rows: np.ndarray
    groups: GroupArrays
    further: np.ndarray
    texts: dict[str, Packed] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return a plain dictionary of NumPy arrays: the batch for another trainer.

        query [n], doc, score, grade, inclusion [n, k], row [n], and for each side of packed texts
        `<side>_ids`, `<side>_mask`, `<side>_types` [rows, width] in the order of the groups.
        """
        g = self.groups
        out = {"row": self.rows, "query": g.query, "doc": g.doc, "score": g.score}
        out |= {"grade": g.grade, "inclusion": g.inclusion}
        for side, packed in self.texts.items():
            if len(packed.pieces) != 1:
                raise UsageError(
                    f"{side} come in {len(packed.pieces)} pieces", do="pack with pieces=1"
                )
            piece = packed.pieces[0]
            out |= {f"{side}_ids": piece.ids, f"{side}_mask": piece.mask}
            out[f"{side}_types"] = piece.types
        return out


class GroupStream:
    """An iterator over batches of groups.

    `batch` groups per step over all processes; this process gets its `share`. The stream runs over
    epochs without a seam and ends at position `stop` (None: never); the last batch may be smaller.
    `negatives`: how many negatives of a group are used, drawn anew each epoch by (seed, epoch,
    query); their inclusion probabilities are lowered to match, and further positives of the group
    are left out. `ahead` batches are made before they are asked for (0: none, no thread).
    """

    def __init__(
        self,
        groups: Groups | Blend,
        pack: Packer | None = None,
        *,
        batch: int,
        seed: int = 0,
        shuffle: bool = True,
        negatives: int | None = None,
        position: int = 0,
        stop: int | None = None,
        rank: int = 0,
        world: int = 1,
        ahead: int = 2,
        pinned: bool = False,
    ):
        if batch < world:
            raise UsageError(f"batch={batch} for {world} processes", do="one group each, at least")
        if negatives is not None and not 1 <= negatives < groups.size:
            raise UsageError(
                f"negatives={negatives} of groups of {groups.size}",
                where=groups.artifact.path,
                do=f"give 1 to {groups.size - 1}, or select larger groups",
            )
        self.groups, self.pack, self.batch, self.seed = groups, pack, batch, seed
        self.order: Order | BlendedOrder = (
            groups.order(seed, shuffle)
            if isinstance(groups, Blend)
            else Order(len(groups), seed, shuffle)
        )
        self.negatives = negatives
        self.position, self.stop = position, stop
        self.rank, self.world, self.ahead = rank, world, ahead
        self.waited_s = 0.0  # how long the consumer stood still for want of data
        self._buffers = _Ring(ahead + 2, pinned)
        self._latest: Ahead[tuple[int, Batch]] | None = None

    @property
    def size(self) -> int:
        """Documents per group as streamed."""
        return self.groups.size if self.negatives is None else self.negatives + 1

    def check(self) -> None:
        """Compare the content of groups and tokens with their hashes now, not at first touch."""
        for artifact in artifacts_of(self.groups):
            artifact.check_content()
        if self.pack is not None:  # one group: that opens every part of the tokens
            first = self.groups[0]
            self.pack(first.query, first.doc, self._buffers.next())

    def state(self) -> dict[str, int]:
        """Return what is needed to go on from here: one integer."""
        return {"position": self.position}

    def batch_at(self, start: int, stop: int) -> Batch:
        """Return this process's share of the groups at positions start … stop−1."""
        first, last = share(start, stop, self.rank, self.world)
        rows = self.order.take(first, last)
        groups = self.groups.take(rows)
        further = self.groups.least_of(rows)[:, None] <= groups.grade
        further[:, 0] = False
        if self.negatives is not None:
            groups = self._fewer(groups, further, first)
            further = np.zeros(groups.doc.shape, dtype=bool)
        batch = Batch(first, last, rows, groups, further)
        if self.pack is not None and len(rows):
            batch.texts = self.pack(groups.query, groups.doc, self._buffers.next())
        return batch

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from the present position, which stands behind the one handed out last."""
        produced = self._made_ahead() if self.ahead else self._made()
        try:
            while True:
                began = time.perf_counter()
                item = next(produced, None)
                self.waited_s += time.perf_counter() - began
                if item is None:
                    return
                self.position, batch = item
                yield batch
        finally:
            produced.close()

    def bounds(self) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of each batch from the present position on."""
        at = self.position
        while self.stop is None or at < self.stop:
            stop = at + self.batch if self.stop is None else min(at + self.batch, self.stop)
            yield at, stop
            at = stop

    def _made_ahead(self) -> Generator[tuple[int, Batch], None, None]:
        """Make batches in a background thread; an error there is raised here, in its turn."""
        self._latest = Ahead(self._made, self.ahead, "group-stream", after=self._latest)
        return iter(self._latest)

    def _made(self) -> Generator[tuple[int, Batch], None, None]:
        for start, stop in self.bounds():
            yield stop, self.batch_at(start, stop)

    def _fewer(self, groups: GroupArrays, further: np.ndarray, first: int) -> GroupArrays:
        """Keep the first column and `negatives` drawn ones of each group, none that is a further
        positive."""
        wanted = self.negatives or 0
        positives = 1 + further.sum(axis=1)
        self._refuse_too_few(groups, positives)
        epochs = self.order.epochs(first, first + len(groups))
        keys = np.empty(len(groups), np.uint64)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            key = np.uint64(key_of(self.seed, "negatives", int(epoch)))
            keys[mine] = (groups.query[mine] * np.uint64(0x9E3779B97F4A7C15)) ^ key
        columns = np.zeros((len(groups), wanted + 1), np.int64)
        for number in np.unique(positives):
            mine = np.flatnonzero(positives == number)
            drawn = np.empty((len(mine), wanted), np.int64)
            draw_columns(keys[mine], groups.size - int(number) + 1, drawn)
            # The columns in their order, but the further positives before all others.
            order = np.argsort(~further[mine, 1:], axis=1, kind="stable") + 1
            columns[mine, 1:] = np.take_along_axis(order, drawn + int(number) - 2, axis=1)
        taken = {
            name: np.take_along_axis(getattr(groups, name), columns, axis=1)
            for name in ("doc", "score", "grade", "inclusion")
        }
        shares = wanted / (groups.size - positives)
        taken["inclusion"][:, 1:] *= shares[:, None].astype(np.float32)
        return replace(groups, **taken)

    def _refuse_too_few(self, groups: GroupArrays, positives: np.ndarray) -> None:
        few = np.flatnonzero(groups.size - positives < (self.negatives or 0))
        if few.size:
            query, number = int(groups.query[few[0]]), int(positives[few[0]])
            raise BadInput(
                f"a group of query {query} has {number} positives and {groups.size - number} "
                f"negatives, and negatives={self.negatives}",
                where=self.groups.artifact.path,
                do="ask for fewer negatives, or select larger groups",
            )


class _Ring:
    """Flat int64 buffers, used in turn; each grows to the largest batch it has held.

    Page-locked where a GPU will copy from them.
    """

    def __init__(self, slots: int, pinned: bool):
        self._slots: list[np.ndarray] = [np.empty(0, np.int64) for _ in range(slots)]
        self._turn, self._pinned = 0, pinned

    def next(self) -> Callable[[int], np.ndarray]:
        """Return an allocator that hands out pieces of the next buffer, one behind the other."""
        self._turn = (self._turn + 1) % len(self._slots)
        turn, used, spilled = self._turn, 0, 0

        def allocate(size: int) -> np.ndarray:
            nonlocal used, spilled
            buffer = self._slots[turn]
            if used + size > buffer.size:  # too small yet: this piece stands alone, once
                spilled += size
                self._slots[turn] = self._fresh(int(1.25 * (used + spilled)))
                return np.empty(size, np.int64)
            used += size
            return buffer[used - size : used]

        return allocate

    def _fresh(self, size: int) -> np.ndarray:
        if self._pinned:
            import torch

            return torch.empty(size, dtype=torch.int64, pin_memory=True).numpy()
        return np.empty(size, np.int64)


def check_tokens(groups: Groups, queries: Artifact, docs: Artifact) -> None:
    """Refuse token stores of other texts than those the groups name; raises BadInput."""
    for role, tokens in (("queries", queries), ("corpus", docs)):
        mine, theirs = groups.artifact.inputs.get(role), tokens.inputs.get("texts")
        if mine is not None and mine != theirs:
            raise BadInput(
                f"the tokens are of {role} {str(theirs)[:12]}, the groups of {mine[:12]}",
                where=tokens.path,
                do="tokenise the collection that the groups were mined from",
            )
