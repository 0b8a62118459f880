"""Seeds, losses and domains in a recipe; evaluations beside one another; figures of the paper."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.study.costs.gains import sources_of
from rankmill.training.comparison import compare, read_comparisons
from rankmill.training.evaluation import Evaluation
from rankmill.training.significance import t_interval

RECIPE = """
name = "s"
collection = "beir:tiny"
teacher = "bi_encoder(model=encoder,max_length=32)"
[mine]
split = "train"
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
dense = "dense(model=encoder)"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=20)"
bm25 = "uniform(source=bm25,last=20)"
[statistics]
statistics = ["pair_entropy"]
[train]
student = "bi_encoder(model=encoder,layers=1)"
documents = 32
batch = 4
seeds = [1, 2]
[train.losses]
kl = "kl(T=0.5)"
margin = "margin_mse"
[train.settings]
doc_length = 20
query_length = 10
[evaluate]
depth = 10
first_stage = "dense"
retrieve = true
margin = 0.3
[evaluate.domains.far]
collection = "beir:other"
first_stage = "bm25(k1=0.9,b=0.4)"
[evaluate.domains.near]
split = "test"
[evaluate.domains.ran]
collection = "beir:other"
split = "train"
first_stage = "imported(path=run.txt,tag=theirs)"
"""
STUDENTS = ("random, kl", "random, margin", "bm25, kl", "bm25, margin")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with two tiny collections, a model, a run of another tool and a recipe."""
    root = tmp_path_factory.mktemp("judge")
    tiny_beir(root / "tiny")
    tiny_beir(root / "other", docs=60, queries=12, seed=1)
    tiny_encoder(root / "encoder")
    judged = (root / "other/qrels/train.tsv").read_text().splitlines()[1:]
    ids = dict.fromkeys(line.split("\t")[0] for line in judged)
    texts = (root / "other/corpus.jsonl").read_text().split("\n")
    docs = [json.loads(line)["_id"] for line in texts[:30]]
    lines = [f"{q} Q0 {d} {r} {30 - r} theirs\n" for q in ids for r, d in enumerate(docs)]
    (root / "run.txt").write_text("".join(lines))
    (root / "s.toml").write_text(RECIPE)
    return root


def test_a_recipe_with_seeds_losses_and_domains(rankmill):
    status, out, err = rankmill("run", "s.toml", "--json", "--report", "report.html")
    assert status == 0, err
    found = json.loads(out)
    rows = {(row["system"], row["domain"]): row for row in found["systems"]}
    searching = {f"{name}, full retrieval" for name in ("teacher", "untrained start", *STUDENTS)}
    expected = {"first stage", "BM25", "teacher", "untrained start", *STUDENTS, *searching}
    for domain in ("near", "far", "ran"):
        assert {system for system, where in rows if where == domain} == expected
    assert [row["domain"] for row in found["systems"]][0] == "near"  # in-domain first
    assert {d: row["in_domain"] for (_, d), row in rows.items()} == {
        "near": True, "far": False, "ran": False,
    }  # fmt: skip
    for row in rows.values():
        assert {"nDCG@10", "AP", "R@100", "Judged@10"} == set(row["measures"])
        assert row["seeds"] == (2 if row["system"].removesuffix(", full retrieval") in STUDENTS
                                else 1)  # fmt: skip
    assert set(rows["bm25, kl", "near"]["against"]) == {
        "untrained start", "first stage", "BM25", "teacher",
    }  # fmt: skip
    assert "BM25" not in rows["bm25, kl", "far"]["against"]  # there it is the first stage
    assert rows["BM25", "far"]["nDCG@10"] == rows["first stage", "far"]["nDCG@10"]
    pairs = [pair for pair in found["samplers"] if pair["domain"] == "near"]
    assert [(p["a"], p["b"]) for p in pairs] == [
        ("random, kl", "bm25, kl"), ("random, margin", "bm25, margin"),
    ]  # fmt: skip
    for pair in pairs:
        assert pair["equivalence"]["margin"] == 0.3
        assert pair["equivalence"]["outcome"] in ("equivalent", "different", "undecided")
        assert {"queries", "seeds", "interaction"} <= set(pair["variance"])


