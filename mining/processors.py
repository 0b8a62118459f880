"""How many processors this process may use: by its affinity, and by the quota of its cgroup.

`os.cpu_count` counts those of the machine. A container or a batch system grants fewer: it binds
processes to some of them (affinity), or grants seconds of processor time per second (quota, by
cgroup v2 or v1), and threads beyond that only wait for each other.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

_MEMBERSHIP = Path("/proc/self/cgroup")  # lines `0::/path` (v2) or `4:cpu,cpuacct:/path` (v1)
_MOUNT = Path("/sys/fs/cgroup")
_KINDS = Path("/proc/cpuinfo")


def processors() -> int:
    """Return the smaller of affinity and cgroup quota, a broken quota rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        granted = len(os.sched_getaffinity(0))
    else:
        granted = os.cpu_count() or 1
    return max(1, min([granted, *(math.ceil(quota) for quota in _quotas())]))


def processor_name() -> str:
    """Return what the processor calls itself, else the kind of machine; never empty on Linux."""
    said = re.search(r"^model name\s*:\s*(\S.*)$", _text(_KINDS), re.MULTILINE)
    return said[1].strip() if said else platform.processor() or platform.machine()


def _quotas() -> Iterator[float]:
    """Yield every limit on this process, in processors: of its cgroup and of those around it.

    A container often sees the path that its host knows, below a mount that begins at the container:
    what is not there has no limit to tell, the folders above it have.
    """
    for line in _text(_MEMBERSHIP).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _limits(_MOUNT, path, "cpu.max")
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu")):
                yield from _limits(_MOUNT / mount, path, "cpu.cfs_quota_us")


def _limits(mount: Path, path: str, name: str) -> Iterator[float]:
    steps = [step for step in path.split("/") if step not in ("", ".", "..")]
    for depth in range(len(steps), -1, -1):
        folder = mount.joinpath(*steps[:depth])
        quota, _, period = _text(folder / name).strip().partition(" ")  # "200000 100000"
        period = period or _text(folder / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):  # "max" and "-1" are no limit
            yield int(quota) / int(period)


def _text(path: Path) -> str:
    """Return what a file of the kernel says, nothing where it is not there or not ours to read."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


_this_thread = threading.local()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep the calling thread's kernels to this thread: others have work of their own."""
    before = getattr(_this_thread, "alone", False)
    _this_thread.alone = True
    try:
        yield
    finally:
        _this_thread.alone = before


def threads() -> int:
    """Return how many threads may share work that the calling thread begins.

    An actor limits it by NUMBA_NUM_THREADS.
    """
    if getattr(_this_thread, "alone", False):
        return 1
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def in_threads(
    work: Callable[[int, int], None], offsets: Sequence[int] | np.ndarray, *, least: int = 50_000
) -> None:
    """Call work(start, stop) on one range of rows per thread; the ranges have equal numbers of
    items.

    Row r has the items `offsets[r]` to `offsets[r+1]`; `least` is how many are worth a thread. Rows
    do not depend on each other, so the result does not depend on the number of threads.
    """
    bounds = np.asarray(offsets)
    count = min(threads(), 1 + int(bounds[-1] - bounds[0]) // least)
    if count < 2:
        work(0, len(bounds) - 1)
        return
    targets = np.linspace(bounds[0], bounds[-1], count + 1)
    cuts = np.searchsorted(bounds, targets)
    cuts[0], cuts[-1] = 0, len(bounds) - 1
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, cuts[:-1].tolist(), cuts[1:].tolist()))
