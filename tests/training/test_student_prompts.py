"""Students with prompts: trained behind them, saved with them, evaluated with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import UNIT
from tiny_models import tiny_encoder
from training_data import Setting, tiny_setting

from rankmill.mining.errors import UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.tokens import tokens_of
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.store import Artifact
from rankmill.training.packing import Limits, TokenColumns
from rankmill.training.start import untrained
from rankmill.training.student_runs import retrieve_with
from rankmill.training.students import STUDENTS, identity_of, parse_student
from rankmill.training.trainer import train_student

DECLARED = "config_sentence_transformers.json"
# Unit vectors of a network of two layers, in float32 on two paths: some 10³ roundings.
CLOSE = 1000 * UNIT["float32"]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp("prompted"))


def declaring(folder: Path, *, include: bool = True) -> ModelFolder:
    """Write an encoder whose files declare prompts."""
    tiny_encoder(folder)
    said = {"prompts": {"query": "ask: ", "document": "tell: "}}
    (folder / DECLARED).write_text(json.dumps(said))
    flags = {"pooling_mode": "mean", "include_prompt": include, "embedding_dimension": 32}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    return resolve(folder)


def in_memory(size: int) -> np.ndarray:
    return np.empty(size, np.int64)


def train(setting: Setting, said: str, **changed: Any) -> Artifact:
    options: dict[str, Any] = {
        "documents": 96,
        "batch": 4,
        "query_length": 12,
        "doc_length": 20,
        "threads": 1,
    }
    return train_student(
        setting.workspace,
        f'bi_encoder(model="{setting.model.path}",{said})',
        setting.groups,
        collection=setting.collection,
        loss="kl",
        **{**options, **changed},
    )


def test_a_student_is_trained_saved_and_evaluated_behind_its_prompts(setting: Setting) -> None:
    from sentence_transformers import SentenceTransformer

    made = train(setting, 'normalise=true,query_prompt="ask: ",prompt="tell: "')
    read = {one.parameters["prompt"] for one in made.workspace.artifacts("tokens")}
    assert read == {"ask: ", "tell: "}
    assert made.root_hash != train(setting, "normalise=true").root_hash
    said = json.loads((made.path / "model" / DECLARED).read_text())
    assert said["prompts"] == {"query": "ask: ", "document": "tell: "}
    held = setting.collection
    run = retrieve_with(setting.workspace, made, collection=held, split="test", depth=5)
    assert run.input("query_vectors").parameters["prompt"] == "ask: "
    assert run.input("doc_vectors").parameters["prompt"] == "tell: "
    theirs = SentenceTransformer(str(made.path / "model"), device="cpu")
    ours = Vectors(run.input("query_vectors")).rows(np.arange(4))
    queries = theirs.encode_query(held.queries.texts(range(4)))
    assert ours == pytest.approx(queries, abs=UNIT["float16"] + CLOSE)


@pytest.mark.parametrize("include", [True, False])
def test_training_and_evaluation_read_a_text_alike(
    setting: Setting, tmp_path: Path, include: bool
) -> None:
    model = declaring(tmp_path / "m", include=include)
    student, _ = parse_student(f'bi_encoder(model="{model.path}")')
    limits, texts = Limits(12, 20), setting.collection
    artifacts = {"queries": texts.queries.artifact, "corpus": texts.corpus.artifact}
    prompts = student.prompts(model)
    assert prompts == {"queries": "ask: ", "corpus": "tell: "}
    columns = [
        TokenColumns(tokens_of(setting.workspace, artifact, model, prompt=prompts[role]))
        for role, artifact in artifacts.items()
    ]
    packer: Any = student.packer(model, *columns, limits)  # type: ignore[call-arg, arg-type]
    rows = [row for row in range(12) if texts.corpus.text(row)][:6]
    asked, docs = np.arange(3, dtype=np.uint32), np.array(rows, np.uint32).reshape(3, 2)
    network: Any = student.network(model)
    with torch.no_grad():
        vectors = network.vectors(packer(asked, docs, in_memory))
    start = untrained(setting.workspace, student, query_length=12, doc_length=20)
    folder = start.path / "model"
    flags = json.loads((folder / "1_Pooling" / "config.json").read_text())
    assert flags.get("include_prompt", True) == include
    for kind, made, which in (("queries", vectors[0], asked), ("corpus", vectors[1], rows)):
        most = 14 if kind == "queries" else 22
        stored = encode(
            setting.workspace, folder, artifacts[kind], dtype="float32", max_length=most
        )
        assert ("skipped" in stored.parameters) is not include
        expected = Vectors(stored).rows(np.asarray(which))
        assert made.numpy() == pytest.approx(expected, abs=CLOSE)


def test_prompts_that_the_checkpoint_declares_are_part_of_the_student(
    setting: Setting, tmp_path: Path
) -> None:
    model = declaring(tmp_path / "m")
    declared, _ = parse_student(f'bi_encoder(model="{model.path}")')
    assert 'query_prompt="ask: ",prompt="tell: "' in identity_of(declared, model)["student"]
    off, _ = parse_student(f'bi_encoder(model="{model.path}",query_prompt="",prompt="")')
    assert 'query_prompt="",prompt=""' in identity_of(off, model)["student"]
    assert off.prompts(model) == {"queries": "", "corpus": ""}
    start = untrained(setting.workspace, off, query_length=12, doc_length=20)
    assert not (start.path / "model" / DECLARED).exists()
    plain, folder = parse_student(f'bi_encoder(model="{setting.model.path}",prompt="")')
    assert "prompt" not in identity_of(plain, folder)["student"]  # as before there were prompts
    again = STUDENTS.stored(identity_of(declared, model)["student"])
    assert again.query_prompt == "ask: "


def test_a_preset_is_its_plain_student(setting: Setting) -> None:
    path = setting.model.path
    preset, model = parse_student(f'bi_encoder(model="{path}",preset=e5)')
    plain, _ = parse_student(
        f'bi_encoder(model="{path}",query_prompt="query: ",prompt="passage: ")'
    )
    assert preset == plain
    assert identity_of(preset, model) == identity_of(plain, model)


def test_prompts_longer_than_the_texts_are_refused(setting: Setting) -> None:
    with pytest.raises(UsageError, match="of the 3 tokens that a text may have"):
        train(setting, 'query_prompt="a b c d "', query_length=3)
