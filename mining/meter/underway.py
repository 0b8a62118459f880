"""How far a stage is, while it is being made: counted once, whoever shows it.

A worker says batch by batch how much of its shard is behind it (`so_far`), its executor adds that
up (`Underway`), and the terminal, the file that `rankmill watch` reads and the metrics all ask the
same object.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

EVERY_S = 0.5  # between two words of a worker about its shard
_WINDOW_S = 60.0  # over which a rate is taken; longer where parts are committed more seldom
_LEAST = 3  # moments that a rate is taken over, however long ago the first of them is

_of_thread = threading.local()


def so_far(done: float, whole: float) -> None:
    """Say that `done` of `whole` of this thread's shard is worked on; for every batch, not every
    row. Without an executor that listens it is nothing, and it never decides a result."""
    hear = getattr(_of_thread, "hear", None)
    if hear is None:
        return
    now = time.monotonic()
    if now >= _of_thread.next and whole > 0:
        _of_thread.next = now + EVERY_S
        hear(min(done / whole, 1.0))


@contextlib.contextmanager
def listening(hear: Callable[[float], None]) -> Iterator[None]:
    """Let `hear` have what this thread's worker says of its shard, as shares of it."""
    before = getattr(_of_thread, "hear", None), getattr(_of_thread, "next", 0.0)
    _of_thread.hear, _of_thread.next = hear, time.monotonic() + EVERY_S
    try:
        yield
    finally:
        _of_thread.hear, _of_thread.next = before


@dataclass(slots=True)
class Underway:
    """A stage under way. `work` is what its plan balanced, and says the share that is done and the
    time left; `count` of `items` is what people count, and says the rate.

    `shards_found`: parts that earlier runs have left. `said`: what else there is to say just now,
    such as the loss of a student. `fingerprint`: of what is made, "" for a look at the input, of
    which nobody knows how long it takes: no count, no work. Work of shards that are not committed
    counts as far as it is.
    """

    kind: str
    title: str
    items: str
    count: int
    work: int
    shards: int = 1
    shards_found: int = 0
    said: str = ""
    fingerprint: str = ""
    began: float = field(default_factory=time.time)
    shards_done: int = 0
    _done: tuple[float, float] = (0.0, 0.0)  # work, items
    _partly: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    _moments: deque[tuple[float, float, float]] = field(default_factory=deque)
    _clock: float = field(default_factory=time.monotonic)
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._moments.append((self._clock, 0.0, 0.0))

    def expect(self, items: int) -> None:
        """Take so many items, and as much work, for the whole of what there is to do."""
        with self._lock:
            self.count = self.work = items

    def partly(self, shard: Hashable, work: float, count: float | None = None) -> None:
        """Count so much of a shard that is being worked on; never less than was counted before.
        Without a `count`, work is what is counted."""
        count = work if count is None else count
        with self._lock:
            self._partly[shard] = max((work, count), self._partly.get(shard, (0.0, 0.0)))
            self._note()

    def given_up(self, shard: Hashable) -> None:
        """Take back what was counted of a shard: it is begun anew."""
        with self._lock:
            self._partly.pop(shard, None)

    def finished(self) -> None:
        """Count what was done as the whole: it ended well, maybe before all that was expected."""
        with self._lock:
            work, count = self._sum()
            self._partly.clear()
            self._done = work, count
            self.work, self.count, self.shards_done = int(work), int(count), self.shards

    def committed(self, shard: Hashable, work: float, count: float) -> None:
        """Count a whole shard, or a step of one."""
        with self._lock:
            self._partly.pop(shard, None)
            self._done = self._done[0] + work, self._done[1] + count
            self.shards_done += 1
            self._note()

    def _note(self) -> None:
        now, (work, count) = time.monotonic(), self._sum()
        if now - self._moments[-1][0] < EVERY_S and len(self._moments) > 1:
            self._moments.pop()
        self._moments.append((now, work, count))
        while len(self._moments) > _LEAST and self._moments[1][0] <= now - _WINDOW_S:
            self._moments.popleft()

    def _sum(self) -> tuple[float, float]:
        partly = self._partly.values()
        work = self._done[0] + sum(one[0] for one in partly)
        return work, self._done[1] + sum(one[1] for one in partly)

    def facts(self) -> dict[str, Any]:
        """Return what there is to say, as JSON values: the one source of everything that is shown.

        `rate` is in items a second and like `seconds_left` of the last minute or so, of a stage
        that is over of the whole.
        """
        with self._lock:
            now, (work, count) = time.monotonic(), self._sum()
            over = work >= self.work
            since, work_then, count_then = self._moments[0]
            if over:
                since, work_then, count_then = self._clock, 0.0, 0.0
            seconds = max(now - since, 1e-9)
            speed = (work - work_then) / seconds
            return {
                "stage": self.kind,
                "title": self.title,
                "items": self.items,
                "count": self.count,
                "count_done": int(min(count, self.count)),
                "work": self.work,
                "work_done": int(min(work, self.work)),
                "share": 1.0 if over else work / self.work,
                "rate": (count - count_then) / seconds,
                "seconds": now - self._clock,
                "seconds_left": (self.work - work) / speed if speed > 0 and not over else None,
                "shards": self.shards,
                "shards_done": self.shards_done,
                "shards_found": self.shards_found,
                "said": self.said,
            }
