"""What one call for all sequences is given on a GPU, and where sequences lie: no GPU is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from rankmill.mining.devices import Engine, using
from rankmill.mining.models.passes import varlen
from rankmill.mining.models.passes.attention import attend
from rankmill.mining.models.passes.layouts import Layout, Run
from rankmill.mining.models.passes.varlen import has_varlen

HEADS, KEYS, SIZE, TOKENS = 4, 2, 8, 40


def layout(causal: bool, shared: bool) -> Layout:
    """Two beginnings of 6 and 3 tokens, three sequences behind the first, one behind the second;
    or five sequences of their own."""
    start, length = np.array([0, 6, 11, 16, 17, 20]), np.array([6, 5, 5, 1, 3, 4])
    at, before = np.array([0, 0, 0, 0, 0, 17]), np.array([0, 6, 6, 6, 0, 3])
    nothing = np.zeros(6, np.int64)
    return Layout(start, length, at if shared else nothing, before if shared else nothing, causal)


def drawn(heads: int, seed: int) -> torch.Tensor:
    rng = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(rng.normal(size=(1, heads, TOKENS, SIZE)).astype(np.float32))


def plain_varlen(
    query: Any,
    key: Any,
    value: Any,
    ends: Any,
    seen_ends: Any,
    most: int,
    most_seen: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
    num_splits: int,
) -> Any:
    """What torch documents of varlen_attn, token by token: masks are aligned to the end.

    It asks for what torch's kernel asks for, but for 16 bits and the GPU.
    """
    assert query.dtype == key.dtype == value.dtype
    assert key.shape == value.shape == (int(seen_ends[-1]), KEYS, SIZE)
    assert query.shape == (int(ends[-1]), HEADS, SIZE)
    assert SIZE % 8 == 0
    for rows in (query, key, value):
        assert rows.stride(-1) == 1
        assert rows.device == ends.device == seen_ends.device
    for sums in (ends, seen_ends):
        assert sums.dtype == torch.int32
        assert sums.is_contiguous()
        assert sums[0] == 0
    assert num_splits == 1
    assert enable_gqa
    assert type(most) is type(most_seen) is int
    assert most == int(torch.diff(ends).max())
    assert most_seen >= int(torch.diff(seen_ends).max())
    left, right = window_size
    assert most_seen > max(left, right)  # else another kernel, by the longest neighbour
    out = torch.empty_like(query)
    for n in range(len(ends) - 1):
        low, high, first, last = (int(x) for x in (*ends[n : n + 2], *seen_ends[n : n + 2]))
        assert low < high
        for token in range(low, high):
            place = token - low + (last - first) - (high - low)
            a = first + (0 if left < 0 else max(0, place - left))
            b = last if right < 0 else min(last, first + place + right + 1)
            for head in range(query.shape[1]):
                group = head * key.shape[1] // query.shape[1]
                weights = (key[a:b, group] @ query[token, head] * scale).softmax(0)
                out[token, head] = weights @ value[a:b, group]
    return out


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attention go by one call, the plain one."""
    import torch.nn.attention.varlen as library

    from rankmill.mining.models.passes import attention

    monkeypatch.setattr(library, "varlen_attn", plain_varlen)
    monkeypatch.setattr(attention, "has_varlen", lambda query: True)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 4, 100])
@pytest.mark.parametrize("gap", [0, 3])
def test_one_call_on_a_gpu_does_what_calls_by_length_do(
    monkeypatch: pytest.MonkeyPatch, shared: bool, causal: bool, window: int | None, gap: int
) -> None:
    rows = drawn(HEADS, 1), drawn(KEYS, 2), drawn(KEYS, 3)
    said: dict[str, Any] = {"scaling": 0.3, "sliding_window": window}
    where = layout(causal, shared)
    where.start[3:] += gap
    where.at[where.before == 3] += gap
    by_length, _ = attend(None, *rows, None, layout=where, **said)
    at_once(monkeypatch)
    once, _ = attend(None, *rows, None, layout=where, **said)
    assert once.shape == by_length.shape == (1, TOKENS, HEADS, SIZE)
    # A product of 8 terms and a mean of at most 11 values below 5: γ₈ · 8 · 5² · 0.3 in an exponent
    # is 3e-5 of a weight, and the sums add less; a wrong place changes the first digit.
    torch.testing.assert_close(once, by_length, rtol=0, atol=5e-4)
    assert not by_length[0, 24 + gap :].any()
    assert by_length[0, :16].any(dim=2).all()


