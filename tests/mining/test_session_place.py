"""The folder and the token of a private cluster: for their owner alone, and swept after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rankmill.mining.actors.session import SessionPlace, private_token, sweep_dead


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_nobody_else_may_enter_it() -> None:
    place = SessionPlace()
    try:
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
        assert place.inside.parent == place.path  # Ray opens what it is given to everyone
    finally:
        place.end()
    assert not place.path.exists()


def test_a_driver_that_sweeps_just_now_takes_no_folder_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between making the lock and holding it, the folder looks like that of a dead driver."""
    lock = fcntl.flock
    swept: list[int] = []

    def late(file: int, how: int) -> None:
        if not swept:
            swept.append(file)
            sweep_dead()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    place = SessionPlace()
    try:
        assert len(swept) == 1
        assert place.inside.is_dir()
        sweep_dead()
        assert place.inside.is_dir()
    finally:
        place.end()
    assert not place.path.exists()


def test_what_a_killed_driver_left_is_swept_and_nothing_else(elsewhere: Path) -> None:
    script = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from rankmill.mining.actors.session import SessionPlace\n"
        "print(SessionPlace().path, flush=True); sys.stdin.read()"
    )
    other = elsewhere / "rm-of-something-else"
    other.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(elsewhere)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        left = Path(driver.stdout.readline().strip())
        (left / "s" / "session_x").mkdir()
        mine = SessionPlace()
        assert left.exists()  # it lives
        driver.send_signal(signal.SIGKILL)
    assert left.exists()
    next_one = SessionPlace()
    assert not left.exists()
    assert mine.path.exists()
    assert other.exists()
    mine.end()
    next_one.end()


def test_the_token_is_for_its_owner_alone(elsewhere: Path) -> None:
    token = elsewhere / "home" / ".ray" / "auth_token"
    private_token()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    made = token.read_text()
    assert len(made) == 64
    token.chmod(0o644)  # as Ray itself writes it
    private_token()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == made


def test_a_token_given_by_the_environment_stays_the_only_one(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "given")
    private_token()
    assert not (elsewhere / "home" / ".ray").exists()
    assert os.environ["RAY_AUTH_TOKEN"] == "given"


def test_what_ray_writes_after_the_end_is_swept_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = SessionPlace()
    place.end()
    late = place.inside / "session" / "logs"
    late.mkdir(parents=True)
    foreign = tmp_path / "rm-notes"
    (foreign / "other").mkdir(parents=True)
    SessionPlace().end()
    assert late.exists()  # its process may still run
    for one in (place.path, foreign):
        os.utime(one, (0, 0))
    SessionPlace().end()
    assert not place.path.exists()
    assert foreign.exists()


def test_what_cannot_be_removed_yet_keeps_its_lock_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = SessionPlace()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # a process writes all the time
        place.end()
    assert (place.path / "held").exists()
    SessionPlace().end()
    assert not place.path.exists()
