"""Pieces alone: lists of texts, triples of one's own, near copies; groups for other trainers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rankmill as rm
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.store import Workspace

SONG = "birds sing a long song at dawn"
TRIPLES = [
    ("who sings at dawn", SONG, "fish swim in the deep sea"),
    ("who sings at dawn", SONG, "dogs bark at every cat"),
    ("who barks at cats", "dogs bark at every cat", SONG),
    ("who swims", "fish swim in the deep sea", "Fish swim, in the deep sea!"),
]


TWO = ["cats sleep", "dogs bark"]


# ---- lists of texts ------------------------------------------------------------------------------


def test_bm25_over_a_list_of_texts(workspace: Workspace) -> None:
    docs = rm.collect(documents=TWO, queries=["dogs", "owls"], workspace=workspace)
    run = docs.mine("bm25", split="*", depth=1)
    assert [(row["query_id"], row["doc_id"]) for row in run] == [("0", ["1"]), ("1", [])]
    same = rm.collect(
        documents=dict(zip("01", TWO, strict=True)), queries=("dogs", "owls"), workspace=workspace
    )
    assert same.root_hash == docs.root_hash


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (["a", 5], r"is 5, not a text[\s\S]*documents\[1\][\s\S]*write it as one text"),
        (["a", "\ud800"], "half a character"),
        ([], "no column|no document|is empty|holds no"),
    ],
)
def test_a_list_that_is_no_list_of_texts(
    workspace: Workspace, documents: Any, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        rm.collect(documents=documents, workspace=workspace)


# ---- triples -------------------------------------------------------------------------------------


def test_the_audit_of_triples_finds_what_is_wrong_with_them(workspace: Workspace) -> None:
    wrong = [*TRIPLES, ("who barks at cats", SONG, "owls")]  # a negative above is positive here
    held_out = [("who sings at dawn", SONG), ("Who sings, at dawn?", "owls")]
    groups = rm.from_triples(wrong, test=held_out, workspace=workspace, name="ours")
    assert groups.fingerprint == rm.open("ours", workspace=workspace).fingerprint
    assert (len(groups), groups.size, groups.split) == (5, 2, "train")
    found = groups.audit()
    assert found["must_be_zero"]["positives_among_negatives"] == 1
    assert found["must_be_zero"]["copies_of_a_positive_among_negatives"] == 1
    assert found["copies"]["negatives_like_the_positive"] == 1
    assert found["leakage"].keys() == {"test"}
    leak = found["leakage"]["test"]
    assert (leak["queries"], leak["queries_in_both"], leak["queries_nearly_equal"]) == (2, 1, 1)
    assert leak["positives_trained_on"] == 2
    (first, *_) = groups
    assert first["query_text"] == TRIPLES[0][0]
    assert first["doc_text"] == list(TRIPLES[0][1:])
    assert first["score"] == [1.0, 0.0]
    assert first["grade"] == [1, 0]


def columns() -> dict[str, list[str]]:
    return {
        "anchor": [query for query, _, _ in TRIPLES],
        "positive": [positive for _, positive, _ in TRIPLES],
        "negative": [negative for _, _, negative in TRIPLES],
    }


@pytest.mark.parametrize(
    "given",
    [
        TRIPLES,
        (row for row in TRIPLES),
        [list(row) for row in TRIPLES],
        [{"query": q, "pos": p, "neg": [n]} for q, p, n in TRIPLES],
        columns(),
        pl.DataFrame(columns()),
        pl.DataFrame(columns()).to_arrow(),
    ],
    ids=["tuples", "generator", "lists", "rows", "columns", "polars", "arrow"],
)
def test_triples_of_any_shape_are_the_same_groups(workspace: Workspace, given: Any) -> None:
    plain = rm.from_triples(TRIPLES, workspace=workspace)
    assert rm.from_triples(given, workspace=workspace).root_hash == plain.root_hash


@pytest.mark.parametrize(
    "test",
    [
        [("q", "d"), ("r", "e")],
        {"q": "d", "r": ["e"]},
        [{"query": "q", "positive": "d"}, {"query": "r", "positive": "e"}],
        {"query": ["q", "r"], "positive": ["d", "e"]},
    ],
)
def test_pairs_that_are_held_out(workspace: Workspace, test: Any) -> None:
    held = rm.from_triples(TRIPLES, test=test, workspace=workspace).collection
    assert held.splits == ("test", "train")
    judged = held.qrels("test").to_polars()
    assert judged["query_text"].to_list() == ["q", "r"]
    assert judged["doc_text"].to_list() == ["d", "e"]


def test_scores_of_a_teacher_are_kept(workspace: Workspace) -> None:
    rows = [{"query": "q", "positive": "d", "negative_1": "e", "negative_2": "f"}]
    scored = [row | {"scores": [3.0, 1.0, 2.0]} for row in rows]
    groups = rm.from_triples(scored, kind="logit", workspace=workspace)
    assert next(iter(groups))["score"] == [3.0, 1.0, 2.0]
    assert groups.metadata["kind"] == "logit"
    assert groups.size == 3
    assert next(iter(rm.from_triples(rows, workspace=workspace)))["score"] == [1.0, 0.0, 0.0]


def test_a_negative_that_is_its_positive_is_left_out_and_counted(workspace: Workspace) -> None:
    groups = rm.from_triples([*TRIPLES, ("x", "same", "same")], workspace=workspace)
    assert len(groups) == len(TRIPLES)
    assert groups.counts["groups_duplicate_document"] == 1
    assert groups.examples["groups_duplicate_document"] == ["line 5: query 'x'"]
    with pytest.raises(BadInput, match="holds the document 'same' twice"):
        rm.from_triples([("x", "same", "same")], on=(), workspace=workspace)


def test_rows_of_several_sizes_need_one(workspace: Workspace) -> None:
    rows = [("q", "d", "e"), ("r", "d", "e", "f")]
    with pytest.raises(BadInput, match=r"rows of 2 to 3 documents[\s\S]*say size=2"):
        rm.from_triples(rows, workspace=workspace)
    assert rm.from_triples(rows, size=2, workspace=workspace).size == 2


def test_nothing_is_left_beside_the_workspace(workspace: Workspace) -> None:
    rm.from_triples(TRIPLES, workspace=workspace)
    assert [one for one in (workspace.root / "tmp").iterdir() if "triples" in one.name] == []


@pytest.mark.parametrize(
    ("triples", "options", "kind", "message"),
    [
        ([], {}, BadInput, "there are no triples"),
        ([("a", "b")], {}, BadInput, r"2 texts, a triple has three or more[\s\S]*triples, row 1"),
        ([5], {}, BadInput, "this is no triple"),
        ([("a", "b", 3)], {}, BadInput, "'text' is 3, not a text"),
        ([{"query": "a", "positive": "b"}], {}, BadInput, "no negative; there are query, positive"),
        ([{"query": "a", "negative": "b"}], {}, BadInput, "the column 'positive' is missing"),
        (5, {}, UsageError, "triples: an int is no table"),
        ("abc", {}, UsageError, "triples: a str is no table"),
        (TRIPLES, {"test": ["x"]}, BadInput, r"no pair of a query and its positive[\s\S]*row 1"),
        (TRIPLES, {"kind": "logit"}, UsageError, "kind='logit' of triples without scores"),
        (
            [{"query": "a", "positive": "b", "negative": "c", "scores": [1.0, 2.0]}],
            {},
            UsageError,
            'these triples have scores, of which kind[\\s\\S]*kind="logit"',
        ),
        (
            [{"query": "a", "positive": "b", "negative": "c", "scores": [1.0]}],
            {"kind": "logit"},
            BadInput,
            "2 documents with 1 scores",
        ),
        (
            [
                {"query": "a", "positive": "b", "negative": "c", "scores": [1.0, 0.0]},
                ("a", "b", "d"),
            ],
            {"kind": "logit"},
            BadInput,
            r"other rows have scores, this one has none[\s\S]*row 2",
        ),
    ],
)  # fmt: skip
def test_what_are_no_triples_is_refused(
    workspace: Workspace, triples: Any, options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        rm.from_triples(triples, workspace=workspace, **options)


# ---- near copies ---------------------------------------------------------------------------------


def test_near_copies_within_a_list_and_between_two() -> None:
    texts = ["Birds sing a song.", "fish swim in the sea", "birds sing, a song"]
    within = rm.near_copies(texts)
    assert within.rows() == [(0, 2, 1.0)]
    between = rm.near_copies(texts, ["nothing like it", "BIRDS SING A SONG"])
    assert between.rows() == [(0, 1, 1.0), (2, 1, 1.0)]
    assert rm.near_copies(["a"]).columns == ["one", "other", "overlap"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"texts": "abc"}, "texts.*is not a (list of )?text"),
        ({"texts": ["a", 5]}, "texts.*is not a (list of )?text"),
        ({"texts": ["a"], "others": "b"}, "others='b' is not a list of texts"),
        ({"texts": ["a"], "overlap": 0.5}, "overlap=0.5 must be at least 0.7"),
    ],
)
def test_near_copies_of_what_are_no_texts(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rm.near_copies(**given)


# ---- groups for other trainers -------------------------------------------------------------------


def test_groups_are_a_dataset_for_a_plain_loader(workspace: Workspace) -> None:
    torch = pytest.importorskip("torch")
    groups = rm.from_triples(TRIPLES, workspace=workspace)
    rows = list(groups)
    data = groups.to_torch()
    assert len(data) == len(groups)
    assert data[-1]["query"] == rows[-1]["query_text"]
    assert data[0]["documents"] == rows[0]["doc_text"]
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    (batch,) = list(loader)
    assert batch["query"] == [row["query_text"] for row in rows]
    assert list(zip(*batch["documents"], strict=True)) == [tuple(r["doc_text"]) for r in rows]
    assert batch["scores"].tolist() == [row["score"] for row in rows]
    assert batch["grades"].tolist() == [row["grade"] for row in rows]
    with pytest.raises(IndexError):
        data[len(groups)]


def test_a_data_set_needs_its_package(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = rm.from_triples(TRIPLES, workspace=workspace)
    with pytest.raises(UsageError, match="layout"):
        groups.to_dataset(layout="tupels")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RankmillError, match=r"'datasets' is not installed[\s\S]*groups.export"):
        groups.to_dataset()


class Generated:
    """Stands for the library: keeps what a data set is made of."""

    @staticmethod
    def from_generator(rows: Any, gen_kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return list(rows(**gen_kwargs)), gen_kwargs


def test_the_rows_of_a_data_set(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows and what it is known by, also where the library is not installed."""
    import types

    groups = rm.from_triples(TRIPLES, workspace=workspace)
    stand_in = types.SimpleNamespace(Dataset=Generated)
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: stand_in)
    rows, known = groups.to_dataset()
    assert known["root"] == groups.root_hash
    assert list(rows[0]) == ["query", "positive", "negative_1", "scores"]
    assert [tuple(row.values())[:3] for row in rows] == TRIPLES
    pairs, _ = groups.to_dataset(layout="pairs")
    assert len(pairs) == 2 * len(groups)


