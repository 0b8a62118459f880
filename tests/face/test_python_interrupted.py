"""Ctrl-C in Python: what is finished stays, the next call goes on, and the note says so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder
from tiny_recipe import RECIPE

import rankmill as rm
from rankmill.mining.store import Workspace

NOTE = "was stopped; what is finished is kept, the same call goes on from there"
STOPS: list[bool] = []


def _stop() -> None:
    """Do as Ctrl-C does, where a test wants it, once."""
    if STOPS:
        STOPS.pop()
        signal.raise_signal(signal.SIGINT)


def words(pairs: Any) -> list[float]:
    """Score pairs by the lengths of their texts."""
    _stop()
    return [float(len(query) * 3 % 7 + len(text) % 11) for query, text in pairs]


def longest(collection: Any) -> Callable[[str, int], tuple[list[int], list[int]]]:
    """Find the longest documents, whatever is asked."""
    texts = [row["text"] for row in collection.corpus]
    order = sorted(range(len(texts)), key=lambda doc: -len(texts[doc]))

    def search(text: str, depth: int) -> tuple[list[int], list[int]]:
        _stop()
        return order[:depth], [len(texts[doc]) for doc in order[:depth]]

    return search


def gap(f: Any, g: Any) -> Any:
    """Compare differences to the positive."""
    _stop()
    return (((f[:, :1] - f[:, 1:]) - (g[:, :1] - g[:, 1:])) ** 2).mean(dim=1)


def _trained(place: Path) -> Any:
    student = f"bi_encoder(model={_encoder(place)},layers=1)"
    return rm.open("groups").train(
        student,
        loss=gap,
        documents=32,
        batch=2,
        query_length=8,
        doc_length=12,
        threads=1,
    )


def _encoder(place: Path) -> Path:
    folder = place / "own-encoder"
    if not folder.exists():
        tiny_encoder(folder, max_position_embeddings=256)
    return folder


CALLS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "mine": ("rm.mine", lambda _: rm.mine(longest, "nf", split="train", depth=5)),
    "score": ("pool.score", lambda _: rm.open("pool").score(words, direction="trusted")),
    "train": ("groups.train", _trained),
}


@pytest.mark.models
@pytest.mark.parametrize("verb", CALLS)
def test_a_call_that_was_stopped_goes_on_in_the_same_session(
    verb: str, every_kind: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, call = CALLS[verb]
    shutil.copytree(every_kind.root, tmp_path / "work")
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(tmp_path / "work"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    STOPS[:] = [True]
    try:
        with pytest.raises(KeyboardInterrupt) as told:
            call(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert STOPS == []
    assert told.value.__notes__ == [f"{called} {NOTE}"]
    assert told.value.__suppress_context__
    made = call(tmp_path)
    assert made.root_hash == call(tmp_path).root_hash


SCRIPT = """
import sys
import rankmill as rm
ran = rm.run("recipe.toml", {"train.documents": int(sys.argv[1])}, workspace="work")
print(len(ran.students), "students")
"""


@pytest.mark.models
def test_a_recipe_that_was_stopped_keeps_what_is_finished(tmp_path: Path) -> None:
    tiny_beir(tmp_path / "tiny")
    tiny_encoder(tmp_path / "encoder")
    tiny_cross_encoder(tmp_path / "cross")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    piped: dict[str, Any] = {"cwd": tmp_path, "text": True, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "50000000"], stdout=subprocess.PIPE, **piped) as child:
        while not [*tmp_path.glob("work/groups/*/manifest.json")] and child.poll() is None:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    assert child.returncode == -signal.SIGINT, said
    lines = said.strip().splitlines()
    assert lines[-2:] == ["KeyboardInterrupt", f"rm.run {NOTE}"]
    shown = lines[lines.index("Traceback (most recent call last):") :]
    assert len(shown) < 20
    assert "site-packages" not in said
    finished = {path: os.stat(path).st_mtime_ns for path in tmp_path.glob("work/*/*/manifest.json")}
    assert finished
    whole = subprocess.run([*command, "32"], stdout=subprocess.PIPE, check=False, **piped)
    assert (whole.returncode, whole.stdout) == (0, "2 students\n"), whole.stderr
    assert {path: os.stat(path).st_mtime_ns for path in finished} == finished
