"""The books of one command: its start, the artifacts it made, and what lay outside of them.

Each line is counted on its own as it passes (mining/meter), and the command as a whole by the
clocks of its process; that the lines add up to the whole is a test, not a definition.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.mining.meter import Block
    from rankmill.mining.store.ledger import Spent

_process: int | None = None  # the process that is one command


def begin() -> None:
    """Say that this process is one command: what it did so far is its start."""
    global _process
    from rankmill.mining.meter import imports

    _process = os.getpid() if _process is None else 0  # a second one in this process is not it
    imports.watch()


@dataclass(slots=True)
class CommandBooks:
    """The account of a command under way. `before`: what artifacts had been charged by then."""

    block: Block
    before: Spent
    began: float
    began_cpu: float
    start: dict[str, float]

    def told(self) -> dict[str, Any]:
        """Return the lines so far, in seconds: `outside` is what no artifact was charged for."""
        from rankmill.mining.store.ledger import spent

        outside = self.block.take()
        self.block.cost.add(outside)  # so that it can be told again
        made = {
            line: getattr(spent, line) - getattr(self.before, line)
            for line in ("wall_s", "cpu_s", "compile_s", "start_s", "overhead_s", "elsewhere_cpu_s")
        }
        workers = made.pop("elsewhere_cpu_s")
        lines = {
            "start": self.start,
            "artifacts": made,
            "outside": {
                line: getattr(outside, line) for line in ("wall_s", "cpu_s", "compile_s", "start_s")
            },
        }
        whole = {"wall_s": time.perf_counter() - self.began, "cpu_s": _cpu_s() - self.began_cpu}
        return {
            **{key: round(value, 3) for key, value in whole.items()},
            **{
                name: {key: round(value, 3) for key, value in line.items()}
                for name, line in lines.items()
            },
            "workers_cpu_s": round(workers, 3),
        }


@contextlib.contextmanager
def keeping_books() -> Iterator[CommandBooks]:
    """Open the account of a command."""
    from rankmill.mining.meter import account
    from rankmill.mining.store.ledger import spent

    with account() as block:
        now, cpu = time.perf_counter(), _cpu_s()
        began, began_cpu = (now - _age_s(), 0.0) if _process == os.getpid() else (now, cpu)
        start = {"wall_s": now - began, "cpu_s": cpu - began_cpu}
        yield CommandBooks(block, replace(spent), began, began_cpu, start)


def in_words(told: dict[str, Any]) -> str:
    """Say where the time of a command went, in a line."""
    made, outside, start = told["artifacts"], told["outside"], told["start"]
    parts = [f"artifacts {made['cpu_s']:.1f} s"]
    compiling = made["compile_s"] + outside["compile_s"]
    parts += [f"compiling {compiling:.1f} s"] if compiling >= 0.05 else []
    parts += [f"overhead {made['overhead_s']:.1f} s", f"outside {outside['cpu_s']:.1f} s"]
    importing = made["start_s"] + outside["start_s"]
    parts += [f"start and imports {start['cpu_s'] + importing:.1f} s"]
    workers = told["workers_cpu_s"]
    parts += [f"workers {workers:.1f} s beside it"] if workers >= 0.05 else []
    return (
        f"this command: {told['wall_s']:.1f} s elapsed, {told['cpu_s']:.1f} s of processor "
        f"({', '.join(parts)})"
    )


def _age_s() -> float:
    """Return how long ago this process began."""
    import psutil

    return max(0.0, time.time() - psutil.Process().create_time())


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
