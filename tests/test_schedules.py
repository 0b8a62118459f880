"""One hash for every artifact, whatever the threads, workers, environment and order of stages.

A process for each number of threads runs every stage of `every_stage.py` inline and on actors, each
time in a fresh workspace; then it mines once more, with vectors that do depend on the threads: the
comparison can fail. The two that differ most of the twelve pairs of threads and executors run by
default; all of them with RANKMILL_SCHEDULES=all (`make schedules`).
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from every_stage import DEPENDENT, make_models
from schedules import ALL_EXECUTORS, ENVIRONMENTS, EXECUTORS, differing, run

pytestmark = [pytest.mark.ray, pytest.mark.models]

ALL = os.environ.get("RANKMILL_SCHEDULES") == "all"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, dict[str, str]]]:
    """Return what each number of threads gave, by executor, and with thread-dependent vectors."""
    folder = tmp_path_factory.mktemp("schedules")
    make_models(folder / "models")
    numbers = ENVIRONMENTS if ALL else EXECUTORS
    return {
        n: run(folder / str(n), folder / "models", n, ALL_EXECUTORS if ALL else EXECUTORS[n])
        for n in numbers
    }


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
