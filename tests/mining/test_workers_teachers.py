"""Real and misbehaving teachers and a real encoder over actors: one root hash, whatever happens."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from odd_teachers import odd_teacher
from tiny_collection import tiny_beir
from tiny_models import first_layers, tiny_cross_encoder, tiny_encoder

from rankmill.mining.actors import Execution, supervisor
from rankmill.mining.actors.supervisor import Supervisor
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import Incomplete
from rankmill.mining.models import encoders
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers import scores as score_module

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two layers of the packaged MiniLM as an encoder, and with a head of one logit."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from rankmill.mining.models.folder import quiet_transformers

    place = tmp_path_factory.mktemp("models")
    encoder, folder = first_layers(place / "encoder"), place / "teacher"
    with quiet_transformers():
        network = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1)
        with torch.no_grad():
            network.classifier.weight.copy_(torch.linspace(-0.2, 0.2, 384)[None])
        network.save_pretrained(folder)
        AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return encoder, folder


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return an encoder and a cross-encoder of width 32, whose float32 products differ in their
    last bits where threads share them."""
    folder = tmp_path_factory.mktemp("awkward")
    return tiny_encoder(folder / "encoder"), tiny_cross_encoder(folder / "cross")


def mined_and_scored(
    place: Path, encoder: Path, teacher: Path, executor: Execution
) -> tuple[str, str]:
    """Mine by the encoder, score by the teacher; returns (run, scores) as root hashes."""
    collection = collect(
        Workspace(place / "work"), f"beir:{tiny_beir(place / 'beir', docs=30, queries=8)}"
    )
    workspace = collection.artifact.workspace
    source = f"dense(model={encoder},max_length=24)"
    run = mine(workspace, source, collection, "train", depth=5, executor=executor)
    said = f"cross_encoder(model={teacher},max_length=32)"
    scores = score_pool(workspace, said, run, executor=executor)
    assert len(run.input("doc_vectors").parts) > 2
    assert len(scores.parts) > 2
    return run.root_hash, scores.root_hash


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_SHARD_TOKENS", 300)
    monkeypatch.setattr(score_module, "_SHARD_WORK", 250)


@pytest.mark.models
@pytest.mark.usefixtures("small")
def test_real_models_give_one_hash_for_any_number_of_workers_and_a_kill(
    real: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_one_of_three(monkeypatch)
    hashes = {}
    for workers in (0, 1, 3):
        executor = Execution(workers=workers)
        hashes[workers] = mined_and_scored(tmp_path / str(workers), *real, executor)
    assert len(killed) == 1
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.usefixtures("small")
def test_awkward_models_give_one_hash_for_any_number_of_workers_and_a_kill(
    awkward: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inline every core of the machine is there, an actor has some of them, and shards have one
    batch or several."""
    killed = kill_one_of_three(monkeypatch)
    hashes = {}
    for workers in (0, 1, 3):
        executor = Execution(workers=workers)
        hashes[workers] = mined_and_scored(tmp_path / str(workers), *awkward, executor)
    assert len(killed) == 1
    assert len(set(hashes.values())) == 1, hashes


def kill_one_of_three(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let one of three actors die while it scores; returns where its process id will stand."""
    killed: list[int] = []
    landed = Supervisor._land

    def land(self: Any, reference: Any) -> None:
        shard = reference in self.flights
        landed(self, reference)
        if shard and not killed and len(self.slots.actors) == 3 and self.job.stage.kind == "scores":
            alive = [actor for actor in self.slots.actors if actor is not None]
            killed.append(self.ray.get(alive[0].ready.remote()).process)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Supervisor, "_land", land)
    return killed


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Collection, Artifact]:
    """A random run of 12 queries of 6 documents."""
    beir = tiny_beir(tmp_path / "beir", docs=60, queries=24)
    collection = collect(Workspace(tmp_path / "work"), f"beir:{beir}")
    run = mine(collection.artifact.workspace, "random", collection, "train", depth=6, seed=2)
    return collection, run


def test_a_query_that_kills_its_worker_needs_leave(
    drawn: tuple[Collection, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "_SHARD_WORK", 12)  # two queries
    monkeypatch.setattr(supervisor, "TRIES", 1)  # three tell no more than one, but take longer
    collection, run = drawn
    workspace, rows = collection.artifact.workspace, run.table(0).to_pylist()
    deadly = next(
        doc for row in rows for doc in row["doc"] if sum(doc in r["doc"] for r in rows) == 1
    )
    query = next(row["query"] for row in rows if deadly in row["doc"])
    teacher, executor = odd_teacher(monkeypatch, deadly=deadly), Execution(workers=2)
    name = collection.queries.query_id(query)
    with pytest.raises(
        Incomplete, match=rf"\(killed_worker\), 0 are allowed: query '{name}' kills its worker"
    ):
        score_pool(workspace, teacher, run, executor=executor)
    scores = score_pool(workspace, teacher, run, allow=1, executor=executor)
    assert scores.dropped == {"killed_worker": [query]}
    answered = [q for table in scores.tables(level=3) for q in table["query"].to_pylist()]
    assert answered == [row["query"] for row in rows if row["query"] != query]
    assert scores.counts["pairs"] == 6 * (len(rows) - 1)
    scores.verify()


def test_quarantine_is_the_same_over_actors(
    drawn: tuple[Collection, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "_SHARD_WORK", 24)
    collection, run = drawn
    sick = run.table(0)["doc"][3].as_py()[0]
    teacher = odd_teacher(monkeypatch, sick=sick)
    allowed = score_pool(collection.artifact.workspace, teacher, run, allow=9)
    beir = tmp_path / "beir"
    again = collect(Workspace(tmp_path / "other"), f"beir:{beir}")
    workspace = again.artifact.workspace
    same = mine(workspace, "random", again, "train", depth=6, seed=2)
    scores = score_pool(workspace, teacher, same, allow=9, executor=Execution(workers=2))
    assert scores.dropped == allowed.dropped
    assert len(scores.dropped["not_finite"]) >= 1
    assert scores.root_hash == allowed.root_hash
    healed = odd_teacher(monkeypatch, sick=sick, again=77.0)
    well = score_pool(workspace, healed, same, executor=Execution(workers=2))
    assert not well.dropped
    assert well.cost()["usage"]["pairs_again"] == len(scores.dropped["not_finite"])
