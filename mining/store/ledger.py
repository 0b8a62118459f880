"""The cost ledger: what each attempt at each shard took, beside the artifact and outside its
hash.

A ledger balances: an artifact's lines are its shards, compiling and importing, and its overhead
(planning, publishing); none holds anything of another artifact.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from ..meter import Block, Cost, account
from ..meter.cost import OPTIONAL
from ..processors import processor_name, processors
from . import files
from .manifest import MANIFEST
from .sums import holds_sum, spelled, summed

ATTEMPTS = "attempts.jsonl"
LEDGER = "ledger.json"
WHOLE, MISSING, DAMAGED = "whole", "missing", "damaged"
OUTSIDE = -1  # of shards: looking at input, making a worker
_BROKEN_OFF = -2  # overhead of a run that did not come to its end
_VERSIONS = ("rankmill", "numpy", "numba", "pyarrow", "torch", "transformers", "ray")
_FAISS = ("faiss-cpu", "faiss-gpu")  # one of them, or none


@dataclass(slots=True)
class Spent:
    """What this process has charged to artifacts since it began, other processes' work apart."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    compile_s: float = 0.0
    start_s: float = 0.0
    overhead_s: float = 0.0
    elsewhere_cpu_s: float = 0.0

    def add(self, cost: Cost, *, overhead: bool = False) -> None:
        """Count a cost that goes into a ledger; overhead has a line of its own."""
        if cost.pid not in (0, os.getpid()):
            self.elsewhere_cpu_s += cost.cpu_s + cost.compile_s + cost.start_s
            return
        self.wall_s += cost.wall_s
        self.compile_s += cost.compile_s
        self.start_s += cost.start_s
        if overhead:
            self.overhead_s += cost.cpu_s
        else:
            self.cpu_s += cost.cpu_s

    @property
    def all_cpu_s(self) -> float:
        """Processor time of every line, other processes' too."""
        here = self.cpu_s + self.compile_s + self.start_s + self.overhead_s
        return here + self.elsewhere_cpu_s


spent = Spent()


_asked: ContextVar[Mapping[str, Any] | None] = ContextVar("asked", default=None)


@contextlib.contextmanager
def asked_by(request: Mapping[str, Any] | None) -> Iterator[None]:
    """Let ledgers of what is made in the block say which request it answers, as JSON values, so
    that a part can be computed again (`upkeep/redo.py`); None: it cannot be said."""
    token = _asked.set(request)
    try:
        yield
    finally:
        _asked.reset(token)


_came_from: dict[str, str] = {}


def came_from(content: str, origin: str) -> None:
    """Keep in mind where the model of this content was found, repository and commit: ledgers of
    what this process makes with it say so, fingerprints do not."""
    _came_from[content] = origin


def note_models(folder: Path, request: str) -> None:
    """Append a line with the models of a known origin that a request names by content, and warn
    where an artifact of this kind was made with another commit of one of them.

    `request`: the parameters, as text.
    """
    models = {origin: content for content, origin in _came_from.items() if content in request}
    if not models:
        return
    for path in sorted(folder.parent.glob(f"*/{ATTEMPTS}")):
        for origin, content in models_of(path.parent).items():
            _tell_moved(models, origin, content)
    files.append_line(folder / ATTEMPTS, {"models": models})


def _tell_moved(models: Mapping[str, str], origin: str, content: str) -> None:
    name, _, commit = origin.rpartition("@")
    for now, other in models.items():
        if now.rpartition("@")[0] == name and other != content:
            warnings.warn(
                f"{name} is at commit {now.rpartition('@')[2][:12]} now; this workspace has work "
                f"of its commit {commit[:12]}, whose files differ: nothing is shared with that, "
                f"what is asked for is made anew. To keep to it: {name}@{commit}",
                RuntimeWarning,
                stacklevel=2,
            )


def models_of(folder: Path) -> dict[str, str]:
    """Return what `note_models` has noted for an artifact, finished or not."""
    noted: dict[str, str] = {}
    for told in _noted(folder, "models"):
        noted |= told
    return noted


def note_request(folder: Path) -> None:
    """Append a line with the request that is being answered, so that it outlives the ledger."""
    request = _asked.get()
    if request is not None:
        files.append_line(folder / ATTEMPTS, {"request": request})


def request_of(folder: Path) -> Mapping[str, Any] | None:
    """Return the request that an artifact answers, finished or not, as the ledger keeps it, or the
    attempts where the ledger is damaged or gone; None: neither tells."""
    kept = read(folder).get("request")
    if isinstance(kept, dict):
        return kept
    noted = _noted(folder, "request")
    return noted[-1] if noted else None


