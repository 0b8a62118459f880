"""`rankmill advise` and `rm.advise`: on what evidence, for what cost, and what is refused.

The evidence is the tiny study's own table under the names of other collections, with gains that
follow entropy or nothing: rows that a real study wrote, of worlds of which the truth is known.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from tiny_collection import tiny_beir
from tiny_study import study_place

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.study.advise import seconds_in
from rankmill.study.advise.advice import COST, PILOTS, PREDICTED
from rankmill.study.advise.records import SIZE, blocks_of, read_evidence
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.grid.answer.evidence import ABOUT, family_of
from rankmill.study.grid.outcome import StudyOutcome

STUDY = [
    "groups.samplers.top=top(source=bm25)",
    "groups.samplers.spread=anchors(top=1,count=2)",
    "statistics.statistics=['pair_entropy(T=1)', 'diameter(q=1)']",
    "statistics.encoder=bi_encoder(model=encoder,max_length=32)",
    "train.seeds=[1]",
    "train.documents=16",
    "study.budget.documents=16",
]
ENCODER = "bi_encoder(model=encoder,max_length=32)"
SHORT = {"doc_length": 40, "query_length": 20, "batch": 4, "threads": 1}
SAMPLERS = [
    "uniform(source=bm25,last=20)",
    "uniform(source=random,last=20)",
    "top(source=bm25)",
    "anchors(top=1,count=2)",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("advise"))
    tiny_beir(root / "new", docs=150, queries=30, seed=9)
    text = (root / "s.toml").read_text().replace('statistics = ["hygiene"]', "")
    (root / "s.toml").write_text(text.partition("[study.factors]")[0])
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def made(place: Path) -> StudyOutcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return rm.study("s.toml", STUDY, workspace="work", to="out")


@pytest.fixture(scope="module")
def pool(place: Path):
    """A scored pool of a collection that no study knows; its odd queries are for development."""
    judged = place / "new" / "qrels"
    (judged / "test.tsv").rename(judged / "dev.tsv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        new = rm.collect("beir:new", workspace="new-work", name="new")
        runs = [rm.mine(s, new, split="train", depth=20) for s in ("bm25(k1=0.9,b=0.4)", "random")]
        pooled = rm.pool(runs, name="new-pool")
        rm.score("cross_encoder(model=cross,max_length=64)", pooled, name="new-scores")
        return pooled


def worlds(made: StudyOutcome, count: int, slope: float, noise: float) -> list[Path]:
    """Write the study's table as that of other collections, in which gains follow entropy."""
    rng = np.random.Generator(np.random.Philox(3))
    entropy = next(name for name in made.designs.columns if name.startswith("pair_entropy"))
    folders = []
    for number in range(count):
        table = made.designs.filter(pl.col("kind") == "in-domain")
        h = rng.permutation(np.linspace(0.2, 0.6, len(table)))
        gain = 0.1 + slope * (h - h.mean()) + rng.normal(0, noise, len(table))
        table = table.with_columns(
            pl.Series(entropy, h),
            pl.Series("gain", gain),
            cost_s=2 * pl.col("training_s").max(),  # seconds of a busy machine decide nothing here
            collection=pl.lit(f"other{number}"),
            corpus=pl.lit(f"{number:064x}"),
        )
        folder = Path(f"other-{slope:g}-{number}")
        folder.mkdir(exist_ok=True)
        table.write_parquet(folder / "designs.parquet")
        folders.append(folder)
    return folders


# ---- the evidence that a study leaves ------------------------------------------------------------


