"""Recipes from Python: checked, run, reported; what they made comes back as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_study import study_place

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.ran import texts_of

PLAIN = """
name = "plain"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
split = "train"
depth = 10
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 3
[groups.samplers]
near = "uniform(source=bm25,last=10)"
[statistics]
statistics = ["hygiene"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recipes")
    study_place(root)
    (root / "plain.toml").write_text(PLAIN)
    return root


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_recipe_is_checked_without_its_data() -> None:
    steps = rm.check("plain.toml", {"collection": "beir:nowhere"}, workspace="none")
    assert isinstance(steps, list)
    assert [step.stage for step in steps] == [
        *("collect", "mine", "mine", "pool", "score", "select", "stats")
    ]
    assert {step.rows for step in steps} == {None}
    with pytest.raises(UsageError, match=r"groups[\s\S]*sise"):
        rm.check("plain.toml", {"groups.sise": 3})
    with pytest.raises(BadInput, match="there is no such recipe"):
        rm.check("nowhere.toml")
    assert not Path("none").exists()


def test_a_study_is_checked_cell_by_cell() -> None:
    plan: Any = rm.check("s.toml", workspace="none")
    assert "cells" in "\n".join(plan.lines())


def test_what_a_recipe_made_comes_back_as_objects() -> None:
    ran = rm.run("plain.toml", ["groups.size=4"])
    assert list(ran.runs) == ["random", "bm25"]
    for made, kind in (
        (ran.collection, rm.Collection),
        (ran.runs["bm25"], rm.Run),
        (ran.pool, rm.Pool),
        (ran.scores, rm.Scores),
        (ran.groups["near"], rm.Groups),
        (ran.statistics["near"], rm.Statistics),
    ):
        assert type(made) is kind
    assert ran.groups["near"].size == 4
    assert ran.groups["near"].fingerprint == rm.open("plain-near-groups").fingerprint
    assert (ran.students, ran.evaluations) == ({}, {})
    assert isinstance(ran.systems, pl.DataFrame)
    assert repr(ran) == "<Ran plain: 2 sources, 1 sampler, 0 students>"
    assert "<Ran" not in ran._repr_html_()
    assert any("cost:" in line for line in ran.lines())
    plan: Any = rm.check("plain.toml", {"groups.size": 4})
    assert all(step.rows is not None for step in plan)
    again = rm.run("plain.toml", {"groups": {"size": 4, "samplers": {"near": NEAR}}})
    assert again.groups["near"].root_hash == ran.groups["near"].root_hash


NEAR = "uniform(source=bm25,last=10)"


def test_a_report_is_of_what_was_run() -> None:
    with pytest.raises(UsageError, match=r"plain.toml' has no report[\s\S]*rm.run or rm.study"):
        rm.report("plain.toml")  # type: ignore[arg-type]
    import rankmill.report  # the folder is the verb too

    with pytest.raises(UsageError, match="5 has no report"):
        rankmill.report(5)  # type: ignore[arg-type]


def test_overrides_are_said_as_the_command_line_does() -> None:
    assert texts_of(["a.b=1"]) == ["a.b=1"]
    assert texts_of({"a.b": 1, "c": "x y", "d": True, "e": [1, "f"], "g": Path("h"), "i": 0.5}) == [
        *("a.b=1", 'c="x y"', "d=true", 'e=[1, "f"]', 'g="h"', "i=0.5")
    ]
    assert texts_of({"a": {"b c": 1}}) == ['a={"b c" = 1}']
    with pytest.raises(UsageError, match="overrides='a=1' is one text"):
        texts_of("a=1")
    with pytest.raises(UsageError, match="a: a object has no place in a recipe"):
        texts_of({"a": object()})


def test_the_demo_takes_no_overrides(place: Path) -> None:
    with pytest.raises(UsageError, match="the recipe demo takes no overrides"):
        rm.run("demo", {"train.documents": 5})


def test_a_report_that_cannot_be_written_is_told_before_any_work() -> None:
    with pytest.raises(BadInput):
        rm.run("plain.toml", report="plain.toml/report.html", workspace="untouched")
    assert not Path("untouched").exists()
