"""What a piece of work took. None where this machine does not tell: never 0, never a guess."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

_BYTES = ("read_bytes", "written_bytes", "disk_read_bytes", "disk_written_bytes")
OPTIONAL = frozenset({*_BYTES, "cpu_joules", "gpu_joules"})
"""What not every machine tells: None there."""


@dataclass(slots=True)
class Cost:
    """Seconds, peaks, bytes and joules of a piece of work, and its usage counts.

    `cpu_s` (user and system, all threads, child processes that have ended), `compile_s` (the same
    clock, inside numba's compiler) and `start_s` (likewise: importing large packages, starting an
    actor) are three lines of one sum. `gpu_s`: seconds times devices.
    `peak_rss_bytes`: resident memory of the process, most while the work was under way, however
    `memory` says that it was found; of it `peak_anonymous_bytes` (heap, arrays) and
    `peak_file_bytes` (mapped files, shared with other processes; the two peak at different
    moments). `peak_gpu_bytes`: allocated by torch on the fullest device. `read_bytes`,
    `written_bytes`: through read and write calls, from the cache too, never through memory maps;
    `disk_…`: what storage moved, also for memory maps. `pid`: the process that did the work.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    peak_rss_bytes: int = 0
    usage: dict[str, float] = field(default_factory=dict)
    compile_s: float = 0.0
    start_s: float = 0.0
    peak_anonymous_bytes: int = 0
    peak_file_bytes: int = 0
    peak_gpu_bytes: int = 0
    memory: str = ""
    read_bytes: float | None = None
    written_bytes: float | None = None
    disk_read_bytes: float | None = None
    disk_written_bytes: float | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    pid: int = 0

    def add(self, other: Cost) -> None:
        """Take another piece of work in: seconds, bytes and counts add up, peaks do not."""
        for one in fields(self):
            mine, more = getattr(self, one.name), getattr(other, one.name)
            if one.name.startswith("peak_"):
                setattr(self, one.name, max(mine, more))
            elif one.name in ("memory", "pid"):
                setattr(self, one.name, mine or more)
            elif one.name == "usage":
                for key, value in more.items():
                    mine[key] = mine.get(key, 0) + value
            elif one.name in OPTIONAL:
                told = [value for value in (mine, more) if value is not None]
                setattr(self, one.name, sum(told) if told else None)
            else:
                setattr(self, one.name, mine + more)
