"""A recipe that is run again finds everything: what that process imports and reads is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder
from tiny_recipe import RECIPE

HEAVY = ("torch", "transformers", "ray", "polars", "matplotlib", "faiss", "sentence_transformers")
AGAIN = f"""
import atexit, json, sys

opened = []

def note(event, args):
    if event == "open" and args[1] is not None:  # else it is what a call of open() does below
        opened.append(str(args[0]))

sys.addaudithook(note)
from rankmill.mining.models import folder

def counted(path, load=folder.load_tokenizer):
    opened.append("a tokenizer")
    return load(path)

folder.load_tokenizer = counted

def tell():
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print(json.dumps({{"loaded": loaded, "opened": opened}}))

atexit.register(tell)
sys.argv = ["rankmill", "run", "t.toml", "--report", "t.html"]
from rankmill.cli import main

main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a recipe of every stage, its collection and its models."""
    root = tmp_path_factory.mktemp("again")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    (root / "t.toml").write_text(RECIPE)
    return root


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, Any]:
    """Return what a second run imports, and which files it opens, each as often as it does."""
    command = [sys.executable, "-m", "rankmill", "run", "t.toml", "--report", "t.html"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    written = (place / "t.html").stat().st_mtime_ns
    again = subprocess.run(
        [sys.executable, "-c", AGAIN], cwd=place, check=True, capture_output=True, text=True
    )
    assert "all of it was already there" in again.stdout
    assert (place / "t.html").stat().st_mtime_ns == written  # the same report is not drawn again
    facts: dict[str, Any] = json.loads(again.stdout.splitlines()[-1])
    return facts


def times(told: dict[str, Any], ending: str) -> dict[str, int]:
    """Return how often each file whose path ends so was opened."""
    return dict(Counter(one for one in told["opened"] if one.endswith(ending)))


def test_what_is_found_loads_nothing_that_makes_it(told: dict[str, Any]) -> None:
    assert told["loaded"] == []


def test_manifests_and_ledgers_are_not_read_for_every_question(told: dict[str, Any]) -> None:
    """A stage asks for its inputs, and theirs; scores and collections are also looked through."""
    manifests, ledgers = times(told, "/manifest.json"), times(told, "/ledger.json")
    assert len(manifests) > 30  # every artifact of the recipe was looked at
    assert max(ledgers.values()) == 1
    assert sum(manifests.values()) < 5 * len(manifests)


def test_a_tokenizer_is_loaded_once_for_all_models_that_share_it(told: dict[str, Any]) -> None:
    read = times(told, "/tokenizer.json")
    different = len({Path(one).read_bytes() for one in read})
    assert len(read) > different  # students have that of the encoder they are made of
    assert told["opened"].count("a tokenizer") == different
    # once for its hash, of a student's also for the recorded one; thrice for what it says
    assert sum(read.values()) <= 2 * len(read) + 3 * different


def test_the_texts_of_a_collection_are_not_looked_through_by_kernels(told: dict[str, Any]) -> None:
    """That takes longer than to look: compiled kernels are brought from a cache, one by one."""
    kernels = [Path(one).name for one in times(told, ".nbi")]
    assert not [one for one in kernels if one.startswith(("id_table", "text_rows"))]
