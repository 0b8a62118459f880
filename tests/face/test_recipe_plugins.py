"""Other people's parts in a recipe, source, teacher, statistic, losses: here and on Ray workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from plugin_makers import install, on_path
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.mining.errors import UsageError
from rankmill.plugins import Loss, loss
from rankmill.study.grid import load_study
from rankmill.study.grid.refusals import check_study

RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "overlap(per=500)"
[mine]
depth = 20
[mine.sources]
shared = "shared_words(least=1)"
[score]
direction = "trusted"
[groups]
size = 3
[groups.samplers]
near = "uniform(source=shared,last=20)"
[statistics]
statistics = ["spread"]
[train]
student = "bi_encoder(model=encoder,layers=1)"
documents = 24
batch = 2
[train.settings]
threads = 1
doc_length = 40
query_length = 20
[evaluate]
depth = 5
[train.losses]
theirs = "squared_gap"
mine = "ours_gap(power=2)"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the working folder, with a package installed, and a loss as in a notebook."""
    tiny_beir(tmp_path / "tiny", docs=60, queries=24)
    tiny_encoder(tmp_path / "encoder")
    (tmp_path / "s.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    with on_path(install(tmp_path / "site")):

        @loss("ours_gap")
        @dataclass(frozen=True)
        class Gap(Loss):
            power: int = 1
            version = "1"
            kinds = frozenset({"similarity"})

            def _values(self, f, g):
                return ((f - g).abs() ** self.power).mean(dim=1)

        yield tmp_path


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_give_the_students_of_one_process(place: Path) -> None:
    inline = rm.study("s.toml", workspace="inline")
    actors = rm.study("s.toml", workspace="ray", executor=rm.Execution(workers=2))
    assert inline.cells["student_root"].to_list() == actors.cells["student_root"].to_list()
    assert len(set(map(tuple, inline.cells["student_root"].to_list()))) == 2
    students = rm.Workspace("ray").artifacts("student")  # and the start, which no loss has made
    losses = {str(student.parameters.get("loss")) for student in students}
    assert 'ours_gap(power=2,version="1")' in losses
    assert any(one.startswith("squared_gap(version=src-") for one in losses)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shared_words(least=1)", "shared_words(lest=1)", "did you mean least"),
        ("overlap(per=500)", "overlap(pre=500)", "did you mean per"),
        ('["spread"]', '["spred"]', "did you mean spread"),
        ('"squared_gap"', '"squared_gpa"', "did you mean squared_gap"),
        ("ours_gap(power=2)", "ours_gap(power=x)", "power=x is not a whole number"),
    ],
)
def test_their_names_and_parameters_are_checked_like_ours(
    place: Path, old: str, new: str, said: str
) -> None:
    check_study(load_study(Path("s.toml")))
    (place / "s.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(UsageError, match=said):
        check_study(load_study(Path("s.toml")))
