"""Feeds actors with the shards of a plan, and decides what a failure means.

Actors have no restarts and no task retries of Ray's own: after a death the supervisor starts a
fresh actor and gives it the shard again, at most three times; then the shard is halved until the
query that kills its worker stands alone (docs/faults.md §3). Application errors are never retried.
A shard goes only to an actor whose worker is made: loading a model, however long it takes and
however it ends, uses up none of its tries. Nor does the loss of a machine: shards go elsewhere.
On somebody else's cluster every actor is asked for at once, however many fit now: where an
autoscaler works, that is what it acts on.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import devices
from ..errors import RankmillError
from ..meter import Cost
from ..processors import processors
from ..store import ledger
from ..store.execution import Commit, Job, Progress, Report, attempt_path, rejoin, run_shard
from ..store.objects import mirrors, reach
from ..store.plan import Shard
from ..store.together import visible
from . import connection, nodes
from .actor import ShardActor
from .decisions import (
    Deadlines,
    Waiting,
    application_error,
    fill_order,
    poison_error,
    threads_of_each,
)
from .ears import Ears
from .handlers import signals_after

TRIES = 3
READY_S = 120.0  # for a process to come up, after the last one that did
LOAD_S = 3600.0  # for its worker to be made: a large model from a slow disk
SAY_S = 30.0  # of waiting for actors, until that is said
LOSSES = 20  # of machines under one shard, until it is suspected to be what ends them
LOOK_S = 1.0  # between two looks at which nodes are leaving

_jobs = itertools.count()


@dataclass(slots=True)
class _Flight:
    """One shard on its way: which slot runs it, which attempt it is, when it was first known to
    run."""

    shard: Shard
    slot: int
    attempt: int
    started: float


@dataclass(slots=True)
class _Start:
    """An actor that is not open for shards yet: its process comes up, then its worker is made."""

    actor: Any
    slot: int
    since: float
    fresh: bool  # not one that has rested
    up: bool = False
    node: str | None = None


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
        self.clock = clock
        self.private = connection.here is not None and connection.here.place is not None
        threads = threads_of_each(nodes.processors_of(ray), workers)
        self.actor_class = ray.remote(
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
            num_cpus=threads,
            num_gpus=job.stage.gpus,
        )(ShardActor)
        self.threads, self.number = threads, next(_jobs)
        self.engine = devices.engine()
        self.slots: list[Any] = [None] * min(workers, max(len(job.pending), 1))
        self.closed: set[int] = set()  # slots for which the cluster has no room
        self.warm: set[int] = set()  # slots whose actor has ended a shard
        self.starts: dict[Any, _Start] = {}
        self.at: dict[int, str | None] = {}  # the node of each slot's actor
        self.leaving: frozenset[str] = frozenset()
        self.looked, self.asked, self.said = -LOOK_S, clock(), False
        self.losses: dict[tuple[int, int, int], int] = {}
        self.mirror = mirrors.mirror_at(job.folder.parent.parent)
        self.proof: visible.Proof | reach.Reach | None = None
        self.proved: set[str] = set()  # the nodes that see the workspace
        self.last_up, self.failures = clock(), 0
        self.underway, self.ears = job.underway(), Ears(str(job.attempts))
        self.queue = Waiting(job.pending, job.stage.together)
        self.tries: dict[tuple[int, int, int], int] = {}
        self.flights: dict[Any, _Flight] = {}  # of each slot in the order that it computes them
        self.pieces: dict[int, dict[int, Report]] = {}  # halves of a shard by their first key
        self.whole = {s.number: s for s in job.pending}
        self.poison: list[Shard] = []
        planned = [shard.work for shard in job.pending]
        self.deadlines = Deadlines(ledger.seconds_here(job.folder), planned)
        self.lost = (
            ray.exceptions.RayActorError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
        )

    def run(self) -> None:
        """Run every shard of the job; raises what it cannot mend."""
        if self.private and len(self.slots) > processors():
            self.progress.announce(
                f"{len(self.slots)} actors share {processors()} processors: more than "
                f"{processors()} only wait for each other, and each takes memory"
            )
        if not self.private:
            self.proof = self._left_proof()
        self.progress.begin(self.underway)
        try:
            while self.queue or self.flights:
                with signals_after():
                    self._step()
        finally:
            with signals_after():
                self._release()
            self.progress.end(self.underway)
            self.ears.close()
            if isinstance(self.proof, reach.Reach):
                with contextlib.suppress(RankmillError):  # a token that stays does no harm
                    self.proof.end()
        if self.poison:
            raise poison_error(self.poison, self.job, TRIES)

    def _step(self) -> None:
        """Give out shards, and wait for what ends first, a second at most."""
        self._look()
        self._open_slots()
        self._fill()
        coming = [*self.flights, *self.starts]
        if not coming:
            raise self._no_actor()
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

    def _look(self) -> None:
        """See which nodes have notice to go; their actors get no new shards, and end once idle."""
        if self.clock() - self.looked < LOOK_S:
            return
        self.looked, self.leaving = self.clock(), nodes.leaving(self.ray)
        busy = {flight.slot for flight in self.flights.values()}
        for slot in [s for s, node in self.at.items() if node in self.leaving and s not in busy]:
            self.ray.kill(self.slots[slot])
            self._close(slot)

    def _close(self, slot: int) -> None:
        self.slots[slot] = None
        self.at.pop(slot, None)
        self.warm.discard(slot)

    def _fill(self) -> None:
        loads = {
            slot: 0
            for slot, actor in enumerate(self.slots)
            if actor is not None and self.at.get(slot) not in self.leaving
        }
        for flight in self.flights.values():
            if flight.slot in loads:
                loads[flight.slot] += 1
        for slot in fill_order(loads, len(self.queue), len(self.starts)):
            self._send(self.queue.take(slot), slot)

    # ---- actors come and go --------------------------------------------------------------------

    def _open_slots(self) -> None:
        """Start an actor for every slot that waiting shards need, all at once."""
        starting = {start.slot for start in self.starts.values()}
        alive = {slot for slot, actor in enumerate(self.slots) if actor is not None} | starting
        free = len(alive - {flight.slot for flight in self.flights.values()})
        empty = [s for s in range(len(self.slots)) if s not in alive | self.closed]
        empty = empty[: max(0, len(self.queue) - free)]
        if not empty:
            return
        # On a cluster of our own, what fits the nodes that are alive: where one has gone, the other
        # slots do its work. The first always may try. Elsewhere nodes may come.
        free_of = nodes.processors_of(self.ray, self.leaving)
        room = sum(count // self.threads for count in free_of) - len(alive)
        for slot in empty[: max(room, not alive)] if self.private else empty:
            self._start(slot)

    def _start(self, slot: int) -> None:
        """Begin to start an actor, or take one that another stage has left behind."""
        resting = self._resting()
        fresh = not resting
        if fresh:
            self._dismiss_others()
        actor = self.actor_class.remote(self.threads) if fresh else resting.pop()
        self.starts[actor.ready.remote()] = _Start(actor, slot, self.clock(), fresh)

    def _started(self, reference: Any, start: _Start) -> None:
        """Go on with an actor whose process is up, or whose worker is made, or that has died."""
        stage = self.job.stage
        try:
            cost = self.ray.get(reference)
        except self.lost as error:
            self._start_failed(start, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return
        except self.ray.exceptions.RayTaskError as error:
            raise application_error(error, None, self.job) from error
        if start.up:
            self._prove(start.node)
            self.slots[start.slot], self.failures = start.actor, 0
            self.at[start.slot] = start.node
            if isinstance(cost, Cost):
                ledger.note(self.job.folder, ledger.OUTSIDE, 1, cost)
            return
        start.up, start.since, self.last_up, self.said = True, self.clock(), self.clock(), False
        start.node = cost.node if isinstance(cost, nodes.Where) else None
        options = dict(stage.options)
        # Of an object store every process is told: it has a mirror of its own.
        proof = self.proof if self.mirror or start.node not in self.proved else None
        made = start.actor.prepare.remote(self.number, stage.worker, options, self.engine, proof)
        self.starts[made] = start

    def _left_proof(self) -> visible.Proof | reach.Reach:
        """Leave a token by which other machines show that they have the same workspace."""
        if self.mirror is None:
            return visible.leave(self.job.attempts)
        return reach.leave(self.mirror, self.job.folder, self.job.attempts)

    def _prove(self, node: str | None) -> None:
        """See that the driver sees what a node has written into the workspace."""
        if self.proof is None or node is None or node in self.proved:
            return
        self.proof.check_answer(node)
        self.proved.add(node)

    def _start_failed(self, start: _Start, cause: str) -> None:
        """Let the slot be started again, unless actors go on ending so: no shard is to blame."""
        ledger.note(self.job.folder, ledger.OUTSIDE, 0, None, f"starting actor: {cause}")
        if not start.up and not start.fresh:
            return  # it had died while it rested
        if nodes.is_lost(self.ray, start.node):
            return
        self.failures += 1
        if self.failures >= TRIES * len(self.slots):
            raise RankmillError(
                f"{self.failures} actors in a row ended before their worker was made, "
                f"the last with {cause}",
                where=f"{self.job.stage.kind}, {len(self.slots)} workers",
                do="each of them loads what the stage needs, a model or an index: ask for fewer "
                "--workers, or run with --workers 0 to see what happens",
            )

    def _no_actor(self) -> RankmillError:
        return RankmillError(
            f"no actor came up within {READY_S:.0f} s; asked for {self.asked_for}",
            where=f"cluster with {self.ray.cluster_resources()}",
            do="ask for fewer --workers, or give the cluster these resources",
        )

    @property
    def asked_for(self) -> str:
        """What each actor asks for, in words."""
        return f"{self.threads} CPUs and {self.job.stage.gpus} GPUs"

    def _may_wait(self) -> bool:
        """Whether actors that have no place yet may still get one: on somebody else's cluster, when
        what runs there ends or a node comes. Says so once after a while."""
        if self.private:
            return False
        fits = nodes.fits_somewhere(self.ray, self.threads, self.job.stage.gpus)
        if not fits and not nodes.may_grow(self.ray):
            return False
        waiting = sum(not start.up for start in self.starts.values())
        if waiting and not self.said and self.clock() - max(self.asked, self.last_up) > SAY_S:
            self.said = True
            why = "what runs there now to end" if fits else "the autoscaler to bring nodes"
            self.progress.announce(
                f"{waiting} of {len(self.slots)} actors have no place on the cluster yet "
                f"({self.asked_for} each): waiting for {why}"
            )
        return True

    def _resting(self) -> list[Any]:
        """Return the actors of our size that wait for work."""
        assert connection.here is not None
        return connection.here.idle.setdefault((self.threads, self.job.stage.gpus), [])

    def _release(self) -> None:
        """Send healthy actors to rest for the next stage; kill those that still have work."""
        busy = {flight.slot for flight in self.flights.values()}
        for slot, actor in enumerate(self.slots):
            if actor is not None and slot in busy:
                self.ray.kill(actor)
            elif actor is not None:
                actor.rest.remote()
                self._resting().append(actor)
        for start in self.starts.values():
            if start.up:
                self.ray.kill(start.actor)
            else:
                self._resting().append(start.actor)

    def _dismiss_others(self) -> None:
        """End resting actors of other sizes: they hold processors that a new one needs."""
        assert connection.here is not None
        for size in [s for s in connection.here.idle if s != (self.threads, self.job.stage.gpus)]:
            for actor in connection.here.idle.pop(size):
                self.ray.kill(actor)

    # ---- shards come and go --------------------------------------------------------------------

    def _send(self, shard: Shard, slot: int) -> None:
        attempt = self.tries.get(_key(shard), 0) + 1
        path = attempt_path(self.job, shard, attempt)
        stage = self.job.stage
        reference = self.slots[slot].run.remote(
            self.number, shard, stage.schema_of(shard), str(path), stage.gpus
        )
        self.flights[reference] = _Flight(shard, slot, attempt, self.clock())

    def _land(self, reference: Any) -> None:
        if reference in self.starts:
            self._started(reference, self.starts.pop(reference))
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
        self.warm.add(flight.slot)
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
                reach.bring(self.mirror, self.job.folder, half.path, shard.number, half.facts)
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
        lost = preempted or nodes.is_lost(self.ray, self.at.get(flight.slot))
        self._close(flight.slot)
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
        for slot in range(len(self.slots)):
            running = next((f for f in self.flights.values() if f.slot == slot), None)
            if running is None or not self.job.stage.timed:
                continue
            warm = slot in self.warm
            limit = self.deadlines.of(running.shard, first=not warm, attempt=running.attempt)
            if now - running.started > limit:
                self.ray.kill(self.slots[slot])
                self._actor_died(running, f"no result after {limit:.0f} s")
        waits = bool(self.starts) and self._may_wait()
        for reference, start in list(self.starts.items()):
            if waits and not start.up:
                continue
            since = start.since if start.up else max(start.since, self.last_up)
            limit = LOAD_S if start.up else READY_S
            if now - since > limit:
                del self.starts[reference]
                self.ray.kill(start.actor)
                if start.fresh and not start.up:
                    self.closed.add(start.slot)
                self._start_failed(start, f"not ready after {limit:.0f} s")


def _key(shard: Shard) -> tuple[int, int, int]:
    return shard.number, shard.start, shard.stop
