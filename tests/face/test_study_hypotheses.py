"""Claims about cells: declared, refused, and judged on values whose answer is known."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic_claims import judged, one, values
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining.errors import UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.run import Run
from rankmill.mining.store import files
from rankmill.study.grid.claims import values as claimed
from rankmill.study.grid.claims.verdicts import MICRO, OURS, REVERSED
from rankmill.study.grid.design import study_of
from rankmill.study.grid.hypotheses import declared_hash
from rankmill.study.grid.refusals import check_study
from rankmill.training.evaluation import Evaluation
from rankmill.training.significance import t_interval

CLAIM = """
[study.hypotheses.bm25-gains]
claim = "BM25 negatives teach more than random ones"
source = "a reviewer"
expect = "more"
margin = 0.02
a = { sampler = "bm25" }
b = { sampler = "random" }
"""


def study(*changes: str, claim: str = CLAIM, **replaced: str) -> Any:
    for old, new in replaced.items():
        claim = claim.replace(f"{old} =", f"{old} = {new} #")
    return study_of(tomllib.loads("\n".join([RECIPE, claim, *changes])), "t.toml")


# ---- declared ------------------------------------------------------------------------------------


def test_a_claim_names_cells_and_a_margin():
    (one,) = study().hypotheses
    assert (one.expect, one.margin, one.source) == ("more", 0.02, "a reviewer")
    assert one.contrast.a == {"sampler": ["bm25"]}
    whole = declared_hash(study().hypotheses)
    assert declared_hash(study().hypotheses) == whole
    assert declared_hash(study(margin="0.03").hypotheses) != whole
    turned = study(a='{ sampler = "random" }', b='{ sampler = "bm25" }')
    assert declared_hash(turned.hypotheses) != whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expect": '"better"'}, "expect='better' is no expectation"),
        ({"margin": "0.0"}, r"the claim has the margin 0\.0"),
        ({"margin": '"x"'}, "is not a number"),
        ({"a": '{ sampler = "bm52" }'}, "a: no cell has the sampler 'bm52'"),
        ({"a": '{ samplers = "bm25" }'}, "a: 'samplers' is no axis"),
        ({"a": '{ sampler = ["bm25", "random"] }'}, "a cell is on both sides"),
        ({"a": '{ sampler = "bm25", "train.student" = "small" }'}, "student is named on one side"),
        ({"a": '{ sampler = "bm25" }\ndomains = ["tset"]'}, "'tset' is no evaluation set"),
        ({"a": '{ sampler = "bm25" }\ndomains = ["dev"]'}, "'dev' is a set for choosing"),
        ({"a": '{ sampler = "bm25" }\nwithin = { loss = "lce" }'}, "no cell has the loss 'lce'"),
        ({"a": '{ sampler = "bm25" }\ndomains = "test"'}, "is no list of evaluation sets"),
        ({"a": '{ sampler = "bm25" }\nwithin = { sampler = "random" }'}, "no cell is 'a'"),
        ({"a": '{ sampler = "bm25" }\nof = "diameter"'}, "there is no statistics.encoder"),
        ({"a": '{ sampler = "bm25" }\nhow = 1'}, r"unknown recipe key 'study\.hypotheses\.bm25"),
        (
            {"b": '{ sampler = "random" }\nagainst = "teacher"'},
            "names both b and against='teacher'",
        ),
        ({"a": '{ sampler = "bm25" }\nagainst = "BM52"'}, "against='BM52' is nothing that"),
        ({"a": '{ sampler = "bm25" }\nof = "diamter"'}, "of='diamter' is no measure of the study"),
        (
            {"a": '{ sampler = "bm25" }\ninstead.x = { c = 1 }'},
            r"unknown recipe key 'instead\.x\.c'",
        ),
    ],
)
def test_claims_that_cannot_be_judged_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        check_study(study(**changes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('b = { sampler = "random" }', "", "does not say which cells are 'b'"),
        (
            'b = { sampler = "random" }',
            'against = "teacher"\nof = "loss"',
            "of='loss' is nothing that teacher has",
        ),
        (
            'b = { sampler = "random" }',
            'against = "teacher"\nwithin = { sampler = "random" }',
            "no cell is 'a'",
        ),
        (
            'b = { sampler = "random" }',
            'against = "zero"',
            "of='' is compared with zero",
        ),
        (
            'b = { sampler = "random" }',
            'against = "zero"\nof = "nDCG@10"',
            "of='nDCG@10' is compared with zero",
        ),
        (
            'b = { sampler = "random" }',
            'against = "teacher"\nof = "power_law_lead"',
            "of='power_law_lead' is compared with teacher",
        ),
        (
            'b = { sampler = "random" }',
            'b = { sampler = "random" }\nof = "power_law_lead"\nsystem = "teacher"',
            "system='teacher' stands beside no students here",
        ),
        (
            'b = { sampler = "random" }',
            'against = "zero"\nof = "power_law_lead"\nsystem = "BM25"',
            "system='BM25' is nothing that students stand beside",
        ),
        (
            CLAIM,
            f"{CLAIM}[study]\nwithout = [{{ sampler = 'bm25', 'train.student' = 'small' }}]",
            "differ in more than it compares",
        ),
    ],
)
def test_sides_that_do_not_fit_are_refused(old, new, message):
    with pytest.raises(UsageError, match=message):
        check_study(study(claim=CLAIM.replace(old, new)))


def test_a_claim_about_the_shape_of_lists_too_short_for_one_is_refused():
    short = RECIPE.replace("depth = 10", "depth = 5") + CLAIM + 'of = "power_law_lead"'
    with pytest.raises(UsageError, match=r"evaluate\.depth=5: lists too short"):
        check_study(study_of(tomllib.loads(short), "t.toml"))


def test_a_claim_without_its_own_margin_has_that_of_the_tests():
    without = CLAIM.replace("margin = 0.02\n", "")
    with pytest.raises(UsageError, match="the claim has the margin None"):
        study(claim=without)
    changed = RECIPE.replace("[evaluate]", "[evaluate]\nmargin = 0.01")
    (one,) = study_of(tomllib.loads(changed + without), "t.toml").hypotheses
    assert one.margin == 0.01


# ---- judged --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "gain", "verdict"),
    [
        ("equivalent", 0.0, "holds"),
        ("equivalent", 0.1, "fails"),
        ("more", 0.1, "holds"),
        ("more", 0.0, "fails"),
        ("less", -0.1, "holds"),
        ("less", 0.1, "fails"),
        ("not_less", 0.0, "holds"),
        ("not_less", -0.1, "fails"),
    ],
)
def test_a_known_difference_has_its_verdict(expect, gain, verdict):
    a, b = values(3, gain, 0.0)
    ours = judged(one(expect), {"a": a, "b": b})[0]
    assert (ours.choice, ours.verdict) == (OURS, verdict)
    found = t_interval(a - b)
    assert ours.effect.mean == pytest.approx((a - b).mean())
    assert (ours.interval.low, ours.interval.high) == pytest.approx((found.low, found.high))
    assert (ours.cells, ours.students, ours.sets) == ((1, 1), 6, ["set0"])


@pytest.mark.parametrize("expect", ["equivalent", "more", "less", "not_less"])
def test_too_little_data_is_undecided_and_its_power_is_small(expect):
    a, b = values(4, 0.003, 0.0, queries=12, spread=0.3)
    ours = judged(one(expect), {"a": a, "b": b})[0]
    assert ours.verdict == "undecided"
    assert ours.judgement.power < 0.5


def test_the_reference_would_have_called_it_equivalent_all_the_same():
    a, b = values(4, 0.003, 0.0, queries=12, spread=0.3)
    by_choice = {v.choice: v for v in judged(one("equivalent"), {"a": a, "b": b})}
    assert by_choice[OURS].verdict == "undecided"
    assert by_choice[REVERSED].verdict == "holds"


def test_a_large_set_decides_the_micro_mean_alone():
    large, small = values(5, 0.1, 0.0, queries=900), values(6, -0.1, 0.0, queries=30)
    sets = [{"a": one_[0], "b": one_[1]} for one_ in (large, small)]
    by_choice = {v.choice: v for v in judged(one("more"), *sets)}
    assert by_choice[OURS].effect.mean == pytest.approx(0.0, abs=0.02)
    assert by_choice[MICRO].effect.mean > 0.08
    assert (by_choice[MICRO].cells, by_choice[MICRO].students) == ((1, 1), 6)
    assert (by_choice[REVERSED].cells, by_choice[REVERSED].students) == ((1, 1), 2)  # one seed
    assert by_choice[OURS].verdict != "holds"
    assert by_choice[MICRO].verdict == "holds"


def test_a_declared_change_is_judged_beside_it():
    a, b, hard = values(7, 0.1, 0.0, 0.0)
    extra = 'instead."hard RankNet" = { a = { sampler = "hard" } }'
    by_choice = {v.choice: v for v in judged(one("more", extra), {"a": a, "b": b, "hard": hard})}
    assert by_choice[OURS].verdict == "holds"
    assert by_choice["hard RankNet"].verdict == "fails"


def test_verdicts_are_after_holm_over_the_claims_of_the_study():
    a, b = values(8, 0.0065, 0.0, spread=0.03)
    alone = judged(one("more"), {"a": a, "b": b})[0]
    many = "".join(one("more").replace("[c]", f"[c{n}]") for n in range(400))
    family = judged(many, {"a": a, "b": b})[0]
    assert alone.verdict == "holds"
    assert family.judgement.p_holds == pytest.approx(min(1.0, 400 * alone.judgement.p_holds))


def test_sides_are_means_over_their_cells_and_sets_that_lack_one_are_left_out():
    a, b, c = values(9, 0.1, 0.0, 0.2)
    claim = one("more").replace('a = { sampler = "a" }', 'a = { sampler = ["a", "c"] }')
    ours = judged(claim, {"a": a, "b": b, "c": c})[0]
    assert ours.effect.mean == pytest.approx(((a + c) / 2 - b).mean())
    assert ours.cells == (2, 1)


# ---- of a study that was carried out -------------------------------------------------------------

DECLARED = f"""{CLAIM}
[study.hypotheses.random-is-nearer]
claim = "the positive stands further up among random documents"
margin = 0.02
expect = "less"
of = "positive_rank"
a = {{ sampler = "random" }}
b = {{ sampler = "bm25" }}
[study.hypotheses.loss-is-higher]
claim = "the loss of BM25 negatives ends higher"
margin = 0.02
expect = "more"
of = "excess"
a = {{ sampler = "bm25" }}
b = {{ sampler = "random" }}
[study.hypotheses.above-the-teacher]
claim = "students pass their teacher"
expect = "more"
margin = 0.02
against = "teacher"
a = {{ sampler = "bm25" }}
[study.hypotheses.sure]
claim = "the reference's ratio is no larger"
margin = 0.02
expect = "not_less"
of = "density_ratio_compat"
a = {{ sampler = "bm25" }}
b = {{ sampler = "random" }}
[study.hypotheses.power-law]
claim = "students' scores fall as a power of the rank"
margin = 2
expect = "more"
of = "power_law_lead"
against = "zero"
a = {{ sampler = "bm25" }}
[study.hypotheses.power-law-of-the-teacher]
claim = "so do the teacher's"
margin = 2
expect = "more"
of = "power_law_lead"
against = "zero"
system = "teacher"
a = {{ sampler = "bm25" }}
[study.hypotheses.closer-to-a-power-law]
claim = "BM25 negatives bring students closer to a power law"
margin = 2
expect = "more"
of = "power_law_lead"
a = {{ sampler = "bm25" }}
b = {{ sampler = "random" }}
[study.hypotheses.collapse]
claim = "with random negatives the scores within a group collapse"
margin = 1
expect = "less"
of = "score_spread"
a = {{ sampler = "random" }}
b = {{ sampler = "bm25" }}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = study_place(tmp_path_factory.mktemp("claims"))
    (root / "c.toml").write_text(RECIPE + DECLARED)
    before = Path.cwd()
    os.chdir(root)
    try:
        outcome = rm.study("c.toml", workspace="work", to="out")
        table = pl.read_parquet(root / "out" / "hypotheses.parquet")
        text = (root / "out" / "study.md").read_text()
        return outcome, table, text
    finally:
        os.chdir(before)


