"""What is wrong with a study is said before the first byte of its data is read, with its key."""

from __future__ import annotations

import tomllib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_study import RECIPE

from rankmill.mining.collection import ingest
from rankmill.mining.errors import RankmillError, UsageError
from rankmill.study.grid import load_study
from rankmill.study.grid.axes import axes_of, with_keys
from rankmill.study.grid.budgets import met
from rankmill.study.grid.declared import Race, budget_of, for_choosing
from rankmill.study.grid.design import Study, study_of
from rankmill.study.grid.effects import effects_of
from rankmill.study.grid.plan import StudyPlan
from rankmill.study.grid.racing import stopped
from rankmill.study.grid.refusals import check_study, documents_of
from rankmill.study.recipe import load

DEV = {"domain": "dev", "margin": 0.01, "after": 1}
CROSSED: dict[str, Any] = {
    "locality": {"near": ["random"], "far": ["bm25"]},
    "entropy": {"low": ["random"], "high": ["bm25"]},
}
BAD: list[tuple[str, Any, str]] = [  # key below [study], value, what is said
    ("axis", 1, "did you mean axes"),
    ("axes.train.student", ["small"], "is a section of the recipe"),
    ("axes", {"train.studnet": ["a(x=1)", "b(x=1)"]}, "did you mean train.student"),
    ("axes", {"train.lrr": [1.0, 2.0]}, "no recipe key 'train.lrr'"),
    ("axes", {"train.lr": [0.001]}, "has 1 value: nothing is varied"),
    ("axes", {"train.lr": []}, "has 0 values"),
    ("axes", {"train.lr": [0.001, 0.001]}, "has a value twice"),
    ("axes", {"train.lr": {"a": 0.1, "b": 0.1}}, "has a value twice: a, b"),
    ("axes", {"train.lr": 0.001}, "is one value"),
    ("axes", {"train.lr": [0.001, "fast"]}, "train.lr='fast' is not a number"),
    ("axes", {"train.lr": [0.001, -1.0]}, "train.lr=-1.0"),
    ("axes", {"train.student": ["bi_encoder(model=m)", "bi_encodr(model=m)"]}, "bi_encoder"),
    ("axes", {"train.student": ["bi_encoder(model=m/x)", "bi_encoder(model=m x)"]}, "short names"),
    ("axes", {"teacher": ["cross_encoder(model=a)", "crss(model=b)"]}, "unknown teacher 'crss'"),
    ("axes", {"groups.size": [4, "eight"]}, "groups.size"),
    ("axes", {"train.target": ["smooth", "smoth"]}, "did you mean smooth"),
    ("axes", {"train.seeds": [[1], [2]]}, "short names"),
    ("axes", {"train.seeds": {"a": [1], "b": [2]}}, "train.seeds cannot be varied"),
    ("axes", {"groups.samplers": ["a", "b"]}, "samplers are an axis already"),
    ("axes", {"train.losses": ["a", "b"]}, "losses are an axis already"),
    ("axes", {"evaluate.measures": ["AP", "RR"]}, "evaluate.measures cannot be varied"),
    (
        "axes",
        {"data": {"a b": {"collection": "x"}, "c": {"collection": "y"}}},
        "is not a short name",
    ),
    ("axes", {"data": {"a": {"collection": 1}, "b": {"collection": "y"}}}, "is not a text"),
    ("axes", {"data": {"a": {"colection": "x"}, "b": {"collection": "y"}}}, "mean collection"),
    ("axes", {"train.lr": {"a" * 60: 0.1, "b" * 100: 0.2}}, "too long for aliases"),
    ("axes", {"domain": {"a": {"seed": 1}, "b": {"seed": 2}}}, "results have a column"),
    ("axes", {"evaluate.margin": [0.01, 0.02]}, "all cells are tested alike"),
    ("axes", {"rates": {"a": {"evaluate": {"alpha": 0.1}}, "b": {}}}, "alpha cannot be varied"),
    ("axes", {"teacher.model": ["a", "b"]}, "no recipe key 'teacher.model'"),
    ("axes", {"train.loss": ["kl", "lce"]}, "losses are an axis already"),
    (
        "axes",
        {"train.lr": [0.1, 0.2], "data": {"a": {"train.lr": 0.3}, "b": {"seed": 4}}},
        "the axes 'train.lr' and 'data' both set train.lr",
    ),
    (
        "axes",
        {"train.lr": [0.1, 0.2], "data": {"a": {"train": {"settings": {"lr": 0.3}}}, "b": {}}},
        "both set train.lr and train.settings, which overlap",
    ),
    (
        "axes",
        {
            "sets": {"a": {"evaluate.domains": {"test": {}}}, "b": {}},
            "evaluate.domains.test.split": ["test", "late"],
        },
        "both set evaluate.domains and evaluate.domains.test.split",
    ),
    ("axes", {"rate": {"a": {"train.lr": 2e-3}, "b": {}}}, "rate=a and rate=b are the same recipe"),
    ("axes", {"train.documents": {"a": "64", "b": 64}}, "are the same recipe"),
    (
        "axes",
        {
            "x": {"a": {"groups.size": 4}, "a-b": {"groups.size": 2}},
            "y": {"b-c": {"train.lr": 0.1}, "c": {"train.lr": 0.2}},
        },
        "(a, b-c, random, kl) and (a-b, c, random, kl) would both be called t-a-b-c-random-kl",
    ),
    ("only", {"sampler": "bm25"}, "is a list of tables"),
    ("only", [{"samplr": "bm25"}], "did you mean sampler"),
    ("without", [{"sampler": "bm52"}], "did you mean bm25"),
    ("without", [{"sampler": ["bm25", "random"]}], "leave none of 4 cells"),
    ("axes", {"train.lr": ["abc", 0.1]}, "recipe key train.lr='abc' is not a number"),
    ("axes", {"groups.size": [4, "many"]}, "recipe key groups.size='many' is not a whole number"),
    ("budget", {"docs": 64}, "did you mean documents"),
    ("budget", {"documents": 0}, "study.budget.documents=0 is no budget"),
    ("budget", {"documents": "12Mx"}, "12Mx"),
    ("budget", {"documents": 65}, "documents 64, declared 65"),
    ("budget", {"unique_pairs": 65}, "unique pairs 64, declared 65"),
    ("budget", {"positives": 17}, "positives 16, declared 17"),
    ("budget", {"queries": 17}, "queries 16, declared 17"),
    ("budget", {"queries": 20, "tolerance": 0.1}, "queries 16, declared 20"),
    ("budget", {"documents": 64, "tolerance": 1.5}, "tolerance=1.5 is no share"),
    ("race", {"domain": "dev"}, "lacks 'study.race.margin'"),
    ("race", DEV | {"domain": "test"}, "test queries are never used to choose"),
    ("race", DEV | {"domain": "dve"}, "did you mean dev"),
    ("race", DEV | {"margin": -0.1}, "study.race.margin=-0.1"),
    ("race", DEV | {"margin": float("inf")}, "study.race.margin=inf"),
    ("race", DEV | {"after": 2}, "after 2 seeds of 2 stops none"),
    ("race", DEV | {"after": 0}, "study.race.after=0"),
    ("race", DEV | {"level": 1.0}, "study.race.level=1.0"),
    ("race", DEV | {"measure": "ndgc@10"}, "study.race.measure: unknown measure 'ndgc@10'"),
    ("race", DEV | {"measure": ""}, "study.race.measure: no measure is named"),
    ("race", DEV | {"measure": "P@7"}, "race.measure=P@7 is not measured"),
    ("factors", {"sampler": ["random", "bm25"]}, "study.factors names 1: sampler"),
    ("factors", {"sampler": ["random"], "loss": ["kl"]}, "study.factors.sampler has one level"),
    ("factors", {"smpler": ["a", "b"], "loss": ["kl"]}, "did you mean sampler"),
    ("factors", {"sampler": ["random", "bm52"], "loss": ["kl"]}, "no cell has the sampler 'bm52'"),
    ("factors", CROSSED, "locality near with entropy high is no sampler"),
    ("factors", [1], "is a table"),
    ("factors", CROSSED | {"entropy": {"low": 3, "high": ["bm25"]}}, "low: 3 names no samplers"),
    ("factors", CROSSED | {"entropy": {"low": [], "high": ["bm25"]}}, "low: [] names no samplers"),
    ("factors", CROSSED | {"entropy": {"low": {}, "high": ["bm25"]}}, "low: {} names no samplers"),
    (
        "factors",
        CROSSED | {"entropy": {"low": ["random", "bm25"], "high": ["bm25"]}},
        "study.factors.entropy names bm25 twice",
    ),
    (
        "factors",
        {"sampler": ["random", "random", "bm25"], "train.student": ["small", "large"]},
        "study.factors.sampler names random twice",
    ),
    (
        "factors",
        {"locality": {"all": ["random", "bm25"], "top": ["top"]}, "train.student": ["small"]},
        "no cell has the sampler 'top'",
    ),
]


