"""The dense source against an obvious oracle: exact, ties by document, the same bytes any way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rounding import stored_twice
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.runs.run import Run
from rankmill.mining.search import dense
from rankmill.mining.search import narrow as narrow_search
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.sources.dense import Dense
from rankmill.mining.store import Artifact, Workspace


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=90, queries=24)}")


def oracle(
    collection: Collection, encoder: Path, query: int, depth: int
) -> list[tuple[int, float]]:
    """Score every document in float64, sort by (−score, document), cut."""
    workspace = collection.artifact.workspace
    queries = Vectors(encode(workspace, encoder, collection.queries.artifact))
    docs = Vectors(encode(workspace, encoder, collection.corpus.artifact))
    q = queries.rows(np.asarray([query]))[0].astype(np.float64)
    d = docs.rows(np.arange(len(docs))).astype(np.float64)
    scores = (d @ q).astype(np.float32)
    ranked = [(-float(s), doc) for doc, s in enumerate(scores)]
    keep = [(doc, -s) for s, doc in sorted(ranked) if doc not in set(collection.corpus.empty)]
    return keep[:depth]


def check(run: Artifact, collection: Collection, encoder: Path, depth: int) -> None:
    found = Run(run)
    for row in range(len(found)):
        query, docs, scores = found.row(row)
        expected = oracle(collection, encoder, query, depth)
        assert docs.tolist() == [d for d, _ in expected]
        off = stored_twice(32, 1.0, [s for _, s in expected])  # unit vectors of width 32
        assert (np.abs(scores - [s for _, s in expected]) <= off).all()


@pytest.mark.parametrize("depth", [1, 7, 90])
def test_the_nearest_documents_are_found(
    workspace: Workspace, collection: Collection, encoder: Path, depth: int
) -> None:
    run = mine(workspace, f"dense(model={encoder})", collection, "train", depth=depth)
    assert run.rows == len(collection.split_queries("train"))
    assert len(collection.corpus.empty) == 1
    check(run, collection, encoder, depth)
    run.verify()


def test_the_label_names_the_content_not_the_path(
    workspace: Workspace, collection: Collection, encoder: Path
) -> None:
    run = mine(workspace, Dense(str(encoder), max_length=32), collection, "test", depth=3)
    assert run.metadata["source"].startswith("dense(model=bert-32x2@")
    assert run.metadata["source"].endswith("max_length=32,compute=float32,dtype=float16)")
    assert str(encoder) not in json.dumps(run.manifest)


@pytest.mark.parametrize("engine", ["faiss", "tiles", "int16"])
def test_many_equal_documents_are_still_cut_exactly(
    workspace: Workspace,
    encoder: Path,
    tmp_path: Path,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """300 copies of one text cannot be told apart by a search with a margin of 32, nor kept in
    a room of 220."""
    monkeypatch.setattr(dense, "default_engine", lambda: engine)
    monkeypatch.setattr(narrow_search, "_ROOM", 200)
    folder = tmp_path / "copies"
    (folder / "qrels").mkdir(parents=True)
    texts = ["bado figu nepo", "kula", *["mibo sate"] * 300, "zuro", "bado figu"]
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": t}) for i, t in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q0", "text": "mibo sate"}) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n")
    collection = collect(workspace, f"beir:{folder}").under("keep")  # copies of the query too
    run = mine(workspace, Dense(str(encoder)), collection, "test", depth=10)
    assert Run(run).row(0)[1].tolist() == list(range(2, 12))
    assert run.cost()["usage"]["searches"] >= 2
    check(run, collection, encoder, 10)


def test_blocks_and_shards_do_not_show(
    workspace: Workspace,
    collection: Collection,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    whole = mine(workspace, Dense(str(encoder)), collection, "train", depth=20)
    expected = pa.concat_tables(whole.tables()).to_pylist()
    monkeypatch.setattr(dense, "_DOC_BLOCK", 13)
    monkeypatch.setattr(dense, "_QUERY_BLOCK", 5)
    cut = Workspace(tmp_path / "cut")
    again = collect(cut, f"beir:{tmp_path / 'beir'}")
    pieces = mine(cut, Dense(str(encoder)), again, "train", depth=20)
    assert len(pieces.parts) > 2
    assert pa.concat_tables(pieces.tables()).to_pylist() == expected


@pytest.mark.ray
def test_actors_give_the_same_bytes(
    ray_cluster: str, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "_QUERY_BLOCK", 5)
    beir = tiny_beir(tmp_path / "beir", docs=60, queries=24)
    hashes = set()
    for workers in (0, 2):
        workspace = Workspace(tmp_path / f"w{workers}")
        collection = collect(workspace, f"beir:{beir}")
        for texts in (collection.corpus, collection.queries):  # only the search goes to actors
            encode(workspace, encoder, texts.artifact)
        executor = Execution(workers=workers)
        run = mine(workspace, Dense(str(encoder)), collection, "train", depth=9, executor=executor)
        hashes.add(run.root_hash)
    assert len(hashes) == 1


def test_bad_requests() -> None:
    for said in ("compute=int4", "dtype=int8", "pooling=max"):
        with pytest.raises(UsageError, match=f"{said} is not known"):
            SOURCES.parse(f"dense(model=m,{said})")