def test_a_study_leaves_a_row_per_design_and_own_set(made: StudyOutcome) -> None:
    table = pl.read_parquet("out/designs.parquet")
    assert table.equals(made.designs)
    assert tuple(table.columns[: len(ABOUT)]) == ABOUT
    assert len(table) == 2 * 4 * 2  # students, samplers, dev and test
    assert set(table["kind"]) == {"development", "in-domain"}
    assert set(table["at"]) == {"train.student small, loss kl", "train.student large, loss kl"}
    by_design = dict(zip(table["design"], table["family"], strict=True))
    assert by_design == {"random": "random", "bm25": "bm25", "top": "bm25", "spread": "anchors"}
    first = made.cells.filter(pl.col("measure") == made.study.measures[0])
    for row in table.to_dicts():
        level = row["at"].removeprefix("train.student ").partition(",")[0]
        (cell,) = first.filter(
            (pl.col("train.student") == level)
            & (pl.col("sampler") == row["design"])
            & (pl.col("domain") == row["domain"])
        ).to_dicts()
        assert row["gain"] == cell["against_start"]
        assert row["cost_s"] == pytest.approx(cell["alone_cpu_s"] + cell["alone_gpu_s"])
        assert row["documents"] == 16
        assert row["queries"] == 20  # that groups are of: few documents do not reach all of them
        assert row["training_s"] == pytest.approx(cell["training_cpu_s"] + cell["training_gpu_s"])
        track = made.engine.tracks[0]
        tables = track.results.statistics[row["design"]].tables()
        measured = pl.DataFrame(pa.concat_tables(tables))
        for name in measured.columns[1:]:
            assert row[name] == pytest.approx(measured[name].drop_nulls().mean())


def test_the_set_that_judges_is_learned_from_and_ones_own_collection_is_not(made) -> None:
    corpus = made.designs["corpus"][0]
    own = read_evidence([Path("out")], made.study.measures[0], corpus)
    assert own.records == []
    assert "16 rows of out are of this collection" in own.left_out[0]
    others = read_evidence([Path("out"), Path("out")], made.study.measures[0], "another")
    assert len(others.records) == 8
    assert {one.block.split("\n")[2] for one in others.records} == {"test"}
    assert all(one.statistics[SIZE] == 2.0 for one in others.records)
    Path("later").mkdir()  # another study of that name: other rows, compared among themselves
    table = pl.read_parquet("out/designs.parquet").with_columns(pl.col("gain") + 1)
    table.write_parquet("later/designs.parquet")
    two = read_evidence([Path("out"), Path("later")], made.study.measures[0], "another")
    assert [len(block) for block in blocks_of(two.records).values()] == [4] * 4
    none = read_evidence([Path("out")], "AP", "another")
    assert none.records == []
    assert "16 rows of out are in nDCG@10, not AP" in none.left_out[0]


@pytest.mark.parametrize(
    ("strategy", "family"),
    [
        ("uniform(source=lexical,last=20)", "bm25"),
        ("top(source=random)", "random"),
        ("random", "random"),
        ("uniform(last=20)", "uniform"),
        ("stratified(source=lexical)", "stratified"),
        ("anchors(top=1,count=2,source=lexical)", "anchors"),
    ],
)
def test_families(strategy: str, family: str) -> None:
    assert family_of(strategy, {"lexical": "bm25(k1=1.2,b=0.8)", "random": "random"}) == family


# ---- advice --------------------------------------------------------------------------------------


def ask(pool, evidence=(), **options):
    return rm.advise(pool, evidence, samplers=SAMPLERS, sizes=[4], **options)


def test_without_evidence_designs_stand_by_cost_and_that_is_said(pool) -> None:
    found = rm.advise(pool, sizes=[4])
    assert found.ordered_by == COST
    assert found.judgement is None
    assert found.beats_bm25 is None
    (said,) = found.sentences()
    assert said.startswith(
        "No gain is predicted and no order of gains is given: the evidence has 0"
    )
    costs = [one.cost for one in found.designs]
    assert costs == sorted(costs)
    assert {one.candidate.family for one in found.designs} == {
        "bm25",
        "random",
        "stratified",
        "anchors",
    }
    assert all(one.gain is one.per_hour is one.worth is None for one in found.designs)
    assert all(one.candidate.statistics for one in found.designs)
    assert any("costs are without training" in note for note in found.notes)
    same = rm.advise(rm.Workspace("new-work").find("new"), sizes=[4])
    assert [d.candidate.name for d in same.designs] == [d.candidate.name for d in found.designs]


