"""What is made with a model of the Hub: shared with folders, its commit in the ledger, said when it
moves."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fake_hub import COMMIT, OTHER, files_in, put_in_cache
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.about import vectors_of
from rankmill.mining.collection import Collection, collect
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace, ledger
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers.cross_encoder import CrossEncoder
from rankmill.mining.teachers.scores import teacher_of

CROSS, ENCODER = "some-owner/tiny-cross", "some-owner/tiny-encoder"


@dataclass(frozen=True)
class World:
    """Two models, as folders and in the cache, and a run to score."""

    cache: Path
    cross: Path
    encoder: Path
    collection: Collection
    run: Artifact

    @property
    def workspace(self) -> Workspace:
        return self.run.workspace


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(ledger, "_came_from", {})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    workspace = Workspace(tmp_path / "work")
    beir = tiny_beir(tmp_path / "beir", docs=30, queries=6)
    collection = collect(workspace, f"beir:{beir}")
    run = mine(workspace, "random", collection, "train", depth=4)
    cross = tiny_cross_encoder(tmp_path / "cross")
    encoder = tiny_encoder(tmp_path / "encoder", pooling="cls")
    put_in_cache(tmp_path / "cache", CROSS, files_in(cross))
    put_in_cache(tmp_path / "cache", ENCODER, files_in(encoder))
    return World(tmp_path / "cache", cross, encoder, collection, run)


def moved(world: World, tmp_path: Path) -> None:
    """Let `main` of the cross-encoder be another commit, of other weights."""
    other = tiny_cross_encoder(tmp_path / "moved", seed=9)
    put_in_cache(world.cache, CROSS, files_in(other), commit=OTHER)


def ledger_of(artifact: Artifact) -> dict[str, object]:
    return json.loads((artifact.path / "ledger.json").read_text())


def test_a_folder_and_the_hub_share_every_score(world: World, tmp_path: Path) -> None:
    named = score_pool(world.workspace, f"cross_encoder(model={CROSS})", world.run)
    by_folder = score_pool(world.workspace, f"cross_encoder(model={world.cross})", world.run)
    assert named.fingerprint == by_folder.fingerprint
    alone = Workspace(tmp_path / "alone")
    shutil.copytree(world.workspace.root, alone.root)
    shutil.rmtree(alone.root / "scores")
    again = score_pool(
        alone, f"cross_encoder(model={world.cross})", alone.open("run", world.run.fingerprint)
    )
    assert again.root_hash == named.root_hash  # where it came from is in no hash
    content = named.metadata["revision"]
    assert ledger_of(named)["models"] == {f"{CROSS}@{COMMIT}": content}
    assert CROSS not in (named.path / "manifest.json").read_text()


def test_a_bare_name_is_a_teacher_of_its_kind(world: World) -> None:
    assert teacher_of(CROSS) == CrossEncoder(CROSS)
    assert teacher_of(f"{ENCODER}@{COMMIT}").canonical_name == "bi_encoder"


def test_encoders_and_sources_take_the_names_of_the_hub(world: World) -> None:
    by_name, by_folder = (vectors_of(one, world.run) for one in (ENCODER, str(world.encoder)))
    assert {r: a.fingerprint for r, a in by_name.items()} == {
        r: a.fingerprint for r, a in by_folder.items()
    }
    runs = [
        mine(world.workspace, f"dense(model={one})", world.collection, "train", depth=3)
        for one in (f"{ENCODER}@main", world.encoder)
    ]
    assert runs[0].fingerprint == runs[1].fingerprint


def test_a_model_that_moves_makes_a_new_artifact_and_it_is_said(
    world: World, tmp_path: Path
) -> None:
    text = f"cross_encoder(model={CROSS})"
    first = score_pool(world.workspace, text, world.run)
    moved(world, tmp_path)
    said = (
        rf"{CROSS} is at commit bbbbbbbbbbbb now; .* aaaaaaaaaaaa, .* keep to it: {CROSS}@a{{40}}"
    )
    with pytest.warns(RuntimeWarning, match=said):
        second = score_pool(world.workspace, text, world.run)
    assert second.fingerprint != first.fingerprint
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = score_pool(world.workspace, f"cross_encoder(model={CROSS}@{COMMIT})", world.run)
    assert kept.fingerprint == first.fingerprint


def test_a_model_that_moves_while_a_run_was_killed_is_said_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = ledger.close

    def killed(folder: Path, *more: Any) -> None:
        if folder.parent.name == "scores":
            raise KeyboardInterrupt
        close(folder, *more)

    text = f"cross_encoder(model={CROSS})"
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "close", killed)
        with pytest.raises(KeyboardInterrupt):
            score_pool(world.workspace, text, world.run)
    moved(world, tmp_path)
    with pytest.warns(RuntimeWarning, match="what is asked for is made anew"):
        score_pool(world.workspace, text, world.run)


def test_a_commit_with_the_same_files_is_the_same_model(world: World) -> None:
    text = f"cross_encoder(model={CROSS})"
    first = score_pool(world.workspace, text, world.run)
    card = {"README.md": b"a new card"}
    put_in_cache(world.cache, CROSS, files_in(world.cross) | card, commit=OTHER)
    assert score_pool(world.workspace, text, world.run).fingerprint == first.fingerprint