def test_what_a_study_says_of_its_claims(made):
    outcome, table, text = made
    ours = {row["hypothesis"]: row for row in table.filter(pl.col("choice") == "").to_dicts()}
    assert list(ours) == [
        "bm25-gains",
        "random-is-nearer",
        "loss-is-higher",
        "above-the-teacher",
        "sure",
        "power-law",
        "power-law-of-the-teacher",
        "closer-to-a-power-law",
        "collapse",
    ]
    (panel,) = (p for p in outcome.panels if p.domain == "test")  # dev chooses, test judges
    by_sampler = {
        s: np.mean([panel.values(c, "nDCG@10") for c in panel.cells if c.sampler == s], axis=0)
        for s in ("bm25", "random")
    }
    assert ours["bm25-gains"]["effect"] == pytest.approx(
        (by_sampler["bm25"] - by_sampler["random"]).mean()
    )
    assert ours["bm25-gains"]["students"] == 8
    teacher = panel.reference(panel.cells[0], "teacher")
    above = by_sampler["bm25"].mean() - Evaluation(teacher.evaluation).values("nDCG@10").mean()
    assert ours["above-the-teacher"]["effect"] == pytest.approx(above)
    assert set(table["choice"]) == {"", "micro mean", "reversed test"}
    assert "What was claimed" in text
    assert declared_hash(outcome.study.hypotheses)[:16] in text
    assert any(line.startswith("claim bm25-gains: ") for line in outcome.lines())