def test_a_trainer_of_sentence_transformers_takes_them(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed")
    pytest.importorskip("accelerate", reason="the package accelerate is not installed")
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from tiny_models import tiny_encoder

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    tiny_encoder(tmp_path / "encoder")
    model = SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    data = rm.from_triples(TRIPLES, workspace=workspace).to_dataset().remove_columns("scores")
    loss = MultipleNegativesRankingLoss(model)
    told = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=1, report_to=[], use_cpu=True
    )
    trainer = SentenceTransformerTrainer(model, args=told, train_dataset=data, loss=loss)
    assert trainer.train().global_step == 1


@pytest.mark.filterwarnings("ignore")  # its own, about torch
def test_lightning_takes_the_loader(workspace: Workspace, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="the package lightning is not installed")
    import torch

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch: Any, _: int) -> Any:
            lengths = [[float(len(text)) for text in texts] for texts in batch["documents"]]
            return ((self.weight * torch.tensor(lengths).T - batch["scores"]) ** 2).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    data = rm.from_triples(TRIPLES, workspace=workspace).to_torch()
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    trainer = lightning.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Module(), loader)
    assert trainer.global_step == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("我们今天去北京参观故宫博物院", "我们今天去北京，参观 故宫博物院。"),
        ("東京は日本の首都です", "東京は 日本の 首都です。"),
        ("กรุงเทพเป็นเมืองหลวงของประเทศไทย", "กรุงเทพ เป็นเมืองหลวงของ ประเทศไทย"),
        ("서울은 대한민국의 수도이다", "서울은 대한민국의  수도이다。"),
        ("Ｂｉｒｄｓ sing a song", "birds sing a song"),
        ("ÄPFEL UND BIRNEN", "äpfel und birnen!"),
    ],
)
def test_near_copies_in_any_script(one: str, other: str) -> None:
    assert rm.near_copies([one, other]).rows() == [(0, 1, 1.0)]


