"""The only module that knows Ray: runs a plan on bare actors under a small supervisor.

`Execution()` runs in this process; `Execution(workers=N)` on N Ray actors; the bytes are the same.
Actors have no restarts and no task retries of Ray's own: after a death the supervisor starts a
fresh actor and gives it the shard again, at most three times; then the shard is halved until the
query that kills its worker stands alone (faults.md §6). Application errors are never retried.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from . import devices
from .errors import BadInput, RankmillError, UsageError
from .processors import processors
from .store import ledger
from .store.execution import (
    Commit,
    Inline,
    Job,
    Progress,
    Report,
    Silent,
    attempt_path,
    rejoin,
    run_shard,
)
from .store.plan import Shard, Worker
from .supervision import Waiting, application_error, poison_error, threads_of_each

TRIES = 3
IN_FLIGHT = 2  # per actor: one running, one waiting
READY_S = 120.0
REACH_S = 5.0
DEADLINE_S = 60.0  # or ten times the median shard, whichever is longer
FIRST_DEADLINE_S = 3600.0  # before any shard has told how long one takes


@dataclass(frozen=True, slots=True)
class Execution:
    """How to run stages: `workers=0` inline, `workers=N` on Ray actors, `ray_address` on that
    cluster.

    None of this can change a result, so none of it enters a fingerprint.
    """

    workers: int = 0
    ray_address: str | None = None
    progress: Progress = field(default_factory=Silent)

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise UsageError(
                f"workers={self.workers} is negative", do="0 means inline, N means N actors"
            )

    def execute(self, job: Job, commit: Commit) -> None:
        """Run every pending shard of the job and commit each result."""
        if self.workers == 0 and self.ray_address is None:
            Inline(self.progress).execute(job, commit)
            return
        with cluster(max(self.workers, 1), self.ray_address):
            _Supervisor(job, max(self.workers, 1), commit, self.progress).run()


INLINE = Execution()


@contextlib.contextmanager
def cluster(workers: int, address: str | None = None) -> Iterator[None]:
    """Use the running cluster of this process, join the one at `address`, or start a private local
    one.

    A local cluster listens on loopback only, with token login, without dashboard or usage reports,
    and is stopped at the end of the outermost block. Actors that end a stage in good health wait
    there for the next one: starting a process that imports torch takes seconds.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # An undocumented side effect of this switch moves every port to loopback (faults.md,
        # finding 7).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    if ray.is_initialized():
        yield
        return
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with contextlib.ExitStack() as stack:
        if address is not None:
            _reached(address)
            ray.init(address=address, **common)
        else:
            place = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="rm-", ignore_cleanup_errors=True)
            )
            ray.init(
                address="local",
                include_dashboard=False,
                num_cpus=max(workers, processors()),
                object_store_memory=200 * 1024**2,
                _temp_dir=place,
                **common,
            )
        stack.callback(ray.shutdown)
        stack.callback(_idle.clear)
        yield


def _reached(address: str) -> None:
    """Raise BadInput unless something listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" and "local" are Ray's own words
    try:
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), REACH_S).close()
    except OSError as error:
        raise BadInput(
            f"no Ray cluster answers: {error}",
            where=f"--ray-address {address}",
            do="start one there (ray start --head --port …), or use --workers N for a local one",
        ) from error


_idle: dict[tuple[int, int], list[Any]] = {}  # living actors without work, by (threads, GPUs)
_jobs = itertools.count()


class _ShardActor:
    """Holds one worker at a time; computes shards by the `run_shard` of the inline executor."""

    def __init__(self, threads: int):
        os.environ["NUMBA_NUM_THREADS"] = str(threads)  # read when numba is first imported
        self.job = -1
        self.worker: Worker | None = None

    def ready(self) -> int:
        """Return the process id, so that the supervisor knows that the actor is up."""
        return os.getpid()

    def rest(self) -> None:
        """Let go of the worker and what it holds open."""
        self.job, self.worker = -1, None

    def run(
        self,
        job: int,
        make_worker: Any,
        options: Mapping[str, Any],
        shard: Shard,
        schema: Any,
        path: str,
        gpus: int,
    ) -> Report:
        """Compute one shard into `path`; the job's first shard here makes the worker."""
        worker = self.worker
        if self.job != job or worker is None:
            self.rest()  # before the next model is loaded
            worker = cast(Worker, make_worker(**options))
            self.job, self.worker = job, worker
        try:
            return run_shard(worker, shard, schema, Path(path), gpus)
        except RuntimeError as error:
            if devices.damaged(error):
                os._exit(devices.DAMAGED)  # the supervisor gives the shard to a fresh process
            raise