def test_statistics_are_compared_query_by_query_and_training_by_seed(made):
    outcome, table, _ = made
    ours = {row["hypothesis"]: row for row in table.filter(pl.col("choice") == "").to_dicts()}
    assert ours["random-is-nearer"]["over"] == "over queries"  # groups have no training seeds
    track = outcome.engine.tracks[0]
    ranks: dict[str, dict[int, float]] = {}
    for sampler in ("random", "bm25"):
        groups = Groups(track.results.groups[sampler])
        ranks[sampler] = {
            int(q): float(1 + (s[1:] > s[0]).sum())
            for part in groups.parts()
            for q, s in zip(part.query, part.score, strict=True)
        }
    shared = sorted(ranks["random"].keys() & ranks["bm25"].keys())
    by_hand = np.mean([ranks["random"][q] - ranks["bm25"][q] for q in shared])
    assert ours["random-is-nearer"]["effect"] == pytest.approx(by_hand)
    assert ours["random-is-nearer"]["queries"] == len(shared)
    last = {}
    for cell in outcome.study.cells:
        track = outcome.engine.tracks[cell.variant]
        for place in (0, 1):
            log = track.students[cell.number, place].file("telemetry.arrow")
            excess = files.read_arrow(log)["excess"].to_numpy()
            tenth = excess[-max(1, round(len(excess) / 10)) :]
            last.setdefault(cell.sampler, []).append(tenth.mean())
    assert ours["loss-is-higher"]["effect"] == pytest.approx(
        np.mean(last["bm25"]) - np.mean(last["random"])
    )
    assert ours["loss-is-higher"]["over"] == "over 2 seeds"
    assert ours["sure"]["effect"] is not None


