"""Which device models run on and how: refused before work, told to actors, declared where it can
change bits; and a device without memory, which is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm
from tiny_models import tiny_cross_encoder

import rankmill as rm
from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.devices import Engine, check_engine, engine, using
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.models.passes import varlen
from rankmill.mining.models.precision import batch_tokens, declared, device
from rankmill.mining.search.faiss_index import search_index
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.execution import Silent
from rankmill.mining.teachers import score_pool


class Told(Silent):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def run(workspace: Workspace, tmp_path: Path) -> Artifact:
    beir = tiny_beir(tmp_path / "beir", docs=30, queries=6)
    return mine(workspace, "random", collect(workspace, f"beir:{beir}"), "train", depth=4)


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let torch see so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")


# ---- which one ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "there", "settled"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_models_run_where_they_are_asked_to(
    asked: str, there: int, settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, there)
    check_engine(Engine(device=asked))
    with using(Engine(device=asked)):
        assert device() == torch.device(settled)
    assert engine() == Engine()


@pytest.mark.parametrize("asked", ["gpu", "mps", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", ""])
def test_what_is_no_device_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match=rf"device={asked} is not known\n.*auto, cpu, cuda"):
        check_engine(Engine(device=asked))


def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus(monkeypatch, 0)
    with pytest.raises(BadInput, match=r"no device cuda: (torch sees|this torch)(.|\n)*device=cpu"):
        check_engine(Engine(device="cuda"))
    gpus(monkeypatch, 2)
    with pytest.raises(BadInput, match=r"cuda:2: there are cuda:0 \(GPU 0\), cuda:1 \(GPU 1\)"):
        check_engine(Engine(device="cuda:2"))
    check_engine(Engine(device="cuda"), workers=2)
    with pytest.raises(UsageError, match=r"cuda:1 with 2 workers(.|\n)*CUDA_VISIBLE_DEVICES"):
        check_engine(Engine(device="cuda:1"), workers=2)


def test_a_stage_refuses_before_it_does_anything(
    run: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, 0)
    with pytest.raises(BadInput, match="there is no device cuda"):
        rm.score("cross_encoder(model=/nowhere)", run, device="cuda")
    with pytest.raises(UsageError, match="batch_tokens=3 must be at least 64"):
        rm.score("cross_encoder(model=/nowhere)", run, batch_tokens=3)
    with pytest.raises(UsageError, match='attention="flash" is not one of auto, sdpa'):
        rm.score("cross_encoder(model=/nowhere)", run, attention="flash")


# ---- what it is named by -----------------------------------------------------------------------


def test_what_can_change_bits_is_declared_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"compute": "float32", "threads": 1}
    gpus(monkeypatch, 1)
    for same in (Engine(), Engine(device="cpu"), Engine(device="cpu", attention="sdpa")):
        with using(same):
            assert declared("float32") == plain
    with using(Engine(device="cpu", batch_tokens=512, attention="sdpa")):
        assert declared("float32") == plain | {"batch_tokens": 512}
        assert batch_tokens() == 512
    with using(Engine(attention="sdpa")):
        assert declared("float32") == plain | {"attention": "sdpa"}
        assert batch_tokens() == 32768


def test_scores_know_their_batches_and_not_their_device(run: Artifact, tmp_path: Path) -> None:
    teacher = f"cross_encoder(model={tiny_cross_encoder(tmp_path / 'model')},max_length=64)"
    plain = rm.score(teacher, run)
    assert rm.score(teacher, run, device="cpu", attention="sdpa").fingerprint == plain.fingerprint
    other = rm.score(teacher, run, batch_tokens=128)
    assert other.fingerprint != plain.fingerprint
    assert other.parameters["batch_tokens"] == 128
    assert other.cost()["usage"]["pairs_reused"] == 0  # their last bits may differ


def test_a_batch_has_as_many_tokens_as_are_asked_for(tmp_path: Path) -> None:
    model = resolve(tiny_cross_encoder(tmp_path / "model"))
    with using(Engine(batch_tokens=256)):
        small = Forward(model, head="logits", compute="float32", max_length=64)
        tight = Forward(model, head="logits", compute="float32", max_length=128)
    with using(Engine(batch_tokens=64)):
        least = Forward(model, head="logits", compute="float32", max_length=128)
    assert (small.tokens, tight.tokens, least.tokens) == (256, 256, 128)


def test_sdpa_is_taken_where_one_call_could_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Query:
        device, dtype, shape = torch.device("cuda"), torch.bfloat16, (1, 4, 8, 64)

    monkeypatch.setattr(varlen, "lacking", lambda device, dtype: None)
    assert varlen.has_varlen(Query())
    with using(Engine(attention="sdpa")):
        assert not varlen.has_varlen(Query())


def test_faiss_searches_where_models_run(monkeypatch: pytest.MonkeyPatch) -> None:
    faiss = pytest.importorskip("faiss")
    index, sent = faiss.IndexFlatIP(4), list[list[int]]()
    vectors = np.eye(4, dtype=np.float32)
    index.add(vectors)

    def to_gpus(index: Any, gpus: list[int]) -> Any:
        sent.append(gpus)
        return index

    gpus(monkeypatch, 2)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpus_list", to_gpus)
    for asked, used in (("cpu", []), ("cuda:1", [[1]]), ("cuda", [[0, 1]])):
        sent.clear()
        with using(Engine(device=asked)):
            assert search_index(index, vectors, 1)[:, 0].tolist() == [0, 1, 2, 3]
        assert sent == used


# ---- workers in other processes ----------------------------------------------------------------


class Asked:
    """Says on which device models of its process run, and how."""

    def __call__(self, shard: Shard) -> Output:
        chosen = engine()
        row = {"device": [chosen.device], "batch": [chosen.batch_tokens]}
        return Output(pa.table(row, schema=ASKED))


ASKED = pa.schema([("device", pa.string()), ("batch", pa.int64())])


def asked(workers: int, workspace: Workspace) -> pa.Table:
    stage = Stage(
        kind="asked",
        parameters={"workers": workers},
        inputs={},
        schema=ASKED,
        shards=lambda: [Shard(0, 0, 1)],
        worker=Asked,
    )
    return next(iter(workspace.build(stage, Execution(workers=workers)).tables()))


@pytest.mark.ray
def test_actors_run_models_as_the_process_that_asked(
    ray_cluster: None, workspace: Workspace
) -> None:
    with using(Engine(device="cpu", batch_tokens=512)):
        for workers in (0, 1):
            assert asked(workers, workspace).to_pylist() == [{"device": "cpu", "batch": 512}]


# ---- without memory ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cross_encoder", "causal_lm"])
def test_a_device_without_memory_is_said_and_stands_in_the_ledger(
    kind: str, run: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "cross_encoder":
        teacher = f"cross_encoder(model={tiny_cross_encoder(tmp_path / 'm')},max_length=64)"
    else:
        ask = json.dumps("Q: {query} D: {document} Relevant:")
        model = tiny_causal_lm(tmp_path / "m")
        teacher = f"causal_lm(model={model},prompt={ask},max_length=128)"
    real, tried = Forward._rows_of, list[int]()

    def rows_of(self: Forward, *arguments: Any) -> Any:
        tried.append(self.tokens)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(self, *arguments)

    monkeypatch.setattr(Forward, "_rows_of", rows_of)
    told = Told()
    scores = score_pool(run.workspace, teacher, run, executor=Execution(progress=told))
    assert set(tried) == {2048, 1024}
    assert [s for s in told.said if "no memory for a batch: they are half as large" in s] != []
    assert scores.cost()["usage"]["batches_halved"] == 1
    other = Workspace(tmp_path / "other")
    monkeypatch.setattr(Forward, "_rows_of", real)
    silent = Told()
    again = score_pool(other, teacher, copied(run, other), executor=Execution(progress=silent))
    assert not [s for s in silent.said if "no memory" in s]
    assert "batches_halved" not in again.cost()["usage"]


def copied(run: Artifact, other: Workspace) -> Artifact:
    shutil.copytree(run.workspace.root, other.root)
    shutil.rmtree(other.root / "scores")
    return other.open("run", run.fingerprint)
