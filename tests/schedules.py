"""Every stage of `every_stage.py` in a process with a number of threads, and what differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent
EXECUTORS = {1: "0", 3: "2"}  # by threads; 0 is this process, N is N actors
ALL_EXECUTORS = "0,1,2,3"
ENVIRONMENTS = {
    1: {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C", "LANG": "C"},
    2: {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},
    3: {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "POSIX"},
}
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(
    folder: Path, models: Path, threads: int, executors: str, *, dependent: bool = True
) -> dict[str, dict[str, str]]:
    """Run every stage in a process with that many threads; returns {executor: {what: hash}}.

    `dependent`: then mine once more, with vectors that depend on the threads.
    """
    places = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        **dict.fromkeys((*LIMITS, "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), str(threads)),
        **ENVIRONMENTS[threads],
        "PYTHONPATH": os.pathsep.join(p for p in places if p),
    }
    done = subprocess.run(
        [sys.executable, str(TESTS / "every_stage.py"), str(folder), "--models"]
        + [str(models), "--order", str(threads - 1), "--executors", executors]
        + (["--thread-dependent"] if dependent else []),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a schedule ended with {done.returncode}: {done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def differing(hashes: dict[str, dict[str, str]]) -> dict[str, int]:
    """Return how many results of each kind have more than one hash, or are missing somewhere."""
    everything = {what for of_one in hashes.values() for what in of_one}
    several = [w for w in everything if len({of_one.get(w) for of_one in hashes.values()}) > 1]
    return dict(Counter(what.split()[0] for what in several))
