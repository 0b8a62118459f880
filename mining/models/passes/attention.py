"""Attention inside sequences that lie one behind the other, registered with transformers.

transformers makes no mask for an implementation that it does not know and hands on what its own
would use: scale, window, soft cap. The rest is the `Layout` of the batch: where each sequence lies,
and which tokens before its own it sees too. A call is made of the tokens of one shape, so what
comes out for a sequence depends on its own tokens and those that it sees (tests hold this).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ...devices import engine

ATTENTION = "rankmill_packed"


class Run(NamedTuple):
    """`count` neighbours of `length` tokens from `start` on, each behind the same `before` tokens
    that lie at `at`."""

    start: int
    count: int
    length: int
    at: int
    before: int


@dataclass
class Layout:
    """Where the sequences of a batch lie: int64 [n] each, in the order of their places.

    `at`, `before`: tokens that a sequence sees besides its own, as if they stood before it; 0 of
    them without shared beginnings. `causal`: no token sees one behind it.
    """

    start: np.ndarray
    length: np.ndarray
    at: np.ndarray
    before: np.ndarray
    causal: bool
    _masks: dict[tuple[int, int, int | None, Any], Any] = field(default_factory=dict)

    @cached_property
    def runs(self) -> list[Run]:
        """Neighbours of equal shape together; sequences without tokens are none."""
        some = np.flatnonzero(self.length)
        each = np.stack([self.length, self.at, self.before], axis=1)[some]
        new = np.append((each[1:] != each[:-1]).any(axis=1), True)
        edges = np.concatenate([[0], np.flatnonzero(new) + 1]) if len(some) else [0]
        return [
            Run(int(self.start[some[a]]), int(b - a), *map(int, each[a]))
            for a, b in pairwise(edges)
        ]

    def mask(self, run: Run, reach: int | None, like: Any, *, written: bool = False) -> Any:
        """Return what is added to the products of a run, [length, before + length]; None where
        every token sees all of them, or, unless `written` out, all that stand before it."""
        import torch

        whole = run.before + run.length
        if reach is not None and reach >= whole - 1:
            reach = None  # the window holds all there is
        if reach is None and not (self.causal and (run.before or written)):
            return None
        key = (run.length, run.before, reach, like.dtype)
        if key not in self._masks:
            asks = torch.arange(run.before, whole, device=like.device)[:, None]
            ahead = torch.arange(whole, device=like.device) - asks
            hidden = ahead > 0 if self.causal else torch.zeros_like(ahead, dtype=torch.bool)
            if reach is not None:
                hidden |= ahead.abs() > reach
            mask = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
            self._masks[key] = mask.masked_fill_(hidden, -torch.inf)
        return self._masks[key]

    @cached_property
    def ends(self) -> tuple[Any, Any, Any, int, int]:
        """What one call for all sequences takes: int32 [n + 1] sums of the tokens that ask and of
        those that are seen, the places of the latter (None where each sees its own alone), and the
        most of both."""
        seen = self.before + self.length
        asked, summed = (np.concatenate([[0], np.cumsum(n)]) for n in (self.length, seen))
        places = None
        if self.before.any():
            inside = np.arange(summed[-1]) - np.repeat(summed[:-1], seen)
            before, at, own = (np.repeat(x, seen) for x in (self.before, self.at, self.start))
            places = np.where(inside < before, at + inside, own + inside - before)
        most = int(self.length.max(initial=0)), int(seen.max(initial=0))
        return asked.astype(np.int32), summed.astype(np.int32), places, *most


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
    if softcap is None and _has_varlen(query):
        return _attend_at_once(rows, layout, reach, scaling)[None], None
    tokens, heads, size = rows[0].shape
    out = torch.empty(tokens, heads, size, dtype=query.dtype, device=query.device)
    low = 0
    for run in layout.runs:
        high = run.start + run.count * run.length
        out[low : run.start] = 0
        attended = _attend_run(rows, run, layout, reach, scaling, softcap)
        out[run.start : high] = attended.transpose(1, 2).reshape(-1, heads, size)
        low = high
    out[low:] = 0
    return out[None], None


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


# ---- on a GPU, one call for all sequences --------------------------------------------------------


def _has_varlen(query: Any) -> bool:
    """Say whether torch attends to sequences of all lengths in one call: on a GPU, in 16 bits."""
    import torch

    unfit = query.device.type != "cuda" or query.dtype == torch.float32
    if unfit or engine().attention == "sdpa":
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0) and query.shape[-1] <= 256


def _attend_at_once(
    rows: list[Any], layout: Layout, reach: int | None, scaling: float | None
) -> Any:
    """Return [tokens, heads, size] by one call of torch, which aligns a causal mask to the end, as
    shared beginnings need it. One split keeps the bits of a sequence free of its neighbours.

    Tests form these arguments; it has not run on a GPU yet.
    """
    import torch
    from torch.nn.attention.varlen import varlen_attn

    device = rows[0].device
    asked, summed, places, most, most_seen = layout.ends
    queries, keys, values = rows
    own = np.repeat(layout.start - asked[:-1], layout.length) + np.arange(asked[-1])
    whole = torch.from_numpy(own).to(device)
    seen = whole if places is None else torch.from_numpy(places).to(device)
    wide = -1 if reach is None else reach
    attended = varlen_attn(
        queries.index_select(0, whole),
        keys.index_select(0, seen),
        values.index_select(0, seen),
        torch.from_numpy(asked).to(device),
        torch.from_numpy(summed).to(device),
        most,
        most_seen,
        scale=scaling,
        window_size=(wide, 0 if layout.causal else wide),
        enable_gqa=queries.shape[1] != keys.shape[1],
        num_splits=1,
    )
    out = torch.zeros_like(queries, memory_format=torch.contiguous_format)
    return out.index_copy_(0, whole, attended)
