"""Runs on an object store that are killed at each of its calls, or race each other: in forks of a
process that has not spoken to the store yet.

    python tests/object_store_runs.py sweep|race|read ADDRESS CACHES [TIMES]
    python tests/object_store_runs.py strike ADDRESS CACHES cache|first|each
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store_workers import squares, write_folder

from rankmill.mining.errors import BadInput
from rankmill.mining.store import Artifact, Stage, Workspace, artifact, files
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


# ---- kills between two steps on the disk, in a cache that two processes share --------------------

CHANGES = {"create", "rename", "link", "append", "unlink", "evict", "remove", "sweep"}
OF_THE_CACHE = re.compile(
    r"^fetched|part-N|manifest|ledger|names|tags|attempts|weights|mirror|^tmp/"
)
Step = tuple[str, str, int]
"""What is done, to what kind of file, and for which time."""


def busy(address: str, number: int) -> list[str]:
    """Read and verify through the cache, go on with an artifact whose first part the store has no
    more, make another, and name one; returns their root hashes."""
    workspace = Workspace(address)
    read_base(workspace)
    faults = workspace.find("base").faults()  # what is here is brought anew
    assert not faults, faults
    _begin(workspace, squares(QUERIES + number, SIZE, mischief="fail:1"))
    made = workspace.build(squares(QUERIES + number, SIZE))
    workspace.alias("mine", made)
    student = workspace.build_folder("student", {"number": number}, {}, write_folder)
    student.file("model/weights.bin")
    read_base(workspace)
    return [made.root_hash, student.root_hash]


def _begin(workspace: Workspace, stage: Stage) -> None:
    """Make the first part of an artifact, and let the store lose it."""
    if not workspace.has(stage.kind, stage.fingerprint):
        with contextlib.suppress(BadInput):
            workspace.build(stage)
        assert workspace.mirror is not None
        workspace.mirror.bucket.remove([f"{stage.kind}/{stage.fingerprint}/part-00000.json"])


def read_base(workspace: Workspace) -> int:
    """Return how many rows the artifact that is there has, read part by part."""
    base = workspace.find("base")
    for known in (artifact._checked, artifact._shaped):
        known.clear()  # as one that comes anew
    return sum(table.num_rows for table in base.tables())


def watched(seen: Counter[tuple[str, str]], at: Step | None) -> Callable[[str, Path], None]:
    """Count steps on the disk by kind; end this process by a signal before one of them."""

    def fault(step: str, path: Path) -> None:
        kind = re.sub(r"[0-9a-f]{40,}|[0-9]+", "N", f"{path.parent.name}/{path.name}")
        kind = re.sub(r"\.[^.]*N?\+?[\w.+-]*\.tmp$", ".tmp", kind)
        seen[step, kind] += 1
        if at is not None and (step, kind, seen[step, kind]) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def steps(address: str) -> str:
    """Return the kinds of step that `busy` takes, with how often it takes them."""
    seen: Counter[tuple[str, str]] = Counter()
    files.steps.fault = watched(seen, None)
    busy(address, 0)
    return json.dumps([[*kind, times] for kind, times in seen.items()])


def struck(address: str, number: int, at: Step) -> str:
    """Be busy until a step on the disk; returns the root hashes where it did not come."""
    files.steps.fault = watched(Counter(), at)
    return json.dumps(busy(address, number))


def reading(address: str, until: int) -> str:
    """Read one artifact again and again until the other end of a pipe is closed, and once more."""
    rows: set[int] = set()
    os.set_blocking(until, False)
    more = True
    while more:
        with contextlib.suppress(BlockingIOError):
            more = os.read(until, 1) != b""
        rows.add(read_base(Workspace(address)))
    return json.dumps(sorted(rows))


def resumed(address: str, number: int) -> str:
    """Go on where one was killed; returns root hashes, faults, and the bytes of parts here."""
    roots = busy(address, number)
    workspace = Workspace(address)
    made = [workspace.find("base"), workspace.find("mine")]
    made += [one for one in workspace.artifacts("student") if one.root_hash in roots]
    faults = [str(fault) for one in made for fault in one.faults()]
    parts = sum(path.stat().st_size for path in workspace.root.glob("*/*/part-*.arrow"))
    left = [path.name for path in workspace.root.glob("tmp/fetched/*")]
    return json.dumps({"roots": roots, "faults": faults, "bytes": parts, "left": left})


def strike(address: str, caches: Path, which: str) -> list[dict[str, Any]]:
    """Kill one of two processes of one cache before each kind of step: the first time, each time,
    or the first time of steps that change what the cache holds; returns what became of the other
    one, and of a third one that goes on."""
    status, told = ended(*forked(lambda: steps(address), caches / "steps"))
    assert status == 0
    points = [
        (step, kind, time)
        for step, kind, times in json.loads(told)
        if which != "cache" or (step in CHANGES and OF_THE_CACHE.search(kind))
        for time in (range(1, times + 1) if which == "each" else [1])
    ]
    outcome = []
    for number, at in enumerate(points, 1):
        cache = caches / f"cache{number}"
        until, end = os.pipe()

        def read_on(until: int = until, end: int = end) -> str:
            os.close(end)
            return reading(address, until)

        beside = forked(read_on, cache)
        first = ended(*forked(lambda n=number, at=at: struck(address, n, at), cache))  # type: ignore[misc]
        os.close(until)
        os.close(end)
        read = ended(*beside)
        last = ended(*forked(lambda n=number: resumed(address, n), cache))  # type: ignore[misc]
        outcome.append({"at": at, "struck": first[0], "read": read, "resumed": last})
    return outcome


if __name__ == "__main__":
    kind, where, place, *more = sys.argv[1:]
    caches = Path(place)
    outcome: object
    if kind == "sweep":
        outcome = sweep(where, caches)
    elif kind == "strike":
        outcome = strike(where, caches, *more)
    else:
        outcome = (race if kind == "race" else read)(where, caches, int(*more))
    print(json.dumps(outcome))