def test_layers_share_what_is_copied_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from rankmill.mining.models.passes import layouts

    copied: list[np.ndarray] = []

    def counted(array: np.ndarray, device: Any) -> Any:
        copied.append(array)
        return torch.from_numpy(array).to(device)

    monkeypatch.setattr(layouts, "to_device", counted)
    at_once(monkeypatch)
    rows, where = (drawn(HEADS, 1), drawn(KEYS, 2), drawn(KEYS, 3)), layout(True, True)
    for _ in range(3):
        attend(None, *rows, None, layout=where, scaling=0.3)
    assert [array.dtype for array in copied] == [np.int32, np.int32, np.int64]


def test_sequences_in_order_are_read_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.attention.varlen as library

    rows, seen = (drawn(HEADS, 1), drawn(HEADS, 2), drawn(HEADS, 3)), list[Any]()

    def kept(*tensors: Any, **_: Any) -> Any:
        seen.extend(tensors[:3])
        return torch.zeros(tensors[0].shape)

    at_once(monkeypatch)
    monkeypatch.setattr(library, "varlen_attn", kept)
    attend(None, *rows, None, layout=layout(False, False), scaling=0.3)
    assert [x.data_ptr() for x in seen] == [x.data_ptr() for x in rows]


# ---- where one call can be used ------------------------------------------------------------------


class Query:
    """What is asked of a tensor on a GPU."""

    def __init__(self, dtype: Any = torch.bfloat16, size: int = 64):
        self.device, self.dtype, self.shape = torch.device("cuda:0"), dtype, (1, 4, 8, size)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    monkeypatch.setattr(varlen, "_try_once", lambda *_: None)
    varlen.lacking.cache_clear()
    yield
    varlen.lacking.cache_clear()


@pytest.mark.usefixtures("a_gpu")
def test_only_a_gpu_in_16_bits_has_one_call() -> None:
    assert has_varlen(Query())
    assert has_varlen(Query(torch.float16, 256))
    assert not has_varlen(Query(torch.float32))
    assert not has_varlen(Query(size=264))
    assert not has_varlen(Query(size=20))  # torch asks for a multiple of 8
    assert not has_varlen(drawn(HEADS, 1).bfloat16())
    with using(Engine(attention="sdpa")):
        assert not has_varlen(Query())


@pytest.mark.usefixtures("a_gpu")
def test_an_older_gpu_and_an_older_torch_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.attention.varlen as library

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not has_varlen(Query())
    assert "older than compute capability 8.0" in str(varlen.lacking(Query().device, "one"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))

    def of_2_10(query: Any, key: Any, is_causal: bool = False, scale: float | None = None) -> Any:
        raise AssertionError

    monkeypatch.setattr(library, "varlen_attn", of_2_10)
    said = varlen.lacking(Query().device, "two")
    assert "takes no window_size, enable_gqa, num_splits" in str(said)
    monkeypatch.setattr(torch.version, "hip", "7.2", raising=False)
    assert "AMD" in str(varlen.lacking(Query().device, "three"))


@pytest.mark.usefixtures("a_gpu")
def test_a_refusal_is_told_and_damage_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise RuntimeError("num_splits is not supported\nException raised from …")

    def breaks(*_: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(varlen, "_try_once", refuses)
    assert str(varlen.lacking(Query().device, 1)).endswith("num_splits is not supported")
    monkeypatch.setattr(varlen, "_try_once", breaks)
    with pytest.raises(RuntimeError, match="CUDA error"):
        varlen.lacking(Query().device, 2)


def test_the_trial_asks_for_what_models_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def varlen_attn(*tensors: Any, **said: Any) -> Any:
        given.update(said)
        assert tensors[0].shape[1] > tensors[1].shape[1]
        assert tensors[3].tolist() == [0, 1, 3]

    varlen._try_once(varlen_attn, torch.device("cpu"), torch.bfloat16)
    assert sorted(given) == sorted(varlen._NEEDED)


def test_runs_are_neighbours_of_equal_shape() -> None:
    assert layout(True, True).runs == [
        Run(0, 1, 6, 0, 0),
        Run(6, 2, 5, 0, 6),
        Run(16, 1, 1, 0, 6),
        Run(17, 1, 3, 0, 0),
        Run(20, 1, 4, 17, 3),
    ]
    nothing = np.array([], np.int64)
    assert Layout(nothing, nothing, nothing, nothing, True).runs == []
    zeros = np.zeros(3, np.int64)
    empty = Layout(np.array([0, 0, 3]), np.array([0, 3, 0]), zeros, zeros, False)
    assert empty.runs == [Run(0, 1, 3, 0, 0)]
