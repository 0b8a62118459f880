"""`rankmill collect` with policies, and `rankmill survey`, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from typer.testing import CliRunner

import rankmill as rm
from rankmill.cli.entry import app_of


def told(place: Path, *words: str, status: int = 0) -> str:
    found = CliRunner().invoke(app_of(), [*words, "--workspace", str(place / "work")])
    assert found.exit_code == status, found.output
    return found.output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_beir(tmp_path / "tiny")
    with open(tmp_path / "tiny" / "qrels" / "test.tsv", "a") as out:
        out.write("q1\tgone\t1\n")
    return tmp_path


def test_what_was_dropped_is_told(place: Path) -> None:
    spec = f"beir:{place / 'tiny'}"
    said = told(place, "collect", spec, "--on", "dangling_qrel=drop", "--name", "t")
    assert "qrels[test]: 1 dangling qrel: q1 gone 1 (line " in said
    said = told(place, "survey", "t")
    assert "200 documents" in said
    assert "split train: 20 queries" in said
    assert "qrels[test]: 1 dangling qrel: q1 gone 1 (line " in said
    facts = json.loads(told(place, "survey", "t", "--json"))
    assert facts["odd"]["qrels[test]"]["dangling_qrel"]["count"] == 1
    assert facts["documents"]["empty"] == 1


def test_only_some_splits(place: Path) -> None:
    said = told(place, "collect", f"beir:{place / 'tiny'}", "--split", "train")
    assert "splits: train" in said


def test_documents_and_queries_without_text_are_told_once_and_counted(rankmill, tmp_path):
    folder = tmp_path / "bare"
    (folder / "qrels").mkdir(parents=True)
    texts = {
        "corpus": {"d1": "a cat", "d2": "", "d3": "dogs"},
        "queries": {"q1": "", "q2": " ", "q3": "cats"},
    }
    for name, rows in texts.items():
        lines = [json.dumps({"_id": one, "title": "", "text": text}) for one, text in rows.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "qrels" / "train.tsv").write_text("q1\td1\t1\nq3\td1\t1\n")
    words = ("--name", "bare", "--workspace", str(tmp_path / "ws"))
    for _ in range(2):  # made, and found again
        status, out, err = rankmill("collect", f"beir:{folder}", *words)
        assert status == 0, err
        assert out.count("1 document without text: never mined") == 1
        assert out.count("2 queries without text: BM25 finds nothing for such") == 1
        assert "--on empty_query=drop" in out
    status, out, _ = rankmill("collect", f"beir:{folder}", *words, "--json")
    assert json.loads(out)["without_text"] == {"documents": 1, "queries": 2}
    held = rm.open("bare", workspace=tmp_path / "ws")
    assert repr(held).endswith("train; without text: 1 document and 2 queries>")
    status, out, err = rankmill("collect", f"beir:{folder}", "--on", "empty_query=drop", *words)
    assert status == 0, err
    assert "queries without text" not in out
    assert "2 empty query" in out
