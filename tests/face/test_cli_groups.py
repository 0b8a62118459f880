"""Commands about groups and what examines them, as a user meets them: right and wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection and a tiny model."""
    root = tmp_path_factory.mktemp("cli-groups")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    return root


@pytest.fixture
def made(rankmill, place):
    """Make groups with statistics, once; returns the runner."""
    if (place / "rankmill-work" / "names" / "stats.json").exists():
        return rankmill
    steps = [
        "collect beir:tiny --name tiny",
        "mine bm25 -c tiny --split train --depth 30 -n bm25",
        "mine random -c tiny --split train --depth 30 -n random",
        "mine neighbours(model=encoder) -c tiny --split train --depth 30 -n near",
        "pool bm25 random near -n pool",
        "score bi_encoder(model=encoder) --pool pool -n scores",
        "select quotas(sources=[bm25,random,neighbours]) --pool pool --scores scores --size 7 "
        "--filter near_copies --filter between(low=-2,score=raw) --positives together "
        "--when-short fill -n groups",
        "stats --groups groups --encoder encoder -n stats -s pair_entropy(score=raw) -s radius "
        "-s overlap(bm25,random) -s removed -s hygiene(positives)",
    ]
    for step in steps:
        status, _, err = rankmill(*step.split())
        assert status == 0, (step, err)
    return rankmill


def test_groups_are_cut_crossed_sampled_and_relabelled(made, place):
    (place / "rewrites.tsv").write_text("q2\tanother wording\n")
    steps = [
        ("cut", "keep_below(of=pair_entropy(score=raw),q=0.75)")
        + ("--groups", "groups", "--statistics", "stats", "-n", "low"),
        ("cut", "where('removed = 0')", "--groups", "groups", "--statistics", "stats"),
        ("cells", "--groups", "groups", "--statistics", "stats")
        + ("--entropy", "pair_entropy(score=raw)", "-n", "cell"),
        ("subsample", "--groups", "groups", "--size", "5", "--times", "2", "-n", "small"),
        ("retarget", "temperature(T=0.5)", "--groups", "groups"),
        ("retarget", "--groups", "groups", "--scores", "scores"),
        ("rewrite", "rewrites.tsv", "-c", "tiny", "--split", "train", "-n", "wide"),
        ("stats", "--scores", "scores", "--encoder", "encoder", "-n", "pool-stats")
        + ("-s", "pair_entropy(score=raw)", "-s", "diameter", "-s", "intrinsic_dim"),
    ]
    for step in steps:
        status, out, err = made(*step)
        assert status == 0, (step, err)
        assert "root" in out
    cells = [
        made("show", f"cell-near{n}-sure{s}", "--rows", "0")[1] for n in (0, 1) for s in (0, 1)
    ]
    assert len({out.rsplit("\n", 2)[-2] for out in cells}) == 1  # as many rows in each
    status, _, err = made("cells", "--groups", "groups", "--statistics", "stats", "--json")
    assert status == 4  # the entropy of log-probabilities was not measured
    assert "pair_entropy(T=1) was not measured" in err
    status, out, _ = made("show", "small", "--rows", "1", "--format", "jsonl")
    assert len(json.loads(out)["doc_id"]) == 5


def test_cells_of_other_queries_are_told_as_such(made):
    chosen = ("--entropy", "pair_entropy(score=raw)")
    status, out, _ = made("cells", "--groups", "groups", "--statistics", "stats", *chosen)
    assert status == 0
    assert "; the cells differ in their queries too" in out
    step = ("cells", "--groups", "groups", "--statistics", "stats", *chosen, "--json")
    told = json.loads(made(*step)[1])
    assert told["queries_in_all_cells"] == 0 < told["queries"]


def test_blocks_are_crossed_reported_and_compared(made):
    step = ("cross", "--pool", "pool", "--scores", "scores", "--encoder", "encoder")
    step += ("--size", "4", "--tolerance", "0.4", "--span", "0.4")
    status, out, err = made(*step, "-n", "blocks")
    assert status == 0, err
    assert "queries in all cells: " in out
    assert "within queries" in out
    assert "unblocked cells" in out
    names = [f"blocks-near{near}-sure{sure}" for near in (0, 1) for sure in (0, 1)]
    rows = [made("show", name, "--rows", "0")[1] for name in names]
    assert len({text.rsplit("\n", 2)[-2] for text in rows}) == 1
    told = json.loads(made(*step, "--json")[1])
    assert told["blocks"] + sum(told["dropped"].values()) == told["asked"]
    assert told["confounding"]["queries_in_all_cells"] == told["blocks"] > 0
    assert {cell["groups"] for cell in told["cells"]} == {told["blocks"]}
    assert made("verify", "blocks")[0] == 0
    assert "near" in made("show", "blocks", "--rows", "1")[1]


