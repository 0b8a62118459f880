"""One hash for every artifact, whatever the threads, workers, environment and order of stages.

A process for each number of threads runs every stage of `every_stage.py` inline and on actors, each
time in a fresh workspace; then it mines once more, with vectors that do depend on the threads: the
comparison can fail. The two that differ most of the twelve pairs of threads and executors run by
default; all of them with RANKMILL_SCHEDULES=all (`make schedules`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from every_stage import DEPENDENT, make_models

pytestmark = [pytest.mark.ray, pytest.mark.models]

ALL = os.environ.get("RANKMILL_SCHEDULES") == "all"
EXECUTORS = {1: "0", 3: "2"}  # by threads; 0 is this process, N is N actors
ENVIRONMENTS = {
    1: {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C", "LANG": "C"},
    2: {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},
    3: {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "POSIX"},
}
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def run(folder: Path, models: Path, threads: int) -> dict[str, dict[str, str]]:
    """Run every stage in a process with that many threads; returns {executor: {what: hash}}."""
    executors = "0,1,2,3" if ALL else EXECUTORS[threads]
    places = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        **dict.fromkeys((*LIMITS, "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), str(threads)),
        **ENVIRONMENTS[threads],
        "PYTHONPATH": os.pathsep.join(p for p in places if p),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "every_stage.py"), str(folder), "--models"]
        + [str(models), "--order", str(threads - 1), "--executors", executors]
        + ["--thread-dependent"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def differing(hashes: dict[str, dict[str, str]]) -> dict[str, int]:
    """Return how many results of each kind have more than one hash, or are missing somewhere."""
    everything = {what for of_one in hashes.values() for what in of_one}
    several = [w for w in everything if len({of_one.get(w) for of_one in hashes.values()}) > 1]
    return dict(Counter(what.split()[0] for what in several))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, dict[str, str]]]:
    """Return what each number of threads gave, by executor, and with thread-dependent vectors."""
    folder = tmp_path_factory.mktemp("schedules")
    make_models(folder / "models")
    numbers = ENVIRONMENTS if ALL else EXECUTORS
    return {n: run(folder / str(n), folder / "models", n) for n in numbers}


def test_every_schedule_gives_one_hash(made: dict[int, dict[str, dict[str, str]]]) -> None:
    hashes = {
        f"{threads} threads, executor {name}": found
        for threads, by_executor in made.items()
        for name, found in by_executor.items()
        if name != DEPENDENT
    }
    assert len(hashes) == (12 if ALL else 2)
    kinds = Counter(what.split()[0] for what in hashes["1 threads, executor 0"])
    assert {"run", "scores", "groups", "statistics", "student", "evaluation", "export"} <= set(
        kinds
    )
    assert not differing(hashes), differing(hashes)


def test_a_result_that_follows_the_threads_is_found(
    made: dict[int, dict[str, dict[str, str]]],
) -> None:
    """The comparison can fail: vectors made to depend on the number of threads change what they
    are vectors for, and nothing else."""
    found = differing({str(threads): of_one[DEPENDENT] for threads, of_one in made.items()})
    assert found.pop("vectors") > 0
    assert found.pop("run") > 0
    assert set(found) <= {"scores", "pool", "index"}, found
