"""Several groups artifacts as one stream, each with its share of the examples.

The order is a pure function of (seed, position), as that of one artifact is. Weights become whole
counts c₁ … c_m of a block of L = c₁ + … + c_m positions. Position t lies in block b = t div L at
slot t mod L; a bijection of the block, keyed by (seed, b), gives the slot j. The part i is the one
with c₁+…+c_{i−1} ≤ j < c₁+…+c_i, and the example is the one at position b·c_i + (j − c₁−…−c_{i−1})
of that part's own order, which runs over its own epochs (docs/training.md). So every block holds
each part exactly c_i times, parts may differ in length, and nothing is remembered but t.

Parts may be of several collections: ordinals of queries and documents are then those of the
collections put one behind the other (`bases`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..mining.draws import key_of
from ..mining.errors import BadInput, UsageError
from ..mining.groups.format import GroupArrays, Groups
from ..mining.store import Artifact
from ..native.permutation import ROUNDS, permute
from .order import Order

LEAST_BLOCK = 64  # positions: a key is derived per block
MOST_BLOCK = 10_000  # shares are kept to a ten-thousandth


def counts_of(weights: Sequence[float]) -> tuple[int, ...]:
    """Return the counts of a block: weights as whole numbers of the same proportions.

    Weights are read as they are written, 0.1 as a tenth. Raises UsageError for one that is not a
    finite number above 0, or less than a ten-thousandth of all.
    """
    for weight in weights:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise UsageError(f"weight {weight!r} is not a number above 0", do="write 3,1,1")
    exact = [Fraction(str(weight)) for weight in weights]
    shares = [one / sum(exact) for one in exact]
    if min(shares) * MOST_BLOCK < 1:
        raise UsageError(
            f"weights {list(weights)}: the smallest is less than 1 in {MOST_BLOCK:,}",
            do="leave that part out, or give it more",
        )
    block = math.lcm(*(share.denominator for share in shares))
    if block > MOST_BLOCK:  # the largest remainders are rounded up
        block = MOST_BLOCK
        counts = [int(share * block) for share in shares]
        rest = sorted(range(len(shares)), key=lambda i: (counts[i] - shares[i] * block, i))
        for i in rest[: block - sum(counts)]:
            counts[i] += 1
    else:
        counts = [int(share * block) for share in shares]
    times = -(-LEAST_BLOCK // block) if len(counts) > 1 else 1
    return tuple(times * count for count in counts)


@dataclass(frozen=True, slots=True)
class BlendedOrder:
    """The order over parts of `sizes` groups with `counts` of each in a block."""

    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    seed: int = 0
    shuffle: bool = True

    @property
    def groups(self) -> int:
        """Groups of all parts."""
        return sum(self.sizes)

    @property
    def horizon(self) -> int:
        """Positions after which every group of every part has come at least once."""
        blocks = (-(-size // c) for size, c in zip(self.sizes, self.counts, strict=True))
        return max(blocks) * sum(self.counts)

    def take(self, start: int, stop: int) -> np.ndarray:
        """Return the rows at positions start … stop−1, parts one behind the other: int64."""
        part, own = self.drawn(start, stop)
        rows = np.empty(stop - start, np.int64)
        for i, size in enumerate(self.sizes):
            mine = np.flatnonzero(part == i)
            if len(mine):
                low, high = int(own[mine].min()), int(own[mine].max()) + 1
                before = sum(self.sizes[:i])
                rows[mine] = before + self._own(i, size).take(low, high)[own[mine] - low]
        return rows

    def epochs(self, start: int, stop: int) -> np.ndarray:
        """Return the epoch of its own part that each position lies in: int64."""
        part, own = self.drawn(start, stop)
        return own // np.array(self.sizes, np.int64)[part]

    def drawn(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return part and position in its own order, int64, of positions start … stop−1."""
        if not 0 <= start <= stop:
            raise UsageError(f"positions {start} to {stop}", do="positions count up from 0")
        block = sum(self.counts)
        slots = np.empty(stop - start, np.int64)
        at = start
        while at < stop:
            number, slot = divmod(at, block)
            run = min(stop - at, block - slot)
            into = slots[at - start : at - start + run]
            if self.shuffle:
                permute(slot, block, _keys(self.seed, number), into)
            else:
                into[:] = np.arange(slot, slot + run)
            at += run
        ends = np.cumsum(self.counts)
        part = np.searchsorted(ends, slots, side="right")
        counts = np.array(self.counts, np.int64)
        blocks = np.arange(start, stop, dtype=np.int64) // block
        return part, blocks * counts[part] + slots - (ends - counts)[part]

    def _own(self, part: int, size: int) -> Order:
        """Return the order of a part by itself; the first has that of its groups alone."""
        seed = self.seed if part == 0 else int(key_of(self.seed, "blend", part)) % 2**63
        return Order(size, seed, self.shuffle)


def _keys(seed: int, block: int) -> np.ndarray:
    return np.array([key_of(seed, "blend", f"{block}/{r}") for r in range(ROUNDS)], np.uint64)


