"""What runs tell while they run: a small file each in the workspace, for `rankmill watch` and for
whatever collects metrics."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.cli.runs import words
from rankmill.mining.errors import RankmillError

if TYPE_CHECKING:
    from rankmill.cli.runs.progress import Quiet
    from rankmill.mining.meter.underway import Underway

EVERY_S = 2.0  # between two writings, begin and end of a stage apart
LOOK_S = 0.5  # between two looks at how far the stages are
SILENT_S = 60.0  # after which a run on another machine counts as gone


def folder_of(workspace: Path) -> Path:
    """The folder of the files, below what is swept."""
    return workspace / "tmp" / "status"


class Told:
    """A progress that also keeps the file of this run; `shown` is what people see.

    Students trained side by side are a stage each. While one is under way, a thread looks at all of
    them: a stage that takes long at one thing is told too.
    """

    def __init__(self, workspace: Path, shown: Quiet):
        self.shown, self.folder = shown, folder_of(workspace)
        self.host, self.process = socket.gethostname(), os.getpid()
        self.path = self.folder / f"{self.host}-{self.process}.json"
        self.began, self.written = time.time(), 0.0
        self._wrote = -EVERY_S  # by a clock that nobody sets
        self.stages_done, self.failures = 0, 0
        self.last_failure: str | None = None
        self.there_already: Counter[str] = Counter()
        self._announced: set[str] = set()
        self._known: set[str] = set()  # fingerprints of what was made, or told to be there
        self._stages: list[Underway] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._looking: threading.Thread | None = None

    def announce(self, text: str) -> None:
        """Pass it on, once: stages that load the same model say the same of it."""
        with self._lock:
            known = text in self._announced
            self._announced.add(text)
        if not known:
            self.shown.announce(text)

    def there(self, kind: str, fingerprint: str) -> None:
        """An artifact is there already; told with others before the next stage, or at the end,
        once, and not of what this run has made."""
        with self._lock:
            self.there_already[kind] += fingerprint not in self._known
            self._known.add(fingerprint)

    def begin(self, stage: Underway) -> None:
        """A stage begins."""
        self.tell_found()
        self.shown.begin(stage)
        with self._lock:
            if not self.written:
                self._sweep()
            self._stages.append(stage)
            self._known.add(stage.fingerprint)
            self._write()
            if self._looking is None:
                self._looking = threading.Thread(target=self._look, name="progress", daemon=True)
                self._looking.start()

    def failed(self, cause: str) -> None:
        """An attempt at a shard came to nothing."""
        self.shown.failed(cause)
        with self._lock:
            self.failures, self.last_failure = self.failures + 1, cause
            self._write()

    def end(self, stage: Underway) -> None:
        """A stage is over."""
        self.shown.end(stage)
        with self._lock:
            if any(one is stage for one in self._stages):
                self._stages = [one for one in self._stages if one is not stage]
                self.stages_done += bool(stage.fingerprint)  # else it was a look at the input
            self._write()

    def tell_found(self) -> None:
        """Say what was found since it was last said: before a stage, a result, or the end."""
        kinds, self.there_already = +self.there_already, Counter()  # without zeros
        if kinds:
            self.shown.announce(f"already there: {words.kinds(kinds)}")

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                if not self._stages:
                    continue
                if time.monotonic() - self._wrote >= EVERY_S:
                    with contextlib.suppress(OSError, RankmillError):  # a full disk ends the work
                        self._write()
            self.shown.look()

    def close(self) -> None:
        """The command is over: its file goes, its facts are in the ledgers."""
        from rankmill.mining.store import files

        self.tell_found()
        self.shown.close()
        self._over.set()
        if self._looking is not None:
            self._looking.join(LOOK_S)
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

    def _write(self) -> None:
        from rankmill.mining.store import files

        self.written = moment = time.time()
        self._wrote = time.monotonic()
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
            "stages": [stage.facts() for stage in self._stages],
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
    """Yield the runs of a workspace; what is no status is passed over: see `damaged`."""
    now = time.time()
    for path in _files(workspace):
        facts = _facts_of(path)
        if facts is not None:
            yield Run(facts, _alive(facts, now))


def damaged(workspace: Path) -> list[Path]:
    """Return the files among the statuses that hold none: damaged, or of another version."""
    return [one for one in _files(workspace) if _facts_of(one) is None and os.path.lexists(one)]


def _files(workspace: Path) -> list[Path]:
    return sorted(folder_of(workspace).glob("*.json"))


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
    "title": str,
    "items": str,
    "count": int,
    "count_done": int,
    "work": int,
    "work_done": int,
    "share": float,
    "rate": float,
    "seconds": float,
    "seconds_left": float | None,
    "shards": int,
    "shards_done": int,
    "shards_found": int,
    "said": str,
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
