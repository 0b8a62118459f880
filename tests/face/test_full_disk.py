"""A disk that fills up under a command: status 1, the path, what was needed and what is free.

The disk is a tmpfs of its own for each case, with some room beside the workspace that is copied to
it: so a command fails early, late, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selection_world import build_world, select
from tiny_models import tiny_encoder

RUNNER = Path(__file__).resolve().parents[1] / "attack_runner.py"
ROOMS = (0, 60)  # kB beside the workspace
COMMANDS = {
    "bm25": "mine bm25 -c t --split train --depth 5",
    "dense": "mine dense(model=MADE/model) -c t --split train --depth 5",
    "train": "train bi_encoder(model=MADE/model) --groups g --documents 32 --batch 2 "
    "--doc-length 64 --to DISK/to",
    "export": "export trove --groups g --to DISK/out",
    "collect": "collect beir:MADE/beir --title text",
    "show": "show s --rows 0 --format parquet --to DISK/rows.parquet",
    "trec": "mine random -c t --split train --depth 50 --trec DISK/run.txt",
    "select": "select top --pool p --scores s --size 6",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, a collection, and a workspace up to groups."""
    root = tmp_path_factory.mktemp("disk")
    tiny_encoder(root / "model")
    world = build_world(root)
    workspace = world["workspace"]
    named = {"t": world["collection"].artifact, "p": world["pool"], "s": world["scores"]}
    for name, artifact in {**named, "g": select(world, "top")}.items():
        workspace.alias(name, artifact)
    return root


@pytest.fixture
def disks(made: Path, tmp_path: Path) -> Iterator[dict[tuple[str, int], Path]]:
    """Mount a disk with a copy of the workspace for each case; skips where that is not allowed."""
    mounted: dict[tuple[str, int], Path] = {}
    try:
        for number, (name, room) in enumerate((n, r) for n in COMMANDS for r in ROOMS):
            place = tmp_path / f"disk-{number}"
            place.mkdir()
            words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
            mounted[name, room] = place
            shutil.copytree(made / "work", place / "ws", symlinks=True)
            about = os.statvfs(place)
            used = (about.f_blocks - about.f_bfree) * about.f_frsize + (room << 10)
            subprocess.run(["mount", "-o", f"remount,size={used}", str(place)], check=True)
        yield mounted
    finally:
        for place in mounted.values():
            subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_with_path_and_bytes(
    made: Path, disks: dict[tuple[str, int], Path], tmp_path: Path
) -> None:
    cases = [
        {
            "name": f"{name}, {room} kB",
            "folder": str(place),
            "environment": {"RANKMILL_WORKSPACE": str(place / "ws")},
            "words": COMMANDS[name].replace("MADE", str(made)).replace("DISK", str(place)).split(),
        }
        for (name, room), place in disks.items()
    ]
    told = tmp_path / "cases.json"
    told.write_text(json.dumps({"cases": cases, "models": True, "memory_mb": 4000, "seconds": 60}))
    done = subprocess.run([sys.executable, str(RUNNER), str(told)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {one["name"]: (one["status"], one["err"][-700:]) for one in outcomes if not right(one)}
    assert not wrong, "\n\n".join(f"{name}: {what[0]}\n{what[1]}" for name, what in wrong.items())
    assert {one["name"].partition(",")[0] for one in outcomes if one["status"]} == set(COMMANDS)
    for place in disks.values():
        assert not list(place.glob(".*.tmp")), "a temporary file stays beside a target"


def right(one: dict[str, Any]) -> bool:
    """Say whether a command ended as it should: well, or with all that a full disk is told by."""
    said = one["err"]
    if one["status"] == 0:
        return True
    written = "cannot write: No space left on device (" in said and " bytes free)" in said
    told = written or "bytes of disk are free" in said  # an index says before how large it gets
    return one["status"] == 1 and told and "  where: /" in said and "  do: " in said
