"""What a run that ended after publishing leaves, and finished work where nothing can be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from store_workers import small_pipeline, squares

from rankmill.mining.errors import BadInput, Corrupt
from rankmill.mining.store import Workspace, files


@pytest.fixture
def killed_at_removal(monkeypatch):
    """End a run just before it removes its attempts: what it made is published by then."""

    def stop(step: str, path: Path) -> None:
        if step == "remove" and path.parent.name == "tmp":
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "fault", stop)
    return lambda: monkeypatch.setattr(files, "fault", None)


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

    monkeypatch.setattr(files, "fault", refuse)
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, ignore_errors: None)
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
