"""The cost ledger: what each attempt at each shard took, beside the artifact and outside its
hash."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ..processors import processors
from . import files

ATTEMPTS = "attempts.jsonl"
_VERSIONS = ("rankmill", "numpy", "numba", "pyarrow", "torch", "transformers", "ray")
_FAISS = ("faiss-cpu", "faiss-gpu")  # one of them, or none


@dataclass(slots=True)
class Cost:
    """Seconds of wall clock, processor and GPU, peak resident bytes of the process, and usage
    counts."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    peak_rss_bytes: int = 0
    usage: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def measuring(gpus: int = 0) -> Iterator[Cost]:
    """Measure the block; processor time counts all threads of this process."""
    cost, wall, cpu = Cost(), time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall_s = time.perf_counter() - wall
        cost.cpu_s = time.process_time() - cpu
        cost.gpu_s = cost.wall_s * gpus
        cost.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def note(folder: Path, shard: int, attempt: int, cost: Cost | None, cause: str = "done") -> None:
    """Append one line for one attempt at a shard: who did it, how it ended, what it cost."""
    line = {"shard": shard, "attempt": attempt, "cause": cause}
    line |= {"host": socket.gethostname(), "pid": os.getpid()}
    line |= asdict(cost) if cost else {}
    files.append_line(folder / ATTEMPTS, line)


def seconds_here(folder: Path) -> list[float]:
    """Return what shards of an artifact took that an earlier run has ended on this machine.

    Of wall clock and processor time the longer: the next run may have fewer threads.
    """
    here = socket.gethostname()
    return [
        max(line["wall_s"], line["cpu_s"])
        for line in _attempts(folder)
        if line["cause"] == "done" and line["shard"] >= 0 and line["host"] == here
    ]


def close(folder: Path, wall_s: float, stored_bytes: int) -> None:
    """Sum the attempts into ledger.json when the artifact is published.

    `wall_s` is the wall clock of the last run, overheads included; seconds of earlier, interrupted
    runs are in the sums because their attempts are.
    """
    attempts = _attempts(folder)
    usage: dict[str, float] = {}
    for line in attempts:
        for key, value in line.get("usage", {}).items():
            usage[key] = usage.get(key, 0) + value
    total = {
        "wall_s": round(max(wall_s, 0.0), 3),
        "shard_wall_s": round(sum(a.get("wall_s", 0) for a in attempts), 3),
        "cpu_s": round(sum(a.get("cpu_s", 0) for a in attempts), 3),
        "gpu_s": round(sum(a.get("gpu_s", 0) for a in attempts), 3),
        "peak_rss_bytes": max((a.get("peak_rss_bytes", 0) for a in attempts), default=0),
        "bytes": stored_bytes,
        "usage": usage,
        "attempts": len(attempts),
        "failed_attempts": sum(a["cause"] != "done" for a in attempts),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "platform": f"{platform.system()} {platform.machine()}, {processors()} cores",
        "python": sys.version.split()[0],
        "versions": _versions(),
    }
    data = json.dumps(total, indent=1, sort_keys=True).encode()
    files.write_bytes(folder / "ledger.json", data, mode=0o644)


def read(folder: Path) -> dict[str, Any]:
    """Return the closed ledger, or the empty sums when there is none."""
    path = folder / "ledger.json"
    with contextlib.suppress(FileNotFoundError, ValueError):  # a damaged one is as good as none
        told = json.loads(path.read_bytes())
        if isinstance(told, dict) and told.keys() >= _NOTHING.keys():
            return told
    return dict(_NOTHING, usage={})


_NOTHING: dict[str, Any] = {
    "wall_s": 0.0,
    "cpu_s": 0.0,
    "gpu_s": 0.0,
    "peak_rss_bytes": 0,
    "bytes": 0,
    "usage": {},
}


def with_usage(cost: Cost, usage: Mapping[str, float]) -> Cost:
    """Attach the worker's own counts to a measured cost."""
    cost.usage = dict(usage)
    return cost


_OF_A_TRY = {"shard", "attempt", "cause", "host"}


def _attempts(folder: Path) -> list[dict[str, Any]]:
    lines = []
    path = folder / ATTEMPTS
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):  # a line torn by a kill
            told = json.loads(line)
            lines += [told] if isinstance(told, dict) and told.keys() >= _OF_A_TRY else []
    return lines


def _versions() -> dict[str, str]:
    versions = {}
    for name in (*_VERSIONS, *_FAISS):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
