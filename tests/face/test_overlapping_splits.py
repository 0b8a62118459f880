"""Splits that share queries, whatever they are called: nothing is chosen or judged by queries that
students are trained on, and what judges chooses nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_collection import tiny_beir

import rankmill as rm
from rankmill.mining.collection import shared_queries
from rankmill.mining.errors import UsageError
from rankmill.study.advise.pilots import Asked, check_pilots
from rankmill.study.grid.answer.answer import Answer
from rankmill.study.grid.design import Cell
from rankmill.study.grid.panels import Panel

DIVIDE = ["train=dev:8,learn:*", "test=choose-dev:4,judge:*"]


@pytest.fixture
def collection(workspace: Any, tmp_path: Path) -> Any:
    return rm.collect(f"beir:{tiny_beir(tmp_path / 'tiny')}", workspace=workspace, divide=DIVIDE)


def panel_of(collection: Any, trained: str, judged: str) -> Panel:
    """Return a panel of one cell, trained on a split and judged on another."""
    track = SimpleNamespace(
        trained_on=(collection, trained), judged_on=lambda domain: (collection, judged)
    )
    engine: Any = SimpleNamespace(tracks=[track], study=SimpleNamespace(levels={}))
    return Panel(engine, judged, (Cell(0, 0, "bm25", "kl", {"sampler": "bm25"}),))


def test_queries_of_both_splits_are_counted(
    collection: Any, workspace: Any, tmp_path: Path
) -> None:
    assert shared_queries(collection, "dev", collection, "train") == 8
    assert shared_queries(collection, "dev", collection, "learn") == 0
    other = rm.collect(f"beir:{tiny_beir(tmp_path / 'b', queries=30)}", workspace=workspace)
    assert shared_queries(collection, "train", other, "train") == 0  # other queries, equal ids


@pytest.mark.parametrize(
    ("trained", "judged", "kind", "count"),
    [
        ("learn", "judge", "in-domain", 0),
        ("learn", "dev", "development", 0),
        ("train", "train", "training queries", 20),
        ("train", "dev", "training queries", 8),
        ("learn", "train", "training queries", 12),
    ],
)
def test_a_set_with_training_queries_judges_nothing(
    collection: Any, trained: str, judged: str, kind: str, count: int
) -> None:
    panel = panel_of(collection, trained, judged)
    assert (panel.kind, panel.trained) == (kind, count)


def test_what_judges_chooses_nothing(collection: Any) -> None:
    test = panel_of(collection, "learn", "test")
    overlapping = panel_of(collection, "learn", "choose-dev")
    apart = panel_of(collection, "learn", "dev")
    assert overlapping.kind == "development"
    answer = Answer.__new__(Answer)
    answer.panels = [test, overlapping]
    assert answer.chooser is test
    answer.panels = [test, overlapping, apart]
    del answer.__dict__["chooser"]
    assert answer.chooser is apart


@pytest.mark.parametrize(("split", "said"), [("train", "8 of the 8"), ("*", "8 of the 8")])
def test_pilots_are_not_judged_by_queries_of_their_pool(
    collection: Any, split: str, said: str
) -> None:
    pool = rm.pool([rm.mine("bm25(k1=0.9,b=0.4)", collection, split=split, depth=5)])
    asked = Asked(documents=4, student="bi_encoder(model=x)", split="dev")
    with pytest.raises(UsageError, match=f"{said} queries of the split 'dev' are queries of the"):
        check_pilots(asked, collection, pool)
    learned = rm.pool([rm.mine("bm25(k1=0.9,b=0.4)", collection, split="learn", depth=5)])
    check_pilots(asked, collection, learned)
