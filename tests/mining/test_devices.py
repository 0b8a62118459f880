"""What errors of a device lead to: a smaller batch once, or the end of the process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import network_bound
from store_workers import squares
from tiny_models import tiny_encoder

from rankmill.mining.actors import Execution
from rankmill.mining.devices import (
    damaged,
    from_device,
    later,
    on_every_core,
    out_of_memory,
    to_device,
)
from rankmill.mining.errors import RankmillError
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.models.sequences import Sequences, Template, single_sequences
from rankmill.mining.models.tokens import Ragged
from rankmill.mining.store import Workspace


def sequences(model: Path) -> Sequences:
    values = np.arange(5, 105, dtype=np.uint16)
    texts = Ragged(values, np.asarray([0, 20, 45, 46, 80, 100]))
    return single_sequences(texts, Template.of(resolve(model).tokenizer(), pair=False), 128)


def failing(forward: Forward, times: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the first `times` batches end without memory; returns the sizes that were tried."""
    tried: list[int] = []
    real = Forward._rows_of

    def rows_of(self: Forward, *arguments: Any) -> Any:
        tried.append(self.tokens)
        if len(tried) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(self, *arguments)

    monkeypatch.setattr(Forward, "_rows_of", rows_of)
    return tried


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


def bound(model: Path) -> float:
    """How far float32 may be from the exact vectors: two ways of computing them, twice that."""
    from transformers import AutoModel

    exact = {"dtype": torch.float64, "attn_implementation": "eager"}
    network = AutoModel.from_pretrained(model, add_pooling_layer=False, **exact).eval()
    texts = sequences(model).first
    rows = [texts.values[a:b].tolist() for a, b in pairwise(texts.offsets.tolist())]
    ids = [torch.tensor([[2, *row, 3]]) for row in rows]
    return max(network_bound(partial(mean_state, network, i)) for i in ids)


def mean_state(network: Any, ids: Any) -> Any:
    """Return the mean of an encoder's last hidden states."""
    return network(ids).last_hidden_state.mean(1)


def forward_of(model: Path) -> Forward:
    return Forward(resolve(model), head="mean", compute="float32", max_length=128)


def test_without_memory_the_batch_is_halved_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = forward_of(model).run(sequences(model))
    forward = forward_of(model)
    tried = failing(forward, 1, monkeypatch)
    off = bound(model)
    np.testing.assert_allclose(forward.run(sequences(model)), expected, rtol=0, atol=2 * off)
    assert set(tried) == {2048, 1024}
    assert forward.halved
    failing(forward, 1, monkeypatch)
    with pytest.raises(RankmillError, match="no memory for a batch of 1,024 tokens: CUDA out of"):
        forward.run(sequences(model))


def test_half_a_batch_without_memory_is_an_error(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = forward_of(model)
    tried = failing(forward, 2, monkeypatch)
    with pytest.raises(RankmillError, match=r"no memory for a batch of 1,024 tokens[\s\S]*bfloat1"):
        forward.run(sequences(model))
    assert tried == [2048, 1024]


def test_other_errors_are_not_answered(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = forward_of(model)

    def rows_of(*_: Any) -> np.ndarray:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Forward, "_rows_of", rows_of)
    with pytest.raises(RuntimeError, match="CUDA error"):
        forward.run(sequences(model))
    assert not forward.halved


def test_errors_are_told_apart() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not damaged(torch.OutOfMemoryError("CUDA error: out of memory"))
    assert damaged(RuntimeError("CUDA error: device-side assert triggered"))
    assert damaged(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"))
    assert damaged(torch.AcceleratorError("unspecified launch failure", 719))
    for error in (RuntimeError("size mismatch"), ValueError("CUDA error"), RankmillError("x")):
        assert not damaged(error)
        assert not out_of_memory(error)


def test_items_come_back_in_order_and_the_thread_count_is_restored() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = list(on_every_core(lambda i: (i, torch.get_num_threads()), [3, 1, 2], device="cpu"))
        assert [i for i, _ in found] == [3, 1, 2]
        assert {count for _, count in found} == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_arrays_pass_pinned_memory_on_their_way_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert to_device(array, torch.device("cpu")).numpy().tolist() == array.tolist()
    done: list[Any] = []

    def pinned(self: torch.Tensor) -> torch.Tensor:
        done.append("pinned")
        return self

    def sent(self: torch.Tensor, *to: Any, **executor: Any) -> torch.Tensor:
        done.append((str(to[0]), executor))
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "to", sent)
    to_device(array, torch.device("cuda"))
    assert done == ["pinned", ("cuda", {"non_blocking": True})]


def test_results_are_read_behind_the_work_that_was_asked_for_since() -> None:
    asked: list[int] = []

    def work() -> Iterator[int]:
        for number in range(5):
            asked.append(number)
            yield number

    read = []
    for number in later(work(), 2):
        read.append((number, len(asked)))
    assert read == [(0, 3), (1, 4), (2, 5), (3, 5), (4, 5)]
    assert list(later(range(3), 0)) == [0, 1, 2]
    assert list(later(range(2), 7)) == [0, 1]


def test_a_copy_from_a_gpu_is_waited_for_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []

    class OnGpu:
        device, shape, dtype = torch.device("cuda:1"), (2,), torch.float32

    class Event:
        def record(self, stream: Any) -> None:
            done.append(("record", stream))

        def synchronize(self) -> None:
            done.append("wait")

    class Pinned:
        def copy_(self, tensor: Any, non_blocking: bool) -> None:
            done.append(("copy", type(tensor), non_blocking))

        def numpy(self) -> np.ndarray:
            return np.ones(2)

    def empty(shape: Any, dtype: Any, pin_memory: bool) -> Pinned:
        assert pin_memory
        return Pinned()

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    read = from_device(OnGpu())
    assert done == [("copy", OnGpu, True), ("record", "stream of cuda:1")]
    assert read().tolist() == [1, 1]
    assert done[2:] == ["wait"]


@pytest.mark.ray
def test_an_actor_with_a_damaged_device_ends_and_its_shard_goes_elsewhere(
    ray_cluster: None, workspace: Workspace, tmp_path: Path
) -> None:
    undisturbed = Workspace(tmp_path / "oracle").build(squares())
    stage = squares(mischief=f"damage once:{tmp_path / 'damaged'}")
    artifact = workspace.build(stage, Execution(workers=1))
    assert (tmp_path / "damaged").exists()
    assert artifact.root_hash == undisturbed.root_hash
    assert artifact.cost()["failed_attempts"] == 1
