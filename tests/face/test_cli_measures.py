"""Pair-wise risk, the theorem's terms and diagnoses as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

ENCODER = "bi_encoder(model=encoder,max_length=32)"
COLUMNS = (
    "diameter(q=1)",
    "pair_entropy(T=0.05,score=raw)",
    "density_ratio(target=bm25,last=20)",
    "coverage(target=bm25,last=20)",
    "density_ratio(target=corpus)",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection and an encoder."""
    root = tmp_path_factory.mktemp("measures")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    return root


def test_everything_is_made_and_said(rankmill):
    measured = [part for text in COLUMNS for part in ("-s", text)]
    steps = [
        ("collect", "beir:tiny", "--name", "tiny"),
        ("mine", "bm25", "-c", "tiny", "--split", "train", "--depth", "20", "-n", "bm25"),
        ("mine", "random", "-c", "tiny", "--split", "train", "--depth", "20", "-n", "random"),
        ("pool", "bm25", "random", "--name", "pool"),
        ("score", ENCODER, "--pool", "pool", "--name", "scores"),
        ("mine", "bm25", "-c", "tiny", "--split", "test", "--depth", "20", "-n", "first"),
    ]
    for source in ("bm25", "random"):
        groups = ("--pool", "pool", "--scores", "scores", "--size", "4", "-n", f"g-{source}")
        steps += [
            ("select", f"uniform(source={source},last=20)", *groups),
            ("stats", "--groups", f"g-{source}", "--encoder", "encoder", *measured)
            + ("-n", f"s-{source}"),
        ]
    steps += [
        ("train", "bi_encoder(model=encoder,layers=1)", "--groups", "g-bm25", "--loss", "kl(T=0.5)")
        + ("--documents", "16", "--batch", "4", "--doc-length", "20", "-n", "student"),
    ]
    for step in steps:
        status, _, err = rankmill(*step)
        assert status == 0, (step, err)
    measures = "nDCG@10 PairRisk PairRisk(mu=list,ties=half)"
    for run, name in (("student", "e-student"), ("encoder", "e-encoder")):
        told = ("--first-stage", "first", "--measures", measures, "--alone", "--name", name)
        status, out, err = rankmill("eval", "--student", run, *told)
        assert status == 0, err
        assert "PairRisk(mu=judged,ties=error): 0." in out
        assert "queries that have a pair)" in out
        assert "judged documents were not returned: below all others, and tied" in out


def test_a_risk_in_json_has_its_interval(rankmill):
    command = ("eval", "--run", "first", "--measures", "PairRisk(ties=half) AP", "--json")
    found = json.loads(rankmill(*command)[1])
    name = "PairRisk(mu=judged,ties=half)"
    interval = found["intervals"][name]
    assert interval["low"] <= interval["mean"] <= interval["high"]
    assert interval["mean"] == found["measures"][name]
    assert interval["queries"] == found["queries"] == 20
    assert found["counts"]["judged_not_returned"] > 0


def test_scores_of_a_pool_are_judged(rankmill):
    told = ("--alone", "--name", "e-teacher")
    command = ("eval", "--run", "scores", "--measures", "PairRisk(mu=list) AP")
    status, out, err = rankmill(*command, *told)
    assert status == 0, err
    assert "PairRisk(mu=list,ties=error)" in out
    status, out, _ = rankmill("show", "e-teacher", "--rows", "1", "--format", "jsonl")
    assert status == 0
    assert set(json.loads(out)) == {"query_id", "query_text", "PairRisk(mu=list,ties=error)", "AP"}


def test_a_risk_over_what_was_returned_is_told_though_bm25_has_other_queries(rankmill):
    status, out, err = rankmill("eval", "--run", "scores", "--measures", "PairRisk(mu=returned)")
    assert status == 0, err
    assert "over the" in out
    status, out, err = rankmill(
        "eval", "--run", "scores", "--measures", "PairRisk(mu=returned)", "--json"
    )
    assert status == 0, err
    told = json.loads(out)
    assert set(told["against"]) | set(told["not_compared"]) == set(told["beside"])


@pytest.mark.parametrize("grade", ["0", "-1", "128"])
@pytest.mark.parametrize("command", ["pool bm25 random", "stats --scores scores"])
def test_a_grade_that_no_positive_can_have_is_refused(rankmill, command, grade):
    status, _, err = rankmill(*command.split(), "--min-grade", grade)
    assert status == 2
    assert "--min-grade " in err


def test_diagnose_joins_the_statistics(rankmill):
    status, out, err = rankmill(
        "diagnose", "--student", "student", "--groups", "g-bm25", "--name", "diagnosis"
    )
    assert status == 0, err
    assert "student_kl(T=0.5,score=raw,scale=20): 0." in out
    assert "student_tau: 0." in out
    status, out, _ = rankmill("summary", "diagnosis", "--beside", "s-bm25")
    assert status == 0
    assert "student_tau × student_kl(T=0.5,score=raw,scale=20)" in out
    assert "pair_entropy(T=0.05,score=raw) × student_tau" in out  # κ = ∞ everywhere stays out
    assert rankmill("show", "diagnosis", "--rows", "2")[0] == 0
    status, out, _ = rankmill("diagnose", "--student", "encoder", "--scores", "scores", "--json")
    assert json.loads(out)["kind"] == "statistics"
    cut = ("cut", "where('\"student_tau\" > 0')", "--groups", "g-bm25", "--statistics", "diagnosis")
    assert rankmill(*cut, "--name", "g-agreed")[0] == 0