def test_the_recipes_figures_are_those_of_its_evaluations(rankmill):
    found = json.loads(rankmill("run", "s.toml", "--json")[1])
    workspace = rm.Workspace("rankmill-work")
    by_root = {a.root_hash: a for a in workspace.artifacts()}
    made = [by_root[root] for root in found["roots"].values()]
    qrels = rm.collect("beir:tiny", workspace=workspace).qrels_artifact("test").fingerprint
    (near,) = [
        a
        for a in made
        if a.kind == "comparison"
        and ["random, kl", "bm25, kl"] in a.parameters["family"]
        and a.input("random, kl#0").inputs["qrels"] == qrels
    ]
    systems = {
        name: np.stack(
            [Evaluation(near.input(f"{name}#{seed}")).values("nDCG@10") for seed in (0, 1)]
        )
        for name in STUDENTS
    }
    family = [("random, kl", "bm25, kl"), ("random, margin", "bm25, margin")]
    assert read_comparisons(near) == compare(systems, family, margin=0.3)
    rows = {(r["system"], r["domain"]): r for r in found["systems"]}
    assert rows["bm25, kl", "near"]["nDCG@10"] == pytest.approx(systems["bm25, kl"].mean())
    overall = {(r["system"], r["over"]): r for r in found["overall"]}
    every = overall["bm25, kl", "all sets"]
    means = [rows["bm25, kl", d]["nDCG@10"] for d in ("near", "far", "ran")]
    assert every["macro"] == pytest.approx(np.mean(means))
    assert every["macro_low"] <= every["macro"] <= every["macro_high"]
    outside = overall["bm25, kl", "out-of-domain sets"]
    assert outside["domains"] == ["far", "ran"]
    assert outside["macro"] == pytest.approx(np.mean(means[1:]))
    assert every["queries"] == outside["queries"] + 20
    assert every["micro"] == pytest.approx(
        (means[0] * 20 + outside["micro"] * outside["queries"]) / every["queries"]
    )
    assert every["macro_over"] == "3 data sets and 2 seeds"
    assert (outside["macro_low"], outside["macro_high"]) == (None, None)
    assert outside["macro_reason"] == "too few data sets: 2, at least 3 needed"
    assert rows["bm25, kl", "near"]["over"] == "queries and 2 seeds"
    whole = t_interval(systems["bm25, kl"])
    assert whole.low is not None
    assert rows["bm25, kl", "near"]["low"] == max(0.0, whole.low)
    assert rows["bm25, kl", "near"].get("cut") == ("cut at 0" if whole.low < 0 else None)
    assert rows["teacher", "near"]["over"] == "queries"
    assert "reason" not in rows["teacher", "near"]  # no seed made it


def test_seeds_may_draw_their_groups_anew(rankmill):
    workspace = rm.Workspace("rankmill-work")
    change = ("--set", "train.redraw=true", "--set", "name=anew")
    assert rankmill("run", "s.toml", *change)[0] == 0
    one, two = (workspace.find(f"anew-random-groups{s}", "groups") for s in ("", "-seed2"))
    assert one.parameters["seed"] == 0
    assert two.parameters["seed"] == 2
    students = [workspace.find(f"anew-random-kl-student{s}") for s in ("", "-seed2")]
    assert students[1].inputs["groups"] == two.fingerprint
    assert students[0].inputs["groups"] not in (one.fingerprint, two.fingerprint)  # seed 1
    kept = workspace.find("s-random-kl-student-seed2")
    assert kept.inputs["groups"] == workspace.find("s-random-groups", "groups").fingerprint


def test_cost_stands_against_gain(rankmill):
    found = json.loads(rankmill("run", "s.toml", "--json")[1])
    rows = [g for g in found["gains"] if g["domain"] == "near"]
    assert sorted(g["system"] for g in rows) == sorted(STUDENTS)
    assert [g["seconds"] for g in rows] == sorted(g["seconds"] for g in rows)
    best = -1.0
    for row in rows:
        assert row["front"] == (row["gain"] > best)
        best = max(best, row["gain"])
        parts = [row[key] for key in ("mining", "teacher", "groups", "training")]
        assert row["seconds"] == pytest.approx(sum(parts))
        assert row["per_hour"] == pytest.approx(3600 * row["gain"] / row["seconds"])
        assert row["low"] <= row["gain"] <= row["high"]
    workspace = rm.Workspace("rankmill-work")
    pool = workspace.find("s-pool").table(0).to_pylist()
    ranks = [key for key in pool[0] if key.startswith("rank[")]
    judged = workspace.find("s-pool").input("qrels").table(0).to_pylist()
    positives = {(row["query"], row["doc"]) for row in judged if row["grade"] >= 1}
    pairs = {"random": 0, "bm25": 0}
    for query in pool:
        for place, doc in enumerate(query["doc"]):
            finders = {key[5:].partition("(")[0].rstrip("]") for key in ranks if query[key][place]}
            for sampler in pairs:
                pairs[sampler] += sampler in finders or (query["query"], doc) in positives
    for row in rows:
        assert row["pairs"] == pairs[row["system"].split(",")[0]]
    mined = {row["system"]: row["mining"] for row in rows}
    assert mined["random, kl"] == workspace.find("s-random").cost()["cpu_s"]
    assert mined["bm25, kl"] > workspace.find("s-bm25").cost()["cpu_s"]  # and its index


