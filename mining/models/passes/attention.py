"""Attention inside sequences that lie one behind the other, registered with transformers.

transformers makes no mask for an implementation that it does not know and hands on what its own
would use: scale, window, soft cap. The rest is the `Layout` of the batch: where each sequence lies,
and which tokens before its own it sees too. A call is made of the tokens of one shape, so what
comes out for a sequence depends on its own tokens and those that it sees (tests hold this).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .layouts import Layout, Run
from .varlen import attend_at_once, has_varlen

ATTENTION = "rankmill_packed"


def register() -> str:
    """Make attention inside packed sequences known to transformers; returns its name."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)
    return ATTENTION


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    layout: Layout,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """Attend within each sequence: `query` [1, heads, tokens, size], `key` and `value` with as many
    heads or a part of them.

    A window of w reaches w − 1 tokens back, and ahead where attention looks both ways: transformers
    hands ModernBERT's on as one more than it looks to either side. Returns [1, tokens, heads,
    size]; 0 where no sequence lies.
    """
    import torch

    reach = None if sliding_window is None else sliding_window - 1
    rows = [x[0].transpose(0, 1) for x in (query, key, value)]
    if softcap is None and has_varlen(query):
        return attend_at_once(rows, layout, reach, scaling)[None], None
    tokens, heads, size = rows[0].shape
    out = torch.empty(tokens, heads, size, dtype=query.dtype, device=query.device)
    low = 0
    with _one_kernel(query.device):
        for run in layout.runs:
            high = run.start + run.count * run.length
            out[low : run.start] = 0
            attended = _attend_run(rows, run, layout, reach, scaling, softcap)
            out[run.start : high] = attended.transpose(1, 2).reshape(-1, heads, size)
            low = high
    out[low:] = 0
    return out[None], None


def _one_kernel(device: Any) -> contextlib.AbstractContextManager[Any]:
    """Let torch take the kernel, on a GPU, that gives a sequence the same bits in any company.

    Its flash attention splits the keys by how many sequences there are; this one never does.
    """
    if device.type == "cpu":
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    chosen = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(chosen, set_priority=True)


def _attend_run(
    rows: list[Any],
    run: Run,
    layout: Layout,
    reach: int | None,
    scaling: float | None,
    softcap: float | None,
) -> Any:
    """Return [count, heads, length, size] of one run."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    high = run.start + run.count * run.length
    q, k, v = (
        x[run.start : high].reshape(run.count, run.length, *x.shape[1:]).transpose(1, 2)
        for x in rows
    )
    if run.before:
        k, v = (torch.cat([_shared(x, run), own], dim=2) for x, own in ((rows[1], k), (rows[2], v)))
    grouped = q.shape[1] != k.shape[1]
    mask = layout.mask(run, reach, q, written=softcap is not None)
    if softcap is not None:
        return torch.cat(list(_capped(q, k, v, mask, scaling, softcap)))
    causal = layout.causal and mask is None
    if grouped and q.device.type != "cpu":  # the kernel of `_one_kernel` knows no groups of heads
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        grouped = False
    return scaled_dot_product_attention(
        q, k, v, mask, is_causal=causal, scale=scaling, enable_gqa=grouped
    )


def _shared(rows: Any, run: Run) -> Any:
    """Return what a run sees before its own tokens: [count, heads, before, size]."""
    shared = rows[run.at : run.at + run.before].transpose(0, 1)
    return shared[None].expand(run.count, -1, -1, -1)


def _capped(q: Any, k: Any, v: Any, mask: Any, scaling: float | None, cap: float) -> Iterator[Any]:
    """Yield softmax(cap·tanh(scale·q·k / cap) + mask)·v of each sequence, [1, heads, length, size].

    Written out (Gemma 2, section 2), for torch has no call with a cap; sequence by sequence, so
    that no product's shape depends on how many there are.
    """
    import torch

    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    groups = q.shape[1] // k.shape[1]
    for one, keys, values in zip(q, k, v, strict=True):
        keys, values = (x.repeat_interleave(groups, dim=0) for x in (keys, values))
        seen = torch.tanh(torch.bmm(one, keys.transpose(1, 2)) * scale / cap) * cap
        if mask is not None:
            seen = seen + mask
        yield torch.bmm(seen.softmax(-1, dtype=torch.float32).to(values.dtype), values)[None]
