"""A budget that goes over the same groups very often is told before anything is trained."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from training_data import Setting, tiny_setting, write_groups

from rankmill.mining.errors import RankmillError
from rankmill.training import trainer
from rankmill.training.trainer import train_student

SIZE, GROUPS = 2, 20


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp("told"), size=SIZE, repeat=1)


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training end where it would begin to read texts."""

    def ended(*_: object) -> None:
        raise RankmillError("as far as this test goes")

    monkeypatch.setattr(trainer, "_tokens", ended)


def told(setting: Setting, documents: int, negatives: int | None = None) -> list[str]:
    student = f'bi_encoder(model="{setting.model.path}")'
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(RankmillError, match="as far as this test goes"):
            train_student(
                setting.workspace,
                student,
                setting.groups,
                collection=setting.collection,
                documents=documents,
                negatives=negatives,
            )
    return [str(one.message) for one in heard]


def test_the_default_on_few_groups_is_told_with_its_passes(setting: Setting) -> None:
    (said,) = told(setting, 100_000)
    assert "documents=100,000 is 2,500 passes over the same 20 groups of 2 documents" in said
    assert "10 passes are documents=400" in said


def test_a_hundred_passes_are_many(setting: Setting) -> None:
    assert len(told(setting, 100 * SIZE * GROUPS)) == 1
    assert told(setting, 99 * SIZE * GROUPS) == []


def test_a_group_is_as_large_as_what_is_drawn_of_it(tmp_path: Path) -> None:
    wide = tiny_setting(tmp_path, size=6, repeat=1)
    (said,) = told(wide, 100 * SIZE * GROUPS, negatives=SIZE - 1)
    assert "is 100 passes over the same 20 groups of 2 documents" in said
    assert told(wide, 100 * SIZE * GROUPS) == []


def test_of_a_blend_the_part_that_is_seen_most_often_counts(tmp_path: Path) -> None:
    few = tiny_setting(tmp_path, size=SIZE, repeat=1)
    many = write_groups(few.workspace, few.collection, size=SIZE, repeat=9, texts=True)
    small = write_groups(few.workspace, few.collection, size=SIZE, repeat=1, texts=True)
    with (
        pytest.warns(RuntimeWarning, match=r"is 100 passes over the same 20 groups"),
        pytest.raises(RankmillError, match="as far as this test goes"),
    ):
        train_student(
            few.workspace,
            f'bi_encoder(model="{few.model.path}")',
            [many, small],
            documents=2 * 100 * SIZE * GROUPS,
        )