@pytest.mark.parametrize(
    ("strategy", "sources"),
    [
        ("uniform(source=bm25,last=50)", {"bm25"}),
        ("top", set()),
        ("quotas(sources=[a,b],take=[2,1])", {"a", "b"}),
        ("mixture(source=a,number=2)", {"a", "random"}),
    ],
)
def test_a_strategy_is_charged_for_the_sources_that_it_names(strategy, sources):
    assert sources_of(strategy) == sources


def test_the_terminal_says_what_was_shown(rankmill):
    status, out, _ = rankmill("run", "s.toml")
    assert status == 0
    for said in ("in-domain", "out-of-domain", "macro mean", "micro", "margin ±0.3", "power"):
        assert said in out
    assert "over queries and 2 seeds" in out
    assert out.count("too few data sets") == 1  # beneath the table, not in each of its rows
    assert (
        "the macro mean of out-of-domain sets has no interval: too few data sets: 2, at least 3 "
        "needed" in out
    )
    assert "student, bm25 groups, margin, full retrieval" in out
    assert "first stage: bm25, dense, imported" in out
    page = Path("report.html").read_text()
    for said in (
        "nDCG@10 on every evaluation set",
        "Difference between two students, near",
        ">Judged@10</th>",
        "Cost against gain",
        "the student trained on “",
        "R@100 is not shown for systems that re-rank the first 10 documents of a run",
        "over queries and 2 seeds",
        "No interval of the macro mean, out-of-domain sets (2): too few data sets: 2, at least 3",
    ):
        assert said in page
    assert page.count("too few data sets") == 1
    assert ">R@100</th>" not in page


