"""Families of comparisons: adjusted, paired over seeds, kept as an artifact."""

import numpy as np
import pyarrow as pa
import pytest
from training_data import Setting, tiny_setting

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.sources import mine
from rankmill.training.comparison import compare, compare_evaluations, read_comparisons
from rankmill.training.evaluation import Evaluation, evaluate_run
from rankmill.training.random_effects import effects
from rankmill.training.significance import holm, paired_randomisation, paired_t


def sample(n, mean=0.0, sd=0.07, key=0):
    return np.random.Generator(np.random.PCG64(key)).normal(mean, sd, n)


def test_a_family_is_adjusted_over_all_its_pairs():
    base = sample(60, 0.4, 0.2)
    systems = {"a": base, "b": base + sample(60, 0.05, key=4), "c": base + sample(60, key=5)}
    rows = compare(systems, draws=2000)
    assert [(r.a, r.b) for r in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert holm([r.p_t for r in rows]) == [r.p_adjusted for r in rows]
    assert holm([r.p_randomisation for r in rows]) == [r.p_randomisation_adjusted for r in rows]
    assert rows[0].difference.high < 0 < rows[2].difference.low
    assert rows[0].p_randomisation == pytest.approx(rows[0].p_t, abs=0.01)
    assert rows[0].equivalence is None
    assert rows[0].effects is None
    (only,) = compare(systems, [("a", "c")], draws=100)
    assert only.p_adjusted == only.p_t


def test_equivalence_is_adjusted_over_the_family():
    base = sample(400, 0.4, 0.2)
    systems = {k: base + sample(400, 0.0, 0.05, key=3 + i) for i, k in enumerate("abc")}
    rows = compare(systems, margin=0.01, draws=100)
    found = [r.equivalence for r in rows]
    assert holm([e.p for e in found]) == [e.p_adjusted for e in found]
    assert [e.p_different for e in found] == [r.p_adjusted for r in rows]
    assert {e.margin for e in found} == {0.01}


def test_seeds_are_paired_and_a_system_without_seeds_meets_each():
    seeds = np.stack([sample(50, 0.3, key=k) for k in range(3)])
    rows = compare({"a": seeds, "b": seeds - 0.01, "first stage": seeds[0]}, draws=500)
    by_pair = {(r.a, r.b): r for r in rows}
    assert by_pair["a", "b"].p_t < 1e-20  # every seed, every query: 0.01, but for rounding
    mixed = by_pair["a", "first stage"]
    d = seeds - seeds[0]
    assert (mixed.seeds, mixed.queries) == (3, 50)
    assert mixed.effects == effects(d)
    assert mixed.p_t == paired_t(d)
    assert mixed.p_randomisation == paired_randomisation(d.mean(axis=0), draws=500)


def test_refusals():
    with pytest.raises(BadInput, match="a has 3 queries, b has 4"):
        compare({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(BadInput, match="a has 3 seeds, b has 2"):
        compare({"a": np.zeros((3, 5)), "b": np.zeros((2, 5))})
    with pytest.raises(UsageError, match=r"no system is called 'c'\n.*there are a, b"):
        compare({"a": np.zeros(3), "b": np.zeros(3)}, [("a", "c")])


# ---- as an artifact ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("compare"))


def judged(setting, seed, split="test", measures="nDCG@10 AP"):
    run = mine(setting.workspace, "random", setting.collection, split, depth=60, seed=seed)
    return evaluate_run(
        setting.workspace, run, collection=setting.collection, split=split, measures=measures
    )


def test_the_artifact_holds_what_was_declared_and_what_was_found(setting):
    systems = {"drawn": [judged(setting, 1), judged(setting, 2)], "other": [judged(setting, 3)]}
    options = {"measure": "nDCG@10", "margin": 0.05, "draws": 200}
    made = compare_evaluations(setting.workspace, systems, **options)
    assert made.parameters["margin"] == 0.05
    assert made.parameters["family"] == [["drawn", "other"]]
    assert set(made.inputs) == {"drawn#0", "drawn#1", "other#0"}
    tables = {k: np.stack([Evaluation(a).values("nDCG@10") for a in v]) for k, v in systems.items()}
    assert read_comparisons(made) == compare(tables, margin=0.05, draws=200)
    again = compare_evaluations(setting.workspace, systems, **options)
    assert again.fingerprint == made.fingerprint
    wider = compare_evaluations(setting.workspace, systems, **(options | {"margin": 0.06}))
    assert wider.fingerprint != made.fingerprint
    table = made.table(0)
    assert isinstance(table, pa.Table)
    assert table.num_rows == 1


def test_one_seed_and_no_margin_come_back_too(setting):
    systems = {"a": [judged(setting, 1)], "b": [judged(setting, 2)]}
    made = compare_evaluations(setting.workspace, systems, draws=100)
    (row,) = read_comparisons(made)
    assert (row.effects, row.equivalence, row.seeds, row.queries) == (None, None, 1, 20)


def test_refusals_of_artifacts(setting):
    a = judged(setting, 1)
    with pytest.raises(UsageError, match="there is no pair to compare"):
        compare_evaluations(setting.workspace, {"a": [a]})
    with pytest.raises(BadInput, match="by different judgements"):
        compare_evaluations(setting.workspace, {"a": [a], "b": [judged(setting, 1, split="train")]})
    with pytest.raises(BadInput, match=r"P@5 was not measured"):
        compare_evaluations(setting.workspace, {"a": [a], "b": [a]}, measure="P@5")
    with pytest.raises(BadInput, match="this evaluation is not a comparison"):
        read_comparisons(a)
