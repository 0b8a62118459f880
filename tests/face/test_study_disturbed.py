"""A study among disturbances: signals, kills of the process that asked, another study in the same
workspace, a changed axis, a workspace that cannot be written. The root hashes stay."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining.errors import BadInput, Interrupted
from rankmill.mining.store import files
from rankmill.mining.store.execution import Silent
from rankmill.study.grid.outcome import StudyOutcome

STUDENT = 'student = "bi_encoder(model=encoder,layers=1)"'
ONE = RECIPE.partition('[study.axes."train.student"]')[0].replace(
    'loss = "kl"', f'loss = "kl"\n{STUDENT}'
)
OTHER = ONE.replace('name = "t"', 'name = "other"').replace(
    'random = "uniform(source=random,last=20)"', 'top = "top(source=bm25)"'
)
KEPT = ("domain", "measure", "sampler", "groups_root", "student_root", "evaluation_root")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("disturbed"))
    (root / "one.toml").write_text(ONE)
    (root / "other.toml").write_text(OTHER)
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def whole(place: Path) -> StudyOutcome:
    """Return the study that nobody disturbed, of `work` beside the recipe."""
    with contextlib.chdir(place):
        return rm.study("one.toml", workspace="work")


def roots(outcome: StudyOutcome, *samplers: str) -> list[dict[str, Any]]:
    """Return all root hashes, or those of some samplers."""
    cells = outcome.cells.select(KEPT).sort(KEPT[:3])
    return (cells.filter(pl.col("sampler").is_in(samplers)) if samplers else cells).to_dicts()


def made_in(workspace: str) -> set[Path]:
    return {path.parent for path in Path(workspace).glob("*/*/manifest.json")}


def stopped(workspace: str, students: int, by: signal.Signals, *more: str) -> tuple[int, str]:
    """Start the command, send it a signal when so many students are under way or there; returns
    its status and the end of what it said."""
    command = [sys.executable, "-m", "rankmill", "study", "one.toml", "--workspace", workspace]
    victim = subprocess.Popen(
        [*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 600
        while len(list(Path(workspace).glob("student/*/LOCK"))) < students:
            assert victim.poll() is None, victim.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        victim.send_signal(by)
        said = victim.communicate(timeout=600)[1]
    finally:
        victim.kill()
    return victim.returncode, said


@pytest.mark.forks
def test_stopped_by_two_signals_and_resumed_to_the_same_root_hashes(whole: StudyOutcome) -> None:
    status, said = stopped("signals", 1, signal.SIGINT)
    assert (status, "stopped by SIGINT" in said) == (Interrupted.exit_status, True), said
    status, said = stopped("signals", 3, signal.SIGTERM)
    assert (status, "stopped by SIGTERM" in said) == (Interrupted.exit_status, True), said
    assert len(made_in("signals")) < len(made_in("work"))
    assert roots(rm.study("one.toml", workspace="signals")) == roots(whole)


@pytest.mark.forks
@pytest.mark.ray
def test_a_signal_stops_two_workers_as_it_stops_none() -> None:
    status, said = stopped("workers", 1, signal.SIGTERM, "--workers", "2")
    assert (status, "stopped by SIGTERM" in said) == (Interrupted.exit_status, True), said
    assert "run the same command to resume" in said


@pytest.mark.forks
@pytest.mark.ray
def test_the_driver_of_two_workers_is_killed_and_the_study_goes_on(whole: StudyOutcome) -> None:
    """Its actors may still be writing when the next run begins, which waits for them."""
    status, _ = stopped("driver", 1, signal.SIGKILL, "--workers", "2")
    assert status == -signal.SIGKILL
    assert roots(rm.study("one.toml", workspace="driver")) == roots(whole)


class _Waiting(Silent):
    """Ends another run's work on an artifact as soon as this run says that it waits for it."""

    def __init__(self) -> None:
        self.held = contextlib.ExitStack()
        self.told: list[str] = []

    def announce(self, text: str) -> None:
        if text.startswith("waiting: "):
            self.told.append(text)
            self.held.close()


@pytest.mark.parametrize("kind", ["pool", "student"])
def test_what_another_study_is_making_is_waited_for(whole: StudyOutcome, kind: str) -> None:
    other, progress = next(iter(whole.engine.workspace.artifacts(kind))), _Waiting()
    lock = Path("busy-" + kind, kind, other.fingerprint, "LOCK")
    with progress.held:
        progress.held.enter_context(files.lock(lock))
        made = rm.study(
            "one.toml", workspace="busy-" + kind, executor=rm.Execution(progress=progress)
        )
    (told,) = progress.told
    assert "another run is writing this artifact: host" in told
    assert f"pid {os.getpid()}" in told
    assert roots(made) == roots(whole)


def test_two_studies_of_one_workspace_share_what_is_equal(whole: StudyOutcome) -> None:
    """And a changed axis is the same: what is equal is found, what is new is said."""
    before = made_in("work")
    other = rm.study("other.toml", workspace="work")
    assert roots(other, "bm25") == roots(whole, "bm25")
    new = [path.parent.name for path in made_in("work") - before]
    assert new.count("student") == 2  # of the sampler that the first study has not
    assert new.count("groups") == 1
    assert not {"collection", "corpus", "queries", "qrels", "postings", "pool"} & set(new)
    assert roots(rm.study("one.toml", workspace="work")) == roots(whole)


def test_a_finished_study_is_read_where_nothing_can_be_written(
    whole: StudyOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(step: str, path: Path) -> None:
        if step != "sweep" and "work" in path.parts:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(files.steps, "fault", refuse)
    assert roots(rm.study("one.toml", workspace="work")) == roots(whole)
    with pytest.raises(BadInput, match="cannot write: the file system of .* is read-only"):
        rm.study("one.toml", ["train.seeds=[1,2,3]"], workspace="work")
