"""A stage made by several processes that know nothing of each other but the workspace: each makes
its share of the parts, one publishes when all are there.

For a batch system's arrays: no Ray, no port, no message between machines. Which parts are whose
follows from the plan, which follows from the inputs; so the root hash is that of one process.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import Incomplete, RankmillError, UsageError
from ..plan import Shard
from .failures import Neighbours

_WRITTEN = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Share:
    """Every `count`-th part of each stage, from number `index` on; `wait` for the others' parts
    where a stage needs them, else end. `count=0`: no part, all have to be there. `tell` is told
    what is waited for; `neighbours` knows which of the others have failed."""

    index: int
    count: int
    wait: bool = False
    tell: Callable[[str], None] | None = field(default=None, compare=False)
    neighbours: Neighbours | None = field(default=None, compare=False, repr=False)

    @property
    def merges(self) -> bool:
        """Whether parts are only put together, none is made."""
        return self.count == 0

    def takes(self, shard: Shard) -> bool:
        """Whether a part is of this share."""
        return not self.merges and shard.number % self.count == self.index


MERGE = Share(0, 0)
SAY_S = 30.0  # of waiting, until it is said; then after twice as long each time


class Waiting:
    """A share that waits for others: nobody tells it whether they come, so it says what it waits
    for."""

    def __init__(self, share: Share, clock: Callable[[], float] = time.monotonic):
        self.share, self.clock = share, clock
        self.began, self.next = clock(), SAY_S

    def look(self, what: str, seconds: float) -> None:
        """Sleep until the next look at `what`; now and then say that it is waited for. Raises
        NeighbourFailed where a share has failed that it is waited for."""
        if self.share.neighbours is not None:
            self.share.neighbours.check()
        waited = self.clock() - self.began
        if waited >= self.next and self.share.tell is not None:
            self.next = 2 * waited
            self.share.tell(
                f"share {self.share.index} of {self.share.count} has waited {waited:,.0f} s for "
                f"{what}; see that all shares run, 0 to {self.share.count - 1} and with one N"
            )
        time.sleep(seconds)


def numbers(missing: Sequence[int]) -> str:
    """Say which parts are missing, the first ten of many."""
    if not missing:
        return "all are there, another run puts them together"
    return ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")


def parse(text: str, *, wait: bool = False, tell: Callable[[str], None] | None = None) -> Share:
    """Return the share that `I/N` says; raises UsageError."""
    written = _WRITTEN.fullmatch(text.strip())
    if written is None:
        raise UsageError(
            f"--shard {text!r} is no share", do="write I/N, such as 0/8: I from 0 to N-1"
        )
    index, count = int(written[1]), int(written[2])
    if index >= count:
        shares = f"of {count} shares the numbers go from 0 to {count - 1}" if count else "no share"
        raise UsageError(
            f"--shard {text}: {shares}",
            do="in a SLURM array: --array=0-7 and --shard $SLURM_ARRAY_TASK_ID/8",
        )
    return Share(index, count, wait, tell)


class Elsewhere(RankmillError):
    """This share is done, and others are not: nothing is wrong, nothing is published yet."""

    exit_status = 0


def pending(
    share: Share | None, plan: Sequence[Shard], done: Container[int], folder: Path
) -> list[Shard]:
    """Return the shards that are still to make, of all or of a share.

    Raises Incomplete where parts are only put together and some are missing.
    """
    missing = [shard for shard in plan if shard.number not in done]
    if share is None or not missing:
        return missing
    if share.merges:
        raise Incomplete(
            f"{len(missing)} of {len(plan)} parts are missing: "
            + ", ".join(str(shard.number) for shard in missing[:10]),
            where=folder,
            do="run their --shard again, or the command without --merge, which makes them",
        )
    return [shard for shard in missing if share.takes(shard)]


def refuse_held(held: Sequence[object], folder: Path) -> None:
    """Raise Incomplete where parts of a share hold queries without an answer."""
    if held:
        raise Incomplete(
            f"{len(held)} parts of this share hold queries without an answer",
            where=folder,
            do="run the command once without --shard: whether so many are allowed is decided over "
            "all parts",
        )


_share: ContextVar[Share | None] = ContextVar("share", default=None)


@contextlib.contextmanager
def using(share: Share | None) -> Iterator[None]:
    """Build only this share of stages inside the block."""
    before = _share.set(share)
    try:
        yield
    finally:
        _share.reset(before)


def current() -> Share | None:
    """Return the share that stages are built for; None: whole."""
    return _share.get()
