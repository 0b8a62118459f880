"""One stage by several processes without Ray: shares of its parts, put together by the last."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from store_workers import squares
from typer.testing import CliRunner

from rankmill.cli import app_of
from rankmill.mining.errors import BadInput, Incomplete, Locked, UsageError
from rankmill.mining.store import Workspace, attempts, files
from rankmill.mining.store.making import leftovers, shared
from rankmill.mining.store.together import failures, shares
from rankmill.mining.store.together.shares import MERGE, Elsewhere, Share, parse


@pytest.fixture
def oracle(tmp_path: Path) -> str:
    return Workspace(tmp_path / "oracle").build(squares(200)).root_hash


def made_by(workspace: Workspace, share: Share | None, mischief: str = "") -> str:
    with shares.using(share):
        return workspace.build(squares(200, mischief=mischief)).root_hash


def test_the_last_share_publishes_what_one_process_would_have_made(
    workspace: Workspace, oracle: str
) -> None:
    parts = len(squares(200).shards())
    assert parts > 6
    for index in (2, 0):
        with pytest.raises(Elsewhere, match=rf"share {index} of 3 of run is made; \d+ parts"):
            made_by(workspace, Share(index, 3))
    assert made_by(workspace, Share(1, 3)) == oracle
    for share in (Share(0, 3), MERGE, None):  # again: it is there
        assert made_by(workspace, share) == oracle
    assert not list((workspace.root / "tmp").glob("*/run-*"))


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_shares_at_once_that_wait_for_each_other(
    workspace: Workspace, oracle: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def seconds(_: Workspace) -> float:
        assert not failed.is_set(), "parts of a share that has failed are waited for"
        return 0.01

    def made(share: Share) -> str:
        try:
            return made_by(workspace, share)
        except BaseException:
            failed.set()
            raise

    monkeypatch.setattr(shared, "_look_s", seconds)
    with ThreadPoolExecutor(count) as pool:
        some = [pool.submit(made, Share(index, count, wait=True)) for index in range(count)]
    assert [error for one in some if (error := one.exception()) is not None] == []
    assert {one.result() for one in some} == {oracle}


def test_a_share_that_failed_is_run_again(workspace: Workspace, oracle: str) -> None:
    with pytest.raises(BadInput):
        made_by(workspace, Share(0, 2), mischief="fail:4")
    with pytest.raises(Elsewhere):
        made_by(workspace, Share(1, 2))
    with pytest.raises(Incomplete, match=r"\d+ of \d+ parts are missing: 4") as told:
        made_by(workspace, MERGE)
    assert "run their --shard again" in str(told.value)
    assert made_by(workspace, Share(0, 2)) == oracle


def test_without_shards_the_command_makes_what_is_missing(
    workspace: Workspace, oracle: str
) -> None:
    with pytest.raises(Elsewhere):
        made_by(workspace, Share(3, 4))
    assert made_by(workspace, None) == oracle


def test_shares_and_a_whole_run_exclude_each_other(workspace: Workspace) -> None:
    stage = squares(200)
    place = workspace.folder(stage.kind, stage.fingerprint) / "LOCK"
    with files.lock(place, shared=True):
        with pytest.raises(Locked):
            made_by(workspace, None)
        with pytest.raises(Elsewhere):
            made_by(workspace, Share(0, 2))
    with files.lock(place), pytest.raises(Locked):
        made_by(workspace, Share(1, 2))


def test_a_share_without_a_part_to_make_is_not_in_the_way(workspace: Workspace) -> None:
    """Another one puts all together just now: this one waits for it, or has nothing to do."""
    stage = squares(200)
    parts = len(stage.shards())
    for index in range(parts - 1):
        with pytest.raises(Elsewhere):
            made_by(workspace, Share(index, parts))
    place = workspace.folder(stage.kind, stage.fingerprint) / "LOCK"
    with files.lock(place), pytest.raises(Elsewhere, match="1 part of another share is missing"):
        made_by(workspace, Share(0, parts))


def test_a_share_that_waits_waits_for_a_whole_run_too(
    workspace: Workspace, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rankmill.mining.store.making.shared._LOOK_S", 0.01)
    stage = squares(200)
    place = workspace.folder(stage.kind, stage.fingerprint) / "LOCK"
    share = Share(0, 1, wait=True)
    with ThreadPoolExecutor(1) as pool:
        with files.lock(place):
            made = pool.submit(made_by, workspace, share)
            with pytest.raises(TimeoutError):
                made.result(0.3)
        assert made.result(60) == oracle


def test_what_a_share_waits_for_is_said_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds, said = [0.0], list[str]()
    monkeypatch.setattr("rankmill.mining.store.together.shares.time.sleep", lambda s: None)
    waiting = shares.Waiting(Share(1, 3, wait=True, tell=said.append), clock=lambda: seconds[0])
    for now in range(0, 500, 10):
        seconds[0] = float(now)
        waiting.look(f"parts of run: {shares.numbers(list(range(2, 20)))}", 1.0)
    assert [one.split(" s for")[0] for one in said] == [
        f"share 1 of 3 has waited {now}" for now in (30, 60, 120, 240, 480)
    ]
    assert "parts of run: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …; see that all shares run" in said[0]


def test_what_is_made_in_one_piece_is_the_first_shares(workspace: Workspace) -> None:
    def write(folder: Path, _: Path) -> None:
        (folder / "weights").write_text("1")

    build = partial(workspace.build_folder, "student", {"a": 1}, {}, write)
    with shares.using(Share(1, 2)), pytest.raises(Elsewhere, match="made in one piece, by share 0"):
        build()
    with shares.using(MERGE), pytest.raises(Incomplete, match="student is missing"):
        build()
    roots: list[str] = []

    def wait() -> None:
        with shares.using(Share(1, 2, wait=True)):
            roots.append(build().root_hash)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with shares.using(Share(0, 2)):
        root = build().root_hash
    waiting.join(60)
    assert roots == [root]


@pytest.mark.parametrize("text", ["", "3", "1/", "-1/2", "2/2", "0/0", "a/b", "1/2/3", "1.0/2"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse(text)


def test_the_command_line(tmp_path: Path) -> None:
    place = str(tmp_path / "w")

    def said(verb: str, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app_of(verb), [verb, *words, "-w", place])
        status = getattr(result.exception, "exit_status", result.exit_code)
        return status, f"{result.output}{result.exception or ''}"

    assert said("collect", "python-docs", "--name", "d")[0] == 0
    mine = ("mine", "random", "-c", "d", "--split", "train", "--depth", "5", "--name", "r")
    status, text = said(*mine, "--shard", "1/2")
    assert status == 0
    assert "share 1 of 2 of run is made; 1 part of another share is missing" in text
    assert said(*mine, "--merge")[0] == 3
    assert said(*mine, "--merge", "--shard", "0/2")[0] == 2
    assert said(*mine, "--wait")[0] == 2
    assert said(*mine, "--shard", "0/2")[0] == 0
    assert said(*mine, "--merge")[0] == 0


# ---- a share that fails --------------------------------------------------------------------------


def neighbours(workspace: Workspace, share: Share, **more: Any) -> failures.Neighbours:
    return failures.Neighbours(workspace.root, workspace.mirror, share, "mine bm25", **more)


def share_of(workspace: Workspace, index: int, count: int = 2, **more: Any) -> Share:
    """A share that waits, and knows which of the others have failed."""
    share = Share(index, count, wait=True)
    return replace(share, neighbours=neighbours(workspace, share, **more))


def run_share(workspace: Workspace, share: Share, mischief: str = "") -> str:
    assert share.neighbours is not None
    with failures.told_to_others(share.neighbours):
        return made_by(workspace, share, mischief)


def test_those_that_wait_for_a_share_that_fails_are_told(
    workspace: Workspace, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rankmill.mining.store.making.shared._LOOK_S", 0.01)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run_share, workspace, share_of(workspace, 1))
        while not list(workspace.root.glob("run/*/part-00001.json")):
            time.sleep(0.01)
        with pytest.raises(BadInput, match="a bad query"):
            run_share(workspace, share_of(workspace, 0), "fail:4")
        with pytest.raises(
            failures.NeighbourFailed,
            match=r"share 0 of 2 has failed[\s\S]*a bad query[\s\S]*run --shard 0/2 again",
        ) as told:
            waiting.result(60)
    assert told.value.exit_status == 3
    assert len(list((workspace.root / "tmp/failed").iterdir())) == 1  # of the first alone
    with ThreadPoolExecutor(2) as pool:  # run again, in whichever order
        second = pool.submit(run_share, workspace, share_of(workspace, 1))
        first = pool.submit(run_share, workspace, share_of(workspace, 0))
        assert {first.result(60), second.result(60)} == {oracle}
    assert not (workspace.root / "tmp/failed").exists()


def test_what_is_made_in_one_piece_may_fail_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rankmill.mining.store.making.shared._LOOK_S", 0.01)
    share = share_of(workspace, 1)
    assert share.neighbours is not None
    share.neighbours.begin()
    neighbours(workspace, Share(0, 2, wait=True)).leave(BadInput("no such model"))
    with pytest.raises(failures.NeighbourFailed, match="no such model"), shares.using(share):
        workspace.build_folder("student", {"a": 1}, {}, lambda folder, scratch: None)


def test_a_share_that_had_failed_before_may_be_run_again_for_a_while(workspace: Workspace) -> None:
    now = [0.0]
    workspace.root.mkdir(parents=True, exist_ok=True)
    neighbours(workspace, Share(0, 2)).leave(OSError(28, "No space left on device"))
    others = [
        neighbours(workspace, Share(1, 3)),
        failures.Neighbours(workspace.root, None, Share(1, 2), "another command"),
    ]
    waits = neighbours(workspace, Share(1, 2), clock=lambda: now[0])
    for one in (waits, *others):
        one.begin()
        one.check()
    now[0] = failures.OLD_S
    with pytest.raises(failures.NeighbourFailed, match="No space left on device"):
        waits.check()
    mark = next((workspace.root / "tmp/failed").iterdir())
    mark.write_bytes(b"[")
    with pytest.raises(failures.NeighbourFailed, match="its parts do not come\n"):
        waits.check()
    neighbours(workspace, Share(0, 2)).begin()
    waits.check()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Elsewhere("done")])
def test_a_signal_and_an_end_that_is_none_leave_no_mark(
    workspace: Workspace, error: BaseException
) -> None:
    workspace.root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(type(error)), failures.told_to_others(neighbours(workspace, Share(0, 2))):
        raise error
    assert not (workspace.root / "tmp/failed").exists()


def test_a_mark_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "file")
    place.root.mkdir()
    (place.root / "tmp").touch()
    with (
        pytest.raises(BadInput, match="the error"),
        failures.told_to_others(neighbours(place, Share(0, 2))),
    ):
        raise BadInput("the error")


# ---- threads of one process ----------------------------------------------------------------------


def test_attempts_that_vanish_while_they_are_looked_at(
    workspace: Workspace, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread sweeps what is left as soon as the manifest is there."""
    publish = Workspace.put_manifest

    def put(self: Workspace, path: Path, manifest: bytes) -> None:
        publish(self, path, manifest)
        leftovers.sweep(self, "run", path.parent.name)
        assert not leftovers.attempts_of(self, path.parent.name).exists()

    monkeypatch.setattr(Workspace, "put_manifest", put)
    assert made_by(workspace, None) == oracle
    assert attempts.below(workspace.root / "tmp" / "nothing") == []


def test_two_shares_remove_what_a_killed_run_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = (
        leftovers.attempts_of(workspace, squares(200).fingerprint)
        / f"run-{attempts.here()}-4194305-0"
    )
    left.mkdir(parents=True)
    removed: list[str] = []
    rmtree = shutil.rmtree

    def meanwhile(path: Path, **more: Any) -> None:
        removed.append(path.name)
        rmtree(path)  # the other share
        rmtree(path, **more)

    monkeypatch.setattr(shutil, "rmtree", meanwhile)
    with pytest.raises(Elsewhere):
        made_by(workspace, Share(0, 2))
    assert left.name in removed
