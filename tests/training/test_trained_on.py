"""Queries that a student was trained on and is judged by, or validated on, are told and counted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.mining.collection.rows import Queries
from rankmill.mining.models.folder import fingerprint_of_files, resolve
from rankmill.objects import Collection, Groups, Run, Student
from rankmill.training.trained_on import shared, students_of

SAID = "judged queries of the split 'train' are queries that the student was trained on"


@dataclass
class World:
    """A collection with groups of its train split, and a student of them."""

    place: Path
    held: Collection
    groups: Groups
    student: Student
    first: dict[str, Run]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root: Path = tmp_path_factory.mktemp("trained-on")
    tiny_beir(root / "tiny", docs=60, queries=24)
    encoder = tiny_encoder(root / "encoder")
    held = rm.collect(f"beir:{root / 'tiny'}", workspace=root / "ws")
    first = {one: rm.mine("bm25", held, split=one, depth=20) for one in ("train", "test")}
    groups = grouped(held, encoder, first["train"])
    student = trained(encoder, groups)
    return World(root, held, groups, student, first)


def trained(encoder: Path, groups: Groups, held_out: Groups | None = None) -> Student:
    """Train two steps."""
    return rm.train(
        f"bi_encoder(model={encoder},layers=1)",
        groups,
        documents=16,
        batch=2,
        query_length=20,
        doc_length=40,
        validation=held_out,
        validate_steps=None if held_out is None else 2,
    )


def grouped(held: Collection, encoder: Path, run: Run) -> Groups:
    """Return groups of four of a run."""
    pool = rm.pool([run])
    return rm.select("top", pool, rm.score(f"bi_encoder(model={encoder})", pool), size=4)


def test_trained_queries_are_told_and_counted(world: World) -> None:
    with pytest.warns(RuntimeWarning, match=f"of the 12 {SAID}"):
        made = rm.evaluate(student=world.student, first_stage=world.first["train"], depth=20)
    known = sorted(set(world.groups.to_polars()["query_id"]))
    assert 0 < len(known) <= 12
    assert sorted(made.trained_on) == known
    assert made.cost()["usage"]["judged_queries_trained_on"] == len(known)


def test_it_is_told_again_of_an_evaluation_that_is_there_and_of_its_run(world: World) -> None:
    with pytest.warns(RuntimeWarning, match=SAID):
        run = rm.evaluate(student=world.student, first_stage=world.first["train"], depth=20).input(
            "run"
        )
    with pytest.warns(RuntimeWarning, match=SAID):
        rm.evaluate(run)


def test_queries_of_another_split_say_nothing(world: World) -> None:
    made = rm.evaluate(student=world.student, first_stage=world.first["test"], depth=20)
    assert made.trained_on == []
    assert "judged_queries_trained_on" not in made.cost()["usage"]
    assert rm.evaluate(world.first["train"]).trained_on == []


def test_the_student_is_found_by_what_its_manifest_says(world: World) -> None:
    run = rm.rerank(world.student, world.first["test"], depth=20)
    assert [one.fingerprint for one in students_of(run)] == [world.student.fingerprint]
    assert students_of(world.first["test"]) == []
    hashes = {world.student.path / one.file: one.sha256 for one in world.student.parts}
    folder = world.student.path / "model"
    assert fingerprint_of_files(folder, hashes) == resolve(folder).fingerprint


def test_ids_of_another_collection_count_with_their_texts(world: World) -> None:
    tiny_beir(world.place / "more", docs=80, queries=24)
    queries = world.place / "more" / "queries.jsonl"
    written = (world.place / "tiny" / "queries.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in written.splitlines()]
    for number, row in enumerate(rows):
        row["text"] += " other words" if number < 12 else ""
    queries.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    other = rm.collect(f"beir:{world.place / 'more'}", workspace=world.place / "ws")
    judged = other.split_queries("train")
    own = Queries(world.groups.input("queries"))
    both = shared(world.groups, own, other.queries, judged)
    known = set(world.groups.to_polars()["query_id"])
    same = {row["_id"] for row in rows[12:]}
    assert set(other.queries.ids(both)) == known & same != set()
    every = np.arange(len(own), dtype=np.uint32)
    assert set(own.ids(shared(world.groups, own, own, every))) == known


def test_validation_on_trained_queries_is_told(world: World) -> None:
    encoder = world.place / "encoder"
    with pytest.warns(RuntimeWarning, match="queries of the validation groups are trained on"):
        made = trained(encoder, world.groups, world.groups)
    assert made.cost()["usage"]["validation_queries_trained_on"] > 0
    trained(encoder, world.groups, grouped(world.held, encoder, world.first["test"]))
