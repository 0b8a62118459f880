"""What the supervisor of actors decides without Ray: sizes, order, deadlines, whose fault it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import Incomplete, PluginError, RankmillError
from ..store.execution import Job
from ..store.plan import Shard

IN_FLIGHT = 2  # per actor: one running, one waiting
DEADLINE_S = 60.0  # or ten times what shards take, whichever is longer
# Before any shard has told how long one takes: plans are cut to shards of about a minute, a model
# may be slow, and what waits for a deadline that was too short has a longer one at its next try.
FIRST_DEADLINE_S = 600.0
PATIENCE = 3


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


def fill_order(loads: Mapping[int, int], waiting: int, starting: int) -> list[int]:
    """Return which slots get the next shards, one each time they are named.

    `loads`: shards that each open slot has. Every slot has one before any has two, also the slots
    that are still `starting`: for each of them one of the `waiting` shards is left.
    """
    loads, order = dict(loads), list[int]()
    while loads and len(order) < waiting:
        slot = min(loads, key=lambda one: loads[one])  # the first of them
        enough = loads[slot] == 0 or waiting - len(order) > starting
        if loads[slot] >= IN_FLIGHT or not enough:
            break
        order.append(slot)
        loads[slot] += 1
    return order


class Deadlines:
    """How long a shard may take before its actor counts as hanging: ten times what others took.

    `known`: seconds of shards that an earlier run has ended. `planned`: the work of each shard of
    the plan. Work is what the plan balanced, but a single heavy query may have many times the work
    of a shard, so a deadline grows with it, also before anything has been measured.
    """

    def __init__(self, known: Iterable[float], planned: Iterable[int]):
        self.seconds, self.rates = list(known), list[float]()
        self.usual_work = max(_median(list(planned) or [1]), 1)

    def ended(self, shard: Shard, seconds: float) -> None:
        """Learn from a shard that has ended."""
        self.seconds.append(seconds)
        self.rates.append(seconds / max(shard.work, 1))

    def of(self, shard: Shard, first: bool, attempt: int = 1) -> float:
        """Return the seconds for an attempt at a shard; `first`: of its actor, which may compile or
        read what a worker opens late, so it has ten times the longest shard so far."""
        heavy = max(shard.work / self.usual_work, 1.0)
        if not self.seconds:
            return FIRST_DEADLINE_S * heavy * PATIENCE ** (attempt - 1)
        usual = _median(self.seconds)
        usual = max(usual, _median(self.rates) * shard.work) if self.rates else usual * heavy
        if first:
            usual = max(usual, *self.seconds)
        return max(DEADLINE_S, 10 * usual)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def poison_error(poison: list[Shard], job: Job, tries: int) -> Incomplete:
    """Return the error for keys that killed their worker each time they were tried."""
    return Incomplete(
        f"{len(poison)} keys of {job.stage.kind} killed their worker {tries} times each: "
        + ", ".join(str(s.start) for s in poison[:10]),
        where=job.folder,
        do="look at these queries (ordinals) or add memory, then run again",
    )


def application_error(error: Any, shard: Shard | None, job: Job) -> Exception:
    """Return the user's error as it was raised; wrap a bug with the shard and the place (None: the
    worker was being made)."""
    cause = error.cause
    at = "making the worker"
    if shard is not None:
        at = f"shard {shard.number}, keys {shard.start} to {shard.stop}"
    place = f"{job.stage.kind} {at}"
    if isinstance(cause, PluginError):
        return PluginError(cause.what, where=f"{cause.where}; {place}", do=cause.do)
    if isinstance(cause, RankmillError):
        return cause
    return RankmillError(
        f"{type(cause).__name__}: {cause}",
        where=place,
        do="run again with --workers 0 --debug to see the traceback",
    )
