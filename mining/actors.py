"""The only module that knows Ray: runs a plan on bare actors under a small supervisor.

`Execution()` runs in this process; `Execution(workers=N)` on N Ray actors; the bytes are the same.
Actors have no restarts and no task retries of Ray's own: after a death the supervisor starts a
fresh actor and gives it the shard again, at most three times; then the shard is halved until the
query that kills its worker stands alone (docs/faults.md §3). Application errors are never retried.
A shard goes only to an actor whose worker is made: loading a model, however long it takes and
however it ends, uses up none of its tries.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

from . import devices
from .errors import BadInput, Incomplete, PluginError, RankmillError, UsageError
from .meter import Cost, imports, measuring
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

TRIES = 3
IN_FLIGHT = 2  # per actor: one running, one waiting
READY_S = 120.0  # for a process to come up, after the last one that did
LOAD_S = 3600.0  # for its worker to be made: a large model from a slow disk
REACH_S = 5.0
DEADLINE_S = 60.0  # or ten times what shards take, whichever is longer
FIRST_DEADLINE_S = 3600.0  # before any shard has told how long one takes


MOST_WORKERS = 100_000


@dataclass(frozen=True, slots=True)
class Execution:
    """How to run stages: `workers=0` inline, `workers=N` on Ray actors, `ray_address` on that
    cluster.

    Outside a `cluster` block the first call with workers starts a private local cluster, which
    stays for the calls that follow and ends with the process, or with a `cluster` block; actors
    wait there for more work. A cluster that the caller has joined, or that stands at `ray_address`,
    keeps nothing of ours after a call. None of this can change a result, so none of it enters a
    fingerprint.
    """

    workers: int = 0
    ray_address: str | None = None
    progress: Progress = field(default_factory=Silent)

    def __post_init__(self) -> None:
        if type(self.workers) is not int or self.workers > MOST_WORKERS:
            raise UsageError(
                f"workers={self.workers!r} is no number of workers",
                do=f"0 means inline, N means N actors, {MOST_WORKERS:,} at most",
            )
        if not isinstance(self.ray_address, str | None):
            raise UsageError(
                f"ray_address={self.ray_address!r} is no address", do="write host:port, or auto"
            )
        if self.workers < 0:
            raise UsageError(
                f"workers={self.workers} is negative", do="0 means inline, N means N actors"
            )

    def execute(self, job: Job, commit: Commit) -> None:
        """Run every pending shard of the job and commit each result."""
        if self.workers == 0 and self.ray_address is None:
            Inline(self.progress).execute(job, commit)
            return
        workers = max(self.workers, 1)
        with _connected(workers, self.ray_address, keep=True) as ray:
            _Supervisor(ray, job, workers, commit, self.progress).run()


INLINE = Execution()


@contextlib.contextmanager
def cluster(workers: int, address: str | None = None) -> Iterator[None]:
    """Use the running cluster of this process, join the one at `address`, or start a private local
    one, for all stages of the block.

    A local cluster listens on loopback only, with token login, without dashboard or usage reports.
    Actors that end a stage in good health wait for the next one: starting a process that imports
    torch takes seconds. At the end of the outermost block they end, and so does a private cluster,
    also one that an earlier call has left running. The caller's own cluster goes on.
    """
    with _connected(workers, address, keep=False):
        yield


@dataclass(slots=True)
class _Cluster:
    """The cluster that this process is connected to, and our actors there that wait for work.

    `address` of its control service tells whether Ray was started anew behind our back. `place`:
    the session folder of a private one, which has `processors`. `ours`: we have connected to it.
    """

    address: str
    ours: bool
    place: tempfile.TemporaryDirectory[str] | None = None
    processors: int = 0
    process: int = field(default_factory=os.getpid)
    idle: dict[tuple[int, int], list[Any]] = field(default_factory=dict)  # by (threads, GPUs)


_here: _Cluster | None = None
_blocks = 0


@contextlib.contextmanager
def _connected(workers: int, address: str | None, *, keep: bool) -> Iterator[Any]:
    """Connect to a cluster for a block and yield ray; `keep` leaves a private one running."""
    global _blocks
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Moves every port to loopback: a side effect that Ray does not document
        # (docs/faults.md §5).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    outermost = _blocks == 0
    with _signals_after():
        connected = _connect(ray, workers, address, may_change=outermost)
    _blocks += 1
    try:
        yield ray
    finally:
        _blocks -= 1
        if outermost or connected:
            _leave(ray, keep)


def _connect(ray: Any, workers: int, address: str | None, may_change: bool) -> bool:
    """See to it that `_here` is the cluster that Ray is connected to; say whether we connected."""
    global _here
    running = ray.get_runtime_context().gcs_address if ray.is_initialized() else None
    if _here is not None and _here.address != running:
        _end(ray)  # the caller has shut Ray down
    if running is not None:
        _here = _here or _Cluster(running, ours=False)
        small = _here.place is not None and (workers > _here.processors or address is not None)
        if not (small and may_change):
            return False
        _end(ray)
    if address is not None:
        _reached(address)
        _init(ray, address=address)
        _here = _Cluster(ray.get_runtime_context().gcs_address, ours=True)
        return True
    place = tempfile.TemporaryDirectory(prefix="rm-", ignore_cleanup_errors=True)
    count = max(workers, processors())
    try:
        _init(
            ray,
            address="local",
            include_dashboard=False,
            num_cpus=count,
            object_store_memory=200 * 1024**2,
            _temp_dir=place.name,
        )
    except BaseException:
        place.cleanup()
        raise
    _here = _Cluster(ray.get_runtime_context().gcs_address, True, place, count)
    atexit.register(_end, ray)
    _exit_on_sigterm()
    return True


def _leave(ray: Any, keep: bool) -> None:
    """End what is ours at the end of a block; a private cluster may stay for later calls.

    The kernel ends it with the thread that has started it, so only the main thread's can.
    """
    if _here is None:
        return
    if keep and _in_main_thread() and _here.place is not None:
        return
    if _here.ours:
        _end(ray)
        return
    for actor in itertools.chain(*_here.idle.values()):
        ray.kill(actor)
    _here.idle.clear()


def _end(ray: Any) -> None:
    """Disconnect; stop the cluster where it is private. A fork of our process has none."""
    global _here
    here, _here = _here, None
    if here is None or not here.ours or here.process != os.getpid():
        return
    if ray.is_initialized() and ray.get_runtime_context().gcs_address == here.address:
        with _signals_after():
            ray.shutdown()
    if here.place is not None:
        here.place.cleanup()
        atexit.unregister(_end)
        if _in_main_thread() and signal.getsignal(signal.SIGTERM) is _terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _init(ray: Any, **options: Any) -> None:
    """Connect, and put back the signal handlers that Ray replaces by its own."""
    before = {}
    if _in_main_thread():  # handlers are that thread's: elsewhere Ray leaves them alone, too
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except SystemExit as end:
        if end.code != signal.SIGTERM:
            raise
        _put_back(before)  # Ray's handler took a signal that was not for Ray
        signal.raise_signal(signal.SIGTERM)
        sys.exit(128 + signal.SIGTERM)
    finally:
        _put_back(before)


def _put_back(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # else it is not Python's
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_after() -> Iterator[None]:
    """Keep signals that this process handles until the block has ended, then call their handlers.

    What a handler raises inside Ray's compiled code does not come out of it: that code goes on, or
    ends by a SystemError of its own. A second signal ends the process at once.
    """
    arrived: list[tuple[int, FrameType | None]] = []

    def keep(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))
        signal.signal(number, signal.SIG_DFL)

    handlers: dict[signal.Signals, Any] = {}
    if _in_main_thread():
        now = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        handlers = {number: handler for number, handler in now.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, keep)
        yield
    finally:
        _put_back(handlers)
        for sent, frame in arrived:
            handlers[signal.Signals(sent)](sent, frame)


def _exit_on_sigterm() -> None:
    """Let SIGTERM end this process in order while a private cluster runs, unless it is handled.

    Processes of Ray would outlive it by a minute otherwise.
    """
    if _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


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


_jobs = itertools.count()


class _ShardActor:
    """Holds one worker at a time; computes shards by the `run_shard` of the inline executor."""

    def __init__(self, threads: int):
        os.environ["NUMBA_NUM_THREADS"] = str(threads)  # read when numba is first imported
        self.job = -1
        self.worker: Worker | None = None
        self.engine = devices.Engine()
        self.told = False  # what starting the process took
        imports.watch()

    def ready(self) -> int:
        """Return the process id, so that the supervisor knows that the actor is up."""
        return os.getpid()

    def rest(self) -> None:
        """Let go of the worker and what it holds open."""
        self.job, self.worker = -1, None

    def prepare(
        self, job: int, make_worker: Any, options: Mapping[str, Any], engine: devices.Engine
    ) -> Cost:
        """Make the worker of a job, which may load a model; returns what that took.

        `engine`: where and how its models run, as in the process that asked. The first job also
        pays for the start of the process and what it imports.
        """
        self.rest()  # before the next model is loaded
        before = time.process_time()
        self.engine = engine
        with _ended_by_damage(), devices.using(engine), measuring() as cost:
            self.worker = cast(Worker, make_worker(**options))
        if not self.told:
            cost.start_s, self.told = cost.start_s + before, True
        self.job = job
        return cost

    def run(self, job: int, shard: Shard, schema: Any, path: str, gpus: int) -> Report:
        """Compute one shard of the job that this actor was prepared for into `path`."""
        worker = self.worker
        assert worker is not None
        assert job == self.job
        with _ended_by_damage(), devices.using(self.engine):
            return run_shard(worker, shard, schema, Path(path), gpus)


@contextlib.contextmanager
def _ended_by_damage() -> Iterator[None]:
    """End an actor whose device is of no more use; the supervisor starts a fresh process."""
    try:
        yield
    except RuntimeError as error:
        if devices.damaged(error):
            os._exit(devices.DAMAGED)
        raise


# ---- what is decided without Ray ---------------------------------------------------------------


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

    `known`: seconds of shards that an earlier run has ended. Work is what the plan balanced, but a
    single heavy query may have many times the work of a shard, so the deadline grows with it.
    """

    def __init__(self, known: Iterable[float]):
        self.seconds, self.rates = list(known), list[float]()

    def ended(self, shard: Shard, seconds: float) -> None:
        """Learn from a shard that has ended."""
        self.seconds.append(seconds)
        self.rates.append(seconds / max(shard.work, 1))

    def of(self, shard: Shard, first: bool) -> float:
        """Return the seconds for a shard; `first`: of its actor, which may compile or read what a
        worker opens late, so it has ten times the longest shard so far."""
        if not self.seconds:
            return FIRST_DEADLINE_S
        usual = _median(self.seconds)
        if self.rates:
            usual = max(usual, _median(self.rates) * shard.work)
        if first:
            usual = max(usual, *self.seconds)
        return max(DEADLINE_S, 10 * usual)


