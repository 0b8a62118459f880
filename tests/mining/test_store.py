from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import signal
import stat
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_workers import small_pipeline, squares, write_folder
from strikes import FAULTS, in_child, leftovers, no_links

from rankmill.mining.errors import BadInput, Corrupt, Locked, RankmillError, UsageError
from rankmill.mining.store import (
    Workspace,
    files,
    fingerprint_of,
    open_artifact,
    split_by_work,
)
from rankmill.mining.store.checks.meaning import faults_of_meaning
from rankmill.mining.store.tables import list_values


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100))
def test_a_plan_covers_every_key_once_and_ignores_workers(work, target):
    shards = split_by_work(np.array(work, dtype=np.int64), target)
    assert [s.number for s in shards] == list(range(len(shards)))
    assert [k for s in shards for k in range(s.start, s.stop)] == list(range(len(work)))
    assert sum(s.work for s in shards) == sum(work)
    assert all(s.work <= target or s.stop - s.start == 1 for s in shards)


def test_a_second_build_does_no_work(workspace, tmp_path):
    trace = tmp_path / "trace"
    first = workspace.build(squares(trace=str(trace)))
    again = workspace.build(squares(trace=str(trace)))
    assert trace.read_text().split() == ["0", "1", "2", "3"]
    assert again.root_hash == first.root_hash
    assert first.rows + len(first.dropped["seventh"]) == 40  # the books balance
    assert first.counts == {"pairs": 52}  # sum of q % 4 over the 35 kept queries
    assert first.cost()["usage"] == {"calls": 4}
    assert first.verify() == 4


def test_published_files_are_read_only_and_temporary_ones_are_gone(workspace):
    artifact = workspace.build(squares())
    for part in artifact.parts:
        assert stat.S_IMODE((artifact.path / part.file).stat().st_mode) == 0o444
    assert not list((workspace.root / "tmp").iterdir())


def test_manifest_holds_nothing_of_the_run(workspace, tmp_path):
    text = (workspace.build(squares()).path / "manifest.json").read_text()
    assert str(workspace.root) not in text
    assert os.uname().nodename not in json.loads(text)["metadata"].values()
    other = Workspace(tmp_path / "elsewhere").build(squares(mischief="delay:0"))
    assert (other.path / "manifest.json").read_text() == text


def test_every_parameter_and_input_changes_the_fingerprint(workspace):
    one = workspace.build(squares(10))
    prints = {
        fingerprint_of("run", {"a": 1}, {}),
        fingerprint_of("run", {"a": 1.5}, {}),
        fingerprint_of("run", {"b": 1}, {}),
        fingerprint_of("pool", {"a": 1}, {}),
        fingerprint_of("run", {"a": 1}, {"of": one}),
        fingerprint_of("run", {"a": 1}, {"with": one}),
    }
    assert len(prints) == 6
    assert fingerprint_of("run", {"a": 1, "b": 2}, {}) == fingerprint_of(
        "run", {"b": 2, "a": 1}, {}
    )


def test_names_and_first_digits_find_an_artifact(workspace):
    artifact = workspace.build(squares())
    workspace.alias("my-run", artifact)
    assert workspace.find("my-run").fingerprint == artifact.fingerprint
    assert workspace.find(artifact.fingerprint[:9], "run").fingerprint == artifact.fingerprint
    assert open_artifact(artifact.path).root_hash == artifact.root_hash
    with pytest.raises(BadInput, match=r"nothing is called 'my-rum'[\s\S]*did you mean my-run"):
        workspace.find("my-rum")
    with pytest.raises(BadInput, match="is of kind run, one of kind pool was expected"):
        workspace.find("my-run", "pool")
    with pytest.raises(UsageError, match="cannot be a name"):
        workspace.alias("../x", artifact)


# ---- kills and disk faults -----------------------------------------------------------------------


def struck_at(root: Path, fault: str, at: int, *, links: bool = True) -> bool:
    """Make the small pipeline in a child, struck at a step; say whether it came to that step."""

    def work() -> None:
        small_pipeline(root)

    ended = in_child(work, fault, at, links=links)
    assert ended.explained, ended.trace
    return ended.struck


@pytest.mark.forks
def test_where_there_are_no_hard_links_a_kill_leaves_the_right_result_too(tmp_path, monkeypatch):
    """The manifest is then created under its own name: one that is torn counts as absent."""
    oracle = [a.root_hash for a in small_pipeline(tmp_path / "oracle")]
    monkeypatch.setattr(os, "link", no_links)
    struck, at, torn = 0, 1, 0
    while True:
        root = tmp_path / f"kill-{at}"
        came = struck_at(root, "kill", at, links=False)
        torn += any(files.is_torn(path) for path in root.glob("*/*/manifest.json"))
        assert [a.root_hash for a in small_pipeline(root)] == oracle, f"kill at step {at}"
        assert leftovers(root) == []
        if not came:
            break
        struck, at = struck + 1, at + 1
    assert struck > 60
    assert torn > 0


