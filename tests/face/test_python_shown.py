"""What public calls return shows itself in a few readable lines, never as a raw record."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_recipe import RECIPE

import rankmill as rm
from rankmill.mining.parts.told import Findings, aligned_rows, lines_of, shortly
from rankmill.mining.store import Workspace

RAW = re.compile(r"object at 0x|^[A-Z]\w*\(\w+=[{\[(<]|^\{|^\[[A-Z]\w+\(")
NOTEBOOK = ("survey", "explain", "audit", "summary", "card", "run", "groups", "plan", "terms")

MADE: dict[str, Callable[[Path], Any]] = {
    "survey": lambda _: rm.survey("nf"),
    "explain": lambda _: rm.explain("groups", rm.open("groups").head(1)["query_id"][0]),
    "one of explain": lambda _: rm.explain(
        "groups", rm.open("groups").head(1)["query_id"][0]
    ).groups[0],
    "audit": lambda _: rm.audit("groups"),
    "summary": lambda _: rm.summarise("measured"),
    "card": lambda _: rm.open("student").card,
    "qrels": lambda _: rm.open("nf").qrels("train"),
    "corpus": lambda _: rm.open("nf").corpus,
    "queries": lambda _: rm.open("nf").queries,
    "export": lambda to: rm.export("sentence-transformers", "groups", to=to / "out"),
    "torch": lambda _: rm.open("groups").to_torch(),
    "execution": lambda _: rm.Execution(),
    "workspace": lambda _: rm.Workspace("somewhere"),
    "describe": lambda _: rm.describe("bm25"),
    "plan": lambda to: rm.check(recipe(to)),
    "terms": lambda to: rm.terms({"a": measured(to), "b": measured(to)}),
    "collection": lambda _: rm.open("nf"),
    "run": lambda _: rm.open("bm25"),
    "pool": lambda _: rm.open("pool"),
    "scores": lambda _: rm.open("scores"),
    "groups": lambda _: rm.open("groups"),
    "statistics": lambda _: rm.open("measured"),
    "student": lambda _: rm.open("student"),
    "evaluation": lambda _: rm.open("bm25-judged"),
    "comparison": lambda _: rm.open("compared"),
    "design": lambda _: rm.open("design"),
}


def recipe(folder: Path) -> Path:
    """Write a recipe whose collection and models are those of the world."""
    path, inputs = folder / "recipe.toml", rm.open("nf").workspace.root.parent
    text = RECIPE.replace("cross_encoder(model=cross", "bi_encoder(model=encoder")
    text = re.sub(r"\bencoder(?=[,)]|\"$)", f"{inputs}/encoder", text, flags=re.M)
    path.write_text(text.replace("beir:tiny", f"beir:{inputs}/beir"))
    return path


def measured(folder: Path) -> Any:
    """Measure the groups so that designs of them can be ordered."""
    from tiny_models import tiny_encoder

    encoder = folder / "encoder"
    if not encoder.exists():
        tiny_encoder(encoder, max_position_embeddings=256)
    return rm.stats("groups", encoder=f"bi_encoder(model={encoder})")


@pytest.fixture
def here(every_kind: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(every_kind.root.parent, tmp_path / "world")  # models and data stand beside it
    own = Workspace(tmp_path / "world" / every_kind.root.name)
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(own.root))
    return own


@pytest.mark.models
@pytest.mark.parametrize("name", sorted(MADE))
def test_what_is_returned_shows_itself(name: str, here: Workspace, tmp_path: Path) -> None:
    value = MADE[name](tmp_path)
    said = repr(value)
    assert said, name
    assert not RAW.search(said), said[:300]
    assert str(value) == said
    lines = said.splitlines()
    assert len(lines) <= 60, f"{len(lines)} lines"
    if name != "describe":  # sentences of help
        assert max(map(len, lines)) <= 200, max(lines, key=len)
    assert all(line.isprintable() for line in lines), said
    if name in NOTEBOOK:
        assert "<" in value._repr_html_(), name


def test_findings_are_a_dictionary_still() -> None:
    found = Findings({"a": 1, "nested": {"longer": [1.5, 2], "none": {}}, "text": "x\x1b[31my\n z"})
    assert found == {"a": 1, "nested": {"longer": [1.5, 2], "none": {}}, "text": "x\x1b[31my\n z"}
    assert json.loads(json.dumps(found)) == found
    assert repr(found) == ("a     1\nnested:\n  longer  1.5, 2\n  none    none\ntext  x�[31my z")
    assert found._repr_html_().startswith("<pre>a     1")


def test_long_values_are_cut_with_how_many_there_are() -> None:
    assert shortly(list(range(1, 10))) == "1, 2, 3, 4, 5, 6, … 9 in all"
    assert shortly([{"id": 1, "text": "x"}] * 3) == "3, each with id, text"
    assert shortly("x" * 99).endswith("…")
    assert (shortly(None), shortly(True), shortly(12345), shortly(1 / 3)) == (
        *("–", "yes", "12,345"),
        "0.3333",
    )
    assert [*lines_of({})] == []
    assert [*aligned_rows([["a", "bb"], ["ccc", "d"]])] == ["a    bb", "ccc  d"]
