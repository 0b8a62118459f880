"""What a recipe asks of data that are there is compared with them before the first stage."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

import rankmill as rm
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, NothingMade, RankmillError, UsageError
from rankmill.mining.selection.empty import without_positives
from rankmill.mining.store import Workspace
from rankmill.study.before import glimpse as glimpses
from rankmill.study.before import look_first
from rankmill.study.before.data import made_for
from rankmill.study.before.glimpse import glimpse, glimpse_of
from rankmill.study.recipe import Recipe, recipe_of

RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25"
[groups]
size = 4
[groups.samplers]
hard = "uniform(source=bm25,last=15)"
[train]
student = "bi_encoder(model=encoder,layers=1)"
documents = 48
[evaluate]
depth = 10
"""
STUDY = """
[study.axes.size]
small = { "groups.size" = 4 }
large = { "groups.size" = 6 }
"""
PLAIN: dict[str, Any] = {"title": "title text", "splits": (), "on": (), "fields": None}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a collection of 60 documents, of which one is empty, and models."""
    root: Path = tmp_path_factory.mktemp("data")
    tiny_beir(root / "tiny", docs=60, queries=24)
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    shutil.copytree(root / "tiny", root / "flat")
    flat = root / "flat" / "qrels" / "train.tsv"
    rows = [line.split("\t") for line in flat.read_text().splitlines()]
    flat.write_text("\n".join("\t".join([*row[:2], row[2] if n == 0 else "0"])
                              for n, row in enumerate(rows)) + "\n")  # fmt: skip
    (root / "t.toml").write_text(RECIPE)
    (root / "s.toml").write_text(RECIPE + STUDY)
    return root


def written(*settings: tuple[str, Any]) -> Recipe:
    """Return the recipe with some dotted keys in it."""
    tables = tomllib.loads(RECIPE)
    for key, value in settings:
        table = tables
        *sections, last = key.split(".")
        for section in sections:
            table = table.setdefault(section, {})
        table[last] = value
    return recipe_of(tables, "t.toml")


REFUSED = [
    ("mine.depth", 61, "depth 61 is larger than the corpus of 60", "mine.depth, mine.sources"),
    ("mine.depth", 60, "the 59 documents that are not empty", "mine.depth, mine.sources.random"),
    ("evaluate.depth", 61, "depth 61 is larger than the corpus", "evaluate.depth, evaluate.dom"),
    ("groups.min_grade", 3, "'train' has a grade of at least 3 .* is 2", "groups.min_grade"),
    ("pool.min_grade", 3, "'train' has a grade of at least 3 .* is 2", "pool.min_grade"),
    ("collect.fields", "abstract", "have no field 'abstract'; there are '_id'", "collection"),
    ("collect.divide", ["train=a:13"], "wants 13 queries, the split has 12", "collect.divide"),
    ("collect.splits", ["train", "tset"], "no split 'te?st'", "evaluate.domains.test.split"),
    ("collection", "beir:flat", "the split 'train' has no positives", "collection"),
]


@pytest.mark.parametrize(("key", "value", "said", "where"), REFUSED)
def test_what_the_data_cannot_give_is_refused_with_the_key(
    place, monkeypatch, key, value, said, where
):
    monkeypatch.chdir(place)
    with pytest.raises((BadInput, UsageError), match=said) as refused:
        look_first(written((key, value)))
    assert str(refused.value.where).startswith(f"t.toml: {where}")
    assert refused.value.do


def test_the_stages_refuse_the_same_in_the_same_words(place, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    held = rm.collect("beir:tiny", workspace=tmp_path)
    for depth, source in ((61, "bm25"), (60, "random")):
        with pytest.raises(BadInput) as before:
            look_first(written(("mine.depth", depth), ("mine.sources", {"one": source})))
        with pytest.raises(BadInput) as stage:
            rm.mine(source, held, split="train", depth=depth)
        assert (before.value.what, before.value.do) == (stage.value.what, stage.value.do)


def test_groups_larger_than_the_corpus(place, monkeypatch):
    monkeypatch.chdir(place)
    more = {f"b{n}": f"bm25(k1=0.{n})" for n in range(1, 8)}
    settings: list[tuple[str, Any]] = [("mine.sources", more), ("mine.depth", 20)]
    settings.append(("groups.samplers", {"all": "softmax"}))
    look_first(written(*settings, ("groups.size", 60)))
    with pytest.raises(UsageError, match="draws from 59 at most: the corpus of 60 documents"):
        look_first(written(*settings, ("groups.size", 61)))


def test_a_depth_that_nobody_asked_for_is_told_and_not_refused(place, monkeypatch):
    monkeypatch.chdir(place)
    tables = tomllib.loads(RECIPE)
    del tables["mine"]["depth"], tables["evaluate"], tables["mine"]["sources"]["random"]
    told = look_first(recipe_of(tables, "t.toml"))
    assert told.unseen == ()
    assert told.notes == (
        "mine.depth: the corpus has 60 documents: depth is 60, in the place of the default 100",
        "evaluate.depth: the corpus has 60 documents: depth is 60, in the place of the default 100",
    )


def test_positives_that_are_the_teachers_need_no_judgement(place, monkeypatch):
    monkeypatch.chdir(place)
    look_first(written(("groups.min_grade", 3), ("groups.positives", "best")))


def test_epochs_are_told_where_documents_are_more_than_there_are(place, monkeypatch):
    monkeypatch.chdir(place)
    assert look_first(written()).notes == ()  # 48 documents are the 12 groups of 4
    (note,) = look_first(written(("train.documents", 480))).notes
    assert note == (
        "train.documents=480 is 120 groups of 4: 10 epochs or more, since 'train' has positives "
        "for at most 12 groups"
    )


def test_queries_that_train_and_judge_are_told_before_the_first_stage(place, monkeypatch):
    monkeypatch.chdir(place)
    (note,) = look_first(written(("evaluate.domains", {"own": {"split": "train"}}))).notes
    assert note.startswith(
        "evaluate.domains.own: its split 'train' holds the queries that students"
    )
    shutil.copytree(place / "tiny", place / "both", dirs_exist_ok=True)
    with open(place / "both" / "qrels" / "test.tsv", "a") as out:
        out.write("q0\td1\t1\nq2\td1\t1\n")
    (note,) = look_first(written(("collection", "beir:both"))).notes
    assert note == (
        "evaluate.domains.test: 2 of the 14 queries of the split 'test' are in 'train' too, on "
        "which students are trained"
    )


# ---- a glimpse is cheap --------------------------------------------------------------------------


def test_no_more_documents_are_read_than_the_depth_needs(place, monkeypatch):
    monkeypatch.chdir(place)
    reads: list[int] = []
    real = glimpses.blank

    def counting(texts: Any) -> Any:
        reads.append(len(texts))
        return real(texts)

    monkeypatch.setattr(glimpses, "blank", counting)
    large = place / "large"
    large.mkdir()
    with open(large / "corpus.jsonl", "w", encoding="utf-8") as out:
        for row in range(20_000):
            out.write(
                json.dumps({"_id": f"d{row}", "title": "", "text": "some words " * 100}) + "\n"
            )
    seen = glimpse("beir:large", PLAIN, 1_000)
    assert not isinstance(seen, str)
    assert (seen.most, seen.whole) == (None, False)
    assert 1_000 < seen.documents == sum(reads) < 20_000


def test_large_judgements_are_left_to_the_first_stage_and_it_is_said(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(glimpses, "MOST_BYTES", 10)
    told = look_first(written(("pool.min_grade", 5)))
    assert told.unseen[0].startswith("collection (beir:tiny): the judgements of 'test', 0 MB")


def test_a_glimpse_sees_what_the_collection_holds(place, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    seen, held = glimpse("beir:tiny", PLAIN, 100), collect(Workspace(tmp_path), "beir:tiny")
    kept = glimpse_of(held)
    assert not isinstance(seen, str)
    assert (seen.documents, seen.visible, seen.splits) == (60, 59, ("test", "train"))
    assert (kept.documents, kept.visible, kept.splits) == (60, 59, ("test", "train"))
    for split in held.splits:
        for count in ("queries",):
            assert getattr(seen.judged[split], count) == getattr(kept.judged[split], count)
        for grade in (1, 2, 3):
            one, other = seen.judged[split], kept.judged[split]
            assert one.with_positive(grade) == other.with_positive(grade)
            assert one.positives(grade) == other.positives(grade)


# ---- sound, or not looked at ---------------------------------------------------------------------


def test_only_what_was_looked_at_is_sound(rankmill, place, tmp_path):
    def checked(*settings: str) -> str:
        words = [word for one in settings for word in ("--set", one)]
        status, out, err = rankmill("check", "t.toml", *words, "--workspace", str(tmp_path))
        assert status == 0, err
        return str(out)

    assert "the recipe is sound: " in checked()
    said = checked("collection=python-docs")
    assert "the recipe is well formed: " in said
    assert "not looked at: collection (python-docs): it is made of Python's own docstrings" in said
    assert "sound" not in said
    said = checked("collection=beir:nowhere")
    assert "the recipe is well formed: " in said
    assert "not on this machine: t.toml: collection" in said


@pytest.mark.parametrize("command", ["check t.toml", "run t.toml --dry-run", "run t.toml"])
def test_the_terminal_refuses_before_the_first_stage(rankmill, place, tmp_path, command):
    workspace = tmp_path / "ws"
    words = ("--set", "evaluate.depth=1000", "--workspace", str(workspace))
    status, _, err = rankmill(*command.split(), *words)
    assert (status, "depth 1,000 is larger than the corpus of 60" in err) == (4, True), err
    assert "where: t.toml: evaluate.depth, evaluate.domains.test" in err
    assert not list(workspace.glob("*/*/manifest.json"))


def test_python_says_the_same(place, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    plan = rm.check("t.toml", workspace=tmp_path)
    assert plan.unseen == ()
    other = rm.check("t.toml", {"collection": "python-docs"}, workspace=tmp_path)
    assert other.unseen == (
        "collection (python-docs): it is made of Python's own docstrings when it is collected",
    )
    with pytest.raises(BadInput, match="larger than the corpus"):
        rm.check("t.toml", {"mine.depth": 100}, workspace=tmp_path)


@pytest.mark.parametrize("command", ["check s.toml", "study s.toml --dry-run", "study s.toml"])
def test_a_study_refuses_what_one_of_its_variants_cannot_have(rankmill, place, tmp_path, command):
    words = ("--workspace", str(tmp_path / "ws"))
    status, _, err = rankmill(*command.split(), "--set", "evaluate.depth=1000", *words)
    assert (status, "depth 1,000 is larger than the corpus" in err) == (4, True), err
    status, _, err = rankmill(*command.split(), "--set", "study.budget.queries=13", *words)
    assert (status, "do not meet the declared budget" in err) == (2, True), err
    assert "queries 12, declared 13" in err
    long = ("--set", "train.documents=4800", "--set", "study.budget.unique_pairs=73")
    status, _, err = rankmill(*command.split(), *long, *words)
    assert (status, "do not meet the declared budget" in err) == (2, True), err
    assert "small, hard, kl (unique pairs 48, declared 73)" in err  # 12 groups of 4, of 6
    assert "large, hard, kl (unique pairs 72, declared 73)" in err


def test_a_dry_run_of_a_study_says_plan_and_estimate(rankmill, place, tmp_path, monkeypatch):
    from rankmill.study import estimate as estimating

    class Estimated:
        def as_json(self) -> dict[str, int]:
            return {"total": 1}

        def refuse(self) -> None:
            refused.append(True)

    refused: list[bool] = []
    monkeypatch.setattr(estimating, "estimate_recipe", lambda *given, **more: Estimated())
    words = ("study", "s.toml", "--dry-run", "--workspace", str(tmp_path / "ws"))
    status, out, err = rankmill(*words, "--json")
    assert (status, json.loads(out)["estimate"]) == (0, {"total": 1}), err
    assert json.loads(out)["stages"][0]["stage"] == "collect"
    assert refused == [True]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "teacher=cross_encoder(model=student:nobody)",
            "the student 'nobody', which it names, is not in the workspace: train it first",
        ),
        ("collection=beir:nowhere", "there is no such folder (s.toml"),
    ],
)
def test_a_plan_goes_without_an_estimate_of_what_is_not_there(
    rankmill, place, tmp_path, change, said
):
    words = ("study", "s.toml", "--dry-run", "--workspace", str(tmp_path / "ws"), "--set", change)
    status, out, err = rankmill(*words)
    assert status == 0, err
    assert f"no estimate: {said}" in out
    status, out, err = rankmill(*words, "--json")
    assert (status, json.loads(out)["estimate"]) == (0, None), err
    assert json.loads(out)["no_estimate"].startswith(said)


def test_a_study_says_what_it_did_not_look_at(rankmill, place, tmp_path):
    words = ("--workspace", str(tmp_path / "ws"))
    status, out, err = rankmill("check", "s.toml", *words)
    assert (status, "the study is sound" in out) == (0, True), err
    status, out, err = rankmill("check", "s.toml", "--set", "collection=beir:nowhere", *words)
    assert (status, "the study is well formed" in out) == (0, True), err
    assert "not looked at: collection (beir:nowhere): it is not on this machine" in out
    status, out, err = rankmill("check", "s.toml", "--json", *words)
    assert (status, json.loads(out)["sound"]) == (0, True), err


@pytest.mark.parametrize("key", ["collection", "evaluate.domains.test.collection"])
def test_a_collections_name_is_no_recipe_and_it_is_said_what_is(rankmill, place, tmp_path, key):
    words = ("--workspace", str(tmp_path / "ws"))
    assert rankmill("collect", "beir:tiny", "--name", "pets", *words)[0] == 0
    status, _, err = rankmill("check", "t.toml", "--set", f"{key}=pets", *words)
    assert status == 2
    assert "'pets' is a name in the workspace, and a recipe says what a collection is read" in err
    assert f"where: t.toml: {key}" in err
    assert f"{key}=beir:PATH say: what is in the workspace already is found, not read again" in err
    status, _, err = rankmill("check", "t.toml", "--set", f"{key}=cats", *words)
    assert (status, "'cats' does not say how to read the collection" in err) == (2, True)


# ---- errors of stages ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UsageError, BadInput, NothingMade])
def test_an_error_of_a_stage_says_the_key_and_keeps_its_kind(kind):
    with pytest.raises(kind, match="a") as told, made_for(written(), "mine.sources.bm25"):
        raise kind("a", where="source bm25", do="b")
    assert told.value.where == "t.toml: mine.sources.bm25, source bm25"
    with pytest.raises(RankmillError, match="a") as told, made_for(written(), "train"):
        raise kind("a", where="t.toml: teacher")
    assert told.value.where == "t.toml: teacher"


def test_no_positive_is_said_with_the_highest_grade():
    import numpy as np

    assert without_positives(np.array([0, 2]), 2, "train", None) is None
    for grades, said in (([0, 1], "the highest is 1"), ([], "there are none")):
        error = without_positives(np.array(grades, dtype=np.int16), 2, "train", "place")
        assert said in str(error)
        assert "choose a lower min_grade" in str(error)