@pytest.mark.forks
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_step_of_the_disk_leaves_the_right_result(tmp_path, fault):
    """Sweep: strike at step 1, 2, 3 … until a run finishes untouched; resume after each.

    `lost`: a rename or a link is done, and says that it failed.
    """
    oracle = [a.root_hash for a in small_pipeline(tmp_path / "oracle")]
    struck, at = 0, 1
    while True:
        root = tmp_path / f"{fault}-{at}"
        came = struck_at(root, fault, at)
        resumed = [a.root_hash for a in small_pipeline(root)]
        assert resumed == oracle, f"{fault} at step {at}"
        assert leftovers(root) == [], f"{fault} at step {at}"
        for artifact in Workspace(root).artifacts():
            artifact.verify()
        if not came:
            break
        struck, at = struck + 1, at + 1
    assert struck > (15 if fault == "lost" else 60)


def test_resume_does_only_what_is_missing(workspace, tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(BadInput, match="a bad query"):
        workspace.build(squares(mischief="fail:2"))
    workspace.build(squares(trace=str(trace)))
    assert trace.read_text().split() == ["2", "3"]


def test_a_part_damaged_before_the_manifest_is_made_again(workspace, tmp_path):
    oracle = Workspace(tmp_path / "oracle").build(squares()).root_hash
    with pytest.raises(BadInput):
        workspace.build(squares(mischief="fail:3"))
    part = next(workspace.root.glob("run/*/part-00001.arrow"))
    part.chmod(0o644)
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    assert workspace.build(squares()).root_hash == oracle


def test_a_record_of_another_artifact_is_refused(workspace):
    with pytest.raises(BadInput):
        workspace.build(squares(mischief="fail:3"))
    record = next(workspace.root.glob("run/*/part-00001.json"))
    entry = json.loads(record.read_bytes()) | {"fingerprint": "f" * 40}
    record.chmod(0o644)
    record.write_text(json.dumps(entry))
    with pytest.raises(Corrupt, match="a record of ffffffffffff lies in the folder of"):
        workspace.build(squares())


def test_a_full_disk_names_path_and_bytes(workspace, monkeypatch):
    def full(step: str, path: Path) -> None:
        if step == "create" and path.suffix == ".arrow":
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(files.steps, "fault", full)
    with pytest.raises(
        RankmillError, match=r"bytes needed, [\d,]+ bytes free[\s\S]*a stage resumes"
    ) as e:
        workspace.build(squares())
    assert e.value.exit_status == 1
    monkeypatch.setattr(files.steps, "fault", None)
    assert workspace.build(squares()).rows == 35


def test_a_file_size_limit_is_reported_like_a_full_disk(tmp_path):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        with pytest.raises(RankmillError, match="cannot write: File too large") as refused:
            files.write_bytes(tmp_path / "big", b"x" * 100_000)
        assert "ulimit -f" in str(refused.value.do)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not (tmp_path / "big").exists()


def _hold(root: str, caller: Connection) -> None:
    """Hold the lock until the caller's end of the pipe is closed, by it or by its death."""
    workspace = Workspace(root)
    fingerprint = fingerprint_of("run", {"queries": 40}, {})
    with files.lock(workspace.folder("run", fingerprint) / "LOCK"):
        caller.send("held")
        with contextlib.suppress(EOFError):
            caller.recv()


def test_a_full_disk_names_the_file_of_a_folder_as_it_would_have_been(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with (
        pytest.raises(RankmillError, match="No space left") as full,
        files.building(target) as attempt,
        files.writing(attempt / "train.parquet"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.where == str(target / "train.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_not_one_that_another_run_holds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises((BadInput, OSError), match=os.strerror(code)) as refused:
        workspace.build(squares())
    assert not isinstance(refused.value, Locked)
    assert ("locks no files" in str(refused.value)) == (code != errno.EIO)
    assert "LOCK" in str(refused.value)
    assert not list(workspace.root.glob("run/*/part-*"))


def test_a_second_writer_is_told_who_holds_the_lock(workspace):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=_hold, args=(str(workspace.root), there))
    holder.start()
    there.close()
    try:
        assert here.recv() == "held"  # however long its imports take; EOFError if it dies
        with pytest.raises(Locked, match=f"pid {holder.pid}, since"):
            workspace.build(squares())
    finally:
        here.close()
        holder.join()
    assert workspace.build(squares()).rows == 35


# ---- validation levels ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_byte_is_found_and_the_file_named(workspace, where):
    artifact = workspace.build(squares())
    path = artifact.path / "part-00002.arrow"
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    with pytest.raises(Corrupt, match=r"part 2: the file does not hold[\s\S]*part-00002\.arrow"):
        open_artifact(artifact.path).verify()
    with pytest.raises(Corrupt, match="SHA-256"):
        open_artifact(artifact.path).table(2)


def test_a_truncated_or_missing_part_is_refused_at_every_level(workspace):
    artifact = workspace.build(squares())
    path = artifact.path / "part-00000.arrow"
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-8])
    with pytest.raises(Corrupt, match=r"has [\d,]+ bytes, recorded"):
        artifact.table(0, level=0)
    path.unlink()
    with pytest.raises(Corrupt, match="is missing"):
        artifact.table(0, level=0)


@pytest.mark.parametrize("version", [1, 99])
def test_a_workspace_with_another_format_is_listed_without_it(workspace, version):
    artifact, other = workspace.build(squares()), workspace.build(squares(20))
    path = artifact.path / "manifest.json"
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"format": version}))
    with pytest.raises(Corrupt, match="was published here"):  # not by another version
        workspace.open("run", artifact.fingerprint)
    (artifact.path / "ledger.json").unlink()
    assert [a.fingerprint for a in workspace.artifacts()] == [other.fingerprint]
    (error,) = workspace.other_formats("run")
    assert f"format version {version} is" in str(error)
    assert error.where == str(artifact.path)


