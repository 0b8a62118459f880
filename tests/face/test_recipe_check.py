"""A recipe is refused before the first byte of its data is read, for everything in it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from good_recipe import GOOD

from rankmill.mining.collection import ingest
from rankmill.mining.derive import CUTS
from rankmill.mining.errors import UsageError
from rankmill.mining.statistics import STATISTICS
from rankmill.study.check import check_recipe
from rankmill.study.recipe import SECTIONS, TOP, builtin, cut_with_labels, recipe_of

BAD = [  # key, value, what is said
    ("mine.sources.bm25", "bm26", "did you mean bm25"),
    ("mine.sources.bm25", "bm25(k9=1)", "no parameter 'k9'"),
    ("mine.sources.fusion", "rrf(of=[bm25,nera])", "'nera' is no source of the recipe"),
    ("mine.sources.fusion", "rrf([bm25,nera])", "'nera' is no source of the recipe"),
    ("mine.sources.fusion", "rrf(of=[bm25,fusion])", "is made of itself"),
    ("mine.sources.fusion", "rerank(teacher=cros_encoder(model=m),of=bm25)", "did you mean cross"),
    ("teacher", "cros_encoder(model=x)", "did you mean cross_encoder"),
    ("teacher", "cross_encoder", "cross_encoder needs model"),
    ("teacher", "ensemble(of=[cross_encoder(model=a),bi_encodr(model=b)])", "bi_encoder"),
    ("groups.samplers.hard", "unifrom(source=bm25)", "did you mean uniform"),
    ("groups.samplers.hard", "uniform(source=bm52)", "no source 'bm52'"),
    ("groups.samplers.hard", "uniform(1,20,bm52)", "no source 'bm52'"),
    ("groups.samplers.hard", "uniform(last=20)", "must name its source"),
    ("groups.samplers.both", "quotas(sources=[bm25,dens])", "no source 'dens'"),
    ("groups.samplers.mixed", "mixture(source=bm25,target=ranodm)", "no source 'ranodm'"),
    ("groups.samplers.teacher", "top(source=bm25)", "cannot be called 'teacher'"),
    ("groups.samplers.BM25", "top(source=bm25)", "cannot be called 'BM25'"),
    ("groups.filters", ["margn(gap=1)"], "did you mean margin"),
    ("groups.filters", ["rank_window(source=bm52)"], "no source 'bm52'"),
    ("groups.filters", "margin(gap=1)", "is not a list of texts"),
    ("groups.size", 1, "size=1 must be at least 2"),
    ("groups.size", "4", "size='4' is not a whole number"),
    ("groups.positives", "frist", "did you mean first"),
    ("groups.cut", "keep_bellow(q=0.5)", "did you mean keep_below"),
    ("statistics.statistics", ["pair_entrpy"], "did you mean pair_entropy"),
    ("statistics.encoder", "cross_encoder(model=x)", "is no encoder"),
    ("statistics.encoder", "bi_encoder", "bi_encoder needs model"),
    ("groups.encoder", "bi_encoder", "bi_encoder needs model"),
    ("statistics.statistics", ["found_by(bm52)"], "the pool has no source 'bm52'"),
    ("statistics.statistics", ["overlap(bm25,bm52)"], "the pool has no source 'bm52'"),
    ("statistics.statistics", ["negative_rank(source=taecher)"], "has no source 'taecher'"),
    ("statistics.statistics", ["removed(filter=margn(gap=1))"], "did you mean margin"),
    ("statistics.statistics", ["removed(filter=margin(gap=1))"], "is no filter of the recipe"),
    ("statistics.statistics", ["kendall_tau"], "needs another teacher's scores"),
    ("statistics.statistics", ["student_tau"], "needs a student's scores, and a recipe"),
    ("train.losses", {"a": "bce(score=raw)"}, "score=raw is not logit, logprob, probability"),
    ("teacher", " ", "no teacher is named"),
    ("groups.cut", "keep_below(of=list_entropy(T=1),q=0.5)", "list_entropy(T=1) is not measured"),
    ("groups.cut", "where('\"tiess\" = 0')", "tiess is not measured"),
    (
        "groups.cut",
        "cell(near=0,sure=0,locality=radius(of=max))",
        "of=max,to=positive) is not measured",
    ),
    ("mine.sources.bm25", "stored(scores=nowhere)", "'nowhere' is nothing in the workspace"),
    ("teacher", "stored(nowhere)", "'nowhere' is nothing in the workspace"),
    ("teacher", "ensemble(of=[cross_encoder(model=a),stored(nowhere)])", "'nowhere' is nothing"),
    ("evaluate.first_stage", "stored(nowhere)", "'nowhere' is nothing in the workspace"),
    ("collection", "bier:nowhere", "did you mean beir"),
    ("collection", "nowhere", "does not say how to read the collection"),
    ("collection", "beir:", "names nothing to read"),
    ("evaluate.domains", {"other": {"collection": "bier:x"}}, "did you mean beir"),
    ("collect.title", "titel", "did you mean title"),
    ("collect.on", ["dangling_qrle=drop"], "did you mean dangling_qrel"),
    ("collect.on", ["dangling_qrel=dorp"], "did you mean drop"),
    ("train.losses", {}, "'train.losses' is empty"),
    ("train.seeds", [], "'train.seeds' is empty"),
    ("evaluate.measures", "", "names no measure"),
    ("train.student", "bi_encodr(model=x)", "did you mean bi_encoder"),
    ("train.loss", "kll", "did you mean kl"),
    ("train.losses", {"a": "kl", "b": "margin_mes"}, "did you mean margin_mse"),
    ("train.lr", "fast", "lr='fast' is not a number"),
    ("train.documents", "many", "is not a count"),
    ("train.settings.mirco", 4, "did you mean micro"),
    ("train.settings.micro", 0, "micro=0 must be at least 1"),
    ("train.settings.executor", 4, "unknown recipe key 'train.settings.executor'"),
    ("train.seeds", [1, 1], "holds a seed twice"),
    ("train.redraw", 1, "is not true or false"),
    ("evaluate.measures", "nDGC@10", "nDGC"),
    ("evaluate.first_stage", "bm26", "did you mean bm25"),
    ("evaluate.first_stage", "bm27", ": evaluate.first_stage"),
    ("evaluate.domains", {"x": {"first_stage": "bm28"}}, ": evaluate.domains.x.first_stage"),
    ("evaluate.compute", "float8", "compute=float8"),
    ("score.device", "mps", "device=mps is not known"),
    ("train.device", "cuda:999", "there is no device cuda:999"),
    ("evaluate.batch_tokens", 1, "batch_tokens=1 must be at least 64"),
    ("evaluate.domains.other.colection", "x", "did you mean collection"),
    ("evaluate.domains", {}, "evaluate.domains is empty"),
    ("evaluate.margin", 0, "margin=0.0 must be above 0"),
    ("pool.min_grade", 0, "min_grade=0 must be at least 1"),
    ("score.direction", "judge", "did you mean judged"),
    ("poool", {}, "did you mean pool"),
    ("seed", "x", "is not a whole number"),
    ("text", "title", "it is called collect.title now"),
]


def recipe_with(key: str | None = None, value: Any = None) -> Any:
    data = tomllib.loads(GOOD)
    if key is not None:
        *tables, last = key.split(".")
        place = data
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return recipe_of(data, "t.toml")


@pytest.fixture(autouse=True)
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No collection is read; a model that is looked for would be BadInput, since there is none."""

    def read(*_: Any) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr(ingest, "corpus_stage", read)


