"""Blends in recipes: the student of the command, refused before data is read, costs pro rata."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining.actors import INLINE
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Workspace
from rankmill.mining.store.workspace import FoundOnly
from rankmill.report.figures import numbers
from rankmill.report.gather import report_of
from rankmill.report.study.files import write_study
from rankmill.study.check import check_recipe
from rankmill.study.costs.gains import SECONDS, charged, spent_on
from rankmill.study.grid import load_study, run_study
from rankmill.study.grid.refusals import check_study
from rankmill.study.outcome import Outcome
from rankmill.study.plan import plan_of
from rankmill.study.recipe import Recipe, load
from rankmill.study.run import run_recipe

BLEND = 'mixed = "blend(of=[random,bm25],weights=[3,1])"'
STUDENT = 'student = "bi_encoder(model=encoder,layers=1)"'
OWN = RECIPE.partition("[study")[0].replace("[train]", f"[train]\n{STUDENT}")
ONE = OWN.replace("[statistics]", f"{BLEND}\n[statistics]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("blend"))
    (root / "r.toml").write_text(ONE)
    study = RECIPE.replace("[statistics]", f"{BLEND}\n[statistics]")
    (root / "b.toml").write_text(study.replace('["random", "bm25"]', '["random", "mixed"]'))
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def made(place: Path) -> Outcome:
    """Return the outcome of `r.toml`, carried out in `work`."""
    before = Path.cwd()
    os.chdir(place)
    try:
        return run_recipe(load(Path("r.toml")), Workspace("work"), INLINE)
    finally:
        os.chdir(before)


def students(outcome: Outcome) -> dict[str, dict[int, str]]:
    """Return root hashes by sampler and seed."""
    return {
        one.sampler: {seed: made.root_hash for seed, made in one.seeds.items()}
        for one in outcome.results.students.values()
    }


def test_a_blend_is_the_student_of_the_command(made, rankmill):
    words = ["train", "bi_encoder(model=encoder,layers=1)", "-w", "work", "--json"]
    words += ["--groups", "t-random-groups,t-bm25-groups", "--weights", "3,1", "--loss", "kl"]
    words += ["--documents", "64", "--batch", "4", "--lr", "2e-3", "--seed", "2"]
    words += ["--doc-length", "40", "--query-length", "20", "--threads", "1"]
    status, out, err = rankmill(*words)
    assert status == 0, err
    found = students(made)
    assert json.loads(out)["root"] == found["mixed"][2]
    assert list(found) == ["random", "bm25", "mixed"]
    assert len({found[one][1] for one in found}) == 3


def test_a_blend_is_judged_like_any_sampler(made):
    table = {(s.system.name, s.domain): s for s in made.standings.all}
    for domain in ("dev", "test"):
        assert table["mixed", domain].seeds == 2
        assert set(table["mixed", domain].against) == set(table["bm25", domain].against)
        pairs = {(pair.a, pair.b) for pair in made.standings.pairs(domain)}
        assert {("random", "mixed"), ("bm25", "mixed")} <= pairs
    plain = json.loads(json.dumps(made.as_json()))
    assert {"random", "bm25", "mixed"} <= {row["system"] for row in plain["gains"]}
    report = report_of(made)
    assert list(report.samplers) == ["random", "bm25", "mixed"]
    shown = numbers(made, report.ranks, report.training)
    assert "mixed" in json.dumps(shown)


def test_a_second_run_and_the_plan_find_everything(made):
    again = run_recipe(load(Path("r.toml")), FoundOnly(Path("work").absolute()), INLINE)
    assert students(again) == students(made)
    steps = plan_of(load(Path("r.toml")), Workspace("work"))
    assert all(step.rows is not None for step in steps)
    assert [s.name for s in steps if s.stage == "train"] == ["random, kl", "bm25, kl", "mixed, kl"]
    assert [s.name for s in steps if s.stage == "select"] == ["random", "bm25"]


def test_a_blend_costs_what_its_parts_do_pro_rata(made):
    recipe, results = made.recipe, made.results
    spent = {t.sampler: spent_on(recipe, results, t) for t in results.students.values()}
    a, b, mixed = spent["random"], spent["bm25"], spent["mixed"]
    for line in ("mining", "teacher", "groups"):
        expected = 0.75 * getattr(a, line) + 0.25 * getattr(b, line)
        assert getattr(mixed, line) == pytest.approx(expected), line
    assert mixed.pairs == round(0.75 * a.pairs + 0.25 * b.pairs)
    told = charged(recipe, results, made.artifacts)
    for line in SECONDS:  # what is charged is what was spent, to the last bit
        shares = (told.of[name].get(line, Fraction()) for name in told.of)
        assert sum(shares, Fraction()) == told.whole.get(line, Fraction())
    assert told.total("mixed", *SECONDS) > mixed.training


def recipe_with(text: str, root: Path) -> Recipe:
    path = root / "one.toml"
    path.write_text(OWN.replace("[statistics]", f"mixed = {json.dumps(text)}\n[statistics]"))
    return load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blend", "blend needs of"),
        ("blend(of=[random])", "a blend of 1"),
        ("blend(of=[])", "a blend of 0"),
        ("blend(of=random)", "of=random is not a list"),
        ("blend(of=[random,bm52])", "'bm52' is no sampler of the recipe and no groups"),
        ("blend(of=[random,random])", "'random' is named twice"),
        ("blend(of=[random,mixed])", "'mixed' is a blend"),
        ("blend(of=[random,bm25],weights=[1])", "1 weights for 2"),
        ("blend(of=[random,bm25],weights=[1,2,3])", "3 weights for 2"),
        ("blend(of=[random,bm25],weights=[1,0])", "weight 0.0 is not a number above 0"),
        ("blend(of=[random,bm25],weights=[1,-1])", "weight -1.0 is not a number above 0"),
        ("blend(of=[random,bm25],weights=[1,inf])", "weight inf is not a number above 0"),
        ("blend(of=[random,bm25],weights=[1,b])", "weights: b is not a number"),
        ("blend(of=[random,bm25],weights=[1,1e-6])", "less than 1 in 10,000"),
        ("blend(of=[random,bm25],wieghts=[1,1])", "did you mean weights"),
        ('blend(of=["uniform(source=bm25)",random])', "is no sampler of the recipe"),
    ],
)
def test_a_blend_that_cannot_work_is_refused_before_data_is_read(text, said, tmp_path):
    with pytest.raises(UsageError) as refused:
        check_recipe(recipe_with(text, tmp_path))
    assert said in str(refused.value)
    assert "groups.samplers.mixed" in str(refused.value)


def test_samplers_that_are_one_and_a_recipe_without_training(tmp_path):
    same = recipe_with("blend(of=[random,again])", tmp_path)
    path = Path(same.where)
    path.write_text(path.read_text().replace("[statistics]", _AGAIN, 1))
    with pytest.raises(UsageError, match="draw the same groups"):
        check_recipe(load(path))
    untrained = ONE.partition("[train]")[0] + "[evaluate]\ndepth = 10\n"
    path.write_text(untrained)
    with pytest.raises(UsageError, match="trains none"):
        check_recipe(load(path))


_AGAIN = 'again = "uniform(last=20, source=random)"\n[statistics]'


def test_groups_of_another_collection_are_a_part(made, place, tmp_path, monkeypatch):
    from tiny_collection import tiny_beir

    work = Workspace("work")
    tiny_beir(tmp_path / "other", seed=5)
    other = rm.collect(f"beir:{tmp_path / 'other'}", workspace=work, name="other")
    run = rm.mine("random", other, split="train", depth=20)
    scores = rm.score("cross_encoder(model=cross,max_length=64)", rm.pool([run]))
    groups = {
        size: rm.select("uniform(source=random,last=20)", scores.input("pool"), scores, size=size)
        for size in (4, 3)
    }
    for size, one in groups.items():
        work.alias(f"other-{size}", one)
    recipe = recipe_with("blend(of=[bm25,other-4],weights=[1,1])", tmp_path)
    outcome = run_recipe(recipe, work, INLINE)
    trained = next(t for t in outcome.results.students.values() if t.sampler == "mixed")
    asked = rm.train(
        recipe.student,
        [outcome.results.groups["bm25"], groups[4]],
        weights=(1.0, 1.0),
        seed=1,
        **{key: v for key, v in recipe.options["train"].items() if key != "student"},
    )
    assert trained.seeds[1].root_hash == asked.root_hash
    spent = spent_on(recipe, outcome.results, trained)
    ledger = {one.kind: one.cost() for one in (run, scores, groups[4])}
    half = {kind: (float(c["cpu_s"]) + float(c["gpu_s"] or 0)) / 2 for kind, c in ledger.items()}
    alone = next(t for t in outcome.results.students.values() if t.sampler == "bm25")
    own = spent_on(recipe, outcome.results, alone)
    assert spent.groups == pytest.approx(own.groups / 2 + half["groups"])
    assert spent.mining >= own.mining / 2 + half["run"]
    assert groups[4].fingerprint in {one.fingerprint for one in outcome.artifacts}
    with pytest.raises(UsageError, match="groups of 3 documents cannot be blended with those of 4"):
        run_recipe(recipe_with("blend(of=[bm25,other-3])", tmp_path), work, INLINE)
    work.alias("other-scores", scores)
    with pytest.raises(BadInput, match="of kind scores, one of kind groups was expected"):
        run_recipe(recipe_with("blend(of=[bm25,other-scores])", tmp_path), work, INLINE)


def test_a_study_trains_on_blends_too(made):
    outcome = run_study(load_study(Path("b.toml")), Workspace("work"), INLINE)
    assert set(outcome.cells["sampler"]) == {"random", "bm25", "mixed"}
    small = {
        row["sampler"]: row
        for row in outcome.cells.to_dicts()
        if row["train.student"] == "small" and row["measure"] == outcome.study.measures[0]
    }
    for sampler, row in small.items():
        assert row["student_root"] == list(students(made)[sampler].values())
        assert row["documents_seen"] == [64, 64]
    parts = [small[one]["groups_root"][0] for one in ("random", "bm25")]
    assert small["mixed"]["groups_root"] == ["+".join(parts)] * 2
    assert small["mixed"]["groups_cpu_s"] == pytest.approx(
        0.75 * small["random"]["groups_cpu_s"] + 0.25 * small["bm25"]["groups_cpu_s"]
    )
    assert {one.factor for effect in outcome.effects for one in effect.effects} >= {"sampler"}


def test_a_claim_about_a_statistic_of_a_blend_is_refused():
    """Parts may be of other collections, and their groups are seen by shares."""
    claim = 'claim="c",expect="less",margin=0.1,a={sampler="mixed"},b={sampler="random"}'
    for of, refused in (("pair_entropy", True), ("loss", False), ("AP", False)):
        said = [f'study.hypotheses.c={{{claim},of="{of}"}}', "evaluate.measures='nDCG@10 AP'"]
        study = load_study(Path("b.toml"), said)
        if not refused:
            check_study(study)
            continue
        with pytest.raises(UsageError, match="the blend 'mixed' has none of its own"):
            check_study(study)


def test_a_study_of_blends_orders_the_designs_that_are_measured(made, tmp_path):
    """A blend has no statistics of its own: it stands in no order of the terms, the others do."""
    said = ["statistics.encoder='bi_encoder(model=encoder)'"]
    said += ["statistics.statistics=['pair_entropy','diameter']", "name='m'"]
    outcome = run_study(load_study(Path("b.toml"), said), Workspace("work"), INLINE)
    orders = outcome.predicted
    assert {one.domain for one in orders} == {"dev", "test"}
    assert all(set(one.terms.designs) == {"random", "bm25"} for one in orders)
    written = {path.name for path in write_study(outcome, tmp_path / "out")}
    assert {"study-report.html", "order.parquet", "designs.parquet"} <= written
    assert set(outcome.designs["design"]) == {"random", "bm25"}
