"""Dense search over ranges of documents: the lists of one search, however they are shared out."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.mining.actors import Execution
from rankmill.mining.actors.decisions import Waiting
from rankmill.mining.actors.supervisor import Supervisor
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.models import encoders
from rankmill.mining.models.encoders import encode
from rankmill.mining.runs.run import Run
from rankmill.mining.search import dense, document_ranges
from rankmill.mining.sources import mine
from rankmill.mining.sources.dense import Dense
from rankmill.mining.store import Artifact, Shard, Workspace


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of about ten documents, ranges of some parts, blocks of five queries."""
    monkeypatch.setattr(encoders, "_SHARD_TOKENS", 200)
    monkeypatch.setattr(document_ranges, "_RANGE_BYTES", 5_000)
    monkeypatch.setattr(dense, "_QUERY_BLOCK", 5)


def lists(run: Artifact) -> list[tuple[list[int], list[float]]]:
    found = Run(run)
    return [(d.tolist(), s.tolist()) for _, d, s in map(found.row, range(len(found)))]


def collected(place: Path, docs: int = 90) -> Collection:
    beir = tiny_beir(place / "beir", docs=docs, queries=24)
    return collect(Workspace(place / "work"), f"beir:{beir}")


@pytest.mark.parametrize("depth", [1, 7, 90])
@pytest.mark.usefixtures("small")
def test_ranges_do_not_show(
    encoder: Path, tmp_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = collected(tmp_path)
    workspace = collection.artifact.workspace
    pieces = mine(workspace, Dense(str(encoder)), collection, "train", depth=depth)
    between = pieces.input("lists")
    assert len(between.parameters["ranges"]) > 3
    assert between.rows == pieces.rows * len(between.parameters["ranges"])
    for role in ("doc_vectors", "query_vectors", "qrels", "corpus", "queries"):
        assert between.inputs[role] == pieces.inputs[role]
    pieces.verify()
    between.verify()
    monkeypatch.setattr(document_ranges, "_RANGE_BYTES", 1 << 30)
    whole = mine(workspace, Dense(str(encoder)), collection, "train", depth=depth)
    assert "lists" not in whole.inputs
    assert lists(pieces) == lists(whole)
    assert whole.rows == len(collection.split_queries("train"))


@pytest.mark.usefixtures("small")
def test_ranges_are_whole_parts_of_about_one_size(encoder: Path, tmp_path: Path) -> None:
    collection = collected(tmp_path)
    vectors = encode(collection.artifact.workspace, encoder, collection.corpus.artifact)
    ranges = document_ranges.document_ranges(vectors)
    assert [a for a, _ in ranges[1:]] == [b for _, b in ranges[:-1]]
    assert (ranges[0][0], ranges[-1][1]) == (0, len(vectors.parts))
    sizes = [sum(p.bytes for p in vectors.parts[a:b]) for a, b in ranges]
    assert max(sizes) <= document_ranges._RANGE_BYTES
    for (a, b), size in zip(ranges[:-1], sizes[:-1], strict=True):
        assert b > a
        assert size + vectors.parts[b].bytes > document_ranges._RANGE_BYTES


def test_a_slot_goes_on_with_what_it_holds() -> None:
    shards = [Shard(n, n, n + 1) for n in range(12)]  # three ranges of four blocks
    queue = Waiting(shards, lambda shard: shard.number // 4)
    taken: dict[int, list[int]] = {0: [], 1: []}
    for slot in (0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1):
        taken[slot].append(queue.take(slot).number)
    assert taken == {0: [0, 1, 2, 3, 8], 1: [4, 5, 6, 7, 9, 10, 11]}
    assert not queue
    plain = Waiting(shards, None)
    assert [plain.take(slot % 3).number for slot in range(12)] == list(range(12))
    assert isinstance(plain, deque)


@pytest.mark.ray
@pytest.mark.usefixtures("small", "ray_cluster")
def test_any_number_of_actors_gives_the_bytes_of_one_process(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: dict[int, Any] = {}
    sent: list[tuple[int, int]] = []
    take = Waiting.take

    def noted(self: Waiting, slot: int) -> Shard:
        shard = take(self, slot)
        if self.together is not None:
            sent.append((slot, int(str(self.together(shard)))))
        return shard

    monkeypatch.setattr(Waiting, "take", noted)
    for workers in (0, 1, 2, 3, 7):
        collection = collected(tmp_path / f"w{workers}")
        workspace = collection.artifact.workspace
        for texts in (collection.corpus, collection.queries):  # only the search goes to actors
            encode(workspace, encoder, texts.artifact)
        sent.clear()
        executor = Execution(workers=workers)
        run = mine(workspace, Dense(str(encoder)), collection, "train", depth=9, executor=executor)
        hashes[workers] = (run.input("lists").root_hash, run.root_hash)
        if workers == 2:
            first = [kind for slot, kind in sent if slot == 0][0]
            other = [kind for slot, kind in sent if slot == 1][0]
            assert first != other  # one range each
    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.ray
@pytest.mark.usefixtures("small", "ray_cluster")
def test_a_range_whose_actor_dies_is_searched_again(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = collected(tmp_path / "oracle")
    oracle = mine(
        collection.artifact.workspace, Dense(str(encoder)), collection, "train", depth=9
    ).root_hash
    collection = collected(tmp_path / "killed")
    workspace = collection.artifact.workspace
    for texts in (collection.corpus, collection.queries):
        encode(workspace, encoder, texts.artifact)
    killed: list[int] = []
    landed = Supervisor._land

    def land(self: Any, reference: Any) -> None:
        shard = reference in self.flights
        landed(self, reference)
        if shard and not killed and self.job.stage.kind == "range-lists":
            alive = [a for a in self.slots.actors if a is not None]
            killed.append(self.ray.get(alive[0].ready.remote()).process)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Supervisor, "_land", land)
    executor = Execution(workers=2)
    run = mine(workspace, Dense(str(encoder)), collection, "train", depth=9, executor=executor)
    assert killed
    assert run.root_hash == oracle
    assert run.input("lists").cost()["failed_attempts"] >= 1


def test_no_query_and_no_documents_in_a_range(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range may hold nothing but an empty document; it gives nothing."""
    monkeypatch.setattr(encoders, "_SHARD_TOKENS", 1)  # every text a part
    monkeypatch.setattr(document_ranges, "_RANGE_BYTES", 1)  # every part a range
    collection = collected(tmp_path, docs=16)
    run = mine(collection.artifact.workspace, Dense(str(encoder)), collection, "train", depth=16)
    assert len(run.input("lists").parameters["ranges"]) == 16
    found = [sorted(docs) for docs, _ in lists(run)]
    mined = np.setdiff1d(np.arange(16), collection.corpus.empty).tolist()
    assert found == [mined] * len(found)
