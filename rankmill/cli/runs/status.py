"""What runs tell while they run: a small file each in the workspace, for `rankmill watch` and for
whatever collects metrics."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.mining.store.execution import Progress

EVERY_S = 2.0  # between two writings, begin and end of a stage apart
SILENT_S = 60.0  # after which a run on another machine counts as gone


def folder_of(workspace: Path) -> Path:
    """The folder of the files, below what is swept."""
    return workspace / "tmp" / "status"


@dataclass(slots=True)
class _Stage:
    """A stage that is under way: shards and work of this run."""

    kind: str
    unit: str
    shards: int
    work: int
    done_before: int
    began: float = field(default_factory=time.time)
    shards_done: int = 0
    work_done: int = 0

    def facts(self, now: float) -> dict[str, Any]:
        seconds = max(now - self.began, 1e-9)
        rate = self.work_done / seconds
        return {
            "stage": self.kind,
            "unit": self.unit,
            "shards": self.shards,
            "shards_done": self.shards_done,
            "shards_found": self.done_before,
            "work": self.work,
            "work_done": self.work_done,
            "rate": rate,
            "seconds": seconds,
            "seconds_left": (self.work - self.work_done) / rate if rate else None,
        }


class Told:
    """A progress that also keeps the file of this run; `shown` is what people see.

    Students trained side by side are threads with a stage each.
    """

    def __init__(self, workspace: Path, shown: Progress):
        self.shown, self.folder = shown, folder_of(workspace)
        self.host, self.process = socket.gethostname(), os.getpid()
        self.path = self.folder / f"{self.host}-{self.process}.json"
        self.began, self.written = time.time(), 0.0
        self.stages_done, self.failures = 0, 0
        self.last_failure: str | None = None
        self._stages: dict[int, _Stage] = {}
        self._lock = threading.Lock()

    def announce(self, text: str) -> None:
        """Pass it on."""
        self.shown.announce(text)

    def begin(self, kind: str, unit: str, shards: int, done: int, work: int) -> None:
        """A stage of this thread begins."""
        self.shown.begin(kind, unit, shards, done, work)
        with self._lock:
            if not self.written:
                self._sweep()
            self._stages[threading.get_ident()] = _Stage(kind, unit, shards, work, done)
            self._write(now=True)

    def advance(self, work: int, usage: Mapping[str, float]) -> None:
        """A shard of this thread's stage is committed."""
        self.shown.advance(work, usage)
        with self._lock:
            stage = self._stages.get(threading.get_ident())
            if stage is not None:
                stage.work_done += work
                stage.shards_done += 1
            self._write(now=False)

    def failed(self, cause: str) -> None:
        """An attempt at a shard came to nothing."""
        self.shown.failed(cause)
        with self._lock:
            self.failures, self.last_failure = self.failures + 1, cause
            self._write(now=True)

    def end(self) -> None:
        """This thread's stage is over."""
        self.shown.end()
        with self._lock:
            if self._stages.pop(threading.get_ident(), None) is not None:
                self.stages_done += 1
            self._write(now=True)

    def close(self) -> None:
        """The command is over: its file goes, its facts are in the ledgers."""
        from rankmill.mining.store import files

        if self.written:
            files.remove_file(self.path)
            files.remove_empty(self.folder)

    def _sweep(self) -> None:
        """Remove what killed runs of this machine have left."""
        from rankmill.mining.store import files

        for path in self.folder.glob("*.json"):
            facts = _facts_of(path)
            if facts and facts["host"] == self.host and not _alive(facts, time.time()):
                files.remove_file(path)

    def _write(self, *, now: bool) -> None:
        from rankmill.mining.store import files

        moment = time.time()
        if not now and moment - self.written < EVERY_S:
            return
        self.written = moment
        read, wrote = _bytes_moved()
        facts = {
            "command": " ".join(sys.argv[1:])[:500],
            "host": self.host,
            "process": self.process,
            "began": self.began,
            "updated": moment,
            "stages_done": self.stages_done,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "bytes_read": read,
            "bytes_written": wrote,
            "stages": [stage.facts(moment) for stage in self._stages.values()],
        }
        if not self.folder.is_dir():
            files.make_folder(self.folder)
        files.write_bytes(self.path, json.dumps(facts).encode(), mode=0o644)


def _bytes_moved() -> tuple[int | None, int | None]:
    """Bytes that this process, without its actors, has read from and written to disks."""
    path = Path("/proc/self/io")
    if not path.exists():
        return None, None
    said = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(said["read_bytes"]), int(said["write_bytes"])


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its file tells it. `alive`: it goes on, as far as can be known from here."""

    facts: Mapping[str, Any]
    alive: bool


def runs(workspace: Path) -> Iterator[Run]:
    """Yield the runs of a workspace; what is no status is passed over."""
    now = time.time()
    for path in sorted(folder_of(workspace).glob("*.json")):
        facts = _facts_of(path)
        if facts is not None:
            yield Run(facts, _alive(facts, now))


_RUN = {
    "command": str,
    "host": str,
    "process": int,
    "began": float,
    "updated": float,
    "stages_done": int,
    "failures": int,
    "last_failure": str | None,
    "bytes_read": int | None,
    "bytes_written": int | None,
    "stages": list,
}
_STAGE = {
    "stage": str,
    "unit": str,
    "shards": int,
    "shards_done": int,
    "work": int,
    "work_done": int,
    "rate": float,
    "seconds_left": float | None,
}


def _facts_of(path: Path) -> dict[str, Any] | None:
    """Return what a file tells, None where it tells nothing that we would write."""
    from rankmill.mining.store import files

    try:
        facts = json.loads(files.read_small(path))
    except (OSError, ValueError, RecursionError):
        return None
    good = _has(facts, _RUN) and all(_has(stage, _STAGE) for stage in facts["stages"])
    return facts if good else None


def _has(facts: Any, types: Mapping[str, Any]) -> bool:
    return isinstance(facts, dict) and all(
        isinstance(facts.get(name), kind) and _is_plausible(facts.get(name))
        for name, kind in types.items()
    )


def _is_plausible(value: Any) -> bool:
    """Whether a value is no number that a damaged file alone would hold: seconds, counts, bytes."""
    return not isinstance(value, int | float) or 0 <= value < 2**63


def _alive(facts: Mapping[str, Any], now: float) -> bool:
    if facts["host"] != socket.gethostname():
        return bool(now - facts["updated"] < SILENT_S)
    return Path(f"/proc/{facts['process']}").exists()


def as_prometheus(told: list[Run]) -> Iterator[str]:
    """Yield the lines of the text format, as a collector of text files reads it."""
    series: dict[str, list[str]] = {}
    for run in told:
        one = f'host="{_label(run.facts["host"])}",process="{run.facts["process"]}"'
        for name in ("stages_done", "failures", "bytes_read", "bytes_written", "updated"):
            value = run.facts.get(name)
            if isinstance(value, int | float):
                series.setdefault(f"rankmill_{name}", []).append(f"{{{one}}} {value}")
        series.setdefault("rankmill_alive", []).append(f"{{{one}}} {int(run.alive)}")
        for stage in run.facts["stages"]:
            labels = f'{one},stage="{_label(stage["stage"])}"'
            for name in ("shards", "shards_done", "work", "work_done", "rate", "seconds_left"):
                value = stage.get(name)
                if isinstance(value, int | float):
                    series.setdefault(f"rankmill_stage_{name}", []).append(f"{{{labels}}} {value}")
    for name, lines in series.items():
        yield f"# TYPE {name} gauge"
        yield from (name + line for line in lines)


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
