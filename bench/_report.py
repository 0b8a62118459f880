"""What every bench prints last: its figures, the machine and the commit, as one JSON line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rankmill.mining.processors import processor_name, processors


def best_of(times: int, work: Callable[[], Any]) -> float:
    """Return the shortest wall time of several runs, in seconds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def figure(
    ours: float, peers: dict[str, float], ratio: float, goal: float, unit: str
) -> dict[str, Any]:
    """Return one entry of the JSON line."""
    return {
        "ours": round(ours, 4 if ours < 10 else 1),
        "peers": {name: round(value, 4 if value < 10 else 1) for name, value in peers.items()},
        "ratio": round(ratio, 2),
        "goal": goal,
        "unit": unit,
    }


def finish(bench: str, figures: dict[str, Any]) -> None:
    """Print the JSON line."""
    line = {"bench": bench, "figures": figures, "machine": machine(), "commit": commit()}
    print(json.dumps(line))


def machine() -> dict[str, Any]:
    """Say where this ran, and how busy that machine was."""
    return {
        "cpu": processor_name(),
        "cores": processors(),
        "load": round(os.getloadavg()[0], 1),
    }


def commit() -> str:
    """Return the checked-out commit, short."""
    place = Path(__file__).parent
    command = ["git", "rev-parse", "--short", "HEAD"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    return process.stdout.strip()
