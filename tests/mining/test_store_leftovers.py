"""What a run that ended after publishing leaves, and finished work where nothing can be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_workers import small_pipeline, squares

from rankmill.mining.errors import BadInput, Corrupt, Locked, RankmillError
from rankmill.mining.store import Workspace, attempts, files


@pytest.fixture
def killed_at_removal(monkeypatch):
    """End a run just before it removes its attempts: what it made is published by then."""

    def stop(step: str, path: Path) -> None:
        if step == "sweep" and path.parent.name == "tmp":
            raise KeyboardInterrupt

    monkeypatch.setattr(files.steps, "fault", stop)
    return lambda: monkeypatch.setattr(files.steps, "fault", None)


def write(folder: Path, scratch: Path) -> None:
    (folder / "weights").write_bytes(b"1")
    (scratch / "checkpoint").write_bytes(b"2" * 1000)


def test_attempts_left_beside_a_finished_artifact_are_removed(workspace, killed_at_removal):
    with pytest.raises(KeyboardInterrupt):
        workspace.build(squares())
    with pytest.raises(KeyboardInterrupt):
        workspace.build_folder("student", {"a": 1}, {}, write)
    killed_at_removal()
    assert len(list((workspace.root / "tmp").iterdir())) == 2
    workspace.build(squares()).verify()
    workspace.build_folder("student", {"a": 1}, {}, write).verify()
    assert not list((workspace.root / "tmp").iterdir())


def test_finished_work_is_found_and_named_where_nothing_can_be_written(workspace, monkeypatch):
    made = workspace.build(squares())
    workspace.alias("mine", made)
    left = files.make_folder(workspace.root / "tmp" / made.fingerprint)

    def refuse(step: str, path: Path) -> None:
        if step != "sweep":  # which may fail
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(files.steps, "fault", refuse)
    monkeypatch.setattr(files.temporary.shutil, "rmtree", lambda *_, ignore_errors: None)
    again = Workspace(workspace.root)
    assert again.build(squares()).root_hash == made.root_hash
    again.alias("mine", made)
    assert again.find("mine").fingerprint == made.fingerprint
    assert left.is_dir()
    with pytest.raises(BadInput, match="cannot write: the file system of .* is read-only"):
        again.alias("other", made)


def test_a_name_that_stands_for_something_else_is_given_anew(workspace):
    one, other = workspace.build(squares()), workspace.build(squares(7))
    workspace.alias("mine", one)
    workspace.alias("mine", other)
    assert workspace.find("mine").fingerprint == other.fingerprint


@pytest.mark.parametrize("of_input", [False, True])
def test_a_fingerprint_that_is_none_is_damage_of_the_manifest(workspace, of_input):
    """Not an artifact that is not there: `#` for `c` is one bit."""
    made = small_pipeline(workspace.root)[-1]
    path = made.path / "manifest.json"
    said = next(iter(made.inputs.values())) if of_input else made.fingerprint
    path.chmod(0o644)
    path.write_text(path.read_text().replace(said, "#" + said[1:]))
    with pytest.raises(Corrupt, match=r"manifest\.json is damaged"):
        Workspace(workspace.root).open(made.kind, made.path.name)


# ---- whose attempts they are -------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended() -> int:
    """Return the number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_only_what_ended_processes_of_this_host_made_is_left(ended):
    assert not attempts.is_left(attempts.own())
    for name in ("run-{}", ".file.{}.tmp", ".a.b-1-2.{}.tmp", ".elsewhere-9-9.{}.tmp"):
        assert attempts.is_left(name.format(f"{attempts.here()}-{ended}-0"))
        assert not attempts.is_left(name.format(f"{attempts.here()}-{os.getpid()}-0"))
        assert not attempts.is_left(name.format(f"x{attempts.here()}-{ended}-0"))
        assert not attempts.is_left(name.format(f"elsewhere+f0000000-{ended}-0"))
    assert attempts.is_left(f"run-{ended}")  # as earlier versions named it
    assert attempts.is_left(f".manifest.json.{ended}.tmp")
    assert not attempts.is_left(f".manifest.json.{os.getpid()}.tmp")
    for name in (".swp", ".x.tmp", "run-", "x", f".x.{2**70}.tmp"):
        assert not attempts.is_left(name)


def test_no_two_attempts_have_one_name():
    assert len({attempts.own() for _ in range(100)}) == 100