def test_a_design_without_a_block_says_so(made):
    step = ("cross", "--pool", "pool", "--scores", "scores", "--encoder", "encoder")
    status, out, err = made(*step, "--size", "1000")
    assert status == 3
    assert "no query has a group in every cell" in err
    assert "choose smaller groups" in err
    assert "queries in all cells: 0 of" in out
    assert "too_few_candidates" in out


def test_summary_explain_and_audit(made):
    status, out, _ = made("summary", "stats")
    assert status == 0
    assert "Spearman" in out
    assert "removed" in out
    assert json.loads(made("summary", "stats", "--json")[1])["rows"] > 0
    status, out, _ = made("explain", "q2", "--groups", "groups")
    assert status == 0
    for word in ("the positive", "bm25 #", "●", "pair_entropy"):
        assert word in out
    told = json.loads(made("explain", "q2", "--groups", "groups", "--json")[1])
    assert any(one["kept"] for one in told["groups"][0]["candidates"])
    drawn = ("--pool", "pool", "--scores", "scores", "--size", "4", "-n", "hard")
    assert made("select", "uniform(source=bm25,last=20)", *drawn)[0] == 0
    assert made("stats", "--groups", "hard", "-s", "density_ratio(target=corpus)")[0] == 0
    query = json.loads(made("show", "hard", "--rows", "1", "--format", "jsonl")[1])["query_id"]
    told = json.loads(made("explain", query, "--groups", "hard", "--json")[1])
    assert set(told["groups"][0]["statistics"].values()) == {"inf"}  # JSON has no infinity
    status, out, _ = made("audit", "--groups", "groups")
    assert status == 0
    assert "leakage into test" in out
    assert json.loads(made("audit", "--groups", "groups", "--json")[1])["leakage"]["test"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("stats", 2, "name what to measure: nothing was given"),
        ("stats --scores scores --compat locality-and-entropy", 4, "variants are of groups"),
        ("stats --groups groups --compat x", 2, "--compat x is unknown"),
        ("stats --groups groups -s intrinsic_dim", 2, "needs the vectors of an encoder"),
        ("retarget --groups groups", 2, "nothing says what the new labels are"),
        ("retarget soften --groups groups", 2, "unknown target 'soften'"),
        ("subsample --groups groups --size 9", 2, "--size 9 is no part of groups of 7"),
        ("explain q999 --groups groups", 4, "'q999'"),
        ("explain q1 --groups groups", 4, "query 'q1' is not in the pool"),
        ("audit --groups groups --against dev", 4, "no split 'dev'"),
        ("audit --groups groups --overlap 0.1", 2, "--overlap 0.1 must be at least 0.7"),
        ("cut where('nope=1') --groups groups --statistics stats", 2, "'nope' was not measured"),
        (
            "cut keep_below --groups groups --statistics pool",
            4,
            "one of kind statistics was expected",
        ),
        ("select shell --pool pool --scores scores", 2, "shell.* needs vectors"),
        ("select blocked_cell(0,1) --pool pool --scores scores", 2, "name an encoder for locality"),
        (
            "cross --pool pool --scores scores --encoder encoder --span 2",
            2,
            "--span 2.0 must be at most 1",
        ),
        ("cross --pool pool --scores scores --encoder encoder --locality ties", 2, "aimed at"),
        (
            "cross --pool groups --scores scores --encoder encoder",
            4,
            "one of kind pool was expected",
        ),
        ("rewrite none.tsv -c tiny --split train", 4, "none.tsv"),
        ("summary groups", 4, "groups are not statistics"),
        ("summary groups", 4, "do: measure them: rankmill stats --groups GROUPS"),
        ("summary pool", 4, "do: score it: rankmill score TEACHER --pool POOL"),
        ("summary bm25", 4, "do: evaluate it: rankmill eval --run RUN"),
        ("summary tiny", 4, "do: look at it: rankmill survey COLLECTION"),
        ("advise groups", 4, "`rankmill list pool` and `rankmill list collection` show those"),
        ("advise bm25", 4, "of this run: rankmill pool bm25 --name POOL"),
        ("eval --student pool --first-stage bm25", 4, "pool is of kind pool, one of kind student"),
        ("eval --student pool --first-stage bm25", 4, "`rankmill list student` shows those"),
        ("eval --run groups", 4, "groups is of kind groups, one of kind run or scores was"),
        ("rerank --student groups --run bm25", 4, "groups is of kind groups, one of kind student"),
    ],
)
def test_wrong_arguments_say_what_to_do(made, arguments, status, message):
    import re

    ended, _, err = made(*arguments.split())
    assert ended == status, err
    assert re.search(message, err)
    assert "Traceback" not in err


