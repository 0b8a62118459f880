"""What the supervisor of actors decides without Ray: threads of each, and whose error it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .errors import Incomplete, RankmillError
from .store.execution import Job
from .store.plan import Shard


def threads_of_each(processors: list[int], workers: int) -> int:
    """Return how many threads each of `workers` actors can have, an actor being on one node."""
    for threads in range(max(processors, default=1), 1, -1):
        if sum(count // threads for count in processors) >= workers:
            return threads
    return 1


class Waiting(deque[Shard]):
    """Shards that no actor has yet, in plan order.

    Where shards belong `together` (a range of documents that an actor holds in memory), a slot is
    given what belongs to its last one, then what no other slot works on, then the first.
    """

    def __init__(self, shards: Iterable[Shard], together: Callable[[Shard], object] | None):
        super().__init__(shards)
        self.together = together
        self.held: dict[int, object] = {}

    def take(self, slot: int) -> Shard:
        """Remove and return the next shard of a slot."""
        if self.together is None:
            return self.popleft()
        others = {key for number, key in self.held.items() if number != slot}
        keys = [self.together(shard) for shard in self]
        own = self.held.get(slot)
        if own is None or own not in keys:
            own = next((key for key in keys if key not in others), keys[0])
        self.held[slot] = own
        shard = self[keys.index(own)]
        self.remove(shard)
        return shard


def poison_error(poison: list[Shard], job: Job, tries: int) -> Incomplete:
    """Return the error for keys that killed their worker each time they were tried."""
    return Incomplete(
        f"{len(poison)} keys of {job.stage.kind} killed their worker {tries} times each: "
        + ", ".join(str(s.start) for s in poison[:10]),
        where=job.folder,
        do="look at these queries (ordinals) or add memory, then run again",
    )


def application_error(error: Any, shard: Shard, job: Job) -> Exception:
    """Return the user's error as it was raised; wrap a bug with the shard and the place."""
    cause = error.cause
    if isinstance(cause, RankmillError):
        return cause
    return RankmillError(
        f"{type(cause).__name__}: {cause}",
        where=f"{job.stage.kind} shard {shard.number}, keys {shard.start} to {shard.stop}",
        do="run again with --workers 0 --debug to see the traceback",
    )
