"""A tiny study in which H and Δ are measured: the order that Theorem 2.1's terms predict, and
partial correlations of gains, from stored vectors and scores to page and files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from oracles import entropy, geometry
from oracles import partial as oracle
from tiny_study import study_place

import rankmill as rm
from rankmill.mining.errors import UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.models.vectors import Vectors
from rankmill.report.study.answer import order_tables
from rankmill.report.study.partial import partial_tables
from rankmill.report.study.tables import Shown
from rankmill.study.estimate.asked import requests
from rankmill.study.grid import load_study
from rankmill.study.grid.answer.partial import POOLED, _both, _Rows
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.plan import plan_of
from rankmill.study.grid.steps import Track
from rankmill.study.results import START
from rankmill.training.evaluation import Evaluation
from rankmill.training.partial import BETWEEN, WITHIN

MEASURED = [
    "groups.samplers.top=top(source=bm25)",
    "train.student=bi_encoder(model=encoder,layers=1)",
    "statistics.statistics=['pair_entropy(T=1)', 'diameter(q=1)', 'density_ratio(target=corpus)']",
    "statistics.encoder=bi_encoder(model=encoder,max_length=32)",
    "train.documents=16",
    "study.budget.documents=16",
    "evaluate.domains.seen={split='train'}",
    "study.correlate=['test', 'dev']",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("measured"))
    text = (root / "s.toml").read_text().partition("[study.factors]")[0]
    head, _, tail = text.partition('[study.axes."train.student"]')
    (root / "s.toml").write_text(head + tail.partition('layers=2)"\n')[2])
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def made(place: Path) -> StudyOutcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        with pytest.warns(RuntimeWarning, match="queries that the student was trained on"):
            return rm.study("s.toml", MEASURED, workspace="work", to="out")


def measured_by_hand(made: StudyOutcome, sampler: str) -> tuple[float, float, int]:
    """Return (mean Δ, mean H in bits, queries) of a sampler's groups, from what is stored."""
    results = made.engine.tracks[0].results
    stored = Vectors(results.statistics[sampler].input("vectors"))
    rows = np.concatenate([stored.part(number) for number in range(len(stored.artifact.parts))])
    distances, bits, queries = [], [], set()
    for part in Groups(results.groups[sampler]).parts():
        for query, docs, scores in zip(part.query, part.doc, part.score, strict=True):
            distances.append(geometry.diameter(rows[docs]))
            s = [entropy.log_sigmoid(float(z)) for z in scores]  # logits, on the log-prob scale
            bits.append(entropy.pair_entropy(s))
            queries.add(int(query))
    return float(np.mean(distances)), float(np.mean(bits)), len(queries)


# ---- the order that Theorem 2.1's terms predict --------------------------------------------------


def test_the_predicted_order_rests_on_what_is_stored(made: StudyOutcome) -> None:
    by_hand = {name: measured_by_hand(made, name) for name in ("random", "bm25", "top")}
    terms = {name: (d * math.sqrt(math.log(n) / n), h / 2) for name, (d, h, n) in by_hand.items()}
    shown = [one for one in made.predicted if one.terms.measure == "nDCG@10"]
    assert [one.domain for one in shown] == ["dev", "test", "seen"]
    for one in shown:
        for name, (locality, half_entropy) in terms.items():
            predicted = {kind: values[name] for kind, values in one.terms.predicted.items()}
            assert predicted["locality"] == pytest.approx(locality, rel=1e-6)
            assert predicted["entropy"] == pytest.approx(half_entropy, rel=1e-6)
            assert predicted["combined"] == pytest.approx(locality + half_entropy, rel=1e-6)
        for place, kind in enumerate(("locality", "entropy")):
            by_term = sorted((values[place], name) for name, values in terms.items())
            assert one.terms.orders[kind] == tuple(name for _, name in by_term)
        rows = made.cells.filter(
            (pl.col("domain") == one.domain) & (pl.col("measure") == "nDCG@10")
        )
        means = dict(zip(rows["sampler"], rows["mean"], strict=True))
        assert dict(one.terms.observed or {}) == pytest.approx(means)
        assert one.terms.orders["observed"] == tuple(sorted(means, key=lambda n: (-means[n], n)))