def test_two_collections_judge_nothing(pool, made) -> None:
    found = ask(pool, worlds(made, 2, 0.2, 0.001), encoder=ENCODER)
    assert found.ordered_by == COST
    assert "the evidence has 2 other collections, 3 at least" in next(found.sentences())


def test_where_entropy_predicts_the_design_with_most_of_it_comes_first(pool, made) -> None:
    found = ask(pool, worlds(made, 8, 0.3, 0.001), encoder=ENCODER, by="gain")
    assert found.ordered_by == PREDICTED
    assert found.beats_bm25 is True
    said = list(found.sentences())
    assert said[0].startswith("First by predicted gain: “")
    assert said[1].startswith("Such advice beats «always BM25»: over 8 collections")
    (entropy,) = (f for f in found.features if f.startswith("pair_entropy"))
    h = [one.candidate.statistics[entropy] for one in found.designs]
    assert h == sorted(h, reverse=True)
    assert found.designs[0].predicted > found.designs[-1].predicted
    spread = 0.3 * (0.6 - 0.2)  # of gains, by the slope; levels of blocks differ too
    assert all(one.reach < spread / 3 for one in found.designs)


def test_where_it_does_not_the_output_says_that_always_bm25_is_not_beaten(
    pool, made, rankmill
) -> None:
    folders = worlds(made, 8, 0.0, 0.03)
    words = [word for folder in folders for word in ("--evidence", str(folder))]
    words += [word for sampler in SAMPLERS for word in ("--sampler", sampler)]
    words += ["--size", "4", "--workspace", "new-work"]
    status, out, _ = rankmill("advise", "new-pool", *words)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].startswith("The statistics predict no difference between these designs")
    assert lines[1].startswith("Such advice does not beat «always BM25»: over 8 collections")
    assert "Nothing here speaks against “" in lines[1]
    assert "is not used: no encoder is named (--encoder)" in out
    status, out, _ = rankmill("advise", "new-pool", *words, "--json")
    told = json.loads(out)
    assert told["beats_always_bm25"] is False
    assert told["ordered_by"] == "statistics"
    assert [rule["rule"] for rule in told["judgement"]["rules"]][:2] == ["advice", "always BM25"]
    assert len(told["designs"]) == 4


def test_costs_are_those_of_the_ledger(pool, made) -> None:
    found = ask(pool, worlds(made, 3, 0.1, 0.01), documents=32)
    rate = np.median([row["training_s"] / 16 for row in made.designs.to_dicts()])
    by_name = {one.candidate.sampler: one for one in found.designs}
    one = by_name["uniform(source=bm25,last=20)"].candidate
    runs = [pool.input("run[0]"), pool.input("run[1]")]
    bm25 = next(run for run in runs if run.parameters["source"].startswith("bm25"))
    index = [seconds_of(i) for r, i in ((r, bm25.input(r)) for r in bm25.inputs)
             if i.kind not in ("corpus", "queries", "qrels")]  # fmt: skip
    assert one.mining >= seconds_of(bm25) + sum(index) - 1e-9
    scores = rm.Workspace("new-work").find("new-scores")
    assert 0 < one.teacher < seconds_of(scores)
    both = by_name["anchors(top=1,count=2)"].candidate
    assert both.teacher == pytest.approx(seconds_of(scores), rel=0.3)
    assert both.mining > one.mining
    for design in found.designs:
        assert design.training == pytest.approx(32 * rate)
        assert design.cost == pytest.approx(design.candidate.spent + design.training)


def test_a_budget_puts_what_does_not_fit_last(pool, made) -> None:
    folders = worlds(made, 3, 0.1, 0.01)
    costs = sorted(one.cost for one in ask(pool, folders).designs)
    middle = f"{(costs[1] + costs[2]) / 2:.9f}s"
    found = ask(pool, folders, budget=middle)
    assert [one.fits for one in found.designs] == [True, True, False, False]
    assert found.first is found.designs[0]
    nothing = ask(pool, folders, budget="0.000001s")
    assert nothing.first is None
    first, second = nothing.sentences()
    assert first == "No design is within the budget of 0.0 s."
    assert "No design of this pool that is within the budget is one of BM25." in second
    twice = ask(pool, [*folders, *folders])
    assert list(twice.evidence.folders) == [str(folder) for folder in folders]