class Blend:
    """Groups of several artifacts, read like those of one: `Groups` for a stream and a trainer.

    `weights`: the share of the examples of each, in any unit; default: equal shares.
    """

    def __init__(self, parts: Sequence[Groups], weights: Sequence[float] | None = None):
        weights = [1.0] * len(parts) if weights is None else list(weights)
        if len(weights) != len(parts):
            raise UsageError(
                f"{len(weights)} weights for {len(parts)} groups", do="give one for each"
            )
        _refuse_unlike(parts)
        self.parts, self.counts = tuple(parts), counts_of(weights)
        self.size, self.kind = parts[0].size, parts[0].kind
        self.artifact = parts[0].artifact  # of messages; `artifacts` are all
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.texts: list[dict[str, Artifact]] = []  # of each collection, in order of appearance
        self.collection: list[int] = []  # of each part, which of those
        known: list[tuple[Any, ...]] = []
        for part in parts:
            key = tuple(part.artifact.inputs.get(role) for role in ("queries", "corpus"))
            if key not in known:
                known.append(key)
                roles = ("queries", "corpus")
                self.texts.append({role: part.artifact.input(role) for role in roles})
            self.collection.append(known.index(key))

    @property
    def artifacts(self) -> list[Artifact]:
        """The groups artifacts."""
        return [part.artifact for part in self.parts]

    @property
    def shares(self) -> list[float]:
        """The share of the examples of each part, exactly as they are drawn."""
        return [count / sum(self.counts) for count in self.counts]

    @cached_property
    def bases(self) -> list[tuple[int, int]]:
        """The ordinals of the first query and document of each collection."""
        rows = [(0, 0), *((t["queries"].rows, t["corpus"].rows) for t in self.texts)]
        totals = np.cumsum(np.array(rows, np.int64), axis=0)
        if totals[-1].max() > 2**32:
            raise UsageError("the collections hold more than 2^32 documents together")
        return [(int(q), int(d)) for q, d in totals[:-1]]

    def order(self, seed: int, shuffle: bool = True) -> BlendedOrder:
        """Return the order in which they are seen."""
        return BlendedOrder(tuple(len(part) for part in self.parts), self.counts, seed, shuffle)

    def least_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the least grade of a positive in each of these groups, that of its part."""
        least = np.array([part.min_grade for part in self.parts], np.int64)
        return least[np.searchsorted(self.starts, rows, side="right") - 1]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __repr__(self) -> str:
        return f"<Blend {len(self):,} of {self.size}, {len(self.parts)} parts>"

    def __getitem__(self, row: int) -> GroupArrays:
        """Return one group as arrays of length 1."""
        return self.take(np.array([row]))

    def take(self, rows: np.ndarray) -> GroupArrays:
        """Return groups by rows of all parts, in the order asked for."""
        rows = np.asarray(rows, dtype=np.int64)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        taken, places = [], []
        for i in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == i)
            groups = self.parts[i].take(rows[mine] - self.starts[i])
            query, doc = self.bases[self.collection[i]]
            if query or doc:
                groups = replace(
                    groups, query=groups.query + np.uint32(query), doc=groups.doc + np.uint32(doc)
                )
            taken.append(groups)
            places.append(mine)
        if not taken:
            return self.parts[0].take(rows)
        back = np.argsort(np.concatenate(places), kind="stable")
        names = ("query", "doc", "score", "grade", "inclusion")
        return GroupArrays(
            *(np.concatenate([getattr(groups, name) for groups in taken])[back] for name in names)
        )


def _refuse_unlike(parts: Sequence[Groups]) -> None:
    """Refuse no parts, empty ones, one artifact twice, other sizes and other kinds of score."""
    if not parts:
        raise UsageError("a blend of no groups", do="name one or more")
    for part in parts:
        if not len(part):
            raise BadInput("these groups are empty", where=part.artifact.path, do="leave them out")
    names = [part.artifact.fingerprint for part in parts]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"groups {twice[:12]} are named twice", do="give them a larger weight")
    for what, of_parts, do in (
        (
            "sizes",
            [part.size for part in parts],
            "subsample the larger ones (rankmill subsample --size …)",
        ),
        ("kinds of score", [part.kind for part in parts], "retarget those of another kind first"),
    ):
        if len(set(of_parts)) > 1:
            said = ", ".join(
                f"{name[:12]}: {one}" for name, one in zip(names, of_parts, strict=True)
            )
            raise UsageError(f"groups of several {what} cannot be blended: {said}", do=do)


def opened(groups: Sequence[Groups], weights: Sequence[float] | None) -> Groups | Blend:
    """Return the groups of a training run: those of one artifact, or a blend."""
    if len(groups) == 1 and weights is None:
        return groups[0]
    return Blend(groups, weights)


def artifacts_of(groups: Groups | Blend) -> list[Artifact]:
    """Return the artifacts that groups are read from."""
    return groups.artifacts if isinstance(groups, Blend) else [groups.artifact]
