"""Feeds actors with the shards of a plan, and decides what a failure means.

Actors have no restarts and no task retries of Ray's own: after a death the supervisor starts a
fresh actor and gives it the shard again, at most three times; then the shard is halved until the
query that kills its worker stands alone (docs/faults.md §3). Application errors are never retried.
A shard goes only to an actor whose worker is made: loading a model, however long it takes and
however it ends, uses up none of its tries. Nor does the loss of a machine: shards go elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import devices
from ..store import ledger
from ..store.execution import Commit, Job, Progress, Report, attempt_path, rejoin, run_shard
from ..store.objects import reach
from ..store.plan import Shard
from . import nodes
from .decisions import (
    Deadlines,
    Waiting,
    application_error,
    fill_order,
    poison_error,
)
from .ears import Ears
from .handlers import signals_after
from .slots import Slots

TRIES = 3
LOSSES = 20  # of machines under one shard, until it is suspected to be what ends them


@dataclass(slots=True)
class _Flight:
    """One shard on its way: which slot runs it, which attempt it is, when it was first known to
    run."""

    shard: Shard
    slot: int
    attempt: int
    started: float


class Supervisor:
    """Feeds the slots, waits for whatever finishes first, and decides what a failure means."""

    def __init__(
        self,
        ray: Any,
        job: Job,
        workers: int,
        commit: Commit,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.ray, self.job, self.commit, self.progress = ray, job, commit, progress
        self.clock, self.slots = clock, Slots(ray, job, workers, progress, clock)
        self.losses: dict[tuple[int, int, int], int] = {}
        self.underway, self.ears = job.underway(), Ears(str(job.attempts))
        self.queue = Waiting(job.pending, job.stage.together)
        self.tries: dict[tuple[int, int, int], int] = {}
        self.flights: dict[Any, _Flight] = {}  # of each slot in the order that it computes them
        self.pieces: dict[int, dict[int, Report]] = {}  # halves of a shard by their first key
        self.whole = {s.number: s for s in job.pending}
        self.poison: list[Shard] = []
        planned = [shard.work for shard in job.pending]
        self.deadlines = Deadlines(ledger.seconds_here(job.folder), planned)
        self.lost = nodes.lost_errors(ray)

    def run(self) -> None:
        """Run every shard of the job; raises what it cannot mend."""
        self.slots.begin()
        self.progress.begin(self.underway)
        try:
            while self.queue or self.flights:
                with signals_after():
                    self._step()
        finally:
            with signals_after():
                self.slots.release(self._busy())
            self.progress.end(self.underway)
            self.ears.close()
            self.slots.end()
        if self.poison:
            raise poison_error(self.poison, self.job, TRIES)

    def _step(self) -> None:
        """Give out shards, and wait for what ends first, a second at most."""
        busy = self._busy()
        self.slots.look(busy)
        self.slots.open(len(self.queue), busy)
        self._fill()
        coming = [*self.flights, *self.slots.starts]
        if not coming:
            raise self.slots.no_actor()
        ready, _ = self.ray.wait(coming, num_returns=1, timeout=1.0)
        for reference in ready:
            self._land(reference)
        self._enforce_deadlines()
        self._hear()

    def _hear(self) -> None:
        """Count how far the shards are that actors work on, as they said it last."""
        if not self.ears.due:
            return
        flights = {
            str(attempt_path(self.job, f.shard, f.attempt)): f.shard for f in self.flights.values()
        }
        for path, share in self.ears.hear(flights).items():
            shard = flights[path]
            count = share * self.job.stage.items_of(shard)
            self.underway.partly(shard.number, share * shard.work, count)

    def _busy(self) -> set[int]:
        return {flight.slot for flight in self.flights.values()}

    def _fill(self) -> None:
        loads = dict.fromkeys(self.slots.open_to_shards(), 0)
        for flight in self.flights.values():
            if flight.slot in loads:
                loads[flight.slot] += 1
        for slot in fill_order(loads, len(self.queue), len(self.slots.starts)):
            self._send(self.queue.take(slot), slot)

    def _send(self, shard: Shard, slot: int) -> None:
        attempt = self.tries.get(_key(shard), 0) + 1
        path = attempt_path(self.job, shard, attempt)
        stage = self.job.stage
        reference = self.slots.actors[slot].run.remote(
            self.slots.number, shard, stage.schema_of(shard), str(path), stage.gpus
        )
        self.flights[reference] = _Flight(shard, slot, attempt, self.clock())

    def _land(self, reference: Any) -> None:
        if reference in self.slots.starts:
            self.slots.started(reference)
            return
        flight = self.flights.get(reference)
        if flight is None:
            return  # already requeued with its dead actor
        try:
            report: Report = self.ray.get(reference)
        except self.lost as error:
            told = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            self._actor_died(flight, told, getattr(error, "preempted", False))
            return
        except self.ray.exceptions.RayTaskError as error:
            raise application_error(error, flight.shard, self.job) from error
        del self.flights[reference]
        self.deadlines.ended(flight.shard, report.cost.wall_s)
        self.slots.warm.add(flight.slot)
        for other in self.flights.values():
            if other.slot == flight.slot:
                other.started = self.clock()  # it waited behind this one until now
        ledger.note(self.job.folder, flight.shard.number, flight.attempt, report.cost)
        self.losses.pop(_key(flight.shard), None)
        self._deliver(flight.shard, report)

    def _deliver(self, shard: Shard, report: Report) -> None:
        """Commit a whole shard, or keep a half until all of its shard are there."""
        whole = self.whole[shard.number]
        if shard != whole:
            pieces = self.pieces.setdefault(shard.number, {})
            pieces[shard.start] = report
            in_order = [pieces[k] for k in sorted(pieces)]
            if sum(r.shard.stop - r.shard.start for r in in_order) < whole.stop - whole.start:
                return
            for half in in_order:
                reach.bring(self.slots.mirror, self.job.folder, half.path, shard.number, half.facts)
            report = rejoin(
                in_order, whole, self.job.attempts / f"{whole.number:05d}-rejoined.arrow"
            )
        self.commit(report)
        self.underway.committed(whole.number, whole.work, self.job.stage.items_of(whole))
        devices.tell_halved(report.cost.usage, self.progress.announce)

    def _actor_died(self, flight: _Flight, cause: str, preempted: bool = False) -> None:
        """Requeue what the actor held; only the shard that was running has used up a try, and none
        where the machine has gone."""
        held = [(r, f) for r, f in self.flights.items() if f.slot == flight.slot]
        running, stage = held[0][1], self.job.stage
        for reference, _ in held:
            del self.flights[reference]
        lost = preempted or nodes.is_lost(self.ray, self.slots.at.get(flight.slot))
        self.slots.close(flight.slot)
        cause = f"lost with its machine: {cause}" if lost else cause
        self.progress.failed(cause)
        self.underway.given_up(running.shard.number)
        ledger.note(self.job.folder, running.shard.number, running.attempt, None, cause)
        for _, other in held:
            if other is not running:
                self.queue.appendleft(other.shard)
        if lost and self._may_move(running.shard):
            self.queue.appendleft(running.shard)
            return
        self.tries[_key(running.shard)] = running.attempt
        if running.attempt < TRIES:
            self.queue.appendleft(running.shard)
        elif running.shard.stop - running.shard.start > 1:
            self.queue.extendleft(reversed(running.shard.halves()))
        elif stage.poisoned is not None:
            path = attempt_path(self.job, running.shard, running.attempt + 1)
            schema = stage.schema_of(running.shard)
            self._deliver(running.shard, run_shard(stage.poisoned, running.shard, schema, path))
        else:
            self.poison.append(running.shard)

    def _may_move(self, shard: Shard) -> bool:
        """Whether a shard may lose one more machine before it is suspected of ending them."""
        self.losses[_key(shard)] = self.losses.get(_key(shard), 0) + 1
        return self.losses[_key(shard)] <= LOSSES

    def _enforce_deadlines(self) -> None:
        """Kill an actor whose shard takes far longer than its peers: a hang, not slowness."""
        now = self.clock()
        for slot in range(len(self.slots.actors)):
            running = next((f for f in self.flights.values() if f.slot == slot), None)
            if running is None or not self.job.stage.timed:
                continue
            warm = slot in self.slots.warm
            limit = self.deadlines.of(running.shard, first=not warm, attempt=running.attempt)
            if now - running.started > limit:
                self.slots.kill(slot)
                self._actor_died(running, f"no result after {limit:.0f} s")
        self.slots.enforce_limits()


def _key(shard: Shard) -> tuple[int, int, int]:
    return shard.number, shard.start, shard.stop