def test_an_infinite_density_ratio_is_a_word_in_json(made: StudyOutcome) -> None:
    """JSON has no infinity, and a sampler that reaches none of its target is an ordinary one."""
    told = json.loads(json.dumps(made.as_json(), allow_nan=False))
    for one, shown in zip(told["predicted"], made.predicted, strict=True):
        for name, design in shown.terms.designs.items():
            (ratio,) = design.ratios
            (said,) = one["designs"][name]["ratios"]
            infinite = math.isinf(ratio.median)
            assert said["median"] == ("inf" if infinite else pytest.approx(ratio.median))
    assert told["predicted"][0]["designs"]["bm25"]["ratios"][0]["median"] == "inf"


def test_the_order_is_in_the_table_the_page_and_the_files(made: StudyOutcome) -> None:
    from scipy.stats import kendalltau

    order = pl.read_parquet("out/order.parquet")
    assert order.equals(made.order)
    here = order.filter((pl.col("domain") == "test") & (pl.col("prediction") == "combined"))
    assert len(here) == 3
    tau = kendalltau(here["term"], [-value for value in here["observed"]]).statistic
    if not math.isnan(tau):
        assert here["kendall"][0] == pytest.approx(tau)
    assert here.sort("rank")["term"].to_list() == sorted(here["term"])
    table = next(one for one in order_tables(made) if ", test" in one.title)
    assert list(table.columns[:4]) == ["groups", "Δ", "H, bits", "n, queries"]
    for row in table.rows:
        d, h, n = measured_by_hand(made, row[0])
        assert float(row[1]) == pytest.approx(d, abs=2e-3)
        assert float(row[2]) == pytest.approx(h, abs=2e-3)
        assert row[3] == str(n)
        terms = dict(zip(table.columns[4:7], row[4:7], strict=True))
        assert isinstance(terms["entropy"], Shown)
        assert terms["entropy"].value == pytest.approx(h / 2, rel=1e-6)
    for file in ("study-report.html", "study.md"):
        assert "The order that the theory predicts, test" in Path("out", file).read_text()


# ---- partial correlations ------------------------------------------------------------------------


def rows_by_hand(made: StudyOutcome, domain: str) -> dict[str, np.ndarray]:
    """Return gain, H and Δ of every query under every sampler, from evaluations and statistics."""
    panel = next(one for one in made.panels if one.domain == domain)
    track = made.engine.tracks[0]
    found: dict[str, list[float]] = {name: [] for name in ("gain", "H", "Δ", "query", "cell")}
    for cell in panel.cells:
        if domain == "seen":
            statistics = track.results.statistics[cell.sampler]
        else:
            statistics = track.beside[domain][cell.sampler]
        table = pl.DataFrame(pa.concat_tables(statistics.tables())).to_dicts()
        h, d = (n for n in statistics.parameters["statistics"] if not n.startswith("density"))
        by_query = {row["query"]: row for row in table}
        before = panel.reference(cell, START)
        assert before is not None
        start = Evaluation(before.evaluation)
        students = [Evaluation(judged.evaluation) for judged in panel.judged(cell)]
        for at, query in enumerate(start.query.tolist()):
            row = by_query.get(query)
            if row is None or row[h] is None or row[d] is None:
                continue
            seeds = [one.values("nDCG@10")[at] - start.values("nDCG@10")[at] for one in students]
            numbers = (np.mean(seeds), row[h], row[d], query, cell.number)
            for name, value in zip(found, numbers, strict=True):
                found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def test_partial_correlations_are_those_of_residuals(made: StudyOutcome) -> None:
    for domain in ("test", "dev", "seen"):
        rows = rows_by_hand(made, domain)
        for way, taken_out in ((BETWEEN, rows["cell"]), (WITHIN, rows["query"])):
            (one,) = (c for c in made.correlated if c.domain == domain and c.way == way)
            assert one.rows == len(rows["gain"])
            assert one.cells == 3
            assert list(one.columns) == ["H", "Δ"]
            assert (
                "κ is left out: finite in" in one.said
            )  # of the corpus: infinite for bm25 and top
            if one.partials[0].reason is not None:
                assert one.partials[0].pearson is None
                continue
            for name, other in (("H", "Δ"), ("Δ", "H")):
                (found,) = (p for p in one.partials if p.name == name)
                wanted = oracle.partial(rows["gain"], rows[name], [rows[other]], taken_out)
                assert found.given == (other,)
                assert found.pearson == pytest.approx(wanted)
                assert None not in (found.pearson_low, found.spearman_high)


