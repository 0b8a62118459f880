"""Runs on an object store that are killed at each of its calls, or race each other: in forks of a
process that has not spoken to the store yet.

    python tests/object_store_runs.py sweep|race|read ADDRESS CACHES [TIMES]
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from store_workers import squares, write_folder

from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.objects import bucket

QUERIES, SIZE = 20, 10


def staged(workspace: Workspace) -> Artifact:
    """Make a stage of two parts, and name it."""
    made = workspace.build(squares(QUERIES, SIZE))
    workspace.alias("squares", made)
    return made


def folder(workspace: Workspace) -> Artifact:
    """Make a folder of files."""
    return workspace.build_folder("student", {}, {}, write_folder)


def forked(work: Callable[[], str], cache: Path) -> tuple[int, int]:
    """Begin work in a fork with a cache of its own; returns its process and what it will say."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    status = 1
    try:
        os.environ["RANKMILL_CACHE"] = str(cache)
        os.write(writing, work().encode())
        status = 0
    finally:
        os._exit(status)


def ended(process: int, reading: int) -> tuple[int, str]:
    """Wait for a fork; returns its status and what it said."""
    with os.fdopen(reading) as told:
        said = told.read()
    return os.waitpid(process, 0)[1], said


def killed_at(call: int, make: Callable[[Workspace], Artifact], address: str) -> str:
    """Make something, and be killed at a call of the store; returns the root hash otherwise."""
    calls = itertools.count(1)

    def kill(what: str, name: str) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)

    bucket.fault = kill
    return make(Workspace(address)).root_hash


def sweep(address: str, caches: Path) -> dict[str, object]:
    """Kill at each call in turn, then resume with an empty cache; returns all root hashes."""
    told: dict[str, object] = {}
    for make in (staged, folder):
        roots: list[str] = []
        for call in itertools.count(1):
            own = f"{address}-{make.__name__}-{call}"
            work = lambda at=call, make=make, own=own: killed_at(at, make, own)  # noqa: E731
            status, root = ended(*forked(work, caches / f"{make.__name__}{call}"))
            again = lambda make=make, own=own: make(Workspace(own)).root_hash  # noqa: E731
            if status == 0:
                roots.append(root)
                break
            resumed, root = ended(*forked(again, caches / f"{make.__name__}{call}again"))
            roots.append(root if resumed == 0 else f"status {resumed}")
        told[make.__name__] = roots
    return told


def race(address: str, caches: Path, times: int) -> dict[str, object]:
    """Let two processes with caches of their own make one artifact at once, again and again."""
    told: dict[str, object] = {}
    for number in range(times):
        own = f"{address}-race-{number}"
        ready, go = os.pipe()

        def work(own: str = own, ready: int = ready, go: int = go) -> str:
            os.close(go)
            os.read(ready, 1)  # until the other end is closed
            return Workspace(own).build(squares(8, 8)).root_hash

        pair = [forked(work, caches / f"{number}-{who}") for who in "ab"]
        os.close(ready)
        os.close(go)
        ends = [ended(*one) for one in pair]
        told[str(number)] = [f"{status} {root}" for status, root in ends]
    return told


def read(address: str, caches: Path, times: int) -> dict[str, object]:
    """Let two processes read one artifact through one cache that is too small for it."""

    def work() -> str:
        rows = 0
        for _ in range(times):
            for made in Workspace(address).artifacts("run"):
                rows += sum(table.num_rows for table in made.tables())
        return str(rows)

    pair = [forked(work, caches) for _ in range(2)]
    return {"ends": [f"{status} {rows}" for status, rows in (ended(*one) for one in pair)]}


if __name__ == "__main__":
    kind, where, place, *more = sys.argv[1:]
    caches = Path(place)
    if kind == "sweep":
        outcome = sweep(where, caches)
    else:
        outcome = (race if kind == "race" else read)(where, caches, int(*more))
    print(json.dumps(outcome))