def test_texts_of_the_same_characters_in_another_order_are_no_copies() -> None:
    assert rm.near_copies(["我们今天去北京", "北京今天我们去"], overlap=0.7).is_empty()
    assert rm.near_copies(["猫在睡觉", "狗在叫"], overlap=0.7).is_empty()


def test_an_error_about_triples_names_their_row_and_no_file_of_ours(workspace: Workspace) -> None:
    twice = [("q", "a", "b"), ("q", "c", "c")]
    with pytest.raises(BadInput, match=r"twice\n  where: triples, row 2\n") as told:
        rm.from_triples(twice, on=["duplicate_document=refuse"], workspace=workspace)
    assert "tmp" not in str(told.value)
    with pytest.raises(BadInput, match=r"where: triples\n  do: look at the triples"):
        rm.from_triples([("q", "c", "c")], workspace=workspace)


def test_a_draw_from_nothing_is_empty(tmp_path: Path) -> None:
    """Of documents that say nothing none is drawn, and no number is made of none: pytest would
    turn the warning of a library into an error."""
    documents, queries, qrels = {"a": "", "b": "x"}, {"q": "x"}, {"q": {"a": 1}}
    held = rm.collect(documents=documents, queries=queries, qrels=qrels, workspace=tmp_path / "w")
    run = held.mine("random", split="all", depth=1)
    assert run.to_polars()["doc_id"].to_list() == [[]]