def test_sets_are_pooled_without_those_that_students_are_trained_on(made: StudyOutcome) -> None:
    rows = [rows_by_hand(made, domain) for domain in ("dev", "test")]
    (one,) = (c for c in made.correlated if c.domain == POOLED and c.way == BETWEEN)
    assert one.kind == "2 sets"
    assert one.rows == sum(len(r["gain"]) for r in rows)
    assert one.cells == 6
    joined = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
    taken_out = np.concatenate([r["cell"] + 100 * at for at, r in enumerate(rows)])
    wanted = oracle.partial(joined["gain"], joined["H"], [joined["Δ"]], taken_out)
    assert one.partials[0].pearson == pytest.approx(wanted)


def test_they_are_in_every_form_of_the_answer(made: StudyOutcome) -> None:
    table = pl.read_parquet("out/partial.parquet")
    assert table.equals(made.partial)
    assert len(pl.read_csv("out/partial.csv")) == len(table)
    assert set(table["statistic"]) == {"H", "Δ"}
    assert set(table["way"]) == {BETWEEN, WITHIN}
    (shown,) = partial_tables(made)
    assert len(shown.rows) == len(table)
    assert "no row shows cause and effect" in shown.say
    page, twin = (Path("out", name).read_text() for name in ("study-report.html", "study.md"))
    assert "<h2>Gains with H, Δ and κ</h2>" in page
    assert "## Gains with H, Δ and κ" in twin
    assert r"Gains with H, $\Delta$ and $\kappa$" in Path("out/study.tex").read_text()
    told = json.loads(json.dumps(made.as_json()["partial"], allow_nan=False))
    assert len(told) == len(made.correlated) == 8
    assert any("each given the others" in line for line in made.lines())


def test_groups_of_judged_queries_are_paid_for_and_never_trained_on(made: StudyOutcome) -> None:
    track = made.engine.tracks[0]
    beside = {one.fingerprint for of in track.beside.values() for one in of.values()}
    groups = {one.inputs["groups"] for of in track.beside.values() for one in of.values()}
    assert len(beside) == 6
    assert beside | groups <= made.answer.costs.pieces.keys()
    assert not groups & {
        student.inputs[role]
        for student in track.students.values()
        for role in student.inputs
        if role.startswith("groups")
    }
    assert made.answer.costs.whole.cpu_s == pytest.approx(
        sum(amount.cpu_s for amount in made.answer.costs.charged.values())
    )


def test_the_plan_and_the_estimate_know_them(made: StudyOutcome) -> None:
    study = load_study(Path("s.toml"), MEASURED)
    with pytest.warns(RuntimeWarning, match="queries that the student was trained on"):
        plan = plan_of(study, made.engine.workspace)
    (row,) = (row for row in plan.stages if row["stage"] == "correlate")
    assert (row["requests"], row["there"]) == (2, 2)
    plain = replace(study, correlate=())
    with pytest.warns(RuntimeWarning, match="queries that the student was trained on"):
        stages = plan_of(plain, made.engine.workspace).stages
    assert "correlate" not in [row["stage"] for row in stages]
    tracks = [Track(one, made.engine.workspace, made.engine.executor) for one in study.variants]
    asked = [one for one in requests(study, tracks) if one.step.stage == "correlate"]
    assert [one.work.split for one in asked] == ["test", "dev"]


def test_wrong_sets_are_refused() -> None:
    with pytest.raises(UsageError, match="study.correlate: 'tset' is no evaluation set"):
        load_study(Path("s.toml"), [*MEASURED[:-1], "study.correlate=['tset']"])
    with pytest.raises(UsageError, match="study.correlate='test' is no list"):
        load_study(Path("s.toml"), [*MEASURED[:-1], "study.correlate='test'"])


def test_a_ratio_that_is_known_enters_by_its_logarithm_and_rows_without_it_are_counted(
    made: StudyOutcome,
) -> None:
    rng = np.random.Generator(np.random.Philox(1))
    h, d, k = rng.normal(size=(3, 60))
    ratio = k.copy()
    ratio[:10] = np.nan
    rows = _Rows(
        h + k + rng.normal(size=60),
        {"H": h, "Δ": d, "κ": ratio},
        {"H": "pair_entropy(T=1)", "Δ": "diameter(q=1)", "κ": "density_ratio(target=corpus)"},
        np.arange(60) % 20,
        np.arange(60) // 20,
        np.zeros(60, np.int64),
        "",
    )
    between, within = _both(rows, "test", "in-domain", made.engine)
    assert [one.name for one in between.partials] == ["H", "Δ", "κ"]
    assert between.left_out == within.left_out == 10
    kept = slice(10, None)
    wanted = oracle.partial(rows.gain[kept], k[kept], [h[kept], d[kept]], rows.cell[kept])
    assert between.partials[2].pearson == pytest.approx(wanted)
