"""`rankmill collect` with policies, and `rankmill survey`, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from typer.testing import CliRunner

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
