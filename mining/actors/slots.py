"""The actors of a job, each in its slot: how they come up, and how they go.

On somebody else's cluster every actor is asked for at once, however many fit now: where an
autoscaler works, that is what it acts on. Loading a model, however long it takes and however it
ends, is no shard's fault.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .. import devices
from ..errors import RankmillError
from ..meter import Cost
from ..processors import processors
from ..store import ledger
from ..store.execution import Job, Progress
from ..store.objects import mirrors, reach
from ..store.together import visible
from . import connection, nodes
from .actor import ShardActor
from .decisions import application_error, threads_of_each

TRIES = 3  # of each slot, until its actors are given up
READY_S = 120.0  # for a process to come up, after the last one that did
LOAD_S = 3600.0  # for its worker to be made: a large model from a slow disk
SAY_S = 30.0  # of waiting for actors, until that is said
LOOK_S = 1.0  # between two looks at which nodes are leaving

_jobs = itertools.count()


@dataclass(slots=True)
class _Start:
    """An actor that is not open for shards yet: its process comes up, then its worker is made."""

    actor: Any
    slot: int
    since: float
    fresh: bool  # not one that has rested
    up: bool = False
    node: str | None = None


class Slots:
    """Starts an actor for every slot that has work, and lets healthy ones rest for the next job."""

    def __init__(
        self, ray: Any, job: Job, workers: int, progress: Progress, clock: Callable[[], float]
    ):
        self.ray, self.job, self.progress, self.clock = ray, job, progress, clock
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
        self.actors: list[Any] = [None] * min(workers, max(len(job.pending), 1))
        self.closed: set[int] = set()  # slots for which the cluster has no room
        self.warm: set[int] = set()  # slots whose actor has ended a shard
        self.starts: dict[Any, _Start] = {}
        self.at: dict[int, str | None] = {}  # the node of each slot's actor
        self.leaving: frozenset[str] = frozenset()
        self.looked, self.asked, self.said = -LOOK_S, clock(), False
        self.mirror = mirrors.mirror_at(job.folder.parent.parent)
        self.proof: visible.Proof | reach.Reach | None = None
        self.proved: set[str] = set()  # the nodes that see the workspace
        self.last_up, self.failures = clock(), 0

    def begin(self) -> None:
        """Before any actor: say what is odd about their number, and leave what they have to see."""
        if self.private and len(self.actors) > processors():
            self.progress.announce(
                f"{len(self.actors)} actors share {processors()} processors: more than "
                f"{processors()} only wait for each other, and each takes memory"
            )
        if not self.private:
            self.proof = self._left_proof()

    def end(self) -> None:
        """After the last shard: remove what was left for actors to see."""
        if isinstance(self.proof, reach.Reach):
            with contextlib.suppress(RankmillError):  # a token that stays does no harm
                self.proof.end()

    def look(self, busy: Collection[int]) -> None:
        """See which nodes have notice to go; their actors get no new shards, and end once idle."""
        if self.clock() - self.looked < LOOK_S:
            return
        self.looked, self.leaving = self.clock(), nodes.leaving(self.ray)
        for slot in [s for s, node in self.at.items() if node in self.leaving and s not in busy]:
            self.ray.kill(self.actors[slot])
            self.close(slot)

    def close(self, slot: int) -> None:
        """Forget the actor of a slot, which has gone."""
        self.actors[slot] = None
        self.at.pop(slot, None)
        self.warm.discard(slot)

    def kill(self, slot: int) -> None:
        """End the actor of a slot, whatever it does."""
        self.ray.kill(self.actors[slot])

    def open_to_shards(self) -> list[int]:
        """Return the slots whose actor takes shards: its worker is made, its node stays."""
        return [
            slot
            for slot, actor in enumerate(self.actors)
            if actor is not None and self.at.get(slot) not in self.leaving
        ]

    def open(self, waiting: int, busy: Collection[int]) -> None:
        """Start an actor for every slot that `waiting` shards need, all at once."""
        starting = {start.slot for start in self.starts.values()}
        alive = {slot for slot, actor in enumerate(self.actors) if actor is not None} | starting
        free = len(alive - set(busy))
        empty = [s for s in range(len(self.actors)) if s not in alive | self.closed]
        empty = empty[: max(0, waiting - free)]
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

    def started(self, reference: Any) -> None:
        """Go on with an actor whose process is up, or whose worker is made, or that has died."""
        start, stage = self.starts.pop(reference), self.job.stage
        try:
            cost = self.ray.get(reference)
        except nodes.lost_errors(self.ray) as error:
            self._start_failed(start, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return
        except self.ray.exceptions.RayTaskError as error:
            raise application_error(error, None, self.job) from error
        if start.up:
            self._prove(start.node)
            self.actors[start.slot], self.failures = start.actor, 0
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
        if self.failures >= TRIES * len(self.actors):
            raise RankmillError(
                f"{self.failures} actors in a row ended before their worker was made, "
                f"the last with {cause}",
                where=f"{self.job.stage.kind}, {len(self.actors)} workers",
                do="each of them loads what the stage needs, a model or an index: ask for fewer "
                "--workers, or run with --workers 0 to see what happens",
            )

    def no_actor(self) -> RankmillError:
        """Return the error for a cluster on which none has come up."""
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
                f"{waiting} of {len(self.actors)} actors have no place on the cluster yet "
                f"({self.asked_for} each): waiting for {why}"
            )
        return True

    def _resting(self) -> list[Any]:
        """Return the actors of our size that wait for work."""
        assert connection.here is not None
        return connection.here.idle.setdefault((self.threads, self.job.stage.gpus), [])

    def enforce_limits(self) -> None:
        """Give up actors that do not come up, or whose worker is not made, in time."""
        now = self.clock()
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

    def release(self, busy: Collection[int]) -> None:
        """Send healthy actors to rest for the next stage; kill those that still have work."""
        for slot, actor in enumerate(self.actors):
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
