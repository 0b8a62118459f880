"""A workspace on an object store, an S3 server on loopback behind a proxy that does faults.

A case is one of three: a run that is killed at one of its calls of the store and resumed with an
empty cache, two processes with caches of their own at one artifact, and a run and a reading during
which requests meet faults at random: 409, 500, 503, slowness, connections cut in the middle of a
request, and answers that never come.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from object_store import ACCESS, BUCKET, Proxy, Rule, object_store
from reliability.outcome import Form, Result
from store_workers import squares, write_folder

from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.objects import bucket

RUNS = Path(__file__).resolve().parents[2] / "tests" / "object_store_runs.py"
QUERIES, SIZE = 20, 10
FAULTS = ("409", "500", "503", "slow", "torn", "lost")
SHARE = 0.15  # of the requests meet a fault
PAUSES_S = (0.01,) * 12  # as many tries as in earnest, but no long waits for a server of our own


def run(form: Form) -> Result:
    """Kill at each call, run `form.count` races and as many runs with faults."""
    result = Result()
    disk = Workspace(form.place / "disk")
    oracle = disk.build(squares(QUERIES, SIZE))
    folder = disk.build_folder("student", {}, {}, write_folder).root_hash
    with object_store() as store:
        os.environ |= ACCESS | {"AWS_ENDPOINT_URL": store.url}
        _killed(result, form.place, {"staged": oracle.root_hash, "folder": folder})
        _raced(result, form.place, form.count, disk.build(squares(8, 8)).root_hash)
        bucket.PAUSES_S = PAUSES_S
        drawn = random.Random(form.seed)
        for number in range(form.count):
            if form.late():
                result.notes.append(f"the time was over after {number} of {form.count} runs")
                break
            _disturbed(result, store, form.place / f"run{number}", drawn, oracle)
    result.roots = [oracle.root_hash]
    return result


def _forks(*words: str) -> dict[str, list[str]]:
    """Let forks of another process run on the store; returns what they say."""
    line = [sys.executable, str(RUNS), *words]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


def _killed(result: Result, place: Path, oracle: dict[str, str]) -> None:
    told = _forks("sweep", f"s3://{BUCKET}/sweep", str(place / "sweep"))
    for name, roots in told.items():
        result.cases += len(roots)
        result.inject("kills at a call of the store", len(roots) - 1)  # the last one lived
        for call, root in enumerate(roots, 1):
            if root != oracle[name]:
                result.wrong.append(f"{name}, killed at call {call}: {root}")


def _raced(result: Result, place: Path, count: int, oracle: str) -> None:
    told = _forks("race", f"s3://{BUCKET}/race", str(place / "race"), str(count))
    result.cases += len(told)
    result.inject("races of two machines", len(told))
    for number, ends in told.items():
        if set(ends) != {f"0 {oracle}"}:
            result.wrong.append(f"race {number}: {ends}")


def _disturbed(
    result: Result, store: Proxy, place: Path, drawn: random.Random, oracle: Artifact
) -> None:
    """Make an artifact and read it with another cache, while requests meet faults."""
    met: Counter[str] = Counter()
    result.cases += 1
    try:
        with store.doing(_rule(drawn, met)):
            os.environ["RANKMILL_CACHE"] = str(place / "first")
            made = Workspace(f"s3://{BUCKET}/{place.name}").build(squares(QUERIES, SIZE))
            os.environ["RANKMILL_CACHE"] = str(place / "second")
            there = Workspace(f"s3://{BUCKET}/{place.name}").open("run", made.fingerprint)
            read = list(there.tables())
        if there.root_hash != oracle.root_hash or read != list(oracle.tables()):
            result.wrong.append(f"{place.name}, after {dict(met)}: root {there.root_hash}")
    except Exception as error:  # whatever it is, it is not what was promised
        result.wrong.append(f"{place.name}, after {dict(met)}: {error!r}")
    for fault, times in met.items():
        result.inject(f"requests: {fault}", times)


def _rule(drawn: random.Random, met: Counter[str]) -> Rule:
    def rule(method: str, path: str) -> str | None:
        if drawn.random() >= SHARE:
            return None
        fault = drawn.choice(FAULTS)
        if fault == "409" and method != "PUT":
            return None  # a conflict is of two puts
        met[fault] += 1
        return fault

    return rule
