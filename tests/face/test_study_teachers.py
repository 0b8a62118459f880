"""A student as the teacher of another study, and the teacher beside the students."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining.errors import BadInput
from rankmill.mining.runs.run import Run
from rankmill.mining.store import Workspace
from rankmill.study.grid import load_study
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.plan import plan_of
from rankmill.study.run import lacking, named_in
from rankmill.training.evaluation import Evaluation
from rankmill.training.significance import paired_t, t_interval

TEACHER = RECIPE.partition("[study")[0].replace('"bm25(', '"bm25(')
TEACHER = TEACHER.replace('name = "t"', 'name = "lce"').replace('loss = "kl"', 'loss = "lce"')
TEACHER = TEACHER.replace("cross_encoder(model=cross,max_length=64)", "bi_encoder(model=encoder)")
TEACHER = TEACHER.replace(
    "documents = 64",
    'student = "cross_encoder(model=encoder,frozen=embeddings)"\ndocuments = 64',
)
TEACHER += """
[study.axes.data.small]
"collect.divide" = ["train=learn:12,held:*"]
"mine.split" = "learn"
"evaluate.domains" = { held = { split = "held" }, test = {} }
[study.axes.data.whole]
"""
TAUGHT = RECIPE.partition("[study")[0].replace('name = "t"', 'name = "taught"')
TAUGHT = TAUGHT.replace("model=cross", "model=student:lce-small-bm25-student")
TAUGHT = TAUGHT.replace(
    "documents = 64", 'student = "bi_encoder(model=encoder,layers=1)"\ndocuments = 64'
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("teachers"))
    (root / "lce.toml").write_text(TEACHER)
    (root / "taught.toml").write_text(TAUGHT)
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def made(place: Path) -> StudyOutcome:
    """Return cross-encoders made of an encoder, of two training splits, in `work`."""
    before = Path.cwd()
    os.chdir(place)
    try:
        return rm.study("lce.toml", workspace="work")
    finally:
        os.chdir(before)


def test_a_student_that_is_not_there_is_refused_and_the_plan_goes_without_it():
    study = load_study(Path("taught.toml"))
    assert named_in(study.variants[0].recipe) == ["lce-small-bm25-student"]
    empty = Workspace("empty")
    rm.collect("beir:tiny", workspace=empty)
    assert plan_of(study, empty).stages[0]["there"] == 1
    with pytest.raises(BadInput, match=r"no student called 'lce-small-bm25-student'") as caught:
        rm.study("taught.toml", workspace="empty")
    assert "train it first" in str(caught.value.do)
    assert "student:lce-small-bm25-student" in str(caught.value.where)


def test_the_teacher_stands_beside_its_students_with_an_interval(made):
    measure = made.study.measures[0]
    for panel in made.panels:
        p_values = []
        for cell in panel.cells:
            track = made.engine.tracks[cell.variant]
            taught = next(
                one
                for one in track.references[panel.domain]
                if one.system.name == "teacher"  # not full retrieval
            )
            difference = panel.values(cell, measure) - Evaluation(taught.evaluation).values(measure)
            row = made.cells.row(
                by_predicate=(pl.col("cell") == cell.name)
                & (pl.col("domain") == panel.domain)
                & (pl.col("measure") == measure),
                named=True,
            )
            found = t_interval(difference)
            assert row["against_teacher"] == pytest.approx(difference.mean())
            assert row["against_teacher_low"] == pytest.approx(found.low)
            assert row["against_teacher_high"] == pytest.approx(found.high)
            p_values.append((paired_t(difference), row["against_teacher_p_holm"]))
        assert min(p for _, p in p_values) <= min(p for _, p in p_values)  # a family of its own
        assert min(a for _, a in p_values) == pytest.approx(
            min(1.0, len(p_values) * min(p for p, _ in p_values))
        )


def test_a_trained_cross_encoder_teaches_another_study(made, place):
    assert not lacking(load_study(Path("taught.toml")).variants[0].recipe, Workspace("work"))
    outcome = rm.study("taught.toml", workspace="work")
    student = made.engine.tracks[0].students[1, 0]  # of bm25, the first seed
    scores = outcome.engine.tracks[0].results.scores
    named = rm.score(
        f"cross_encoder(model={student.path},max_length=64)",
        outcome.engine.tracks[0].results.pool,
    )
    assert named.fingerprint == scores.fingerprint
    plan = plan_of(outcome.study, Workspace("work"))
    assert all(request.there for request in plan.requests)
    held = rm.collect("beir:tiny", workspace="work", divide=["train=learn:12,held:*"])
    trained_on = Run(made.engine.tracks[0].results.runs["bm25"])
    assert np.array_equal(trained_on.queries, held.split_queries("learn"))