def study_with(key: str = "", value: Any = None) -> Study:
    """Return the tiny study with one key of its section changed."""
    data = tomllib.loads(RECIPE)
    del data["study"]["factors"]
    data["train"]["student"] = "bi_encoder(model=encoder,layers=1)"
    if key:
        *tables, last = key.split(".")
        place = data["study"]
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    study = study_of(data, "s.toml")
    check_study(study)
    return study


@pytest.fixture(autouse=True)
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr(ingest, "corpus_stage", read)


@pytest.mark.parametrize(("key", "value", "message"), BAD, ids=[f"{k}={v}" for k, v, _ in BAD])
def test_what_cannot_work_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(RankmillError) as refused:
        study_with(key, value)
    assert message in str(refused.value)
    assert "\n" not in refused.value.what  # what to do stands behind where it is, as everywhere
    assert "s.toml" in str(refused.value) or "12Mx" in message


def test_levels_of_several_samplers_cross_another_axis_in_no_design() -> None:
    """Two cells would stand where one is compared: found out after all training before."""
    data = tomllib.loads(RECIPE)
    data["groups"]["samplers"]["top"] = "top(source=bm25)"
    data["study"]["factors"] = {
        "locality": {"far": ["random"], "near": ["bm25", "top"]},
        "train.student": ["small", "large"],
    }
    with pytest.raises(UsageError, match="factors.locality near is bm25 and top"):
        study_of(data, "s.toml")