def test_teachers_that_scored_the_same_pool_are_compared(rankmill):
    short = ENCODER.replace("32", "4")
    assert rankmill("score", short, "--pool", "pool", "--name", "scores-4")[0] == 0
    other = ("stats", "--groups", "g-bm25", "--other", "scores-4")
    status, _, err = rankmill(*other, "--name", "s-other")
    assert status == 0, err
    said = json.loads(rankmill("summary", "s-other", "--json")[1])["columns"]
    for column in ("kendall_tau", "jensen_shannon(T=1,score=zscore)", "inverted_pairs"):
        assert said[column]["n"] == 20
    assert said["kendall_tau"]["mean"] < 1
    labelled = ("--other", "short=scores-4", "-s", "kendall_tau(other=short)")
    assert rankmill("stats", "--scores", "scores", *labelled)[0] == 0
    cut = ("cut", "where('kendall_tau < 1')", "--groups", "g-bm25", "--statistics", "s-other")
    assert rankmill(*cut, "--name", "g-disputed")[0] == 0


def test_terms_order_designs(rankmill):
    both = ("bm25=s-bm25", "random=s-random")
    status, out, err = rankmill("terms", *both)
    assert status == 0, err
    for said in (
        "Δ diameter(metric=euclidean,q=1): mean",
        "nats",
        "κ density_ratio(target=bm25,last=20): median 1, infinite in 0%",
        "covers 1 of the target",
        "κ density_ratio(target=corpus): median inf, infinite in 100%",
        "under the root: queries",
        "declared, not known",
        "not the value of a bound",
    ):
        assert said in out
    assert "observed" not in out
    against = ("--against", "bm25=e-student", "--against", "random=e-encoder")
    status, out, err = rankmill("terms", *both, *against, "--n", "pairs", "--weights", "2,1")
    assert status == 0, err
    assert "observed, nDCG@10" in out
    assert "too few designs: 2" in out
    found = json.loads(rankmill("terms", *both, *against, "--measure", "PairRisk", "--json")[1])
    assert found["measure"] == "PairRisk(mu=judged,ties=error)"
    assert found["designs"]["bm25"]["ratios"][1]["median"] == "inf"
    assert found["designs"]["bm25"]["ratios"][1]["coverage"] is None
    assert sorted(found["orders"]["observed"]) == ["bm25", "random"]
    assert found["too_few"] is True


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("diagnose", "--student", "student"), 2, "give groups or scores, one of them"),
        (("diagnose", "--student", "nobody", "--groups", "g-bm25"), 4, "no student called"),
        (("terms", "s-bm25"), 2, "there is nothing to order"),
        (("terms", "a=s-bm25+s-random", "s-random"), 2, "'a' names 2 statistics"),
        (("stats", "--groups", "g-bm25", "--other", "a=scores+s"), 4, "no scores called 's'"),
        (("stats", "--groups", "g-bm25", "--other", "scores"), 2, "the same as those that are"),
        (("stats", "--scores", "scores", "-s", "kendall_tau"), 2, "needs another teacher's scores"),
        (
            ("stats", "--groups", "g-bm25", "--other", "a=scores+scores-4"),
            2,
            "'a' names 2 scores",
        ),
        (("terms", "s-bm25", "s-random", "--weights", "1"), 2, "is not 2 numbers"),
        (("terms", "s-bm25", "s-random", "--against", "x=e-student"), 2, "'x' is not a design"),
        (("terms", "s-bm25", "s-random", "--locality", "radius"), 4, "was not measured"),
        (("eval", "--run", "first", "--measures", "PairRisk(mu=all)"), 2, "mu=all is unknown"),
        (("eval", "--run", "scores", "--measures", "PairRisk"), 4, "judged documents have no"),
        (("summary", "diagnosis", "--beside", "s-random"), 4, "are of other groups"),
        (("summary", "scores", "--beside", "s-random"), 4, "one of kind statistics was expected"),
    ],
)
def test_wrong_arguments_say_what_and_what_to_do(rankmill, arguments, status, message):
    # What these name was made by the tests above.
    found, _, err = rankmill(*arguments)
    assert message in err
    assert found == status, err
    assert "Traceback" not in err


def test_a_recipe_cannot_be_led_by_a_risk(rankmill):
    Path("r.toml").write_text(
        'name = "r"\ncollection = "beir:tiny"\nteacher = "x"\n[mine.sources]\nbm25 = "bm25"\n'
        '[groups.samplers]\nbm25 = "top"\n[evaluate]\nmeasures = "PairRisk nDCG@10"\n'
    )
    status, _, err = rankmill("run", "r.toml")
    assert status == 2
    assert "cannot be the first measure" in err
