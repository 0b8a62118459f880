"""Blocks of work, one inside the other, each charged with what passes while it is the innermost.

Counters of the process (clock, processor time, compiler, bytes, joules, peaks) are read whenever a
block begins or ends, and the difference goes to the block that was innermost until then. So nothing
is counted twice and nothing is lost: an artifact that is made in the middle of another is not part
of it, and the blocks of a command add up to the command.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from . import accelerator, compiling, imports
from .cost import Cost
from .energy import Devices, Packages
from .memory import Memory

_IO = {
    b"rchar:": "read_bytes",
    b"wchar:": "written_bytes",
    b"read_bytes:": "disk_read_bytes",
    b"write_bytes:": "disk_written_bytes",
}
_IO_FILE = Path("/proc/self/io")


@dataclass(slots=True, eq=False)
class Block:
    """A piece of work under way. `gpus`: devices that it holds. `own`: an account of its own, of
    which blocks inside it that are none are parts."""

    gpus: int = 0
    own: bool = False
    cost: Cost = field(default_factory=Cost)
    elapsed_s: float = 0.0
    """Seconds that it was open, with its parts, without accounts inside it."""

    def take(self) -> Cost:
        """Return what it was charged so far, and forget it: the next call returns what is new."""
        _meter.charge()
        cost, self.cost = self.cost, Cost()
        cost.pid = os.getpid()
        return cost


class _Meter:
    """The open blocks of this process and the counters as they were last read."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.blocks: list[Block] = []
        self.memory, self.devices = Memory(), Devices()
        self.packages: Packages | None = None
        self.last: dict[str, float] = {}

    def open(self, block: Block) -> None:
        with self.guard:
            self.charge()
            self.blocks.append(block)
            self.memory.watch()

    def close(self, block: Block) -> None:
        """End a block; what was not taken from it goes to the one around it."""
        with self.guard:
            if block not in self.blocks:
                return  # it was opened before this process was forked off
            self.charge()
            place = self.blocks.index(block)
            self.blocks.remove(block)
            if place > 0:
                self.blocks[place - 1].cost.add(block.cost)
            if not self.blocks:
                self.memory.rest()

    def charge(self) -> None:
        """Charge the innermost block with what has passed since the counters were last read."""
        with self.guard:
            now, before = _counters(), self.last
            self.last = now
            passed = {key: value - before[key] for key, value in now.items() if key in before}
            self.packages = self.packages or Packages()
            joules = self.packages.take(passed.get("cpu_s", 0.0))
            peak, (gpu_bytes, used) = self.memory.take(), accelerator.take()
            gpu_joules = self.devices.take(used)
            if not self.blocks:
                return
            block, wall = self.blocks[-1], passed.get("wall_s", 0.0)
            cpu = passed.get("cpu_s", 0.0)
            compiled = min(passed.get("compile_s", 0.0), cpu)
            starting = min(passed.get("start_s", 0.0), cpu - compiled)
            cost = Cost(
                wall_s=wall,
                cpu_s=cpu - compiled - starting,
                compile_s=compiled,
                start_s=starting,
                gpu_s=wall * max(block.gpus, len(used)),
                peak_rss_bytes=peak.resident,
                peak_anonymous_bytes=peak.anonymous,
                peak_file_bytes=peak.files,
                peak_gpu_bytes=gpu_bytes,
                memory=peak.method,
                cpu_joules=joules,
                gpu_joules=gpu_joules,
            )
            for key in _IO.values():
                setattr(cost, key, passed.get(key))
            block.cost.add(cost)
            for around in reversed(self.blocks):
                around.elapsed_s += wall
                if around.own:
                    break

    def account(self) -> Block | None:
        """Return the innermost account."""
        with self.guard:
            return next((block for block in reversed(self.blocks) if block.own), None)

    def take_over(self, cost: Cost, passed_in: Block | None) -> None:
        """Charge the innermost block with what was measured in another account, or in this one."""
        with self.guard:
            if self.blocks:
                self.blocks[-1].cost.add(cost)
            seconds = cost.wall_s if self.account() is not passed_in else 0.0
            for around in reversed(self.blocks):
                around.elapsed_s += seconds
                if around is passed_in:
                    break
                seconds = -seconds if around.own else seconds


def _counters() -> dict[str, float]:
    """Return what only grows: seconds, and bytes where the kernel tells them."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    now = {
        "wall_s": time.perf_counter(),
        "cpu_s": time.process_time() + children.ru_utime + children.ru_stime,
        "compile_s": compiling.seconds(),
        "start_s": imports.seconds(),
    }
    with contextlib.suppress(OSError, ValueError):
        for line in _IO_FILE.read_bytes().splitlines():
            name, _, number = line.partition(b" ")
            if name in _IO:
                now[_IO[name]] = int(number)
    return now


_meter = _Meter()


def _begin_anew() -> None:
    """A forked process has no open block, and no thread that looks at its memory."""
    global _meter
    _meter = _Meter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextlib.contextmanager
def measuring(gpus: int = 0) -> Iterator[Cost]:
    """Measure a part of the work that is under way; the cost is there when the block has ended.

    What ends with an error is charged to the block around it.
    """
    block, cost = Block(gpus), Cost()
    _meter.open(block)
    try:
        yield cost
        cost.add(block.take())
    finally:
        _meter.close(block)


@contextlib.contextmanager
def postponing() -> Iterator[Callable[[], None]]:
    """Measure work that belongs to a block which is not open yet; what is yielded charges it, once,
    to the block that is under way when it is called. Its seconds leave the account they passed in.
    """
    passed_in = _meter.account()
    with measuring() as cost:
        yield cache(lambda: _meter.take_over(cost, passed_in))


@contextlib.contextmanager
def account() -> Iterator[Block]:
    """Open an account: work of its own, whatever it is in the middle of. What is not taken from it
    is charged to the block around it."""
    block = Block(own=True)
    _meter.open(block)
    try:
        yield block
    finally:
        _meter.close(block)