def _median(values: list[float]) -> float:
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


# ---- the supervisor ----------------------------------------------------------------------------


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


class _Supervisor:
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
        threads = threads_of_each(_processors(ray), workers)
        self.actor_class = ray.remote(
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
            num_cpus=threads,
            num_gpus=job.stage.gpus,
        )(_ShardActor)
        self.threads, self.number = threads, next(_jobs)
        self.engine = devices.engine()
        self.slots: list[Any] = [None] * min(workers, max(len(job.pending), 1))
        self.closed: set[int] = set()  # slots for which the cluster has no room
        self.warm: set[int] = set()  # slots whose actor has ended a shard
        self.starts: dict[Any, _Start] = {}
        self.last_up, self.failures = clock(), 0
        self.queue = Waiting(job.pending, job.stage.together)
        self.tries: dict[tuple[int, int, int], int] = {}
        self.flights: dict[Any, _Flight] = {}  # of each slot in the order that it computes them
        self.pieces: dict[int, dict[int, Report]] = {}  # halves of a shard by their first key
        self.whole = {s.number: s for s in job.pending}
        self.poison: list[Shard] = []
        self.deadlines = Deadlines(ledger.seconds_here(job.folder))
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
                with _signals_after():
                    self._step()
        finally:
            with _signals_after():
                self._release()
            self.progress.end()
        if self.poison:
            raise poison_error(self.poison, self.job, TRIES)

    def _step(self) -> None:
        """Give out shards, and wait for what ends first, a second at most."""
        self._open_slots()
        self._fill()
        coming = [*self.flights, *self.starts]
        if not coming:
            raise self._no_actor()
        ready, _ = self.ray.wait(coming, num_returns=1, timeout=1.0)
        for reference in ready:
            self._land(reference)
        self._enforce_deadlines()

    def _fill(self) -> None:
        loads = {slot: 0 for slot, actor in enumerate(self.slots) if actor is not None}
        for flight in self.flights.values():
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
        # What fits the nodes that are alive: where one has gone, the other slots do its work. The
        # first always may try.
        room = sum(count // self.threads for count in _processors(self.ray)) - len(alive)
        for slot in empty[: max(room, not alive)]:
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
            self.slots[start.slot], self.failures = start.actor, 0
            if isinstance(cost, Cost):
                ledger.note(self.job.folder, ledger.OUTSIDE, 1, cost)
            return
        start.up, start.since, self.last_up = True, self.clock(), self.clock()
        options = dict(stage.options)
        made = start.actor.prepare.remote(self.number, stage.worker, options, self.engine)
        self.starts[made] = start

    def _start_failed(self, start: _Start, cause: str) -> None:
        """Let the slot be started again, unless actors go on ending so: no shard is to blame."""
        ledger.note(self.job.folder, ledger.OUTSIDE, 0, None, f"starting actor: {cause}")
        if not start.up and not start.fresh:
            return  # it had died while it rested
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
            f"no actor came up within {READY_S:.0f} s; asked for {self.threads} CPUs "
            f"and {self.job.stage.gpus} GPUs",
            where=f"cluster with {self.ray.cluster_resources()}",
            do="ask for fewer --workers, or give the cluster these resources",
        )

    def _resting(self) -> list[Any]:
        """Return the actors of our size that wait for work."""
        assert _here is not None
        return _here.idle.setdefault((self.threads, self.job.stage.gpus), [])

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
        assert _here is not None
        for size in [s for s in _here.idle if s != (self.threads, self.job.stage.gpus)]:
            for actor in _here.idle.pop(size):
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
            self._actor_died(flight, f"{type(error).__name__}: {str(error).splitlines()[0]}")
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
        devices.tell_halved(report.cost.usage, self.progress.announce)

    def _actor_died(self, flight: _Flight, cause: str) -> None:
        """Requeue what the actor held; only the shard that was running has used up a try."""
        held = [(r, f) for r, f in self.flights.items() if f.slot == flight.slot]
        running, stage = held[0][1], self.job.stage
        for reference, _ in held:
            del self.flights[reference]
        self.slots[flight.slot] = None
        self.warm.discard(flight.slot)
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
        now = self.clock()
        for slot in range(len(self.slots)):
            running = next((f for f in self.flights.values() if f.slot == slot), None)
            if running is None or not self.job.stage.timed:
                continue
            limit = self.deadlines.of(running.shard, first=slot not in self.warm)
            if now - running.started > limit:
                self.ray.kill(self.slots[slot])
                self._actor_died(running, f"no result after {limit:.0f} s")
        for reference, start in list(self.starts.items()):
            since = start.since if start.up else max(start.since, self.last_up)
            limit = LOAD_S if start.up else READY_S
            if now - since > limit:
                del self.starts[reference]
                self.ray.kill(start.actor)
                if start.fresh and not start.up:
                    self.closed.add(start.slot)
                self._start_failed(start, f"not ready after {limit:.0f} s")


def _processors(ray: Any) -> list[int]:
    """Return the processors of every living node."""
    return [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]


def _key(shard: Shard) -> tuple[int, int, int]:
    return shard.number, shard.start, shard.stop
