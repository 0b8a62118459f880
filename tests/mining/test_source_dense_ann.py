"""Dense search in other ways: torch, FAISS indexes with their recall, shorter vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import sum_bound
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.runs.run import Run
from rankmill.mining.search import dense
from rankmill.mining.search import torch_product as torch_search
from rankmill.mining.search.dense import DenseWorker
from rankmill.mining.search.faiss_index import index_of, load_index
from rankmill.mining.search.torch_product import nearest_torch
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.store import Artifact, Shard, Workspace
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.bi_encoder import BiEncoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("world")
    beir = tiny_beir(folder / "beir", docs=400, queries=60)
    return collect(Workspace(folder / "work"), f"beir:{beir}")


def vectors_of(collection: Collection, encoder: Path) -> dict[str, Artifact]:
    workspace = collection.artifact.workspace
    return {
        name: encode(workspace, encoder, texts.artifact)
        for name, texts in (("queries", collection.queries), ("docs", collection.corpus))
    }


def lists(run: Artifact) -> list[tuple[list[int], list[float]]]:
    found = Run(run)
    return [tuple(v.tolist() for v in found.row(row)[1:]) for row in range(len(found))]


@pytest.mark.parametrize("depth", [1, 20, 400])
def test_every_engine_gives_the_bytes_of_faiss(
    collection: Collection, encoder: Path, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(torch_search._QUERIES, "cpu", 7)
    monkeypatch.setitem(torch_search._DOCS, "cpu", 64)
    monkeypatch.setattr(torch_search, "FIRST", 32)
    made = vectors_of(collection, encoder)
    paths: dict[str, Any] = {name: str(artifact.path) for name, artifact in made.items()}
    tables = []
    engines = (
        ("faiss", False),
        ("cpu", False),
        ("tiles", False),
        ("int16", False),
        ("cpu", True),
    )
    for engine, as_gpus_do in engines:
        monkeypatch.setattr(torch_search, "_multiplies_bfloat16", lambda _, so=as_gpus_do: so)
        worker = DenseWorker(
            **paths,
            corpus=str(collection.corpus.artifact.path),
            split_queries=collection.split_queries("train"),
            depth=depth,
            engine=engine,
        )
        tables.append(worker(Shard(0, 0, 30)).table)
    assert all(tables[0].equals(other) for other in tables[1:])


def test_the_torch_search_against_all_products(collection: Collection, encoder: Path) -> None:
    made = vectors_of(collection, encoder)
    docs = Vectors(made["docs"])
    queries = Vectors(made["queries"]).rows(np.arange(60))
    scores, found = nearest_torch(queries, docs, 30, "cpu")
    every = queries @ docs.rows(np.arange(400)).T
    bound = 2 * sum_bound(docs.width, 1.01)  # unit vectors, near enough; two ways of adding up
    np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :30], rtol=0, atol=bound)
    np.testing.assert_allclose(np.take_along_axis(every, found, 1), scores, rtol=0, atol=bound)
    scores, found = nearest_torch(queries[:2], docs, 500, "cpu")
    assert (found[:, 400:] == -1).all()
    assert sorted(found[0, :400].tolist()) == list(range(400))


@pytest.mark.parametrize(
    ("index", "probe", "least"),
    [
        ("Flat", None, 1.0),
        ("IVF8,Flat", 8, 1.0),
        ("IVF8,Flat", 2, 0.3),
        ("IVF4,PQ8x4", 4, 0.5),
        ("HNSW16", 64, 0.95),
        ("HNSW16", None, 0.6),
    ],
)
def test_an_index_carries_its_recall_and_gives_exact_scores(
    collection: Collection, encoder: Path, index: str, probe: int | None, least: float
) -> None:
    workspace = collection.artifact.workspace
    said = f',index="{index}"' + ("" if probe is None else f",probe={probe}")
    near = mine(workspace, f"dense(model={encoder}{said})", collection, "train", depth=10)
    exact = mine(workspace, f"dense(model={encoder})", collection, "train", depth=10)
    found = wanted = 0
    for (docs, scores), (best, top) in zip(lists(near), lists(exact), strict=True):
        found, wanted = found + len(set(docs) & set(best)), wanted + len(best)
        exactly = dict(zip(best, top, strict=True))
        assert all(exactly.get(d, s) == s for d, s in zip(docs, scores, strict=True))
        assert [(-s, d) for d, s in zip(docs, scores, strict=True)] == sorted(
            (-s, d) for d, s in zip(docs, scores, strict=True)
        )
    assert near.counts == {"recall_found": found, "recall_wanted": wanted}
    assert found / wanted >= least
    if least == 1.0:
        assert lists(near) == lists(exact)
    assert near.parameters["recall_sample"] == 200
    near.verify()


def test_the_index_is_the_same_bytes_again(
    collection: Collection, encoder: Path, tmp_path: Path
) -> None:
    roots = set()
    for place in (collection, None):
        if place is None:
            beir = tiny_beir(tmp_path / "beir", docs=400, queries=60)
            place = collect(Workspace(tmp_path / "work"), f"beir:{beir}")
        vectors = encode(place.artifact.workspace, encoder, place.corpus.artifact)
        roots.add(index_of(place.artifact.workspace, vectors, "IVF4,PQ8x4").root_hash)
    assert len(roots) == 1


def test_an_index_of_another_encoder_is_refused(
    collection: Collection, encoder: Path, tmp_path: Path
) -> None:
    workspace = collection.artifact.workspace
    vectors = vectors_of(collection, encoder)["docs"]
    index = index_of(workspace, vectors, "Flat")
    wide = encode(workspace, tiny_encoder(tmp_path / "w", hidden_size=48), vectors.input("texts"))
    said = "the index holds 400 vectors of 32 components, the encoder gives 400 of 48"
    with pytest.raises(BadInput, match=said):
        load_index(index, Vectors(wide), None)
    other = encode(workspace, tiny_encoder(tmp_path / "o", seed=9), vectors.input("texts"))
    said = f"the index was built over the vectors {vectors.fingerprint[:12]}, the encoder's are"
    with pytest.raises(BadInput, match=said):
        load_index(index, Vectors(other), None)
    with pytest.raises(UsageError, match="probe=4: Flat has no nprobe"):
        load_index(index, Vectors(vectors), 4)


def test_bad_indexes(collection: Collection, encoder: Path) -> None:
    workspace = collection.artifact.workspace
    for index, error, said in (
        ("Pear", UsageError, "'Pear' is none of its parts"),
        ("IVF4,PQ7", UsageError, "is no FAISS index|d % M"),
        ("IVF1024,Flat", BadInput, "400 vectors are too few to learn IVF1024,Flat from"),
    ):
        source = f'dense(model={encoder},index="{index}")'
        with pytest.raises(error, match=said):
            mine(workspace, source, collection, "train", depth=5)
    with pytest.raises(UsageError, match="probe=4 needs an index, and must be at least 1"):
        SOURCES.parse("dense(model=m,probe=4)")
    with pytest.raises(UsageError, match="neighbours are searched exactly"):
        SOURCES.parse("neighbours(model=m,index=Flat)")


@pytest.mark.parametrize("normalise", [True, False])
def test_matryoshka_keeps_the_first_components(
    collection: Collection, encoder: Path, normalise: bool
) -> None:
    workspace, texts = collection.artifact.workspace, collection.corpus.artifact
    full = encode(workspace, encoder, texts, dtype="float32", normalise=normalise)
    short = encode(workspace, encoder, texts, dtype="float32", normalise=normalise, dim=12)
    assert Vectors(short).width == 12
    expected = Vectors(full).rows(np.arange(400))[:, :12].astype(np.float64)
    off = np.zeros_like(expected)
    if normalise:  # the length of 12 components, a root, a quotient: in float32 at worst
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        off = sum_bound(12 + 2, np.abs(expected))
    assert (np.abs(Vectors(short).rows(np.arange(400)) - expected) <= off).all()
    assert short.input("vectors").fingerprint == full.fingerprint  # nothing is encoded twice
    whole = encode(workspace, encoder, texts, dtype="float32", normalise=normalise, dim=32)
    assert whole.fingerprint == full.fingerprint
    with pytest.raises(BadInput, match="dim=33, the vectors have 32 components"):
        encode(workspace, encoder, texts, dim=33)


def test_short_vectors_are_mined_and_score(collection: Collection, encoder: Path) -> None:
    workspace = collection.artifact.workspace
    run = mine(workspace, f"dense(model={encoder},dim=8)", collection, "train", depth=6)
    assert "dim=8" in run.metadata["source"]
    scores = score_pool(workspace, BiEncoder(str(encoder), dim=8), run)
    for row, table in enumerate(scores.tables()):
        for at, one in enumerate(table.to_pylist()):
            docs, found = lists(run)[row * len(table) + at]
            assert dict(zip(one["doc"], one["logit"], strict=True)) == dict(
                zip(docs, found, strict=True)
            )


@pytest.mark.parametrize(
    ("tiles", "pairs", "faiss", "engine"),
    [
        (True, True, True, "tiles"),
        (False, True, True, "int16"),
        (False, True, False, "int16"),
        (False, False, True, "faiss"),
        (False, False, False, "cpu"),
    ],
)
def test_the_engine_is_what_the_processor_has(
    tiles: bool, pairs: bool, faiss: bool, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, there in (("has_tiles", tiles), ("has_pairs", pairs), ("has_faiss", faiss)):
        monkeypatch.setattr(dense, name, lambda there=there: there)
    monkeypatch.setattr(dense, "device", lambda: torch.device("cpu"))
    assert dense.default_engine() == engine