def test_pilots_choose_on_development_queries(pool) -> None:
    student = "bi_encoder(model=encoder,layers=1)"
    found = ask(pool, pilot=16, student=student, dev="dev", documents=64, settings=SHORT)
    assert found.ordered_by == PILOTS
    worths = [one.worth for one in found.designs]
    assert worths == sorted(worths, reverse=True)
    for one in found.designs:
        assert one.pilot is not None
        assert one.pilot.gain.over == "queries"
        assert one.training == pytest.approx(4 * one.pilot.seconds)
    assert sum(one.pilot.verdict == "best" for one in found.designs) == 1
    said = list(found.sentences())
    assert "one seed" in said[0]
    assert "is not judged" in said[1]
    assert found.beats_bm25 is None
    dev = pool.workspace.find("new").inputs["qrels[dev]"]
    judged = {one.inputs["qrels"] for one in pool.workspace.artifacts("evaluation")}
    assert judged == {dev}


def test_pilots_of_studies_that_vary_the_documents_judge_pilots(pool, made, tmp_path) -> None:
    """The students of 16 documents on dev are pilots of those of 64 on test."""
    folders = []
    for number in range(4):
        level = pl.when(pl.col("at").str.contains("small")).then(16).otherwise(64)
        table = made.designs.with_columns(
            documents=level.cast(pl.Int64),
            at=pl.format("train.documents {}, loss kl", level),
            collection=pl.lit(f"other{number}"),
            corpus=pl.lit(f"{number:064x}"),
        )
        assert set(table["at"]) == {"train.documents 16, loss kl", "train.documents 64, loss kl"}
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        table.write_parquet(folders[-1] / "designs.parquet")
    known = read_evidence(folders, "nDCG@10", "another")
    assert len(known.piloted) == 4
    small = table.filter((pl.col("documents") == 16) & (pl.col("kind") == "development"))
    large = table.filter((pl.col("documents") == 64) & (pl.col("kind") == "in-domain"))
    for one in known.piloted:
        assert [record.design for record in one.block] == large["design"].to_list()
        assert [record.gain for record in one.block] == large["gain"].to_list()
        told = dict(zip(small["design"], small["gain"], strict=True))
        assert list(one.gains) == [told[record.design] for record in one.block]
    found = ask(
        pool,
        folders,
        pilot=16,
        student="bi_encoder(model=encoder,layers=1)",
        dev="dev",
        settings=SHORT,
    )
    assert found.of_pilots is not None
    assert found.beats_bm25 is found.of_pilots.beats_bm25
    said = list(found.sentences())
    assert "«always BM25»: over 4 collections the advice lost" in said[1]
    assert any(line.startswith("pilots, judged by the students of more") for line in found.lines())
    assert found.as_json()["judgement_of_pilots"]["collections"] == [f"other{n}" for n in range(4)]


# ---- what is refused -----------------------------------------------------------------------------


