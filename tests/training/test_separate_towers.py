"""A student with a tower for each side: what it saves, and which tower reads which text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import UNIT
from training_data import Setting, tiny_setting

from rankmill.mining.runs.run import Run
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, files
from rankmill.training.student_runs import rerank_with, retrieve_with
from rankmill.training.trainer import train_student

# Products of unit vectors, ours stored in float16, and some 10³ roundings of float32 in either.
STORED = 2 * UNIT["float16"] + 2000 * UNIT["float32"]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp("towers"))


@pytest.fixture(scope="module")
def student(setting: Setting) -> Artifact:
    return train_student(
        setting.workspace,
        f'bi_encoder(model="{setting.model.path}",separate=true,normalise=true)',
        setting.groups,
        collection=setting.collection,
        loss="infonce",
        documents=480,
        batch=4,
        lr=1e-2,
        query_length=8,
        doc_length=16,
        threads=1,
    )


@pytest.fixture(scope="module")
def products(setting: Setting, student: Artifact) -> np.ndarray:
    """Every query by every document, as sentence-transformers reads the folder."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(student.path / "model"), device="cpu")
    held = setting.collection
    queries = model.encode_query(held.queries.texts(range(len(held.queries))))
    docs = model.encode_document(held.corpus.texts(range(len(held.corpus))))
    swapped = model.encode_document(held.queries.texts(range(len(held.queries))))
    assert np.abs(queries - swapped).max() > 0.05  # the towers have moved apart
    return queries @ docs.T


def test_a_router_makes_one_model_of_both(student):
    names = {part.file for part in student.parts}
    assert {"model/modules.json", "model/router_config.json"} <= names
    for tower in ("query", "doc"):
        assert f"model/{tower}/model.safetensors" in names


def test_full_retrieval_encodes_each_side_with_its_tower(setting, student, products):
    held = setting.collection
    made = retrieve_with(setting.workspace, student, collection=held, split="test", depth=10)
    assert "query_model=" in made.metadata["source"]
    assert "doc" not in made.metadata["source"]  # content tags, no paths
    run = Run(made)
    empty = set(held.corpus.empty.tolist())
    for row in range(run.artifact.rows):
        query, docs, scores = run.row(row)
        assert scores == pytest.approx(products[query, docs], abs=STORED)
        others = np.setdiff1d(np.arange(len(held.corpus)), [*docs, *empty])
        assert products[query, others].max() <= scores.min() + STORED
    again = retrieve_with(
        setting.workspace, student.fingerprint, collection=held, split="test", depth=10
    )
    assert again.root_hash == made.root_hash


def test_re_ranking_scores_with_both_towers(setting, student, products, tmp_path):
    held = setting.collection
    first = mine(setting.workspace, "random", held, "test", depth=20)
    run = Run(rerank_with(setting.workspace, student, first, collection=held, split="test"))
    for row in range(run.artifact.rows):
        query, docs, scores = run.row(row)
        assert scores == pytest.approx(products[query, docs], abs=STORED)
    copied = tmp_path / "copy"
    files.copy_tree(student.path / "model", copied)
    length = {"max_length": 18}
    assert Path(copied / "query" / "config.json").exists()
    from rankmill.training.student_runs import student_folder

    folder, said = student_folder(setting.workspace, copied)
    assert folder.path == copied / "doc"
    assert said == {"query_model": str(copied / "query")}
    assert student_folder(setting.workspace, student)[1].items() >= length.items()
