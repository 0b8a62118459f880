"""A study carried out: once, found again, killed and resumed, raced, side by side."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_collection import tiny_beir
from tiny_study import study_place

import rankmill as rm
from rankmill.cli.books import keeping_books
from rankmill.mining.actors import INLINE
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.run import Run
from rankmill.mining.store import Workspace
from rankmill.mining.store.workspace import FoundOnly
from rankmill.report.study.values import report_of
from rankmill.study.estimate import asked
from rankmill.study.grid import engine, load_study, run_study
from rankmill.study.grid.axes import RESERVED
from rankmill.study.grid.declared import Race
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.plan import plan_of
from rankmill.study.run import Pipeline
from rankmill.study.words import duration
from rankmill.training.evaluation import Evaluation
from rankmill.training.order import Order


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_place(tmp_path_factory.mktemp("study"))


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def made(place: Path) -> StudyOutcome:
    """Return the outcome of the study, carried out in `work` beside the recipe."""
    before = Path.cwd()
    os.chdir(place)
    try:
        return rm.study("s.toml", workspace="work", to="out")
    finally:
        os.chdir(before)


def roots(outcome: StudyOutcome) -> dict[tuple[str, str], list[str]]:
    """Return the root hashes of students and evaluations by cell and domain."""
    first = outcome.cells.filter(pl.col("measure") == outcome.study.measures[0])
    return {
        (row["cell"], row["domain"]): [*row["student_root"], *row["evaluation_root"]]
        for row in first.to_dicts()
    }


def again(*overrides: str, workspace: str = "work") -> StudyOutcome:
    """Carry the study out where nothing can be made."""
    study = load_study(Path("s.toml"), overrides)
    return run_study(study, FoundOnly(Path(workspace).absolute()), INLINE)


def test_every_cell_is_there_once_for_every_domain_and_measure(made):
    cells = made.cells
    assert len(cells) == 4 * 2 * len(made.study.measures)
    assert set(cells["cell"]) == {
        f"{student}, {sampler}, kl"
        for student in ("small", "large")
        for sampler in ("random", "bm25")
    }
    assert cells.select("cell", "domain", "measure").is_unique().all()
    for row in cells.to_dicts():
        assert row["train.student"] in row["cell"]
        assert row["seeds"] == [1, 2]
        assert row["mean"] == pytest.approx(np.mean(row["by_seed"]))
        assert row["documents_seen"] == [64, 64]
        assert row["training_cpu_s"] > 0
        assert row["stopped"] is False
        tested = row["measure"] == made.study.measures[0]
        assert (row["against_start"] is not None) == (row["against_bm25"] is not None) == tested
    assert set(cells.filter(pl.col("domain") == "dev")["kind"]) == {"development"}
    assert set(cells.filter(pl.col("domain") == "test")["kind"]) == {"in-domain"}


def test_values_of_queries_average_to_the_means(made):
    per_query = made.queries.filter(pl.col("system") == "student")
    keys = ["cell_", "domain", "measure"]
    name = pl.concat_str("train.student", "sampler", "loss", separator=", ").alias("cell_")
    means = per_query.with_columns(name).group_by(keys).agg(pl.col("value").mean())
    found = {tuple(row[k] for k in keys): row["value"] for row in means.to_dicts()}
    for row in made.cells.to_dicts():
        assert found[row["cell"], row["domain"], row["measure"]] == pytest.approx(row["mean"])
    columns = {*made.cells.columns, *made.queries.columns, *made.worth.columns}
    assert columns - {"train.student"} == RESERVED  # no axis may be called like one
    references = set(made.queries["system"]) - {"student"}
    assert references == {"first stage", "teacher", "untrained start"}


def test_gains_follow_from_the_values_of_queries(made):
    """The start of a cell is found by the levels that it shares with the cell."""
    keys = ["domain", "measure", "train.student", "query_id"]
    values = made.queries.filter(pl.col("measure") == made.study.measures[0])
    assert values.select(*keys, "sampler", "loss", "training_seed", "system").is_unique().all()
    start = values.filter(pl.col("system") == "untrained start").select(*keys, start="value")
    students = values.filter(pl.col("system") == "student").join(start, on=keys)
    by = ["domain", "train.student", "sampler", "loss"]
    gains = students.group_by(by).agg((pl.col("value") - pl.col("start")).mean().alias("gain"))
    found = {tuple(row[k] for k in by): row["gain"] for row in gains.to_dicts()}
    rows = made.cells.filter(pl.col("measure") == made.study.measures[0]).to_dicts()
    assert len(found) == len(rows) == 8
    for row in rows:
        assert row["against_start"] == pytest.approx(found[tuple(row[k] for k in by)])


def test_what_students_see_is_counted_by_hand(made):
    """Documents, pairs, positives and queries, from the groups that each seed is shown."""
    for cell in made.study.cells:
        track = made.engine.tracks[cell.variant]
        for place, seed in enumerate(track.recipe.seeds):
            (shown,) = track.groups_of(cell, place)
            groups = Groups(shown)
            rows = [
                (int(query), docs.tolist(), grades.tolist())
                for part in groups.parts()
                for query, docs, grades in zip(part.query, part.doc, part.grade, strict=True)
            ]
            order = Order(len(rows), seed=seed)
            shown = [rows[order.at(position)] for position in range(64 // 4)]
            pairs = {(q, doc) for q, docs, _ in shown for doc in docs}
            positives = {
                (q, doc)
                for q, docs, grades in shown
                for doc, grade in zip(docs, grades, strict=True)
                if grade >= groups.min_grade
            }
            assert made.engine.seen[cell.number][place] == {
                "documents": 64,
                "unique_pairs": len(pairs),
                "positives": len(positives),
                "queries": len({q for q, _, _ in shown}),
            }


def test_a_second_run_makes_nothing(made):
    assert roots(again()) == roots(made)
    plan = plan_of(made.study, Workspace("work"))
    assert all(request.there for request in plan.requests)


def test_the_plan_shares_what_is_equal_and_says_what_is_new(made):
    counts = {row["stage"]: row["requests"] for row in plan_of(made.study, Workspace("w")).stages}
    assert counts == {
        "collect": 1,
        "mine": 2,
        "pool": 1,
        "score": 1,
        "select": 2,
        "references": 4,
        "train": 8,
        "evaluate": 16,
    }
    more = ["train.losses={kl='kl', soft='kl(T=2)'}", "train.loss=kl"]
    with pytest.raises(UsageError, match=r"both train\.loss and train\.losses"):
        load_study(Path("s.toml"), more)
    wider = load_study(Path("s.toml"), ["groups.samplers.top='top(source=bm25)'"])
    plan = plan_of(wider, Workspace("work"))
    # a third sampler: its groups, and 2 students × 2 seeds with two evaluations each
    assert plan.new["sampler"] == {"top": 1 + 4 + 8}
    assert "to be made for one level of sampler alone: top 13" in list(plan.lines())
    students = {one.fingerprint: one for t in made.engine.tracks for one in t.students.values()}
    costs = [one.cost() for one in students.values()]
    each = sum(cost["cpu_s"] + cost["gpu_s"] for cost in costs) / 8
    assert (plan.student_s, len(costs)) == (pytest.approx(each), 8)
    (said,) = (line for line in plan.lines() if line.startswith("training: "))
    assert said == (
        f"training: 8 of 12 students are there, at {duration(each)} of processor and accelerator "
        f"each; the others would take {duration(4 * each)} at that rate"
    )
    assert plan_of(made.study, Workspace("w")).student_s is None  # of nothing nothing is known


def test_a_collection_is_looked_for_once_for_all_variants(tmp_path, monkeypatch):
    """Its files are hashed to be looked for: once, however many students are compared."""
    workspace, looked, real = Workspace(tmp_path / "w"), list[str | None](), Pipeline.collect
    rm.collect(f"beir:{tiny_beir(tmp_path / 'other', docs=30, queries=4)}", workspace=workspace)

    def counted(self: Pipeline, spec: str | None = None) -> Collection:
        looked.append(spec)
        return real(self, spec)

    monkeypatch.setattr(Pipeline, "collect", counted)
    study = load_study(Path("s.toml"))
    assert len(study.variants) == 2
    assert not any(request.there for request in plan_of(study, workspace).requests)
    assert looked == [None]
    assert asked.found(study, workspace) == set()
    assert looked == [None, None]


def test_the_same_cells_under_other_names_are_found(made):
    # another study of the workspace, other levels, with the same requests behind them
    fewer = ["name=other", "study.without=[{sampler='bm25'}]", "study.factors={}"]
    study = load_study(Path("s.toml"), fewer)
    found = run_study(study, FoundOnly(Path("work").absolute()), INLINE)
    mine = {hash_ for hashes in roots(found).values() for hash_ in hashes}
    assert mine <= {hash_ for hashes in roots(made).values() for hash_ in hashes}
    assert len(study.cells) == 2


def test_effects_are_differences_of_the_cells(made):
    measure = made.study.measures[0]
    rows = made.cells.filter((pl.col("measure") == measure) & (pl.col("domain") == "test"))
    mean = {row["cell"]: row["mean"] for row in rows.to_dicts()}
    one = next(one for one in made.effects if one.domain == "test")
    assert [e.factor for e in one.effects] == [
        "train.student",
        "sampler",
        "train.student × sampler",
    ]
    by_hand = (mean["large, random, kl"] + mean["large, bm25, kl"]) / 2
    by_hand -= (mean["small, random, kl"] + mean["small, bm25, kl"]) / 2
    assert one.effects[0].difference.mean == pytest.approx(by_hand)


def test_files_hold_every_number_and_the_same_report_three_times(made):
    out = Path("out")
    stored = pl.read_parquet(out / "cells.parquet")
    assert stored.equals(made.cells, null_equal=True)
    assert len(pl.read_csv(out / "queries.csv")) == len(made.queries)
    texts = [(out / name).read_text() for name in ("study-report.html", "study.md", "study.tex")]
    for table in report_of(made).tables:
        for text in texts[:2]:
            assert table.title in text
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert "not distinguishable from the best" in texts[1]
    assert texts[0].count("<script>") == 1  # it sorts tables, no more
    assert texts[2].count(r"\begin{tabular}") == texts[2].count(r"\end{tabular}")


# ---- costs, and the answer -----------------------------------------------------------------------


def ledgers(outcome: StudyOutcome) -> dict[str, dict]:
    """Return the ledger of every artifact behind a study, each once."""
    found: dict[str, dict] = {}

    def visit(one) -> None:
        if one.fingerprint not in found:
            found[one.fingerprint] = one.cost()
            for role in one.inputs:
                visit(one.input(role))

    for track in outcome.engine.tracks:
        for judged in (*track.references["dev"], *track.references["test"]):
            visit(judged.evaluation)
        for one in (*track.students.values(), *track.results.statistics.values()):
            visit(one)
        for domains in track.judged.values():
            for judged in (*domains["dev"], *domains["test"]):
                visit(judged.evaluation)
    return found


def test_what_cells_are_charged_adds_up_to_what_all_of_it_cost(made):
    costs, every = made.answer.costs, ledgers(made).values()
    lines = ("cpu_s", "overhead_s", "compile_s", "start_s")
    spent = sum(float(one.get(line) or 0.0) for one in every for line in lines)
    assert costs.whole.cpu_s == pytest.approx(spent)
    assert costs.whole.lines["wall_s"] == pytest.approx(sum(one["wall_s"] for one in every))
    charged = made.cells.unique("cell")["charged_cpu_s"].sum()
    assert charged == pytest.approx(spent)
    for axis in made.study.levels:
        rows = made.charges.filter(pl.col("axis") == axis)
        assert rows["charged_cpu_s"].sum() == pytest.approx(spent)
    for line, whole in costs.charges.whole.items():
        assert sum(part[line] for part in costs.charges.of.values()) == whole


def test_a_sampler_pays_for_its_own_runs_and_its_share_of_the_pairs(made):
    track, uses = made.engine.tracks[0], made.answer.costs.uses
    scores = track.results.scores.fingerprint
    by_sampler = {cell.sampler: uses[cell.name] for cell in made.study.cells}
    for sampler, other in (("random", "bm25"), ("bm25", "random")):
        mine = track.results.runs[sampler].fingerprint
        assert by_sampler[sampler][mine] == 1.0
        assert mine not in by_sampler[other]
        assert by_sampler[sampler][scores] > 1


def test_alone_is_the_sum_of_the_phases(made):
    for row in made.cells.to_dicts():
        for unit in ("cpu_s", "gpu_s", "wall_s"):
            phases = ("mining", "teacher", "groups", "training")
            together = sum(row[f"{phase}_{unit}"] for phase in phases)
            assert row[f"alone_{unit}"] == pytest.approx(together)


def all_behind(one, stop: str = "") -> list:
    """Return an artifact and what it was made of, but for data that was given."""
    if one.kind in ("corpus", "queries", "qrels", "collection") or one.fingerprint == stop:
        return []
    return [one, *(two for role in one.inputs for two in all_behind(one.input(role), stop))]


def test_alone_is_what_one_way_to_one_student_took(made):
    for cell in made.study.cells:
        track = made.engine.tracks[cell.variant]
        run = track.results.runs[cell.sampler]
        label = Run(run).label
        asked = needed_pairs = 0
        judged = track.results.pool.input("qrels").tables()
        positives = {(r["query"], r["doc"]) for t in judged for r in t.to_pylist() if r["grade"]}
        for table in track.results.pool.tables():
            for row in table.to_pylist():
                for doc, rank in zip(row["doc"], row[f"rank[{label}]"], strict=True):
                    asked += 1
                    needed_pairs += rank > 0 or (row["query"], doc) in positives
        needed = {one.fingerprint: one for one in all_behind(run)}
        scores = track.results.scores
        needed |= {
            one.fingerprint: one for one in all_behind(scores, stop=track.results.pool.fingerprint)
        }
        del needed[scores.fingerprint]
        mined = sum(one.cost()["cpu_s"] for one in needed.values())
        students = [track.students[cell.number, place].cost()["cpu_s"] for place in (0, 1)]
        by_hand = mined + scores.cost()["cpu_s"] * needed_pairs / asked
        shown = track.groups_of(cell, 0)[0]
        by_hand += sum(  # the groups, and what they alone were made of
            one.cost()["cpu_s"]
            for one in (shown, *map(shown.input, shown.inputs))
            if one.kind in ("groups", "copy-keys")
        )
        by_hand += sum(students) / 2
        row = made.cells.filter(pl.col("cell") == cell.name).to_dicts()[0]
        assert row["alone_cpu_s"] == pytest.approx(by_hand)


def test_found_work_would_have_cost_what_it_cost(made):
    assert made.answer.costs.whole.lines.get("found_s", 0.0) == 0.0
    whole = again().answer.costs.whole  # where everything is found
    assert whole.lines["found_s"] == pytest.approx(whole.cpu_s + whole.gpu_s)


def test_without_prices_there_is_no_money_and_with_them_there_is(made):
    for name in ("alone_money", "charged_money", "currency"):
        assert made.cells[name].null_count() == len(made.cells)
    assert [unit.name for unit in made.answer.units][0] == "CPU-hour"
    assert any("No prices are declared" in text for text in made.answer.caveats)
    prices = "study.prices={per_cpu_hour=36, per_kwh=3.6, watts_per_cpu=10, currency='EUR'}"
    priced = again(prices)
    for row in priced.cells.to_dicts():
        seconds = row["alone_cpu_s"]
        if row["alone_energy"] == "estimated from declared watts":
            assert row["alone_joules"] == pytest.approx(10 * seconds)
            assert row["alone_money"] == pytest.approx(seconds * (0.01 + 1e-5))
        assert row["alone_money"] > 0
        assert row["currency"] == "EUR"
    assert [unit.name for unit in priced.answer.units] == ["EUR", "CPU-hour", "kWh"]
    assert "EUR" in priced.answer.sentences()[0]
    with pytest.raises(UsageError, match="unknown price 'per_cpu'"):
        load_study(Path("s.toml"), ["study.prices={per_cpu=1}"])


def test_gain_per_cost_is_gain_over_cost_and_the_frontier_is_nobodys_inferior(made):
    for row in made.worth.to_dicts():
        assert row["per_unit"] == pytest.approx(row["gain"] / row["cost"])
        assert row["unit"] == "CPU-hour"
        if row["per_unit_low"] is None:
            assert "spreads too much" in row["no_interval_because"]
            continue
        holds = row["per_unit_low"] <= 0 <= row["per_unit_high"]
        assert holds == (row["gain_low"] <= 0 <= row["gain_high"])
    for (_, _), rows in made.worth.group_by("domain", "against"):
        points = [(row["cost"], row["gain"]) for row in rows.to_dicts()]
        for (cost, gain), front in zip(points, rows["front"], strict=True):
            assert front != any(c <= cost and g > gain for c, g in points)


def test_steps_lead_along_the_frontier(made):
    for (domain, against), steps in made.steps.group_by("domain", "against", maintain_order=True):
        worth = made.worth.filter(
            (pl.col("domain") == domain) & (pl.col("against") == against) & pl.col("front")
        ).sort("cost")
        assert steps["after"].to_list() == worth["cell"].to_list()
        assert steps["before"].to_list() == [None, *worth["cell"].to_list()[:-1]]
        assert steps["cost"].cum_sum().to_list() == pytest.approx(worth["cost"].to_list())
        assert steps["gain"].cum_sum().to_list() == pytest.approx(worth["gain"].to_list())


def test_development_chooses_and_the_test_judges(made):
    answer = made.answer
    assert (answer.chooser.domain, answer.judge.domain) == ("dev", "test")
    dev = made.cells.filter((pl.col("domain") == "dev") & (pl.col("measure") == "nDCG@10"))
    best = max(dev.to_dicts(), key=lambda row: row["mean"])["cell"]
    assert answer.best.name == best
    told = answer.sentences()
    assert len(told) == 3
    assert f"“{best.removesuffix(', kl')}”" in told[0]  # there is one loss
    assert "best on dev" in told[0]
    assert "on test it" in told[0]


def test_the_page_asks_answers_and_shows_the_recipe(made):
    page = Path("out/study-report.html").read_text()
    assert page.index("A tiny study") < page.index("<ol>") < page.index("<nav ")
    assert "Which of these 4 cells gains most in nDCG@10, and at what cost?" in page
    assert "[study.budget]" in page
    twin = Path("out/study.md").read_text()
    assert all(title in twin for title in ("## Answer", "## Recipe", "## Limits"))
    assert pl.read_parquet("out/worth.parquet").equals(made.worth)
    assert len(pl.read_csv("out/charges.csv")) == len(made.charges)


def test_a_race_stops_the_same_cells_again_and_says_why(made):
    race = ["study.race={domain='dev', margin=0.0, after=1, level=0.01}"]
    first, second = again(*race), again(*race)
    assert set(first.engine.stopped) == set(second.engine.stopped)
    dev = {
        cell.number: Evaluation(made.engine.evaluations(cell, "dev", 1)[0]).values("nDCG@10").mean()
        for cell in made.study.cells
    }
    best = max(dev, key=lambda cell: dev[cell])
    for number, one in first.engine.stopped.items():
        assert one.after == 1
        assert one.difference.mean == pytest.approx(dev[number] - dev[one.best])
        assert dev[one.best] == dev[best]
    assert set(first.engine.stopped) == {c for c, mean in dev.items() if mean < dev[best]}
    rows = first.cells.filter(pl.col("stopped"))
    if len(rows):
        row = rows.to_dicts()[0]
        assert row["seeds"] == [1]
        assert "over queries only; one seed" in row["stopped_because"]
        assert "some were stopped" in " ".join(first.notes)


def test_one_seed_is_said(made):
    found = again("train.seeds=[1]", "study.budget={}")
    assert any("one" in note and "two at least" in note for note in found.notes)
    assert set(found.cells["over"]) == {"queries"}
    assert "one training seed" in " ".join(plan_of(found.study, Workspace("w")).lines())


def test_a_budget_that_no_cell_meets_is_refused_before_training(made):
    with pytest.raises(UsageError) as refused:
        again("study.budget.unique_pairs=1000")
    assert "4 cells do not meet the declared budget" in str(refused.value)
    assert "unique pairs 64, declared 1,000" in str(refused.value)
    assert "nothing was trained" in str(refused.value)
    within = again("study.budget.unique_pairs=65", "study.budget.tolerance=0.02")
    assert "Every student saw 64 unique pairs, within 2 % of the declared 65." in (within.notes)


def test_a_split_without_judgements_is_refused_before_mining(place, tmp_path):
    study = load_study(Path("s.toml"), ["evaluate.domains.late={split='tset'}"])
    with pytest.raises(UsageError, match="no split 'tset'") as refused:
        run_study(study, Workspace(tmp_path / "work"), INLINE)
    assert "evaluate.domains.late" in str(refused.value)
    assert not list((tmp_path / "work").glob("run/*"))


def test_a_collection_is_read_with_the_splits_that_judge(place, tmp_path):
    """Whatever is wrong with its other splits; a split that it lacks is named with its place."""
    other = tiny_beir(tmp_path / "other", seed=3)
    judged = other / "qrels"
    wrong = (judged / "train.tsv").read_text() + "q1\tnowhere\t1\n"
    (judged / "train.tsv").write_text(wrong)
    for split, refused in (("test", None), ("tset", "tset")):
        domain = f"evaluate.domains.out={{collection='beir:{other}',split='{split}'}}"
        study = load_study(
            Path("s.toml"), [domain, ONE_STUDENT, "study.axes={}", "study.factors={}"]
        )
        if refused is None:
            outcome = run_study(study, Workspace(tmp_path / "work"), INLINE)
            assert set(outcome.cells["domain"]) == {"dev", "test", "out"}
        else:
            with pytest.raises(UsageError, match=refused):
                run_study(study, Workspace(tmp_path / "work2"), INLINE)
            assert not list((tmp_path / "work2").glob("run/*"))


OTHER = "study.axes={data={old={collection='beir:tiny'}, new={collection='beir:undeveloped'}}}"
ONE_STUDENT = "train.student='bi_encoder(model=encoder,layers=1)'"
UNFIT: list[tuple[list[str], str]] = [  # overrides, what is said
    ([OTHER, ONE_STUDENT, "study.factors={}"], r"no split 'dev'\s+where: .*data=new"),
    (["mine.split='*'"], "no judgements of every query.*nothing was mined"),
    (["evaluate.domains.few={split='one'}"], "'one' has 1 judged query: nothing was mined"),
    (
        ["evaluate.domains.mine={split='train',collection='beir:./tiny'}", "RACE=mine"],
        "20 of its 20 queries are in the split 'train', on which students are trained",
    ),
    (
        ["evaluate.domains.val={split='validation'}", "RACE=val"],
        "3 of its 3 queries are in the split 'test', of the evaluation set 'test', which is for",
    ),
]


@pytest.mark.parametrize(("overrides", "said"), UNFIT, ids=[said for _, said in UNFIT])
def test_queries_that_cannot_be_used_are_refused_before_mining(place, tmp_path, overrides, said):
    """Whatever splits are called, and whichever collection of the study they are of."""
    judged = place / "tiny" / "qrels"
    test = (judged / "test.tsv").read_text().splitlines(keepends=True)
    if not (place / "undeveloped").exists():
        shutil.copytree(place / "tiny", place / "undeveloped")
        (place / "undeveloped" / "qrels" / "dev.tsv").unlink()
    queries = sorted({line.split("\t")[0] for line in test[1:]})
    splits = {"one": queries[:1], "validation": queries[:3]}
    for split, kept in splits.items():
        mine = [line for line in test[1:] if line.split("\t")[0] in kept]
        (judged / f"{split}.tsv").write_text(test[0] + "".join(mine))
    try:
        race = "study.race={{domain='{}', margin=0.01, after=1}}"
        given = [race.format(o[5:]) if o.startswith("RACE=") else o for o in overrides]
        study = load_study(Path("s.toml"), given)
        with pytest.raises((BadInput, UsageError), match=said):
            run_study(study, Workspace(tmp_path / "work"), INLINE)
    finally:
        for split in splits:
            (judged / f"{split}.tsv").unlink()
    assert not list((tmp_path / "work").glob("run/*"))


def test_collections_as_an_axis_are_judged_apart(made, place):
    if not (place / "other").exists():
        shutil.copytree(place / "tiny", place / "other")
        corpus = place / "other" / "corpus.jsonl"
        corpus.write_text(corpus.read_text() + '{"_id": "new", "title": "", "text": "one more"}\n')
    data = "study.axes={data={old={collection='beir:tiny'}, new={collection='beir:other'}}}"
    student = "train.student='bi_encoder(model=encoder,layers=1)'"
    fewer = ["train.seeds=[1]", "study.only=[{sampler='bm25'}]", "study.factors={}"]
    study = load_study(Path("s.toml"), [data, student, *fewer])
    assert sum(r.there for r in plan_of(study, Workspace("work")).requests if r.name != "dev") > 5
    found = run_study(study, Workspace("work"), INLINE)
    titles = [panel.title for panel in found.panels]
    assert titles == ["dev, old", "dev, new", "test, old", "test, new"]
    assert len(found.cells) == 4 * len(study.measures)
    assert {gain.verdict for gain in found.gains} == {"best"}  # nothing to compare it with
    old = found.cells.filter(pl.col("data") == "old")["student_root"].to_list()
    assert {tuple(one) for one in old} <= {
        (one[0],) for one in made.cells["student_root"].to_list()
    }


def test_the_findings_as_text(made):
    text = "\n".join(made.lines())
    assert "not distinguishable from the best" in text
    assert "train.student × sampler, small → large, random → bm25" in text
    assert "note: Every student saw the declared 64 documents." in text


def test_a_target_gives_the_same_groups_other_labels(made):
    track = made.engine.tracks[0]
    soft = replace(track.recipe, target="temperature(T=2)")
    groups = Pipeline(soft, Workspace("work"), INLINE).groups_for(track.results, "bm25", 1)
    plain = track.results.groups["bm25"]
    assert plain.fingerprint in groups.inputs.values()
    given, said = (Groups(one).part(0) for one in (plain, groups))
    np.testing.assert_array_equal(given.doc, said.doc)
    assert (given.score != said.score).any()


@pytest.mark.forks
def test_killed_in_the_middle_and_resumed_to_the_same_root_hashes(made, place):
    command = [sys.executable, "-m", "rankmill", "study", "s.toml", "--workspace", "killed"]
    students = place / "killed" / "student"
    with subprocess.Popen(
        command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as victim:
        try:
            deadline = time.monotonic() + 600
            while len(list(students.glob("*/timing.arrow"))) < 3:
                assert victim.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            victim.send_signal(signal.SIGKILL)
    assert len(list(students.glob("*/timing.arrow"))) < 8
    resumed = rm.study("s.toml", workspace="killed")
    assert roots(resumed) == roots(made)


@pytest.mark.ray
def test_cells_side_by_side_have_the_same_root_hashes(made, ray_cluster):
    with keeping_books() as books:
        found = rm.study("s.toml", workspace="ray", executor=rm.Execution(workers=2))
        told = books.told()
    assert roots(found) == roots(made)
    # What the actors charged to the students they made is this command's too.
    lines = ("cpu_s", "compile_s", "start_s", "overhead_s")
    ledgers = [json.loads(path.read_text()) for path in Path("ray").glob("*/*/ledger.json")]
    assert len(ledgers) > len(made.study.cells)
    charged = sum(one[line] for one in ledgers for line in lines)
    here = sum(told["artifacts"][line] for line in lines)
    assert here < charged
    assert told["workers_cpu_s"] + here > 0.99 * charged


def test_students_of_all_rounds_are_one_job_where_no_race_is_between_them(made, monkeypatch):
    """Three seeds of one cell must not wait for each other beside a processor that has nothing."""
    jobs = []
    monkeypatch.setattr(
        engine,
        "train_side_by_side",
        lambda *given: jobs.append([(c.number, s) for c, s in given[3]]),
    )
    rm.study("s.toml", workspace="work", executor=rm.Execution(workers=2))
    cells = len(made.study.cells)
    (job,) = jobs
    assert sorted(job) == [(cell, place) for cell in range(cells) for place in range(2)]
    assert [place for _, place in job] == [0] * cells + [1] * cells


@pytest.mark.parametrize(
    ("after", "expected"),
    [(None, [[0, 1, 2, 3]]), (1, [[0], [1], [2], [3]]), (3, [[0, 1, 2], [3]]), (9, [[0, 1, 2, 3]])],
)
def test_rounds_wait_for_a_race_and_for_nothing_else(after, expected):
    race = None if after is None else Race(margin=0.01, domain="dev", after=after)
    assert [list(places) for places in engine.together(4, race)] == expected


def test_the_command_prints_the_plan_and_the_findings_as_json(made, capfd, monkeypatch):
    from rankmill.cli import main

    monkeypatch.setattr(
        sys, "argv", ["rankmill", "study", "s.toml", "--workspace", "work", "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert ended.value.code == 0, err
    told = json.loads(out)
    assert len(told["cells"]) == len(made.cells)
    assert told["plan"]["budget"] == {"documents": 64}
    books = told["command"]
    lines = (books["start"], books["artifacts"], books["outside"])
    assert sum(line["wall_s"] for line in lines) == pytest.approx(books["wall_s"], rel=0.01)
    assert {g["verdict"] for g in told["gains"]} >= {"best"}
