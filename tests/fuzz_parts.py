"""Parts that were changed inside while all hashes match, read by the stages that read them.

    python tests/fuzz_parts.py WORKSPACE --seed 1 --count 500

A case changes a few values or bytes of one part, then computes a part of an artifact that was made
of it, or shows its rows. Nothing compares hashes here; what is left is the check of a part's shape
before kernels see it. Each case is written to WORKSPACE/../case before it runs, so that whoever
started this process knows which one ended it. Prints JSON: counts by outcome, which is `read`,
`refused`, or the name of an exception that is none of ours; and what of memory the most greedy case
took beyond twice the size of the file.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import rankmill.api  # noqa: F401  (it says what shows rows)
from rankmill.mining.errors import RankmillError
from rankmill.mining.store import Artifact, Workspace, files
from rankmill.mining.upkeep.redo import faults_of_rows
from rankmill.replay import replay

MEMORY = 2 << 30  # beyond what is there when all is loaded
SECONDS = 30  # of one case, on a machine that other tests share
EXTREME = (0, 1, -1, 2**15 - 1, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**63 - 1)
Reader = Callable[[], object]


def buffers(array: pa.Array) -> Iterator[pa.Buffer]:
    """Yield the buffers of an array and its children that hold something."""
    yield from (one for one in array.buffers() if one is not None and one.size)


def mutated(path: Path, rng: np.random.Generator) -> bytes:
    """Return a file with some of its values, or of any of its bytes, changed."""
    table, base = files.mapped_arrow(path)
    data = bytearray(path.read_bytes())
    held = [b for column in table.columns for chunk in column.chunks for b in buffers(chunk)]
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.15 or not held:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            continue
        one = held[int(rng.integers(len(held)))]
        width = int(rng.choice([1, 2, 4, 8]))
        place = one.address - base + int(rng.integers(max(one.size // width, 1))) * width
        near = int.from_bytes(data[place : place + width], "little") + int(rng.integers(-3, 4))
        value = near if rng.random() < 0.4 else int(rng.choice(np.array(EXTREME, object)))
        data[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(data[: path.stat().st_size])


def readers(workspace: Workspace) -> dict[Path, list[tuple[str, Reader]]]:
    """Return what reads each part of a workspace."""
    made: dict[Path, list[tuple[str, Reader]]] = collections.defaultdict(list)
    for one in workspace.artifacts():
        _add(made, one, "rows", _whole(one))
        if one.manifest["schema"]:
            for role in one.inputs:
                _add(made, one.input(role), f"{one.kind} {one.fingerprint[:8]}", _again(one))
    return made


def _whole(one: Artifact) -> Reader:
    return lambda: reopened(one).to_arrow()


def _again(one: Artifact) -> Reader:
    return lambda: faults_of_rows(reopened(one), replay, lambda _: 0)


def reopened(artifact: Artifact) -> Artifact:
    """Return another handle, which has nothing open."""
    return Workspace(artifact.workspace.root).open(artifact.kind, artifact.fingerprint)


def _add(made: Any, artifact: Artifact, name: str, reader: Reader) -> None:
    for part in artifact.parts:
        if artifact.manifest["schema"]:
            made[artifact.path / part.file].append((name, reader))


def trust_everything() -> None:
    """Let every file have the hash that is recorded, and no part be known from before."""
    count = iter(range(1 << 62))

    def check(self: Artifact, part: Any, level: int, *, afresh: bool = False) -> Any:
        return str(self.path / part.file), next(count), 0, 0

    Artifact.check = check  # type: ignore[method-assign]


def outcome_of(read: Reader) -> str:
    """Run a reader; say how it ended."""
    try:
        answer = read()
    except RankmillError:
        return "refused"
    except Exception as error:
        return type(error).__name__
    # `verify --deep` says in words why a part could not be computed: then an input was refused.
    return "refused" if isinstance(answer, tuple) and answer[1] else "read"


def run(workspace: Workspace, seed: int, count: int) -> dict[str, Any]:
    """Run `count` cases drawn by a seed; returns how many ended how, and the most memory."""
    known = readers(workspace)
    for several in known.values():
        for _, read in several:  # loads models, compiles kernels
            assert outcome_of(read) == "read"
    trust_everything()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    paths, outcomes, beyond = sorted(known), collections.Counter[str](), 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        path = paths[int(rng.integers(len(paths)))]
        name, read = known[path][int(rng.integers(len(known[path])))]
        before, changed = path.read_bytes(), mutated(path, rng)
        case = f"seed {seed} number {number}: {path.parent.parent.name} read by {name}"
        (workspace.root.parent / "case").write_text(case)
        put(path, changed)
        signal.alarm(SECONDS)
        with watched() as grown:
            outcome = outcome_of(read)
        beyond = max(beyond, grown[0] - 2 * len(changed))
        signal.alarm(0)
        put(path, before)
        outcomes[outcome] += 1
        if outcome not in ("read", "refused"):
            outcomes[f"{outcome}: {case}"] += 1
    return {"outcomes": dict(outcomes), "bytes beyond twice the file": beyond}


@contextlib.contextmanager
def watched() -> Iterator[list[int]]:
    """Yield a list that holds, after the block, by how many bytes the process had grown in it."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present size from here on
    before, grown = resident("VmRSS"), list[int]()
    yield grown
    grown.append(max(resident("VmHWM") - before, 0))


def resident(name: str) -> int:
    """Return what /proc says of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


@dataclass
class Fuzzed:
    """What came of many cases in several processes: counts by outcome; `ended`, of the processes
    that did not come to their end, by what and at which case; the most memory of a case."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    ended: list[str] = field(default_factory=list)
    beyond: int = 0


def fuzzed(workspace: Path, place: Path, cases: int, children: int, seed: int = 0) -> Fuzzed:
    """Run cases in several processes at once, each with a copy of a workspace below `place`."""
    running, total = [], Fuzzed()
    for child in range(children):
        copy = place / str(child) / "work"
        shutil.copytree(workspace, copy)
        line = [sys.executable, __file__, str(copy)]
        line += ["--seed", str(seed + child), "--count", str(cases // children)]
        running.append((copy, subprocess.Popen(line, stdout=subprocess.PIPE, text=True)))
    for copy, process in running:
        out, _ = process.communicate()
        if process.returncode:
            last = (copy.parent / "case").read_text()
            total.ended.append(f"ended by {process.returncode} at {last}")
            continue
        said = json.loads(out)
        total.outcomes.update(said["outcomes"])
        total.beyond = max(total.beyond, said["bytes beyond twice the file"])
    return total


def put(path: Path, data: bytes) -> None:
    """Put a new file in the place of one that may be mapped."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def main() -> None:
    """Run cases in this process and print how they ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(json.dumps(run(Workspace(given.workspace), given.seed, given.count)))


if __name__ == "__main__":
    main()
