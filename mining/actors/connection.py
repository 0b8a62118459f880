"""The cluster that this process is connected to, and our actors there that wait for work."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInput, RankmillError, UsageError, need
from ..limits import memory_limit
from ..processors import processors
from .handlers import exit_on_sigterm, in_main_thread, put_back, signals_after, terminated
from .session import SessionPlace, private_token

REACH_S = 5.0
LEAST_MB = 170  # of an actor that has imported Arrow and kernels, no torch, and its share of Ray


@contextlib.contextmanager
def cluster(workers: int, address: str | None = None) -> Iterator[None]:
    """Use the running cluster of this process, join the one at `address`, or start a private local
    one, for all stages of the block.

    A local cluster listens on loopback only, with token login, without dashboard or usage reports.
    Actors that end a stage in good health wait for the next one: starting a process that imports
    torch takes seconds. At the end of the outermost block they end, and so does a private cluster,
    also one that an earlier call has left running. The caller's own cluster goes on.
    """
    with connected(workers, address, keep=False):
        yield


@dataclass(slots=True)
class Cluster:
    """The cluster that this process is connected to, and our actors there that wait for work.

    `address` of its control service tells whether Ray was started anew behind our back. `place`:
    the session folder of a private one, which has `processors`. `ours`: we have connected to it.
    """

    address: str
    ours: bool
    place: SessionPlace | None = None
    processors: int = 0
    process: int = field(default_factory=os.getpid)
    idle: dict[tuple[int, int], list[Any]] = field(default_factory=dict)  # by (threads, GPUs)


here: Cluster | None = None
_blocks = 0


@contextlib.contextmanager
def connected(workers: int, address: str | None, *, keep: bool) -> Iterator[Any]:
    """Connect to a cluster for a block and yield ray; `keep` leaves a private one running."""
    global _blocks
    need("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Moves every port to loopback: a side effect that Ray does not document
        # (docs/faults.md §5).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    outermost = _blocks == 0
    connected = False
    _blocks += 1
    try:
        with signals_after():  # both run compiled code, too, and swallow what they cannot read
            import ray

            connected = _connect(ray, workers, address, may_change=outermost)
        yield ray
    finally:
        _blocks -= 1
        if here is not None and (outermost or connected):
            _leave(sys.modules["ray"], keep)


def _connect(ray: Any, workers: int, address: str | None, may_change: bool) -> bool:
    """See to it that `here` is the cluster that Ray is connected to; say whether we connected."""
    global here
    running = ray.get_runtime_context().gcs_address if ray.is_initialized() else None
    if here is not None and here.address != running:
        _end(ray)  # the caller has shut Ray down
    if running is not None:
        here = here or Cluster(running, ours=False)
        small = here.place is not None and (workers > here.processors or address is not None)
        if not (small and may_change):
            return False
        _end(ray)
    if address is not None:
        _reached(address)
        _init(ray, address=address)
        here = Cluster(ray.get_runtime_context().gcs_address, ours=True)
        return True
    count = max(workers, processors())
    _refuse_unless_room(workers)
    private_token()
    place = SessionPlace()
    try:
        _init(
            ray,
            address="local",
            include_dashboard=False,
            num_cpus=count,
            object_store_memory=200 * 1024**2,
            _temp_dir=str(place.inside),
        )
    except BaseException:
        place.end()
        raise
    here = Cluster(ray.get_runtime_context().gcs_address, True, place, count)
    atexit.register(_end, ray)
    exit_on_sigterm()
    return True


def _leave(ray: Any, keep: bool) -> None:
    """End what is ours at the end of a block; a private cluster may stay for later calls.

    The kernel ends it with the thread that has started it, so only the main thread's can.
    """
    if here is None:
        return
    if keep and in_main_thread() and here.place is not None:
        return
    if here.ours:
        _end(ray)
        return
    for actor in itertools.chain(*here.idle.values()):
        ray.kill(actor)
    here.idle.clear()


def _end(ray: Any) -> None:
    """Disconnect; stop the cluster where it is private. A fork of our process has none."""
    global here
    ended, here = here, None
    if ended is None or not ended.ours or ended.process != os.getpid():
        return
    if ray.is_initialized() and ray.get_runtime_context().gcs_address == ended.address:
        with signals_after():
            ray.shutdown()
    if ended.place is not None:
        ended.place.end()
        atexit.unregister(_end)
        if in_main_thread() and signal.getsignal(signal.SIGTERM) is terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _init(ray: Any, **options: Any) -> None:
    """Connect, and put back the signal handlers that Ray replaces by its own."""
    before = {}
    if in_main_thread():  # handlers are that thread's: elsewhere Ray leaves them alone, too
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except SystemExit as end:
        if end.code != signal.SIGTERM:
            raise
        put_back(before)  # Ray's handler took a signal that was not for Ray
        signal.raise_signal(signal.SIGTERM)
        sys.exit(128 + signal.SIGTERM)
    except Exception as error:
        _raise_if_late(error, options)
        raise
    finally:
        put_back(before)


def _raise_if_late(error: Exception, options: Mapping[str, Any]) -> None:
    """Raise RankmillError for what Ray raises when its processes do not come up in time."""
    if type(error) not in (Exception, RuntimeError, TimeoutError, ConnectionError):
        return
    raise RankmillError(
        f"Ray did not start: {(str(error) or type(error).__name__).splitlines()[0]}",
        where=f"ray.init({', '.join(f'{k}={v}' for k, v in options.items())})",
        do="a machine that is busy starts it too late: run the same command again, or without "
        "--workers",
    ) from error


def _refuse_unless_room(workers: int) -> None:
    """Raise UsageError where so many processes cannot stand on this machine whatever they do."""
    limit = memory_limit()
    least = workers * LEAST_MB * 2**20
    if limit.bytes is not None and least > limit.bytes:
        raise UsageError(
            f"--workers {workers} takes {least / 2**30:,.1f} GiB for its processes alone, "
            f"{LEAST_MB} MiB each; there are {limit.bytes / 2**30:,.1f} ({limit.said_by})",
            do=f"there are {processors()} processors: ask for as many workers, or give "
            "--ray-address of a cluster",
        )


def _reached(address: str) -> None:
    """Raise BadInput unless something listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        if address in ("auto", "local"):  # Ray's own words
            return
        raise UsageError(
            f"--ray-address {address} names no cluster",
            do="write HOST:PORT, ray://HOST:PORT, or auto for the one that this machine belongs to",
        )
    try:
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), REACH_S).close()
    except OSError as error:
        raise BadInput(
            f"no Ray cluster answers: {error}",
            where=f"--ray-address {address}",
            do="start one there (ray start --head --port …), or use --workers N for a local one",
        ) from error