@dataclass(slots=True)
class _Flight:
    """One shard on its way: which slot runs it, which attempt it is, when it was first known to
    run."""

    shard: Shard
    slot: int
    attempt: int
    started: float


class _Supervisor:
    """Feeds the slots, waits for whatever finishes first, and decides what a failure means."""

    def __init__(self, job: Job, workers: int, commit: Commit, progress: Progress):
        import ray

        self.ray, self.job, self.commit, self.progress = ray, job, commit, progress
        threads = threads_of_each(_processors(ray), workers)
        self.actor_class = ray.remote(  # type: ignore[call-overload]
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
            num_cpus=threads,
            num_gpus=job.stage.gpus,
        )(_ShardActor)
        self.threads, self.number = threads, next(_jobs)
        self.slots: list[Any] = [None] * min(workers, max(len(job.pending), 1))
        self.queue = Waiting(job.pending, job.stage.together)
        self.tries: dict[tuple[int, int, int], int] = {}
        self.flights: dict[Any, _Flight] = {}
        self.pieces: dict[int, dict[int, Report]] = {}  # halves of a shard by their first key
        self.whole = {s.number: s for s in job.pending}
        self.poison: list[Shard] = []
        self.seconds: list[float] = []
        self.lost = (
            ray.exceptions.RayActorError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
        )

    def run(self) -> None:
        stage, pending = self.job.stage, self.job.pending
        work = sum(s.work for s in pending)
        self.progress.begin(stage.kind, stage.unit, len(pending), self.job.done, work)
        try:
            while self.queue or self.flights:
                self._fill()
                ready, _ = self.ray.wait(list(self.flights), num_returns=1, timeout=1.0)
                for reference in ready:
                    self._land(reference)
                self._enforce_deadlines()
        finally:
            self._release()
            self.progress.end()
        if self.poison:
            raise poison_error(self.poison, self.job, TRIES)

    def _fill(self) -> None:
        for slot in range(len(self.slots)):
            busy = sum(f.slot == slot for f in self.flights.values())
            while self.queue and busy < IN_FLIGHT:
                if self.slots[slot] is None:
                    if not self._has_room():
                        break  # a node has gone: the other slots do its work
                    self.slots[slot] = self._fresh_actor()
                self._send(self.queue.take(slot), slot)
                busy += 1

    def _has_room(self) -> bool:
        """Say whether one more actor of ours fits the nodes that are alive; the first always may
        try."""
        alive = sum(actor is not None for actor in self.slots)
        return not alive or alive < sum(c // self.threads for c in _processors(self.ray))

    def _release(self) -> None:
        """Send healthy actors to rest for the next stage; kill those that still have a shard."""
        busy = {flight.slot for flight in self.flights.values()}
        resting = _idle.setdefault((self.threads, self.job.stage.gpus), [])
        for slot, actor in enumerate(self.slots):
            if actor is not None and slot in busy:
                self.ray.kill(actor)
            elif actor is not None:
                actor.rest.remote()
                resting.append(actor)

    def _rested_actor(self) -> Any | None:
        """Return an actor that another stage has left behind, if one is still alive."""
        resting = _idle.get((self.threads, self.job.stage.gpus), [])
        while resting:
            actor = resting.pop()
            try:
                self.ray.get(actor.ready.remote(), timeout=READY_S)
                return actor
            except (*self.lost, self.ray.exceptions.GetTimeoutError) as error:
                ledger.note(self.job.folder, -1, 0, None, f"rested actor: {type(error).__name__}")
        return None

    def _dismiss_others(self) -> None:
        """End resting actors of other sizes: they hold processors that a new one needs."""
        for size in [s for s in _idle if s != (self.threads, self.job.stage.gpus)]:
            for actor in _idle.pop(size):
                self.ray.kill(actor)

    def _fresh_actor(self) -> Any:
        actor = self._rested_actor()
        if actor is not None:
            return actor
        self._dismiss_others()
        stage = self.job.stage
        actor = self.actor_class.remote(self.threads)
        try:
            self.ray.get(actor.ready.remote(), timeout=READY_S)
        except self.ray.exceptions.GetTimeoutError as error:
            raise RankmillError(
                f"no actor came up within {READY_S:.0f} s; asked for {self.threads} CPUs "
                f"and {stage.gpus} GPUs",
                where=f"cluster with {self.ray.cluster_resources()}",
                do="ask for fewer --workers, or give the cluster these resources",
            ) from error
        return actor

    def _send(self, shard: Shard, slot: int) -> None:
        attempt = self.tries.get(_key(shard), 0) + 1
        path = attempt_path(self.job, shard, attempt)
        stage = self.job.stage
        reference = self.slots[slot].run.remote(
            self.number,
            stage.worker,
            dict(stage.options),
            shard,
            stage.schema_of(shard),
            str(path),
            stage.gpus,
        )
        self.flights[reference] = _Flight(shard, slot, attempt, time.monotonic())

    def _land(self, reference: Any) -> None:
        flight = self.flights.get(reference)
        if flight is None:
            return  # already requeued with its dead actor
        try:
            report: Report = self.ray.get(reference)
        except self.lost as error:
            self._actor_died(flight, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return
        except self.ray.exceptions.RayTaskError as error:
            raise application_error(error, flight.shard, self.job) from error
        del self.flights[reference]
        self.seconds.append(report.cost.wall_s)
        for other in self.flights.values():
            if other.slot == flight.slot:
                other.started = time.monotonic()  # it waited behind this one until now
        ledger.note(self.job.folder, flight.shard.number, flight.attempt, report.cost)
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
            report = rejoin(
                in_order, whole, self.job.attempts / f"{whole.number:05d}-rejoined.arrow"
            )
        self.commit(report)
        self.progress.advance(whole.work, report.cost.usage)

    def _actor_died(self, flight: _Flight, cause: str) -> None:
        """Requeue what the actor held; only the shard that was running has used up a try."""
        held = [(r, f) for r, f in self.flights.items() if f.slot == flight.slot]
        running, stage = min((f for _, f in held), key=lambda f: f.started), self.job.stage
        for reference, _ in held:
            del self.flights[reference]
        self.slots[flight.slot] = None
        ledger.note(self.job.folder, running.shard.number, running.attempt, None, cause)
        for _, other in held:
            if other is not running:
                self.queue.appendleft(other.shard)
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

    def _enforce_deadlines(self) -> None:
        """Kill an actor whose shard takes far longer than its peers: a hang, not slowness."""
        limit = FIRST_DEADLINE_S
        if self.seconds:
            median = sorted(self.seconds)[len(self.seconds) // 2]
            limit = max(DEADLINE_S, 10 * median)
        now = time.monotonic()
        for slot in range(len(self.slots)):
            mine = [f for f in self.flights.values() if f.slot == slot]
            if mine and now - min(f.started for f in mine) > limit:
                self.ray.kill(self.slots[slot])
                self._actor_died(
                    min(mine, key=lambda f: f.started), f"no result after {limit:.0f} s"
                )


def _processors(ray: Any) -> list[int]:
    """Return the processors of every living node."""
    return [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]


def _key(shard: Shard) -> tuple[int, int, int]:
    return shard.number, shard.start, shard.stop