def test_a_newer_or_older_format_is_refused_and_a_torn_manifest_named(workspace):
    artifact = workspace.build(squares())
    path = artifact.path / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.chmod(0o644)
    (artifact.path / "ledger.json").unlink()  # else it tells that this was published here
    path.write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(
        BadInput, match=r"format version 99 is newer[\s\S]*install a newer rankmill"
    ):
        open_artifact(artifact.path)
    path.write_text(json.dumps(manifest | {"format": 1}))
    older = r"format version 1 is older than[\s\S]*make it again in a new workspace[\s\S]*is lost"
    for opening in (
        lambda: open_artifact(artifact.path),
        lambda: workspace.find(artifact.fingerprint),
        lambda: workspace.build(squares()),
    ):
        with pytest.raises(BadInput, match=older):
            opening()
    path.write_text("{")
    with pytest.raises(Corrupt, match=r"manifest\.json is damaged"):
        open_artifact(artifact.path)
    with pytest.raises(BadInput, match="there is no finished artifact here"):
        open_artifact(artifact.path.parent / "nothing")


RUN_TABLE = {"query": [0, 1], "doc": [[3, 4], [5]], "score": [[2.0, 1.0], [0.5]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": [[1.0, 2.0], [0.5]]}, "not ordered by"),
        ({"score": [[float("nan"), 1.0], [0.5]]}, "not finite"),
        ({"score": [[1.0], [0.5]]}, "differ in length"),
        ({"query": [1, 0]}, "query is not strictly ascending"),
        ({"doc": [[3, 99], [5]]}, "names ordinal 99, only 10 exist"),
    ],
)
def test_level_three_finds_what_a_hash_cannot(change, message):
    from rankmill.mining.store.tables import RUN

    limits = {"query": 2, "doc": 10}
    assert faults_of_meaning("run", pa.table(RUN_TABLE, schema=RUN), limits) == []
    found = faults_of_meaning("run", pa.table(RUN_TABLE | change, schema=RUN), limits)
    assert message in " ".join(found)


def test_list_values_are_views():
    sliced = pa.array([[1, 2], [3], [], [4, 5]], pa.list_(pa.uint32())).slice(1, 3)
    offsets, values = list_values(sliced)
    assert offsets.tolist() == [0, 1, 1, 3]
    assert values.tolist() == [3, 4, 5]
    fixed = pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2))
    offsets, values = list_values(fixed)
    assert offsets.tolist() == [0, 2, 4]
    assert not values.flags.owndata
    for lists in (sliced, fixed):  # a column of a table, as every part of ours has it
        of_column = list_values(pa.chunked_array([lists]))[1]
        assert of_column.ctypes.data == list_values(lists)[1].ctypes.data


def test_a_worker_with_another_schema_is_a_named_bug(workspace):
    stage = squares()
    wrong = type(stage)(
        kind="run",
        parameters={"x": 1},
        inputs={},
        schema=pa.schema([("query", pa.uint32())]),
        shards=stage.shards,
        worker=stage.worker,
    )
    with pytest.raises(RankmillError, match=r"the worker returned columns[\s\S]*stage declared"):
        workspace.build(wrong)