@pytest.mark.parametrize(("key", "value", "message"), BAD, ids=[f"{k}={v}" for k, v, _ in BAD])
def test_what_cannot_work_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_recipe(recipe_with(key, value))
    assert message in str(refused.value)
    assert "t.toml" in str(refused.value) or key.startswith("train.documents")


def test_what_can_work_is_let_through() -> None:
    check_recipe(recipe_with())
    check_recipe(recipe_with("groups.encoder", "bi_encoder(model=other)"))
    check_recipe(builtin("demo"))
    with_run = recipe_with("mine.sources.fusion", "rrf(of=[bm25,their-run])")
    check_recipe(with_run, lambda name: name == "their-run")
    for key in ("teacher", "mine.sources.theirs", "evaluate.first_stage"):
        check_recipe(recipe_with(key, "stored(scores=theirs)"), lambda name: name == "theirs")
    check_recipe(recipe_with("statistics.statistics", ["negative_rank", "overlap(bm25,near)"]))
    own = "removed(filter=rank_window(source=bm25,last=50))"
    check_recipe(recipe_with("statistics.statistics", ["removed", own]))
    check_recipe(recipe_with("train.settings", {}))
    for cut in (
        "keep_below(of=pair_entropy,q=0.5)",
        "where('\"pair_entropy(T=1)\" < 1')",
        "cell(near=0,sure=0)",
    ):
        check_recipe(recipe_with("groups.cut", cut))