def lead_by_hand(y: np.ndarray) -> float:
    """Return by how much a power law fits log y better than the best of the other two, by BIC."""
    n, bic = len(y), {}
    rank = np.arange(1.0, n + 1)
    for shape, x, degree in (
        ("power", np.log(rank), 1),
        ("exponential", rank, 1),
        ("log-normal", np.log(rank), 2),
    ):
        residual = ((np.polyval(np.polyfit(x, y, degree), x) - y) ** 2).sum()
        bic[shape] = n * np.log(residual / n) + (degree + 2) * np.log(n)
    return min(bic["exponential"], bic["log-normal"]) - bic["power"]


def test_the_shape_of_every_list_is_compared_with_zero_or_between_cells(made):
    outcome, table, _ = made
    ours = {row["hypothesis"]: row for row in table.filter(pl.col("choice") == "").to_dicts()}
    (panel,) = (p for p in outcome.panels if p.domain == "test")

    def leads(judged: Any) -> dict[int, float]:
        run = Run(judged.run)
        assert judged.run.metadata["kind"] == ("logit" if judged.seed is None else "similarity")
        made = {}
        for row in range(len(run)):
            query, _, scores = run.row(row)
            s = np.sort(scores.astype(np.float64))[::-1]
            made[query] = lead_by_hand(-np.log1p(np.exp(-s)) if judged.seed is None else s)
        return made

    of_students: dict[str, list[dict[int, float]]] = {"bm25": [], "random": []}
    for cell in panel.cells:
        of_students[cell.sampler] += [leads(one) for one in panel.judged(cell)]
    queries = Evaluation(panel.judged(panel.cells[0])[0].evaluation).query.tolist()
    means = {
        sampler: np.mean([[one[q] for q in queries] for one in every])
        for sampler, every in of_students.items()
    }
    teacher = leads(panel.reference(panel.cells[0], "teacher"))
    assert ours["power-law"]["effect"] == pytest.approx(means["bm25"], rel=1e-6)
    assert ours["power-law"]["seeds"] == 2
    assert ours["closer-to-a-power-law"]["effect"] == pytest.approx(
        means["bm25"] - means["random"], rel=1e-6, abs=1e-6
    )
    taught = ours["power-law-of-the-teacher"]
    assert taught["effect"] == pytest.approx(np.mean([teacher[q] for q in queries]), rel=1e-6)
    assert taught["over"] == "over queries"  # no training seed changes a teacher


