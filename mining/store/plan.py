"""What a stage is asked to do: shards of the ordered keys, and what a worker gives back for one.

The plan is a function of the inputs alone, never of the number of workers: retrying shard 123 is
always the same work, and any executor produces the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from .manifest import fingerprint_of

if TYPE_CHECKING:
    from .artifact import Artifact


@dataclass(frozen=True, slots=True)
class Shard:
    """The keys `start:stop` of the stage's ordered keys; `work` is what the plan balanced.

    `table` names the schema of the part where a stage writes parts of several shapes.
    """

    number: int
    start: int
    stop: int
    work: int = 1
    table: str = ""

    def halves(self) -> tuple[Shard, Shard]:
        """Split in two by keys, for isolating a key that kills its worker."""
        middle = (self.start + self.stop) // 2
        half = max(1, self.work // 2)
        return (
            Shard(self.number, self.start, middle, half, self.table),
            Shard(self.number, middle, self.stop, half, self.table),
        )


@dataclass(frozen=True, slots=True)
class Output:
    """What a worker returns for one shard.

    `dropped`: query ordinals by reason code. `counts`: a pure function of the inputs, summed in the
    manifest. `usage`: what it cost (pairs scored, tokens), which may differ between equal runs,
    summed in the ledger. `notes`: sentences that say why queries were quarantined. `examples`: the
    first few of what `counts` counts, as text; a pure function of the inputs too.
    """

    table: pa.Table
    dropped: Mapping[str, Sequence[int]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Worker(Protocol):
    """A shard function with whatever it keeps open: an index, a model, memory maps."""

    def __call__(self, shard: Shard) -> Output:
        """Compute one shard; pure in (inputs, shard, seed)."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One arrow of the data way: which artifact is asked for, and how each of its parts is made.

    `parameters` (JSON values) and `inputs` decide the fingerprint: all that can change the result
    and nothing else. `options` reach the worker only: paths, handles to open, thread hints.
    `shards` is called only when there is work to do, and `worker(**options)` only once per process
    that does some. `check` looks at input from outside and raises before anything is written; its
    cost is charged like that of a shard. `quarantine`: the reasons that must not drop more than
    `allow` queries in all; parts with such queries stay open unless they are allowed. `together`
    tells what a shard works on, a range of documents say: an actor goes on with what it has open.
    `poisoned` writes, in the place of a worker that it killed three times, a shard of one key: it
    drops the key's query for one of the reasons in `quarantine`. `timed=False`: a shard may take as
    long as it likes; others are taken for hanging after ten times what their peers took. `abreast`:
    how many shards the threads of one process may work on at once, for a worker that allows it;
    parts are written in plan order all the same. `algorithm`: the number of the way in which the
    result is computed, 1 for the first; a release that gives other bytes for the same request
    raises it, so that old artifacts are neither taken for new ones nor mixed with them.
    `items`: what people count where that is another thing than the plan's work: pairs, queries,
    documents; a shard has as many as it has keys, or what `count` says. Shown, and decides nothing.
    """

    kind: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Artifact]
    schema: pa.Schema | Mapping[str, pa.Schema]
    shards: Callable[[], Sequence[Shard]]
    worker: Callable[..., Worker]
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    unit: str = "units of work"  # what a shard's work counts: tokens, pairs, postings, rows
    check: Callable[[], object] | None = None
    quarantine: frozenset[str] = frozenset()
    allow: int = 0
    together: Callable[[Shard], object] | None = None
    poisoned: Worker | None = None
    timed: bool = True
    abreast: int = 1
    algorithm: int = 1
    items: str = ""
    count: Callable[[Shard], int] | None = None

    @property
    def fingerprint(self) -> str:
        """The identity of what is asked for."""
        return fingerprint_of(self.kind, self.parameters, self.inputs, self.algorithm)

    def items_of(self, shard: Shard) -> int:
        """Return how many of what people count a shard has."""
        if self.count is not None:
            return self.count(shard)
        return shard.stop - shard.start if self.items else shard.work

    def schema_of(self, shard: Shard) -> pa.Schema:
        """Return the schema that the shard's part must have."""
        return self.schema if isinstance(self.schema, pa.Schema) else self.schema[shard.table]


def split_by_work(work: np.ndarray, target: int) -> list[Shard]:
    """Cut keys 0…n−1 into contiguous shards of about `target` work each.

    `work`: int array [n], what each key costs (pairs, tokens, postings). A key larger than the
    target gets a shard of its own. No keys → one empty shard, so that every artifact has a part.
    """
    if target < 1:
        raise ValueError(f"target work {target} must be at least 1")
    total = np.concatenate([[0], np.cumsum(np.asarray(work, dtype=np.int64))])
    shards: list[Shard] = []
    start, n = 0, len(work)
    while start < n:
        stop = int(np.searchsorted(total, total[start] + target, side="right")) - 1
        stop = min(max(stop, start + 1), n)
        shards.append(Shard(len(shards), start, stop, int(total[stop] - total[start])))
        start = stop
    return shards or [Shard(0, 0, 0, 0)]