def test_attempts_of_another_host_stay_and_ours_go(workspace, ended):
    """Two hosts may share a folder and not its lock."""
    made = squares()
    from rankmill.mining.store.workspace import fingerprint_of

    place = workspace.root / "tmp" / fingerprint_of("run", {"queries": 40}, {})
    theirs = files.make_folder(place / "run-elsewhere+f0000000-7-0") / "00000.arrow"
    theirs.write_bytes(b"x")
    left = files.make_folder(place / f"run-{attempts.here()}-{ended}-3")
    workspace.build(made).verify()
    assert theirs.exists()
    assert not left.exists()
    assert [p.name for p in place.iterdir()] == [theirs.parent.name]
    workspace.build(made)  # found: it sweeps too
    assert theirs.exists()


def test_what_a_killed_writer_left_beside_its_target_goes_with_the_next(tmp_path, ended):
    name = f"{attempts.here()}-{ended}-0.tmp"
    (tmp_path / f".out.{name}").write_bytes(b"half")
    (tmp_path / f".other.{name}").write_bytes(b"another's target")
    (tmp_path / f".folder.{name}").mkdir()
    (tmp_path / f".folder.{name}" / "x").write_bytes(b"half")
    with files.replacing(tmp_path / "out") as out:
        out.write("whole")
    with files.building(tmp_path / "folder") as folder:
        (folder / "x").write_bytes(b"whole")
    there = {p.name for p in tmp_path.iterdir()}
    assert there == {"out", "folder", f".other.{name}"}


@pytest.mark.parametrize("write", [files.write_bytes, files.create_only])
def test_an_error_leaves_no_temporary_file(tmp_path, monkeypatch, write):
    def strike(step: str, path: Path) -> None:
        if step == "fsync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.steps, "fault", strike)
    with pytest.raises(RankmillError, match="No space left"):
        write(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


# ---- several at once ---------------------------------------------------------------------------


def in_threads(number: int, work) -> list[BaseException]:
    """Run `work(n)` in as many threads that begin together; returns what they raised."""
    begin, raised = threading.Barrier(number), []

    def run(n: int) -> None:
        begin.wait()
        try:
            work(n)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_aliases_from_four_threads(workspace):
    one, other = workspace.build(squares()), workspace.build(squares(7))

    def name(n: int) -> None:
        for _ in range(50):
            workspace.alias("mine", (one, other)[n % 2])

    assert in_threads(4, name) == []
    assert workspace.find("mine").fingerprint in (one.fingerprint, other.fingerprint)
    assert [p.name for p in (workspace.root / "names").iterdir()] == ["mine.json"]


def test_of_two_that_fill_one_folder_one_wins_and_the_other_is_told(tmp_path):
    whole = threading.Barrier(2)

    def fill(n: int) -> None:
        with files.building(tmp_path / "out") as folder:
            (folder / "who").write_text(str(n))
            whole.wait()

    (lost,) = in_threads(2, fill)
    assert isinstance(lost, Locked)
    assert lost.exit_status == 5
    assert "another process has filled this folder" in str(lost)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "who").read_text() in ("0", "1")


def test_of_two_that_publish_one_file_one_wins(tmp_path, monkeypatch):
    for links in (True, False):
        if not links:
            monkeypatch.setattr(os, "link", no_links)
        path = tmp_path / f"manifest-{links}.json"
        raised = in_threads(4, lambda _, path=path: files.create_only(path, b'{"a":1}'))
        assert raised == []
        assert path.read_bytes() == b'{"a":1}'
        assert path.stat().st_mode & 0o777 == 0o444
        with pytest.raises(RankmillError, match="determinism alarm"):
            files.create_only(path, b'{"a":2}')
        assert path.read_bytes() == b'{"a":1}'
    assert len(list(tmp_path.iterdir())) == 2


def no_links(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


# ---- libraries that write themselves -----------------------------------------------------------


def test_what_a_library_says_of_a_full_disk_is_explained(tmp_path):
    said = "I/O error: No space left on device (os error 28)"
    with (
        pytest.raises(RankmillError, match=r"cannot write: No space left.*bytes free") as caught,
        files.by_library(tmp_path / "model"),
    ):
        raise Exception(said)  # noqa: TRY002  (as safetensors has it)
    assert caught.value.exit_status == 1
    with pytest.raises(ValueError, match="another"), files.by_library(tmp_path):
        raise ValueError("another")