def _noted(folder: Path, what: str) -> list[dict[str, Any]]:
    """Return what the attempts say of `what`, in lines of their own; of a torn one nothing."""
    noted: list[dict[str, Any]] = []
    for line in _attempted(folder):
        if line.startswith(b'{"%s"' % what.encode()):
            with contextlib.suppress(ValueError, RecursionError):  # a line torn by a kill
                told = json.loads(line)[what]
                noted += [told] if isinstance(told, dict) else []
    return noted


def note(folder: Path, shard: int, attempt: int, cost: Cost | None, cause: str = "done") -> None:
    """Append one line for one attempt at a shard: who did it, how it ended, what it cost."""
    line: dict[str, Any] = {"shard": shard, "attempt": attempt, "cause": cause}
    line |= asdict(cost) if cost else {}
    line |= {"host": socket.gethostname(), "pid": (cost.pid if cost else 0) or os.getpid()}
    if cost is not None:
        spent.add(cost, overhead=shard == _BROKEN_OFF)
    files.append_line(folder / ATTEMPTS, line)


@dataclass(slots=True)
class Books:
    """The account of one run at an artifact: what its shards do not tell themselves.

    `folder`: where the overhead is noted if the run breaks off; None until it holds the lock.
    """

    block: Block
    folder: Path | None = None


@contextlib.contextmanager
def keeping() -> Iterator[Books]:
    """Keep the books of one run; one that breaks off before it has published leaves what it spent
    in the attempts."""
    with account() as block:
        books = Books(block)
        try:
            yield books
        except BaseException as error:
            if books.folder is not None and not (books.folder / MANIFEST).exists():
                with contextlib.suppress(OSError):  # a full disk: the error itself says so
                    cause = f"broken off: {type(error).__name__}"
                    note(books.folder, _BROKEN_OFF, 1, block.take(), cause)
            raise


def seconds_here(folder: Path) -> list[float]:
    """Return what shards of an artifact took that an earlier run has ended on this machine.

    Of wall clock and processor time the longer: the next run may have fewer threads.
    """
    here = socket.gethostname()
    return [
        max(line["wall_s"], line["cpu_s"])
        for line in _attempts(folder)
        if line["cause"] == "done"
        and line["shard"] >= 0
        and line["host"] == here
        and {"wall_s", "cpu_s"} <= line.keys()
    ]