def test_a_recipe_filters_and_cuts(rankmill, place):
    (place / "cut.toml").write_text(
        """
name = "c"
collection = "beir:tiny"
teacher = "bi_encoder(model=encoder)"
[mine]
split = "train"
depth = 30
[mine.sources]
bm25 = "bm25"
random = "random"
[groups]
size = 4
filters = ["near_copies"]
positives = "together"
cut = "where('\\"pair_entropy(T=1,score=raw)\\" > 0')"
[groups.samplers]
bm25 = "uniform(source=bm25,last=30)"
[statistics]
statistics = ["pair_entropy(score=raw)", "ties"]
"""
    )
    status, out, err = rankmill("run", "cut.toml")
    assert status == 0, err
    told = json.loads(rankmill("summary", "c-bm25-stats", "--json")[1])
    assert told["columns"]["pair_entropy(T=1,score=raw)"]["min"] > 0


def test_a_grade_of_positives_goes_from_the_pool_to_all_that_follows(made):
    steps = [
        "pool bm25 random near --min-grade 2 -n pool2",
        "score bi_encoder(model=encoder) --pool pool2 --direction trusted -n scores2",
        "select top --pool pool2 --scores scores2 --size 5 -n groups2",
        "stats --groups groups2 -n stats2 -s hygiene(positives)",
        "stats --scores scores2 -n lists2 -s pair_entropy(score=raw,pairs=pos_neg)",
        "stats --scores scores2 --min-grade 1 -s pair_entropy(score=raw,pairs=pos_neg)",
    ]
    prints = []
    for step in steps:
        status, out, err = made(*step.split(), "--json")
        assert status == 0, (step, err)
        prints.append(json.loads(out)["fingerprint"])
    assert prints[-1] != prints[-2]
    status, _, err = made("stats", "--groups", "groups2", "--min-grade", "1")
    assert status == 2
    assert "groups have a min_grade of their own" in err
    status, _, err = made(*"score bi_encoder(model=encoder) --pool pool2 --direction up".split())
    assert status == 2
    assert "one of judged, trusted" in err


def test_cells_of_a_design_are_samplers_of_a_recipe(rankmill, place):
    cells = [f"blocked_cell({n},{s},span=0.4,tolerance=0.4)" for n in (0, 1) for s in (0, 1)]
    cells = [c.replace(",span", ",entropy=pair_entropy(T=0.05,score=raw),span") for c in cells]
    samplers = "\n".join(f"c{i} = '{text}'" for i, text in enumerate(cells))
    recipe = f"""
name = "x"
collection = "beir:tiny"
teacher = "bi_encoder(model=encoder)"
[mine]
split = "train"
depth = 30
[mine.sources]
bm25 = "bm25"
random = "random"
[groups]
size = 4
[groups.samplers]
{samplers}
[statistics]
statistics = ["pair_entropy(score=raw)", "radius"]
encoder = "encoder"
"""
    (place / "cells.toml").write_text(recipe)
    status, _, err = rankmill("run", "cells.toml")
    assert status == 0, err
    queries = set()
    for i in range(4):
        out = rankmill("show", f"x-c{i}-groups", "--rows", "0", "--format", "jsonl")[1]
        queries.add(tuple(json.loads(line)["query_id"] for line in out.splitlines()))
    assert len(queries) == 1
    assert next(iter(queries))
    shells = recipe.replace(samplers, 'near = "shell(near=0,far=0.5,source=bm25,last=20)"')
    (place / "shells.toml").write_text(shells)  # once refused: a recipe could not name vectors
    status, _, err = rankmill("run", "shells.toml")
    assert status == 0, err
    out = rankmill("show", "x-near-groups", "--rows", "0", "--format", "jsonl")[1]
    assert all(len(json.loads(line)["doc_id"]) == 4 for line in out.splitlines())
    (place / "blind.toml").write_text(
        recipe.replace('encoder = "encoder"\n', "").replace(', "radius"', "")
    )
    status, _, err = rankmill("run", "blind.toml")
    assert status == 2
    assert "looks at vectors" in err
