"""What one call for all sequences is given on a GPU, and where sequences lie: no GPU is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rankmill.mining.models.passes import attention
from rankmill.mining.models.passes.attention import Layout, Run, attend

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
    """What torch documents of varlen_attn, token by token: masks are aligned to the end."""
    assert ends.dtype == seen_ends.dtype == torch.int32
    assert num_splits == 1
    assert enable_gqa
    assert most == int(torch.diff(ends).max())
    assert most_seen == int(torch.diff(seen_ends).max())
    out = torch.empty_like(query)
    left, right = window_size
    for n in range(len(ends) - 1):
        low, high, first, last = (int(x) for x in (*ends[n : n + 2], *seen_ends[n : n + 2]))
        for token in range(low, high):
            place = token - low + (last - first) - (high - low)
            a = first + (0 if left < 0 else max(0, place - left))
            b = last if right < 0 else min(last, first + place + right + 1)
            for head in range(query.shape[1]):
                group = head * key.shape[1] // query.shape[1]
                weights = (key[a:b, group] @ query[token, head] * scale).softmax(0)
                out[token, head] = weights @ value[a:b, group]
    return out


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 4, 100])
def test_one_call_on_a_gpu_does_what_calls_by_length_do(
    monkeypatch: pytest.MonkeyPatch, shared: bool, causal: bool, window: int | None
) -> None:
    import torch.nn.attention.varlen as library

    rows = drawn(HEADS, 1), drawn(KEYS, 2), drawn(KEYS, 3)
    said: dict[str, Any] = {"scaling": 0.3, "sliding_window": window}
    by_length, _ = attend(None, *rows, None, layout=layout(causal, shared), **said)
    monkeypatch.setattr(library, "varlen_attn", plain_varlen)
    monkeypatch.setattr(attention, "_has_varlen", lambda query: True)
    at_once, _ = attend(None, *rows, None, layout=layout(causal, shared), **said)
    assert at_once.shape == by_length.shape == (1, TOKENS, HEADS, SIZE)
    # A product of 8 terms and a mean of at most 11 values below 5: γ₈ · 8 · 5² · 0.3 in an exponent
    # is 3e-5 of a weight, and the sums add less; a wrong place changes the first digit.
    torch.testing.assert_close(at_once, by_length, rtol=0, atol=5e-4)
    assert not by_length[0, 24:].any()
    assert by_length[0, :24].any(dim=2).all()


def test_only_a_gpu_in_16_bits_has_one_call() -> None:
    assert not attention._has_varlen(drawn(HEADS, 1).bfloat16())


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
    empty = Layout(*(np.array(x) for x in ([0, 0, 3], [0, 3, 0], [0, 0, 0], [0, 0, 0])), False)
    assert empty.runs == [Run(0, 1, 3, 0, 0)]