def test_what_cannot_be_asked_is_refused(pool, made, tmp_path, rankmill) -> None:
    student = {"pilot": 16, "student": "bi_encoder(model=encoder,layers=1)"}
    with pytest.raises(UsageError, match="would choose by queries that judge"):
        ask(pool, **student, dev="test")
    with pytest.raises(UsageError, match="the queries that they are trained on"):
        ask(pool, **student, dev="train")
    with pytest.raises(BadInput, match="no split 'validation'"):
        ask(pool, **student, dev="validation")
    with pytest.raises(UsageError, match="the pilots' documents is no setting"):
        ask(pool, **student, dev="dev", settings={"documents": 3})
    with pytest.raises(UsageError, match="there is no training setting 'doc_lenght'"):
        ask(pool, **student, dev="dev", settings={"doc_lenght": 3})
    with pytest.raises(UsageError, match="needs pilot, student and dev"):
        ask(pool, **student)
    with pytest.raises(UsageError, match="budget 'soon' is not a time"):
        ask(pool, budget="soon")
    with pytest.raises(UsageError, match="nothing says how long a student trains"):
        ask(pool, budget="2h")
    with pytest.raises(UsageError, match="by=money is unknown"):
        ask(pool, by="money")
    with pytest.raises(BadInput, match=r"there is no designs\.parquet"):
        ask(pool, [tmp_path])
    (tmp_path / "designs.parquet").write_text("no table")
    with pytest.raises(BadInput, match="this is no Parquet file"):
        ask(pool, [tmp_path])
    pl.DataFrame({"study": ["s"]}).write_parquet(tmp_path / "designs.parquet")
    with pytest.raises(BadInput, match="the table has no column 'collection'"):
        ask(pool, [tmp_path])
    with pytest.raises(BadInput, match="no source 'dense'"):
        rm.advise(pool, samplers=["top(source=dense)"], sizes=[4])
    with pytest.raises(BadInput, match="no design could be made"):
        rm.advise(pool, samplers=["top(source=bm25)"], sizes=[200])
    with pytest.raises(UsageError, match="documents=0 must be at least 1"):
        ask(pool, documents=0)
    with pytest.raises(BadInput, match="has no pool"):
        rm.advise(rm.collect("beir:new", workspace=tmp_path / "w"))
    status, _, told = rankmill("advise", "new-scores", "--workspace", "new-work")
    assert status == 4
    assert "of kind scores, a pool or a collection was expected" in told
    status, _, told = rankmill("advise", "new-pool", "--dev", "dev", "--workspace", "new-work")
    assert status == 2
    assert "--student, --dev and --set belong to pilots" in told
    status, _, told = rankmill("advise", "new-pool", "--pilot", "4", "--workspace", "new-work")
    assert status == 2
    assert "a pilot needs a student and development queries" in told


def test_a_pool_with_two_scores_or_none_must_say_which(pool, tmp_path) -> None:
    where = rm.Workspace(tmp_path / "w")
    new = rm.collect("beir:new", workspace=where)
    pooled = rm.pool([rm.mine("bm25(k1=0.9,b=0.4)", new, split="train", depth=20)])
    with pytest.raises(BadInput, match="the pool has no teacher scores"):
        rm.advise(pooled)
    first = rm.score("cross_encoder(model=cross,max_length=64)", pooled)
    rm.score("cross_encoder(model=cross,max_length=32)", pooled)
    with pytest.raises(UsageError, match="the pool has 2 scores"):
        rm.advise(pooled)
    found = rm.advise(pooled, scores=first, samplers=["top(source=bm25)"], sizes=[4])
    assert found.designs[0].candidate.groups.inputs["scores"] == first.fingerprint
    with pytest.raises(UsageError, match="the scores are of another pool"):
        rm.advise(pool, scores=first)
    rm.pool([rm.mine("random", new, split="train", depth=20)])
    with pytest.raises(UsageError, match="has 2 pools"):
        rm.advise(new)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45min", 2700), ("2h", 7200), ("1.5 d", 129600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0s", "1e9h", "2h30"])
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        seconds_in(text)


def test_the_distance_of_designs_is_the_diameter_where_all_have_one():
    """Δ is the diameter (docs/quantities.md §1); the radius stands in for it."""
    from rankmill.study.advise import _shared
    from rankmill.study.advise.records import SIZE, Evidence, Record

    def known(*names: str) -> Evidence:
        held = {**dict.fromkeys(names, 1.0), SIZE: 3.0}
        rows = [Record("c", "c", "b", d, d, 0.1, 1.0, statistics=held) for d in ("x", "y")]
        return Evidence(rows, [], [])

    both = "radius(q=1)", "pair_entropy(T=1)", "diameter(q=1)"
    assert _shared(known(*both), "encoder")[0] == ["pair_entropy(T=1)", "diameter(q=1)"]
    assert _shared(known(*both[:2]), "encoder")[0] == ["pair_entropy(T=1)", "radius(q=1)"]
    pairs = "diameter(q=1,pairs=64)", "diameter(q=1)"
    assert _shared(known(*pairs), "encoder")[0] == ["diameter(q=1)"]
