"""Folders of one process: gone at its end, left alone while it lives, removed after its kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from strikes import in_child

from rankmill.mining.store.scratch import own_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from rankmill.mining.store import files
from rankmill.mining.store.scratch import own_folder
with own_folder(Path(sys.argv[1]), "study") as folder:
    (folder / "half.arrow").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_it_is_there_and_then_gone(tmp_path: Path) -> None:
    place = tmp_path / "tmp"
    with own_folder(place, "study") as folder:
        assert names(place) == [folder.name]
        assert folder.name.startswith("study-")
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    assert names(place) == []
    with pytest.raises(RuntimeError, match="odd"), own_folder(place, "study"):
        raise RuntimeError("odd")
    assert names(place) == []


@pytest.mark.forks
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert names(tmp_path / left) == ["LOCK", "half.arrow"]
    with own_folder(tmp_path, "other"):
        assert left in names(tmp_path)
    with own_folder(tmp_path, "study") as folder:
        assert names(tmp_path) == [folder.name]


def killed_at(step: int, place: Path) -> bool:
    """Use a folder in a child that is killed at a step on the disk; says whether it came so far."""

    def use() -> None:
        with own_folder(place, "study") as folder:
            (folder / "half.arrow").write_bytes(b"half")

    return in_child(use, at=step).status < 0


@pytest.mark.forks
def test_nothing_is_left_whenever_it_is_killed(tmp_path: Path) -> None:
    """Not before the folder has its name either, nor when it has lost it."""
    steps = 0
    while killed_at(steps + 1, tmp_path / "tmp"):
        steps += 1
        with own_folder(tmp_path / "tmp", "study") as folder:
            assert names(tmp_path / "tmp") == [folder.name], steps
    assert steps > 8


def test_those_of_living_processes_and_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "study-123-0").mkdir()  # of an earlier version, without a lock
    (tmp_path / "studying").mkdir()
    (tmp_path / "study-notes.txt").touch()
    with own_folder(tmp_path, "study") as first, own_folder(tmp_path, "study") as second:
        assert names(tmp_path) == sorted([first.name, second.name, "study-notes.txt", "studying"])
    assert names(tmp_path) == ["study-notes.txt", "studying"]


def test_many_at_once(tmp_path: Path) -> None:
    def one(number: int) -> bool:
        with contextlib.suppress(FileExistsError):
            (tmp_path / f"study-left-{number % 5}").mkdir()
        with own_folder(tmp_path, "study") as folder:
            (folder / "file").touch()
            return folder.is_dir()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))
    with own_folder(tmp_path, "study"):
        pass
    assert names(tmp_path) == []