@pytest.mark.parametrize(("form", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89")])
def test_figures_of_the_paper(rankmill, form, start):
    for attempt in ("one", "two") if form != "png" else ("one",):
        status, out, err = rankmill("figures", "s.toml", "--to", attempt, "--format", form)
        assert status == 0, err
        assert len(out.splitlines()) == 4
    for name in ("score-against-rank", "training", "grid"):
        data = Path("one", f"{name}.{form}").read_bytes()
        assert data.startswith(start)
        assert form == "png" or data == Path("two", f"{name}.{form}").read_bytes()
    numbers = json.loads(Path("one/figures.json").read_text())
    curves = numbers["score_against_rank"]
    assert {(c["loss"], c["sampler"], c["system"]) for c in curves} == {
        (loss, sampler, system)
        for loss in ("kl", "margin")
        for sampler in ("random", "bm25")
        for system in ("teacher", "start", "student")
    }
    assert {len(c["y"]) for c in curves} == {10}
    assert all(c["low"][0] <= c["y"][0] <= c["high"][0] for c in curves)
    assert [len(t["value"]) for t in numbers["training"]] == [2, 2, 2, 2]  # steps
    if form == "svg":
        grid = ElementTree.parse("one/grid.svg")
        assert len([g for g in grid.iter() if g.get("id", "").startswith("axes_")]) == 4


def test_evaluations_stand_beside_bm25_and_the_first_stage(rankmill):
    work = "s-bm25-kl-student"
    assert (
        rankmill("mine", "random", "-c", "s", "--split", "test", "--depth", "30", "-n", "r")[0] == 0
    )
    status, out, err = rankmill("eval", "--student", work, "--first-stage", "r", "--depth", "8")
    assert status == 0, err
    lines = [line.split("  ")[0].strip() for line in out.splitlines()]
    assert lines[1:5] == ["student", "first stage", "BM25", "queries"]
    assert "Judged@10" in out.splitlines()[0]
    assert "nDCG@10 against first stage:" in out
    found = json.loads(
        rankmill("eval", "--student", work, "--first-stage", "r", "--depth", "8", "--json")[1]
    )
    assert set(found["beside"]) == set(found["against"]) == {"first stage", "BM25"}
    # The student orders the same eight documents, so it finds as many as the first stage.
    assert found["measures"]["R@100"] == found["beside"]["first stage"]["R@100"]
    values = ("--alone", "--per-query", "values.jsonl")
    assert rankmill("eval", "--student", work, "--first-stage", "r", *values)[0] == 0
    assert len(Path("values.jsonl").read_text().splitlines()) == 20
    values = ("--depth", "8", "--per-query", "values.jsonl")
    rankmill("eval", "--student", work, "--first-stage", "r", *values)
    rows = [json.loads(line) for line in Path("values.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    for system, means in {"student": found["measures"], **found["beside"]}.items():
        mine = [row for row in rows if row["system"] == system]
        assert mine[0]["query_id"].startswith("q")
        assert np.mean([row["AP"] for row in mine]) == pytest.approx(means["AP"])
    alone = rankmill("eval", "--run", "r", "--alone", "--ties", "trec", "--name", "e-r")[1]
    assert "BM25" not in alone
    assert (
        rankmill("mine", "bm25", "-c", "s", "--split", "test", "-n", "b", "--depth", "30")[0] == 0
    )
    beside = json.loads(rankmill("eval", "--run", "b", "--json", "--name", "e-b")[1])
    assert beside["beside"] == {}  # it is BM25
    assert rankmill("show", "e-b", "--rows", "1", "--format", "jsonl")[1].startswith('{"query_id"')


def test_compare_names_evaluations_and_seeds(rankmill):
    for seed in ("2", "3"):
        name = ("-n", f"r{seed}")
        rankmill(
            "mine", "random", "-c", "s", "--split", "test", "--depth", "30", "--seed", seed, *name
        )
        rankmill("eval", "--run", f"r{seed}", "--alone", "--name", f"e-r{seed}")
    rankmill("eval", "--run", "r", "--alone", "--name", "e-r")
    status, out, err = rankmill(
        "compare", "drawn=e-r+e-r2+e-r3", "e-b", "--margin", "0.9", "-n", "c"
    )
    assert status == 0, err
    assert out.startswith("drawn − e-b: -0.")
    assert "; equivalent (margin ±0.9, p = 0.003, power 1.00)" in out
    assert "of 3 seeds" in out
    assert "over queries and 3 seeds, p" in out
    found = json.loads(rankmill("compare", "e-r", "e-r2", "e-b", "--pair", "e-b:e-r", "--json")[1])
    assert [(p["a"], p["b"]) for p in found["pairs"]] == [("e-b", "e-r")]
    assert found["pairs"][0]["difference"] > 0
    assert found["pairs"][0]["over"] == "queries"
    assert found["pairs"][0]["with_a_new_seed"] is None
    assert found["pairs"][0]["reason"].startswith("too few seeds: one")
    assert "over queries only; one seed, p" in rankmill("compare", "e-r", "e-b")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("compare", "e-b"), 2, "there is no pair to compare"),
        (("compare", "e-b", "e-x"), 4, "no evaluation called 'e-x'"),
        (("compare", "e-b", "e-b"), 2, "'e-b' is named twice"),
        (("compare", "e-b", "e-r", "--pair", "e-b"), 2, "write --pair A:B"),
        (("compare", "e-b", "e-r", "--pair", "e-b:zz"), 2, "no system is called 'zz'"),
        (("compare", "e-b", "e-r", "--margin", "0"), 2, "--margin 0.0 must be above 0"),
        (("compare", "e-b", "e-r", "--measure", "P@3"), 4, "P@3 was not measured"),
        (("eval", "--run", "r", "--ties", "doc"), 2, "--ties doc is not one of list, trec"),
        (("eval", "--run", "r", "--per-query", "x.txt"), 2, "end it in .csv, .jsonl, .parquet"),
        (("figures", "s.toml", "--to", "x", "--format", "gif"), 2, "format 'gif' is not one of"),
        (("run", "s.toml", "--set", "train.loss=kl"), 2, "both train.loss and train.losses"),
        (("run", "s.toml", "--set", "train.seeds=[1,1]"), 2, "holds a seed twice"),
        (("run", "s.toml", "--set", "train.settings.batch=2"), 2, "settings names batch"),
        (("run", "s.toml", "--set", "train.threads=0"), 2, "threads=0 must be at least 1"),
        (("run", "s.toml", "--set", "train.student=cross_encoder(model=x)"), 2, "cannot search"),
        (("run", "s.toml", "--set", "evaluate.margin=0"), 2, "margin=0.0 must be above 0"),
        (("run", "s.toml", "--set", "evaluate.measures=nDGC@10"), 2, "unknown measure 'nDGC@10'"),
        (("run", "s.toml", "--set", "train.losses.kl=kll"), 2, "did you mean kl?"),
    ],
)
def test_wrong_arguments_say_what_and_what_to_do(rankmill, arguments, status, message):
    # The evaluations that these name were made by the tests above.
    found, _, err = rankmill(*arguments)
    assert message in err
    assert found == status, err
    assert "Traceback" not in err