@pytest.mark.parametrize(
    ("cut", "written"),
    [
        ("keep_below(of=overlap(bm25,near),q=0.5)", "keep_below(of={over},q=0.5)"),
        ("keep_above(of=found_by(source=near))", "keep_above(of={found},q=0.5)"),
        ("keep_inside_fences(of=found_by(near))", "keep_inside_fences(of={found},k=1.5)"),
        (
            "cell(near=0,sure=1,locality=overlap(a=bm25,b=near),entropy=found_by(near))",
            "cell(near=0,sure=1,locality={over},entropy={found},bins=2,seed=0)",
        ),
    ],
)
def test_a_cut_names_sources_by_their_short_names(cut: str, written: str) -> None:
    """The recipe's short names become the labels of runs, as in samplers and statistics."""
    labels = {"bm25": "bm25(k1=0.9,b=0.4)", "near": "dense(model=abc)"}
    over = f"overlap(a={labels['bm25']},b={labels['near']})"
    found = f"found_by(source={labels['near']})"
    assert str(CUTS.parse(cut_with_labels(cut, labels))) == str(
        CUTS.parse(written.format(over=repr(over), found=repr(found)))
    )
    data = tomllib.loads(GOOD)
    data["statistics"]["statistics"] = ["overlap(bm25,near)", "found_by(near)"]
    data["groups"]["cut"] = cut
    check_recipe(recipe_of(data, "t.toml"))


def test_an_expression_names_sources_by_their_short_names() -> None:
    labels = {"near": 'dense(model="a b")'}
    text = "where('\"found_by(near)\" < 0.5 AND ties = 0')"
    cut = CUTS.parse(cut_with_labels(text, labels))
    found = STATISTICS.text(STATISTICS.parse("found_by('dense(model=\"a b\")')"))
    assert set(cut.reads()) == {found, "ties"}
    same = "where('\"pair_entropy(T=1)\" < 1 AND tiess = 0')"
    assert cut_with_labels(same, labels) == str(CUTS.parse(same))


def test_settings_are_read_in_either_table() -> None:
    train = recipe_with().options["train"]
    assert (train["micro"], train["documents"], train["batch"]) == (4, 1000, 16)


def test_a_pointwise_loss_needs_a_student_of_logits() -> None:
    recipe = recipe_with("train.student", "cross_encoder(model=x,score=log-prob)")
    check_recipe(recipe)
    with pytest.raises(UsageError, match="bce.* and this one gives log-prob") as refused:
        check_recipe(replace(recipe, losses={"a": "bce"}))
    assert "train.losses.a" in str(refused.value)


def test_a_strategy_that_looks_at_vectors_needs_an_encoder() -> None:
    data = tomllib.loads(GOOD)
    del data["statistics"]
    with pytest.raises(UsageError, match="shell looks at vectors"):
        check_recipe(recipe_of(data, "t.toml"))


def test_every_key_says_what_it_is() -> None:
    for section in SECTIONS.values():
        for key in section.own.values():
            assert len(key.help) > 10
        assert all(option.option.help for option in section.options.values())
    assert all(len(key.help) > 10 for key in TOP.values())


def test_recipes_of_the_repository_are_sound(pytestconfig: pytest.Config) -> None:
    from rankmill.study.grid import load_study
    from rankmill.study.grid.refusals import check_study

    for path in sorted((Path(pytestconfig.rootpath) / "recipes").glob("*.toml")):
        check_study(load_study(path))  # a recipe without [study] is a study of its samplers