def close(
    folder: Path, books: Books, stored_bytes: int, sums: Mapping[str, str], record_sums: bool
) -> None:
    """Sum the attempts, and the overhead of the last run, into ledger.json when the artifact is
    published.

    `wall_s` is the wall clock of the last run, overheads included; seconds of earlier, interrupted
    runs are in the sums because their attempts are. `attempts`: at shards; looking at input and
    making workers are in the sums beside them. `sums`: the SHA-256 of the manifest and of what
    stands beside it, by file. `record_sums`: whether each completion record ends in its own sum.
    """
    overhead = books.block.take()
    spent.add(overhead, overhead=True)
    total = _sums_of(folder, overhead, stored_bytes) | {
        "wall_s": round(books.block.elapsed_s, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "platform": f"{platform.system()} {platform.machine()}, {processors()} cores",
        "processor": processor_name(),
        "python": sys.version.split()[0],
        "versions": dict(_versions()),
        **({"models": models} if (models := models_of(folder)) else {}),
        **({"request": request} if (request := _asked.get()) else {}),
        **({"record_sums": True} if record_sums else {}),
        "sums": dict(sums),
    }
    files.write_bytes(folder / LEDGER, spelled(summed(total)), mode=0o644)


def sum_up_again(
    folder: Path, stored_bytes: int, sums: Mapping[str, str], record_sums: bool
) -> None:
    """Write the ledger of a finished artifact anew from its attempts, where it is damaged or gone.

    What only it knew is lost: the wall clock and the overhead of the last run.
    """
    total = _sums_of(folder, Cost(), stored_bytes)
    hosts = [line["host"] for line in _attempts(folder)]
    told = total | {"wall_s": total["shard_wall_s"], "host": hosts[-1] if hosts else "unknown"}
    told |= {"request": request} if (request := request_of(folder)) else {}
    told |= {"record_sums": True} if record_sums else {}
    files.write_bytes(folder / LEDGER, spelled(summed(told | {"sums": dict(sums)})), mode=0o644)


def _sums_of(folder: Path, overhead: Cost, stored_bytes: int) -> dict[str, Any]:
    """Return the lines that follow from the attempts; `overhead`: of the last run."""
    attempts = _attempts(folder)
    tries = [line for line in attempts if line["shard"] != _BROKEN_OFF]
    shards, whole = _sum(tries), Cost()
    overhead.add(_sum([line for line in attempts if line["shard"] == _BROKEN_OFF]))
    whole.add(shards)
    whole.add(overhead)
    return _lines(whole) | {
        "shard_wall_s": round(shards.wall_s, 3),
        "cpu_s": round(shards.cpu_s, 3),
        "overhead_s": round(overhead.cpu_s, 3),
        "bytes": stored_bytes,
        "attempts": sum(line["shard"] >= 0 for line in tries),
        "failed_attempts": sum(line["cause"] != "done" for line in tries),
    }


def _lines(cost: Cost) -> dict[str, Any]:
    """Return the lines of a cost that was measured: seconds and joules to thousandths."""
    kept = {key: value for key, value in asdict(cost).items() if value is not None and key != "pid"}
    return {key: round(v, 3) if isinstance(v, float) else v for key, v in kept.items()}


def _sum(attempts: list[dict[str, Any]]) -> Cost:
    total, known = Cost(), {one.name for one in fields(Cost)} - {"pid"}
    for line in attempts:
        total.add(Cost(**{key: value for key, value in line.items() if key in known}))
    return total


def read(folder: Path) -> dict[str, Any]:
    """Return the closed ledger, or the empty sums when there is none; `state` tells which.

    Ledgers of earlier versions have fewer lines: what they do not tell is not there.
    """
    return _read(folder)[1]


def state(folder: Path) -> str:
    """Say whether the ledger is `whole`, `missing` or `damaged`."""
    return _read(folder)[0]


def _read(folder: Path) -> tuple[str, dict[str, Any]]:
    try:
        state, told = _read_at(folder / LEDGER, files.stamp_of(folder / LEDGER))
    except FileNotFoundError:
        return MISSING, dict(_NOTHING, usage={})
    except OSError:
        return DAMAGED, dict(_NOTHING, usage={})
    return state, dict(told, usage=dict(told["usage"]))


@functools.lru_cache(maxsize=1024)  # whoever opens an artifact looks into its ledger
def _read_at(path: Path, stamp: files.Stamp) -> tuple[str, dict[str, Any]]:
    """Read the ledger that stands there since the time of the stamp."""
    nothing = dict(_NOTHING, usage={})
    try:
        data = files.read_small(path)
        told = json.loads(data)
    except FileNotFoundError:
        raise
    except (ValueError, RecursionError, OSError):  # a damaged one is as good as none
        return DAMAGED, nothing
    if not isinstance(told, dict) or not told.keys() >= _NOTHING.keys() or _faulty(told):
        return DAMAGED, nothing
    if not holds_sum(told, data):
        return DAMAGED, nothing
    return WHOLE, told


_NOTHING: dict[str, Any] = {
    "wall_s": 0.0,
    "cpu_s": 0.0,
    "gpu_s": 0.0,
    "peak_rss_bytes": 0,
    "bytes": 0,
    "usage": {},
}


def _faulty(line: Mapping[str, Any]) -> bool:
    """Say whether a line holds something else than numbers of at least 0 where those belong."""
    usage = line.get("usage", {})
    if not isinstance(usage, dict) or not isinstance(line.get("memory", ""), str):
        return True
    untold = {key for key in OPTIONAL if line.get(key) is None}
    numbers = [line[key] for key in _NUMBERS - untold if key in line]
    if not all(_is_number(n) for n in (*numbers, *usage.values())):
        return True
    return any(n < 0 for n in numbers)


def _is_number(value: Any) -> bool:
    """Say whether a value is a number that a float holds."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


_NUMBERS = ({one.name for one in fields(Cost)} | {"bytes", "overhead_s", "shard_wall_s"}) - {
    "usage",
    "memory",
}


def with_usage(cost: Cost, usage: Mapping[str, float]) -> Cost:
    """Attach the worker's own counts to a measured cost."""
    cost.usage = dict(usage)
    return cost


_OF_A_TRY = {"shard", "attempt", "cause", "host"}


def _attempts(folder: Path) -> list[dict[str, Any]]:
    lines = []
    for line in _attempted(folder):
        with contextlib.suppress(ValueError, RecursionError):  # a line torn by a kill
            told = json.loads(line)
            sound = isinstance(told, dict) and told.keys() >= _OF_A_TRY and not _faulty(told)
            lines += [told] if sound else []
    return lines


def _attempted(folder: Path) -> list[bytes]:
    """Return the lines of the attempts; none where there is no such file, or what is none."""
    try:
        return files.read_small(folder / ATTEMPTS).splitlines()
    except (FileNotFoundError, NotADirectoryError, files.NoFile):
        return []


@functools.cache
def _versions() -> Mapping[str, str]:
    """Return the versions of what computes, read once: each stands in a file of its package."""
    versions = {}
    for name in (*_VERSIONS, *_FAISS):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