def test_books_that_do_not_balance_are_not_published(workspace, monkeypatch):
    import store_workers

    monkeypatch.setattr(store_workers.Output, "__init__", _forgets_the_dropped)
    with pytest.raises(
        RankmillError, match=r"books of run part 0 do not balance: 10 keys in, 9 out"
    ):
        workspace.build(squares())
    assert not list(workspace.artifacts())


def _forgets_the_dropped(self, table, dropped=None, counts=None, usage=None, notes=()):
    said = {"table": table, "dropped": {}, "counts": {}, "usage": {}, "notes": notes}
    said["examples"] = {}
    for name, value in said.items():
        object.__setattr__(self, name, value)


def test_a_folder_artifact_holds_each_file_with_its_hash(workspace):
    artifact = workspace.build_folder("student", {"lr": 1}, {}, write_folder)
    assert [p.file for p in artifact.parts] == ["card.json", "model/weights.bin"]
    assert artifact.file("model/weights.bin").read_bytes() == b"begun" * 100
    assert artifact.cost()["usage"] == {"steps": 1}
    with pytest.raises(BadInput, match="student has no file 'x'"):
        artifact.file("x")


def test_a_folder_artifact_with_a_table_verifies(workspace):
    def write(folder, _scratch):
        files.write_arrow(folder / "telemetry.arrow", pa.table({"loss": [0.5, 0.25, 0.125]}))
        return {}

    artifact = workspace.build_folder("student", {"lr": 2}, {}, write)
    assert artifact.rows == 3
    assert artifact.verify() == 1


def test_copying_to_a_users_folder_refuses_a_full_one(workspace, tmp_path):
    artifact = workspace.build_folder("student", {"lr": 1}, {}, write_folder)
    target = tmp_path / "out"
    files.copy_tree(artifact.path / "model", target)
    assert (target / "weights.bin").exists()
    with pytest.raises(BadInput, match="the target folder is not empty"):
        files.copy_tree(artifact.path / "model", target)


def test_what_is_copied_is_synced_before_it_appears(tmp_path, monkeypatch):
    """Every file, then the folder that names it, then the rename, then the folder around it."""
    source, target = tmp_path / "source", tmp_path / "new" / "out"
    (source / "deep" / "er").mkdir(parents=True)
    for name in ("a.bin", "deep/b.bin", "deep/er/c.bin"):
        (source / name).write_bytes(b"x")
        (source / name).chmod(files.PUBLISHED)
    steps: list[tuple[str, str]] = []
    monkeypatch.setattr(files.steps, "fault", lambda step, path: steps.append((step, path.name)))
    files.copy_tree(source, target)
    assert {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()} == {
        "a.bin",
        "deep/b.bin",
        "deep/er/c.bin",
    }
    at = {step: place for place, step in enumerate(steps)}
    renamed = at["rename", "out"]
    for name in ("a.bin", "b.bin", "c.bin"):
        assert at["fsync", name] < renamed
    attempt = next(name for step, name in steps if step == "fsync folder" and "out" in name)
    for name, holds in (("er", "c.bin"), ("deep", "b.bin"), (attempt, "a.bin")):
        assert at["fsync", holds] < at["fsync folder", name] < renamed
    assert at["fsync folder", "er"] < at["fsync folder", "deep"] < at["fsync folder", attempt]
    assert renamed < at["fsync folder", "new"]


@pytest.mark.parametrize("at", range(1, 18))
def test_a_copy_appears_whole_or_not_at_all(tmp_path, monkeypatch, at):
    source, target = tmp_path / "source", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "a.bin").write_bytes(b"x" * 9)
    (source / "deep" / "b.bin").write_bytes(b"y")
    steps: list[str] = []

    def strike(step: str, path: Path) -> None:
        steps.append(step)
        if len(steps) == at:
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(files.steps, "fault", strike)
    if at <= steps_of_a_copy(source, tmp_path / "counted", monkeypatch, strike):
        with pytest.raises(RankmillError, match="cannot write"):
            files.copy_tree(source, target)
    else:
        files.copy_tree(source, target)
    whole = target.exists()
    assert whole == ("rename" in steps[: at - 1])  # after it only the last sync can fail
    assert sum(p.is_file() for p in target.rglob("*")) == 2 * whole
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def steps_of_a_copy(source: Path, target: Path, monkeypatch, strike) -> int:
    """Return how many steps on the disk an undisturbed copy takes."""
    steps: list[str] = []
    monkeypatch.setattr(files.steps, "fault", lambda step, path: steps.append(step))
    files.copy_tree(source, target)
    monkeypatch.setattr(files.steps, "fault", strike)
    return len(steps)


def test_errors_survive_the_way_back_from_an_actor():
    import copy

    error = copy.copy(BadInput("what", where="here", do="that"))
    assert str(error) == "what\n  where: here\n  do: that"
    assert (error.exit_status, error.where, error.do) == (4, "here", "that")