def test_a_name_too_long_for_an_alias_is_refused_before_any_work() -> None:
    data = tomllib.loads(RECIPE)
    data["study"] = {}
    data["train"]["student"] = "bi_encoder(model=encoder,layers=1)"
    data["groups"]["samplers"] = {"s" * 80: "uniform(source=bm25,last=20)"}
    data["name"] = "n" * 40
    with pytest.raises(UsageError, match="aliases have at most 128"):
        check_study(study_of(data, "s.toml"))


@pytest.mark.parametrize("name", ["pool", "scores", "bm25-groups"])
def test_two_results_under_one_alias_are_refused(name) -> None:
    data = tomllib.loads(RECIPE)
    data["mine"]["sources"][name] = "bm25(k1=1.2,b=0.75)"
    with pytest.raises(UsageError, match=f"two results would be called 't-small-{name}'"):
        check_study(study_of(data, "s.toml"))


def test_a_recipe_whose_table_is_none_is_refused_with_its_file() -> None:
    data = tomllib.loads(RECIPE)
    data["train"] = [{"loss": "kl"}]
    with pytest.raises(UsageError, match=r"'train' is no table of the recipe\n  where: s\.toml"):
        study_of(data, "s.toml")
    data["train"] = {"seeds": [1.0, 2.0]}
    with pytest.raises(UsageError, match=r"not a list of whole numbers\n  where: s\.toml"):
        study_of(data, "s.toml")


def test_a_tolerance_is_exact_in_the_decimals_that_were_written() -> None:
    budget = budget_of({"unique_pairs": 100, "tolerance": 0.29}, "s.toml")
    assert budget.missed({"unique_pairs": 71}) == []
    assert budget.missed({"unique_pairs": 129}) == []
    assert budget.missed({"unique_pairs": 70})
    assert (budget.within, study_with("budget", {"tolerance": 0.001}).budget.within) == (
        "29 %",
        "0.1 %",
    )


