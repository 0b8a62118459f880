"""What nothing needs is found and removed, and nothing else, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from store_workers import Squares, small_pipeline, squares, write_folder
from typer.testing import CliRunner

from rankmill.cli import app_of
from rankmill.mining.errors import BadInput, Corrupt, Locked, UsageError
from rankmill.mining.store import Artifact, Stage, Workspace, attempts, files, ledger
from rankmill.mining.upkeep import removal
from rankmill.mining.upkeep.removal import Kept, of_name, remove_named, remove_unneeded, unneeded
from rankmill.mining.upkeep.verify import verify_workspace

NOW = Kept()


def free(workspace: Workspace, kept: Kept = NOW) -> list[str]:
    return [one.fingerprint for one in unneeded(workspace, kept)]


def sound(workspace: Workspace) -> bool:
    return not any(one.faults for one in verify_workspace(workspace))


def removed(workspace: Workspace, kept: Kept = NOW) -> list[str]:
    return [one.fingerprint for one, error in remove_unneeded(workspace, kept) if error is None]


def unnamed(workspace: Workspace) -> list[Artifact]:
    """Make three artifacts, each of the one before, without a name."""
    made = small_pipeline(workspace.root)
    (workspace.root / "names" / "last.json").unlink()
    return made


def test_what_has_a_name_and_all_below_it_is_needed(workspace):
    small_pipeline(workspace.root)
    other = workspace.build(squares(33))
    assert free(workspace) == [other.fingerprint]
    assert removed(workspace) == [other.fingerprint]
    assert not other.path.exists()
    assert not list((workspace.root / "tmp" / "removed").iterdir())
    assert sound(workspace)
    assert free(workspace) == []


def test_users_go_before_what_they_were_made_from(workspace):
    run, on_top, folder = unnamed(workspace)
    order = [folder.fingerprint, on_top.fingerprint, run.fingerprint]
    assert free(workspace) == order
    workspace.alias("middle", on_top)
    assert free(workspace) == order[:1]


def test_nothing_is_removed_by_looking(workspace):
    unnamed(workspace)
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    assert len(free(workspace)) == 3
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")} == before


def test_what_was_finished_just_now_stays_with_all_that_it_needs(workspace):
    run, on_top, folder = unnamed(workspace)
    assert free(workspace, Kept(hours=1)) == []
    old = time.time() - 7200
    for made in (run, folder):
        os.utime(made.path / "manifest.json", (old, old))
    assert free(workspace, Kept(hours=1)) == [folder.fingerprint]
    assert on_top.inputs == {"of": run.fingerprint}


@pytest.mark.parametrize("hours", [float("nan"), -1.0])
def test_hours_that_no_time_is_within_are_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="must be at least 0"):
        Kept(hours=hours)


def test_what_an_export_was_made_of_stays(workspace):
    run, on_top, folder = unnamed(workspace)
    assert free(workspace, Kept(frozenset([on_top.root_hash]))) == [folder.fingerprint]


def test_what_an_unfinished_or_damaged_artifact_mentions_stays(workspace):
    run, on_top, folder = unnamed(workspace)
    (folder.path / "manifest.json").chmod(0o644)
    (folder.path / "manifest.json").write_bytes((folder.path / "manifest.json").read_bytes() + b" ")
    assert free(workspace) == []
    (folder.path / "manifest.json").unlink()
    (folder.path / "ledger.json").unlink()
    assert free(workspace) == [on_top.fingerprint, run.fingerprint]
    asked = {"request": {"verb": "x", "options": {"of": {"artifact": ["run", run.fingerprint]}}}}
    files.append_line(folder.path / "attempts.jsonl", asked)
    assert free(workspace) == [on_top.fingerprint]


def test_what_a_ledger_names_stays(workspace):
    """By its request alone a part can be computed again: of an input that is no input."""
    run = workspace.build(squares(20))
    with ledger.asked_by({"verb": "score", "options": {"teacher": f"stored({run.fingerprint})"}}):
        named = workspace.build(squares(30))
    workspace.alias("named", named)
    assert free(workspace) == []


def test_a_damaged_name_keeps_everything(workspace):
    unnamed(workspace)
    (workspace.root / "names" / "some.json").write_bytes(b"{")
    with pytest.raises(Corrupt, match="a name is damaged, so it is not known what it needs"):
        free(workspace)


def test_what_is_not_ours_is_not_touched(workspace):
    unnamed(workspace)
    foreign = [workspace.root / name for name in ("run/notes", "mine/x", "y")]
    for place in foreign:
        place.mkdir(parents=True)
        (place / "manifest.json").write_text("{}")
    assert len(removed(workspace)) == 3
    assert all((place / "manifest.json").exists() for place in foreign)


def test_a_link_is_removed_and_not_what_it_leads_to(workspace, tmp_path):
    made = workspace.build(squares(20))
    made.path.rename(tmp_path / "elsewhere")
    made.path.symlink_to(tmp_path / "elsewhere")
    assert removed(workspace) == [made.fingerprint]
    assert (tmp_path / "elsewhere" / "manifest.json").exists()
    assert not made.path.is_symlink()


def test_what_is_held_stays_with_what_it_was_made_from(workspace):
    run, on_top, folder = unnamed(workspace)
    with files.lock(on_top.path / "LOCK"):
        told = dict(remove_unneeded(workspace, NOW))
    assert {one.fingerprint: error is None for one, error in told.items()} == {
        folder.fingerprint: True,
        on_top.fingerprint: False,
    }
    assert run.path.exists()
    assert sound(workspace)


class Killed(BaseException):
    pass


def test_a_kill_at_any_step_leaves_a_sound_workspace(tmp_path, monkeypatch):
    """Every step that changes the disk, one after the other, until a removal meets no fault."""
    for number in range(1, 200):
        workspace = Workspace(tmp_path / str(number))
        unnamed(workspace)
        left = [number]

        def fault(step: str, path: Path, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(files.steps, "fault", fault)
            try:
                removed(workspace)
            except Killed:
                pass
            else:
                break
        assert sound(workspace), number
        # The next process: the dead one's leavings are those of an ended process.
        with monkeypatch.context() as later:
            later.setattr("rankmill.mining.store.attempts.is_left", lambda name: True)
            removed(workspace)
        assert not list(workspace.root.glob("*/" + "[0-9a-f]" * 40))
        assert not list((workspace.root / "tmp").glob("removed/*"))
    assert number > 10


def test_a_lock_whose_folder_has_gone_meanwhile_is_no_lock(tmp_path, monkeypatch):
    place = tmp_path / "artifact" / "LOCK"
    place.parent.mkdir()
    real = fcntl.flock

    def flock(stream: object, how: int) -> None:
        (tmp_path / "artifact").rename(tmp_path / "gone")
        real(stream, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(Locked, match="has just removed"), files.lock(place):
        pass


def test_what_another_one_has_removed_is_told_and_not_made_anew(workspace):
    workspace.build(squares(20))
    (one,) = unneeded(workspace, NOW)
    removal.remove(workspace, one)
    with pytest.raises(Locked, match="has just removed"):
        removal.remove(workspace, one)
    assert not one.path.exists()


# ---- by name -------------------------------------------------------------------------------------


def test_a_name_goes_with_its_artifact(workspace):
    run, on_top, folder = small_pipeline(workspace.root)
    what = of_name(workspace, "last", NOW)
    assert (what.folder.fingerprint, what.why) == (folder.fingerprint, None)
    remove_named(workspace, what)
    assert not folder.path.exists()
    assert workspace.names() == {}
    assert on_top.path.exists()
    assert sound(workspace)


def test_what_a_killed_removal_has_left_goes_also_where_its_name_is_gone(tmp_path):
    small_pipeline(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = tmp_path / "tmp" / removal.REMOVED / f"run-{'f' * 40}.{attempts.here()}-{ended.pid}-0"
    left.mkdir(parents=True)
    words = ["rm", "gone-by-now", "--yes", "-w", str(tmp_path)]
    assert CliRunner().invoke(app_of("rm"), words).exit_code != 0
    assert not left.exists()


def test_a_name_is_gone_for_good_before_its_artifact_is(workspace, monkeypatch):
    """A power cut must not leave the one without the other."""
    small_pipeline(workspace.root)
    steps: list[str] = []
    monkeypatch.setattr(
        files.steps, "fault", lambda step, path: steps.append(f"{step} {path.name}")
    )
    remove_named(workspace, of_name(workspace, "last", NOW))
    order = [steps.index(one) for one in ("unlink last.json", "fsync folder names")]
    moved = next(number for number, step in enumerate(steps) if step.startswith("rename run-"))
    assert order[0] < order[1] < moved
    assert "fsync folder student" in steps[moved:]


def test_a_name_goes_and_what_something_else_needs_stays(workspace):
    run, _, folder = small_pipeline(workspace.root)
    workspace.alias("again", folder)
    workspace.alias("run", run)
    for name, why in (("last", "its name is 'again'"), ("run", "was made from it")):
        what = of_name(workspace, name, NOW)
        assert why in what.why
        remove_named(workspace, what)
        assert name not in workspace.names()
        assert what.folder.path.exists()
    assert sound(workspace)


def test_an_artifact_without_a_name_is_removed_by_its_fingerprint_unless_needed(workspace):
    run, on_top, folder = unnamed(workspace)
    with pytest.raises(BadInput, match="is needed: run .* was made from it"):
        of_name(workspace, run.fingerprint[:12], NOW)
    remove_named(workspace, of_name(workspace, folder.fingerprint[:12], NOW))
    assert not folder.path.exists()


def test_a_name_of_nothing_can_be_removed(workspace):
    _, _, folder = small_pipeline(workspace.root)
    shutil.rmtree(folder.path)
    what = of_name(workspace, "last", NOW)
    assert what.folder is None
    remove_named(workspace, what)
    assert sound(workspace)


def test_two_at_once_remove_everything_once(workspace):
    for queries in range(20, 32):
        workspace.build(squares(queries))
    gone: list[str] = []
    both = [threading.Thread(target=lambda: gone.extend(removed(workspace))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert free(workspace) == []
    assert not list(workspace.root.glob("run/*"))
    assert len(set(gone)) == 12
    assert json.dumps(gone)


def test_a_run_makes_again_what_was_removed(workspace):
    made = workspace.build(squares(25))
    removed(workspace)
    assert workspace.build(squares(25)).root_hash == made.root_hash
    stage = Stage(
        kind="run",
        parameters={"of": "it"},
        inputs={"of": workspace.build(squares(25))},
        schema=squares(12).schema,
        shards=squares(12).shards,
        worker=Squares,
    )
    workspace.build_folder("student", {}, {"run": workspace.build(stage)}, write_folder)
    assert len(removal.folders_of(workspace)) == 3
