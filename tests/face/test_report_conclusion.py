"""The first screen of a run: three sentences that say what the tests say, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rankmill.report import conclusion, content
from rankmill.study.costs.gains import Gain, Spent
from rankmill.study.results import FIRST_STAGE, START, STUDENT, TEACHER, Role, System, Trained
from rankmill.study.standings import Standing
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval

SURE, UNSURE = 0.001, 0.4


def compared(a: str, b: str, mean: float, p: float) -> Comparison:
    half = 0.5 * abs(mean) if p < 0.05 else 2 * abs(mean) + 0.01
    between = Interval(mean, mean - half, mean + half)
    return Comparison(a, b, 100, 1, between, p, p, p, p)


def student(name: str) -> System:
    return System(STUDENT, sampler=name)


def standing(
    name: str, domain: str, mean: float, against: dict[Role, tuple[float, float]]
) -> Standing:
    system = student(name)
    rows = {role: compared(system.name, role, *told) for role, told in against.items()}
    return Standing(system, domain, Interval(mean, mean - 0.01, mean + 0.01), {}, 1, rows)


def world(
    pairs: dict[tuple[str, str], tuple[float, float]],
    seconds: dict[str, float],
    *,
    start: tuple[float, float] = (0.118, SURE),
    elsewhere: tuple[float, float] | None = (0.05, SURE),
    seeds: int = 1,
    domains: int = 2,
    title: str = "Distilling on docs",
) -> Any:
    """Return an outcome in which the last of the students named is the best on the first set."""
    names = list(seconds)
    sets = ["near", "far", "farther"][:domains]
    every = []
    for domain in sets:
        for place, name in enumerate(names):
            told = start if domain == "near" else elsewhere
            against: dict[Role, tuple[float, float]] = {} if told is None else {START: told}
            if domain == "near":
                against |= {FIRST_STAGE: (0.002, UNSURE), TEACHER: (-0.042, SURE)}
            every.append(standing(name, domain, 0.5 + 0.01 * place, against))
    rows = [compared(a, b, *told) for (a, b), told in pairs.items()]
    gains = [
        Gain(student(name), "near", Spent(spent, 0, 0, 0, 9), compared(name, START, *start), True)
        for name, spent in seconds.items()
    ]
    standings = SimpleNamespace(
        domains=sets,
        all=every,
        pairs=lambda domain: rows if domain == "near" else [],
        values=lambda domain: {student(names[0]): np.zeros((seeds, 812))},
    )
    trained = {student(name): Trained(student(name), name, "kl", {}) for name in names}

    def best(domain: str) -> Standing | None:
        mine = [one for one in every if one.domain == domain]
        return max(mine, key=lambda one: one.mean.mean, default=None)

    return SimpleNamespace(
        standings=standings,
        results=SimpleNamespace(students=trained, groups={}),
        recipe=SimpleNamespace(seeds=list(range(seeds)), title=title, losses={"kl": "kl"}),
        samplers=names,
        measure="nDCG@10",
        gains=gains,
        best=best,
        left_out=list,
    )


PAIRS = {
    ("random", "fusion"): (-0.02, SURE),
    ("bm25", "fusion"): (-0.01, UNSURE),
    ("random", "bm25"): (-0.01, UNSURE),
}
SECONDS = {"random": 60.0, "bm25": 90.0, "fusion": 240.0}


def test_three_sentences_say_who_is_best_over_whom_for_what_and_where_else() -> None:
    first, second, third = conclusion.answer(world(PAIRS, SECONDS), [])
    assert first == (
        "On near, the student trained on fusion groups ranks best, with nDCG@10 0.520, which is "
        "0.118 above the untrained student (95 % interval +0.059 to +0.177), not significantly "
        "different from the first stage (+0.002) and 0.042 below the teacher."
    )
    assert second == (
        "It is significantly better than random, but not than bm25; bm25 costs less, 1 min 30 s "
        "of compute instead of 4 min 0 s."
    )
    assert third == (
        "On far, the same student reaches nDCG@10 0.520, which is 0.050 above the untrained "
        "student (95 % interval +0.025 to +0.075)."
    )


def test_a_gain_that_is_not_significant_is_not_called_one() -> None:
    first, *_ = conclusion.answer(world(PAIRS, SECONDS, start=(0.004, UNSURE)), [])
    said = "which is 0.042 below the teacher and not significantly different from the untrained"
    assert f"{said} student (95 % interval" in first
    assert first.endswith("and the first stage (+0.002).")  # what is said of both is said once
    assert first.count("not significantly different from") == 1
    worse, *_ = conclusion.answer(world(PAIRS, SECONDS, start=(-0.03, SURE)), [])
    assert "which is 0.030 below the untrained student" in worse


@pytest.mark.parametrize(
    ("pairs", "seconds", "said"),
    [
        (
            {pair: (-0.02, SURE) for pair in PAIRS},
            SECONDS,
            "It is significantly better than all 2 others; making it from scratch takes 4 min 0 s "
            "of compute.",
        ),
        (
            {pair: (-0.01, UNSURE) for pair in PAIRS},
            {"random": 239.0, "bm25": 238.0, "fusion": 240.0},
            "None of the 2 other students is significantly different from it, and none of these "
            "costs clearly less than its 4 min 0 s of compute.",
        ),
        (
            {("random", "fusion"): (-0.01, UNSURE)},
            {"random": 60.0, "fusion": 240.0},
            "The difference from random is not significant; random costs less, 1 min 0 s of "
            "compute instead of 4 min 0 s.",
        ),
        (
            {("random", "fusion"): (-0.01, UNSURE)},
            {"random": 300.0, "fusion": 240.0},
            "The difference from random is not significant, and random does not cost clearly less "
            "than its 4 min 0 s of compute.",
        ),
        (
            {("random", "fusion"): (-0.02, SURE)},
            {"random": 60.0, "fusion": 240.0},
            "It is significantly better than the one from random; making it from scratch takes "
            "4 min 0 s of compute.",
        ),
        (
            {},
            {"fusion": 240.0},
            "There is no other student to compare it with; making it from scratch takes 4 min 0 s "
            "of compute.",
        ),
    ],
)
def test_the_second_sentence_compares_the_students(
    pairs: dict[tuple[str, str], tuple[float, float]], seconds: dict[str, float], said: str
) -> None:
    assert conclusion.answer(world(pairs, seconds), [])[1] == said


def test_students_of_another_loss_are_not_called_compared() -> None:
    """Samplers are compared within a loss: nothing is said of the others."""
    pairs = {("a, kl", "c, kl"): (-0.02, SURE), ("b, kl", "c, kl"): (-0.02, SURE)}
    seconds = {"x, mse": 1.0, "a, kl": 9.0, "b, kl": 9.0, "c, kl": 9.0}
    first, second, _ = conclusion.answer(world(pairs, seconds), [])
    assert "the student trained on “c, kl” groups ranks best" in first
    assert second.startswith("It is significantly better than the 2 others of its loss; ")
    flat = dict.fromkeys(pairs, (-0.01, UNSURE))
    second = conclusion.answer(world(flat, seconds), [])[1]
    assert second.startswith("None of the 2 other students of its loss is significantly different")
    one = {("a, kl", "c, kl"): (-0.02, SURE), ("b, kl", "c, kl"): (-0.02, UNSURE)}
    second = conclusion.answer(world(one, seconds), [])[1]
    assert "better than “a, kl”, but not than “b, kl”, and “b, kl” does not cost" in second


def test_the_third_sentence_is_about_the_other_sets() -> None:
    alone = conclusion.answer(world(PAIRS, SECONDS, domains=1), [])[2]
    assert alone == "No other evaluation set was judged, so nothing is shown beyond near."
    many = conclusion.answer(world(PAIRS, SECONDS, domains=3), [])[2]
    assert many == (
        "The same student is significantly better than the untrained one on 2 of the 2 other "
        "evaluation sets."
    )
    none = conclusion.answer(world(PAIRS, SECONDS, domains=3, elsewhere=(0.01, UNSURE)), [])[2]
    assert " on 0 of the 2 other " in none


def test_without_students_the_sources_answer() -> None:
    outcome = world({}, {"fusion": 1.0}, domains=0)
    outcome.results.students = {}
    outcome.results.groups = {"bm25": SimpleNamespace(rows=2961)}
    recall = [
        content.SourceRecall("bm25", np.arange(1, 101), np.linspace(0.2, 0.61, 100)),
        content.SourceRecall("dense", np.arange(1, 101), np.linspace(0.3, 0.83, 100)),
    ]
    assert conclusion.answer(outcome, recall) == [
        "“dense” finds most: 83% of the judged positives among its first 100 candidates.",
        "Groups were drawn: 2,961 from “bm25”.",
        "No student was trained, so nothing is said about ranking.",
    ]
    assert conclusion.caveats(outcome) == []
    assert conclusion.picture(outcome) is None
    assert conclusion.question(outcome).startswith("What do the sources find")


def test_caveats_count_queries_and_seeds() -> None:
    one, many = (conclusion.caveats(world(PAIRS, SECONDS, seeds=n)) for n in (1, 3))
    assert one[0] == (
        "It rests on 812 queries and one training seed: the intervals do not cover what training "
        "again with another seed would change."
    )
    assert many[0] == "It rests on 812 queries and 3 training seeds."
    assert any("chosen by the queries of near that also judge it" in text for text in one)
    single = conclusion.caveats(world({}, {"fusion": 1.0}))
    assert not any("flatters" in text for text in single)


def test_a_title_that_asks_is_the_question() -> None:
    assert conclusion.question(world(PAIRS, SECONDS, title="Which sampler? ")) == ""
    assert conclusion.question(world(PAIRS, SECONDS)).startswith("Which groups make the best")
    assert conclusion.question(world({}, {"a": 1.0})).startswith("Does distillation improve")


@pytest.mark.parametrize(
    ("seconds", "unit", "cost"),
    [(60.0, "seconds", 60.0), (240.0, "minutes", 4.0), (9000.0, "hours", 2.5)],
)
def test_the_picture_has_every_student_at_its_cost(seconds: float, unit: str, cost: float) -> None:
    picture = conclusion.picture(world(PAIRS, {"random": 6.0, "fusion": seconds}))
    assert picture is not None
    assert picture.unit == unit
    assert picture.title == "Gain against cost, near"
    assert [spot.name for spot in picture.spots] == ["random", "fusion"]
    assert picture.color_levels == ["random", "fusion"]  # the colours of all other pictures
    assert picture.spots[1].cost == pytest.approx(cost)
    assert picture.spots[1].gain.low == pytest.approx(0.059)
