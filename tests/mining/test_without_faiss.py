"""A machine without FAISS: exact search goes on, an index says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.cli import doctor
from rankmill.mining.collection import collect
from rankmill.mining.errors import MissingDependency
from rankmill.mining.search import dense
from rankmill.mining.search import faiss_index as ann
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace


def test_exact_search_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, hashes = tiny_encoder(tmp_path / "encoder"), set()
    monkeypatch.setattr(dense, "has_tiles", lambda: False)
    monkeypatch.setattr(dense, "has_pairs", lambda: False)
    for number, there in enumerate((True, False)):
        monkeypatch.setattr(dense, "has_faiss", lambda there=there: there)
        assert dense.default_engine() == ("faiss" if there else "cpu")
        workspace = Workspace(tmp_path / str(number))
        collection = collect(workspace, f"beir:{tiny_beir(tmp_path / f'b{number}', docs=60)}")
        run = mine(workspace, f"dense(model={encoder})", collection, "train", depth=9)
        hashes.add(run.root_hash)
    assert len(hashes) == 1


def test_an_index_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder(tmp_path / "encoder")
    workspace = Workspace(tmp_path / "work")
    collection = collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60)}")
    monkeypatch.setattr(ann, "has_faiss", lambda: False)
    said = (
        r"the package 'faiss' is not installed, which indexes of dense search need\n"
        r"  do: pip install 'rankmill\[cpu\]'"
    )
    with pytest.raises(MissingDependency, match=said):
        mine(workspace, f"dense(model={encoder},index=Flat)", collection, "train", depth=5)


def test_the_doctor_tells_none_one_and_two(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor._faiss()
    assert found.state == "good"
    assert "faiss-cpu" in found.detail
    monkeypatch.setattr(doctor, "_version", lambda name: "1.15" if "faiss" in name else None)
    both = doctor._faiss()
    assert both.state == "bad"
    assert "faiss-cpu 1.15 and faiss-gpu 1.15 overwrite each other" in both.detail
    with monkeypatch.context() as patch:
        patch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
        none = doctor._faiss()
    assert none.state == "lacks"
    assert "pip install 'rankmill[cpu]', or [gpu]" in none.detail