def test_what_students_saw_is_said_as_it_was_counted() -> None:
    """A budget that was met within its tolerance is not called met."""
    study = study_with("budget", {"unique_pairs": 65, "documents": 64, "tolerance": 0.02})
    seen = {"documents": 64, "unique_pairs": 64, "positives": 9, "queries": 9}
    assert list(met(study, {cell.number: [seen] for cell in study.cells})) == [
        "every student saw the declared 64 documents",
        "every student saw 64 unique pairs, within 2 % of the declared 65",
    ]
    other = seen | {"unique_pairs": 66}
    said = list(met(study, {0: [seen], 1: [other], 2: [seen], 3: [seen]}))
    assert "saw 64 to 66 unique pairs, within 2 % of the declared 65" in said[1]


def test_the_plan_counts_the_cells_that_are_left() -> None:
    study = study_with("without", [{"train.student": "large", "sampler": "bm25"}])
    first = next(StudyPlan(study, ()).lines())
    assert first.startswith("t: 3 cells (of 4: 2 train.student × 2 sampler × 1 loss), 2 seeds: 6")
    one = study_with("only", [{"train.student": "large", "sampler": "bm25"}])
    assert next(StudyPlan(one, ()).lines()).startswith("t: 1 cell (1 train.student")


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_a_whole_number_beyond_64_bits_is_no_toml(tmp_path, digits) -> None:
    (tmp_path / "s.toml").write_text(
        RECIPE.replace("documents = 64", f"documents = {'9' * digits}")
    )
    with pytest.raises(RankmillError, match="not valid TOML"):
        load(tmp_path / "s.toml")


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_count_of_too_many_digits_is_refused(digits) -> None:
    with pytest.raises(UsageError, match=rf"9… of {digits} digits is more than can be counted"):
        study_with("budget", {"documents": "9" * digits})


def test_an_axis_can_be_set_from_the_command_line(tmp_path) -> None:
    (tmp_path / "s.toml").write_text(RECIPE)
    study = load_study(tmp_path / "s.toml", ['study.axes."train.lr"=[0.1, 0.2]', "groups.size=8"])
    assert study.levels["train.lr"] == ["0.1", "0.2"]
    assert study.variants[0].recipe.option("groups", "size") == 8


def test_a_bad_value_says_which_level_it_is_of() -> None:
    with pytest.raises(UsageError, match=r"s\.toml with groups\.size=none") as refused:
        study_with("axes", {"groups.size": {"eight": 8, "none": 0}})
    assert "groups.size=0" in str(refused.value)


def test_a_recipe_with_a_study_is_not_run_as_one_recipe(tmp_path) -> None:
    (tmp_path / "s.toml").write_text(RECIPE)
    with pytest.raises(UsageError, match="rankmill study"):
        load(tmp_path / "s.toml")


def test_a_level_may_set_several_keys() -> None:
    test = {"test": {"collection": "beir:a"}, "dev": {"split": "dev"}}
    axis: dict[str, Any] = {
        "a": {"collection": "beir:a", "evaluate": {"domains": test}, "mine.depth": 5},
        "b": {"collection": "beir:b", "train": {"lr": 0.5, "doc_length": 7}},
    }
    study = study_with("axes", {"data": axis})
    first, second = (variant.recipe for variant in study.variants)
    assert (first.name, second.name) == ("t-a", "t-b")
    assert (first.collection, second.collection) == ("beir:a", "beir:b")
    assert first.domains["test"].collection == "beir:a"
    assert (first.option("mine", "depth"), second.option("mine", "depth")) == (5, 20)
    assert second.option("train", "doc_length") == 7  # said in [train.settings] before
    assert study.levels["data"] == ["a", "b"]


def test_values_of_a_list_are_named_by_what_tells_them_apart() -> None:
    def named(*values: Any) -> list[str]:
        return list(axes_of({"teacher": list(values)}, "s.toml")[0].levels)

    assert named("bi_encoder(model=a)", "cross_encoder(model=a)") == ["bi_encoder", "cross_encoder"]
    assert named("kl(T=1)", "kl(T=2)") == ["kl-T-1", "kl-T-2"]
    assert list(axes_of({"groups.size": [4, 8]}, "s.toml")[0].levels) == ["4", "8"]


def test_cells_that_are_kept_and_left_out() -> None:
    one = study_with("only", [{"sampler": "bm25"}, {"train.student": "small"}])
    names = {cell.name for cell in one.cells}
    assert names == {"small, bm25, kl", "large, bm25, kl", "small, random, kl"}
    assert [cell.number for cell in one.cells] == [0, 1, 2]
    two = study_with("without", [{"train.student": ["large"]}])
    assert [variant.levels for variant in two.variants] == [{"train.student": "small"}]
    assert {cell.variant for cell in two.cells} == {0}


