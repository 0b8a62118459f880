"""Other teachers in a recipe: their scores, statistics of disagreement, and cuts by them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from good_recipe import GOOD
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

import rankmill as rm
from rankmill.mining.actors import INLINE
from rankmill.mining.errors import UsageError
from rankmill.mining.store import Workspace
from rankmill.study.check import check_recipe
from rankmill.study.estimate.asked import study_from
from rankmill.study.grid.steps import Track
from rankmill.study.plan import plan_of
from rankmill.study.recipe import Recipe, recipe_of
from rankmill.study.run import Pipeline

RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
depth = 12
[mine.sources]
random = "random"
[groups]
size = 4
cut = "keep_below(of=kendall_tau(other=near),q=0.5)"
[groups.samplers]
drawn = "uniform(source=random,last=12)"
[statistics]
statistics = ["kendall_tau(other=near)", "jensen_shannon(other=small)", "inverted_pairs"]
[statistics.other]
near = "bi_encoder(model=encoder)"
small = "cross_encoder(model=other,max_length=64)"
"""
MEASURED = "kendall_tau(other=near)"


def written(text: str = RECIPE, **keys: Any) -> Recipe:
    """Return the recipe with other values under dotted keys (their dots are two underscores)."""
    tables = tomllib.loads(text)
    for key, value in keys.items():
        *above, last = key.split("__")
        place = tables
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return recipe_of(tables, "t.toml")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"statistics__other": {"a b": "cross_encoder(model=x)"}}, "'a b' is not a short name"),
        ({"statistics__other": {"near": "cros_encoder(model=x)"}}, "did you mean cross_encoder"),
        ({"statistics__other": {}}, "'statistics.other' is empty"),
        ({"statistics__other": {"near": 3}}, "'statistics.other.near': 3 is not a text"),
        (
            {"statistics__other__near": "cross_encoder(model=cross,max_length=64)"},
            "this teacher is the recipe's own",
        ),
        (
            {"statistics__other__near": "cross_encoder(model=other,max_length=64)"},
            "this teacher is 'near' too",
        ),
        ({"statistics__statistics": [MEASURED, "kendall_tau(other=naer)"]}, "are called 'naer'"),
        ({"groups__cut": "keep_below(of=kendall_tau,q=0.5)"}, "kendall_tau is not measured"),
        (
            {"mine__sources": {"near-scores": "random"}, "groups__samplers": {"x": "random"}},
            "two results would be called 't-near-scores'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_first(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_recipe(written(**keys))
    assert said in str(refused.value)


def test_without_another_teacher_the_way_to_name_one_is_told() -> None:
    with pytest.raises(UsageError, match="needs another teacher's scores") as refused:
        check_recipe(written(GOOD, statistics__statistics=["kendall_tau"]))
    assert "[statistics.other]" in str(refused.value)


def test_what_is_measured_by_default_may_be_cut_by() -> None:
    other = {"near": "bi_encoder(model=m)"}
    cut = "keep_below(of=inverted_pairs,q=0.5)"
    text = "".join(line for line in GOOD.splitlines(True) if not line.startswith("statistics ="))
    check_recipe(written(text, statistics__other=other, groups__cut=cut))


def test_groups_are_cut_by_disagreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_beir(Path("tiny"), docs=60, queries=24)
    tiny_cross_encoder(Path("cross"))
    tiny_cross_encoder(Path("other"), seed=5)
    tiny_encoder(Path("encoder"))
    recipe, workspace = written(), Workspace(tmp_path / "rankmill-work")
    assert [(s.stage, s.rows) for s in plan_of(recipe, workspace)].count(("score", None)) == 3
    made = Pipeline(recipe, workspace, INLINE).run()
    assert workspace.find("t-near-scores").fingerprint == made.other["near"].fingerprint
    scored = [step for step in plan_of(recipe, workspace) if step.stage == "score"]
    assert made.scores is not None
    assert [step.rows for step in scored] == [made.scores.rows] * 3
    assert None not in [step.rows for step in plan_of(recipe, workspace)]

    assert made.pool is not None
    column = "kendall_tau(other=near)"
    whole = rm.select("uniform(source=random,last=12)", made.pool, made.scores, size=4)
    drawn = rm.stats(whole, statistics=["kendall_tau(other=near)"], other=made.other)
    tau = np.concatenate([t[column].to_numpy() for t in drawn.tables()])
    kept = made.groups["drawn"]
    left = np.concatenate([t[column].to_numpy() for t in made.statistics["drawn"].tables()])
    assert 0 < kept.rows < whole.rows
    assert np.array_equal(np.sort(left), np.sort(tau)[: kept.rows])
    assert len(set(tau.tolist())) > 2
    assert "inverted_pairs: double" in made.statistics["drawn"].manifest["schema"][""]


def test_a_study_scores_what_its_levels_share_once() -> None:
    """An axis over the other teachers: groups of their own, the teacher's scores the same."""
    tables = tomllib.loads(RECIPE)
    near, small = (tables["statistics"]["other"][label] for label in ("near", "small"))
    levels = {"one": {"near": near}, "two": {"near": small}, "none": {"near": near, "x": small}}
    tables["statistics"] = {"statistics": ["kendall_tau(other=near)"]}
    tables["train"] = {"student": "bi_encoder(model=encoder)", "loss": "kl", "documents": 64}
    tables["study"] = {"axes": {"other": {k: {"statistics.other": v} for k, v in levels.items()}}}
    study = study_from(tables, "t.toml")
    tracks = [Track(one, Workspace("nowhere"), INLINE) for one in study.variants]
    assert [t.recipe.other for t in tracks] == list(levels.values())
    scored = [{s.name: s.key for s in t.shared() if s.stage == "score"} for t in tracks]
    assert scored[0].keys() == {near, tables["teacher"]}
    assert scored[2] == scored[0] | scored[1]
    drawn = []
    for number, track in enumerate(tracks):
        (step,) = track.drawn(study.of_variant(number)[0])
        drawn.append(step.key)
        assert set(step.needs) == set(scored[number].values())
    assert len(set(drawn)) == 3
