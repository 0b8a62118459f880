"""The precision of forward passes: `auto` by what the device can do, what is named is obeyed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.models import precision
from rankmill.mining.models.encoders import encode
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Silent
from rankmill.mining.teachers import score_pool


class Told(Silent):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("can", "chosen"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "float32"),
        ({"avx2": True}, "float32"),
    ],
)
def test_auto_is_settled_by_the_device(
    can: dict[str, bool], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: can)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    told = Told()
    assert precision.settle_compute("auto", told) == chosen
    assert told.said == [f"compute=auto: {chosen} is the faster one on this machine"]


def test_what_is_named_is_obeyed_and_a_slow_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    told = Told()
    assert precision.settle_compute("bfloat16", told) == "bfloat16"
    assert "slower than float32 on this processor, which has neither AMX nor" in told.said[0]
    assert precision.settle_compute("float32", told) == "float32"
    assert len(told.said) == 1
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    assert precision.settle_compute("bfloat16", told) == "bfloat16"
    assert len(told.said) == 1
    with pytest.raises(BadInput, match="compute=int8 is not known"):
        precision.settle_compute("int8", told)


def test_a_process_without_torch_asks_the_kernel_which_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    for name in ("amx_bf16", "avx512_bf16"):
        if name in precision._of_kernel():
            assert torch.cpu.get_capabilities()[name]
        assert not precision._named(name)  # torch is there to be asked
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(precision, "_of_kernel", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr("rankmill.mining.devices._gpu_nodes", lambda: False)
    told = Told()
    assert precision.settle_compute("auto", told) == "bfloat16"
    assert precision.batch_tokens() == precision.BATCH_TOKENS["cpu"]
    assert precision.declared("bfloat16")["threads"] == precision.THREADS
    assert "torch" not in sys.modules


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_the_settled_precision_is_the_declared_one(
    tmp_path: Path, workspace: Workspace, fast: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` and the precision it stands for are one request: one artifact, one label."""
    monkeypatch.setattr(precision, "bfloat16_is_faster", lambda: fast)
    collection = collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=20, queries=4)}")
    encoder, cross = tiny_encoder(tmp_path / "encoder"), tiny_cross_encoder(tmp_path / "cross")
    executor = Execution(progress=Told())

    def all_of(compute: str) -> list[tuple[str, str]]:
        vectors = encode(
            workspace, encoder, collection.corpus.artifact, compute=compute, executor=executor
        )
        dense = f"dense(model={encoder},compute={compute})"
        run = mine(workspace, dense, collection, "train", depth=3, executor=executor)
        teacher = f"cross_encoder(model={cross},compute={compute})"
        scores = score_pool(workspace, teacher, run, executor=executor)
        near = f"neighbours(model={encoder},compute={compute})"
        other = mine(workspace, near, collection, "train", depth=3, executor=executor)
        assert vectors.parameters["compute"] == scores.parameters["compute"] == chosen
        assert "auto" not in str([a.manifest for a in (vectors, run, scores, other)])
        return [(a.fingerprint, a.root_hash) for a in (vectors, run, scores, other)]

    assert all_of("auto") == all_of(chosen)