def test_how_far_scores_collapsed_is_in_powers_of_ten(made):
    outcome, table, _ = made
    ours = {row["hypothesis"]: row for row in table.filter(pl.col("choice") == "").to_dicts()}
    spread: dict[str, list[float]] = {"random": [], "bm25": []}
    for cell in outcome.study.cells:
        for place in (0, 1):
            student = outcome.engine.tracks[cell.variant].students[cell.number, place]
            rows = files.read_arrow(student.file("telemetry.arrow")).to_pylist()
            tenth = max(1, round(len(rows) / 10))
            first, last = (
                sum(r["score_variance"] * r["groups"] for r in part)
                / sum(r["groups"] for r in part)
                for part in (rows[:tenth], rows[-tenth:])
            )
            spread[cell.sampler].append(np.log10(last / first))
    assert ours["collapse"]["effect"] == pytest.approx(
        np.mean(spread["random"]) - np.mean(spread["bm25"])
    )
    assert ours["collapse"]["seeds"] == 2


def test_a_student_of_constants_has_lost_a_millionth_at_least():
    groups = np.array([4, 4, 2])
    spread = claimed._spread(np.array([1.0, 0.5, 1e-30]), groups, 1)
    assert spread == -12
    assert claimed._spread(np.array([1.0, 0.5, 1e-3]), groups, 1) == pytest.approx(-3)
    assert np.isnan(claimed._spread(np.array([0.0, 0.0, 1.0]), groups, 1))


@pytest.mark.parametrize("known", [0, 1])
def test_where_too_few_queries_have_a_value_nothing_is_decided_by_any_choice(known):
    a, b = values(1, 0.1, 0.0, queries=5)
    a[:, known:] = np.nan
    made = judged(one("more"), {"a": a, "b": b})
    assert {v.choice: v.verdict for v in made} == {
        "": "undecided",
        "micro mean": "undecided",
        "reversed test": "undecided",
    }
    assert made[0].reason == f"set0: {known} queries have a value on both sides"
    assert made[1].reason == f"all sets: {known} queries have a value on both sides"


def test_a_figure_that_not_every_student_has_decides_nothing(monkeypatch):
    """Such as one that the loss has no floor for."""
    figures = {0: 0.1, 1: float("nan")}
    monkeypatch.setattr(claimed, "_last", lambda engine, cell, place, what: figures[cell.number])
    a, b = values(1, 0.1, 0.0, queries=5)
    made = judged(one("more", 'of = "excess"'), {"a": a, "b": b})
    assert [(v.verdict, v.reason) for v in made] == [
        ("undecided", "not every student has a figure of excess")
    ]
