"""Teachers in float16: where the processor has it, refused before any work where it has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput
from rankmill.mining.models import precision as models
from rankmill.mining.models.encoders import encode
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, Artifact]:
    folder = tmp_path_factory.mktemp("world")
    collection = collect(
        Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'beir', docs=60, queries=12)}"
    )
    run = mine(collection.artifact.workspace, "random", collection, "train", depth=5)
    return collection, run


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run float16 on any processor: by conversions, slowly, where it has no products of it."""
    monkeypatch.setattr(models, "half_on_processor", lambda: True)


def values(scores: Artifact) -> np.ndarray:
    return np.concatenate([list_values(t["logit"])[1] for t in scores.tables(level=3)])


@pytest.mark.usefixtures("half")
def test_scores_in_float16_are_near_those_in_float32(
    world: tuple[Collection, Artifact], tmp_path: Path
) -> None:
    collection, run = world
    workspace, model = collection.artifact.workspace, tiny_cross_encoder(tmp_path / "one")
    full = score_pool(workspace, f"cross_encoder(model={model})", run)
    small = score_pool(workspace, f"cross_encoder(model={model},compute=float16)", run)
    assert small.metadata["dtype"] == "float16"
    assert small.metadata["teacher"].endswith("compute=float16)")
    assert small.cost()["usage"]["pairs_scored"] == 30  # a teacher of its own: nothing is reused
    assert values(small).dtype == np.float32
    np.testing.assert_allclose(values(small), values(full), atol=2e-2)
    assert (values(small) != values(full)).any()


@pytest.mark.usefixtures("half")
def test_what_float16_cannot_hold_is_scored_again_in_float32(
    world: tuple[Collection, Artifact], tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    collection, run = world
    model = tiny_cross_encoder(tmp_path / "wild")
    weights = load_file(model / "model.safetensors")
    name = next(n for n in weights if n.endswith("layer.0.intermediate.dense.weight"))
    save_file(
        weights | {name: weights[name] * np.float32(1e7)},
        model / "model.safetensors",
        {"format": "pt"},
    )
    workspace = collection.artifact.workspace
    full = score_pool(workspace, f"cross_encoder(model={model})", run)
    small = score_pool(workspace, f"cross_encoder(model={model},compute=float16)", run)
    assert small.cost()["usage"]["pairs_again"] == 30
    assert values(small).tolist() == values(full).tolist()


def test_float16_is_refused_before_work_starts(
    world: tuple[Collection, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, run = world
    monkeypatch.setattr(models, "half_on_processor", lambda: False)
    said = "this processor does not multiply in float16[\\s\\S]*use compute=bfloat16 or float32"
    model = tiny_cross_encoder(tmp_path / "one", seed=3)
    workspace = collection.artifact.workspace
    before = {artifact.path for artifact in workspace.artifacts()}
    for teacher in (
        f"cross_encoder(model={model},compute=float16)",
        f"bi_encoder(model={tiny_encoder(tmp_path / 'encoder')},compute=float16)",
    ):
        with pytest.raises(BadInput, match=said):
            score_pool(workspace, teacher, run)
    with pytest.raises(BadInput, match=said):
        encode(workspace, tmp_path / "encoder", collection.corpus.artifact, compute="float16")
    assert {artifact.path for artifact in workspace.artifacts()} == before


@pytest.mark.usefixtures("half")
def test_vectors_in_float16(world: tuple[Collection, Artifact], tmp_path: Path) -> None:
    collection, _ = world
    workspace, model = collection.artifact.workspace, tiny_encoder(tmp_path / "encoder")
    source = "dense(model={},compute={})"
    exact = mine(workspace, source.format(model, "float32"), collection, "train", depth=5)
    small = mine(workspace, source.format(model, "float16"), collection, "train", depth=5)
    first, second = (list_values(r.table(0)["score"])[1] for r in (exact, small))
    np.testing.assert_allclose(first, second, atol=5e-3)