def test_documents_are_whole_groups() -> None:
    with pytest.raises(UsageError) as refused:
        study_with("axes", {"groups.size": [3, 4]})
    assert "2 cells do not meet" in str(refused.value)
    assert "3, random, kl (documents 66, declared 64)" in str(refused.value)
    sizes = study_with("axes", {"groups.size": [2, 4]})
    assert [documents_of(variant.recipe) for variant in sizes.variants] == [64, 64]


def test_other_keys_of_a_recipe_stay() -> None:
    data: dict[str, Any] = {"train": {"settings": {"lr": 1, "micro": 2}}, "a": [1]}
    made = with_keys(data, {"train.lr": 3})
    assert made == {"train": {"settings": {"micro": 2}, "lr": 3}, "a": [1]}
    assert data["train"]["settings"] == {"lr": 1, "micro": 2}


@pytest.mark.parametrize(
    ("split", "good"),
    [
        ("dev", True),
        ("validation", True),
        ("train-held-out", True),
        ("dev-small", True),
        ("test", False),
        ("dev-test", False),
        ("trec-dl-2019-judged", False),
        ("devil", False),
    ],
)
def test_which_splits_are_for_choosing(split: str, good: bool) -> None:
    assert for_choosing(split) == good


def test_a_race_by_hand() -> None:
    """Differences from the best of −0.2 ± little, of −0.05, of a cell judged by other queries."""
    random = np.random.Generator(np.random.PCG64(1))
    best = random.uniform(0.4, 0.6, (2, 200))
    noise = random.normal(0, 0.01, (4, 2, 200))
    values = {
        3: best,
        4: best - 0.2 + noise[0],
        5: best - 0.05 + noise[1],
        6: best + noise[2] - 0.001,
        9: best - 0.3 + noise[3],
    }
    judges = {cell: "other" if cell == 9 else "dev" for cell in values}
    found = stopped(Race("dev", margin=0.1), "nDCG@10", values, judges)
    assert [(one.cell, one.best, one.after) for one in found] == [(4, 3, 2)]
    assert found[0].difference.mean == pytest.approx((values[4] - values[3]).mean())
    assert found[0].difference.over == "queries and 2 seeds"
    at_once = stopped(Race("dev", margin=0.0), "nDCG@10", values, judges)
    assert {one.cell for one in at_once} >= {4, 5}


def test_factors_of_four_samplers_are_estimated_within_the_other_axes() -> None:
    """Cells of a blocked design: locality and entropy are both factors of the samplers."""
    data = tomllib.loads(RECIPE)
    names = ("near-sure", "near-unsure", "far-sure", "far-unsure")
    data["groups"]["samplers"] = {
        n: f"uniform(source=bm25,last={9 + i})" for i, n in enumerate(names)
    }
    data["study"]["factors"] = {
        "locality": {"near": [names[0], names[1]], "far": [names[2], names[3]]},
        "entropy": {"low": [names[0], names[2]], "high": [names[1], names[3]]},
    }
    study = study_of(data, "s.toml")
    random = np.random.Generator(np.random.PCG64(0))
    base = random.uniform(0.3, 0.7, (2, 40))
    worth = {names[0]: 0.0, names[1]: 0.1, names[2]: 0.2, names[3]: 0.4}
    trained = {cell.number: 2 for cell in study.cells}
    panel: Any = SimpleNamespace(
        title="test",
        cells=study.cells,
        engine=SimpleNamespace(study=study, trained=trained),
        values=lambda cell, measure: base + worth[cell.sampler],
    )
    found = list(effects_of(study, [panel]))
    assert [one.others for one in found] == [
        {"train.student": student, "loss": "kl"} for student in ("small", "large")
    ]
    for one in found:
        by_factor = {effect.factor: effect.difference.mean for effect in one.effects}
        assert by_factor == pytest.approx(
            {"locality": 0.25, "entropy": 0.15, "locality × entropy": 0.1}
        )
    trained[0] = 1
    stopped_one, whole = effects_of(study, [panel])
    assert stopped_one.reason == "cells have 1 to 2 seeds: some were stopped"
    assert whole.reason is None
