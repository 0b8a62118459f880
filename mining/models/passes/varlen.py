"""Attention to sequences of all lengths in one call, as torch has it on GPUs in 16 bits.

What torch's own checks ask for (`mha_varlen_fwd` of its flash attention): 16 bits, heads of a
multiple of 8 and at most 256 components that lie together, sums in int32 on the device, an NVIDIA
GPU of compute capability 8.0 or more. A call is tried once on each device before models run by it:
some versions of torch have the function and refuse one of its arguments.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

from ...devices import damaged, engine
from .layouts import Layout

_NEEDED = ("scale", "window_size", "enable_gqa", "num_splits")
_ARCHITECTURE = (8, 0)
_HEAD, _MULTIPLE = 256, 8


def has_varlen(query: Any) -> bool:
    """Say whether one call does for a batch whose queries are `query` [1, heads, tokens, size]."""
    import torch

    if query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    size = query.shape[-1]
    if size > _HEAD or size % _MULTIPLE or engine().attention == "sdpa":
        return False
    return lacking(query.device, query.dtype) is None


@lru_cache(maxsize=64)
def lacking(device: Any, dtype: Any) -> str | None:
    """Return why one call cannot be used on a GPU in `dtype`, in a few words; None where it can.

    The answer of a device does not change, so a machine always takes the same way.
    """
    import torch

    if torch.version.hip:
        return "torch for AMD GPUs takes no num_splits"
    if torch.cuda.get_device_capability(device) < _ARCHITECTURE:
        return f"the GPU is older than compute capability {_ARCHITECTURE[0]}.{_ARCHITECTURE[1]}"
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return f"torch {torch.__version__} has no varlen_attn"
    known = inspect.signature(varlen_attn).parameters
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        return f"varlen_attn of torch {torch.__version__} takes no {', '.join(missing)}"
    try:
        _try_once(varlen_attn, device, dtype)
    except RuntimeError as error:
        if damaged(error):
            raise
        return f"torch {torch.__version__} refuses it: {str(error).splitlines()[0]}"
    return None


def _try_once(varlen_attn: Any, device: Any, dtype: Any) -> None:
    """Call it for two sequences with all that models ask for: grouped heads and a window."""
    import torch

    query = torch.zeros(3, 2, 64, dtype=dtype, device=device)
    key = query[:, :1]
    ends = torch.tensor([0, 1, 3], dtype=torch.int32, device=device)
    said = {"scale": 1.0, "window_size": (1, 0), "enable_gqa": True, "num_splits": 1}
    with torch.inference_mode():
        varlen_attn(query, key, key, ends, ends, 2, 2, **said)


def attend_at_once(
    rows: list[Any], layout: Layout, reach: int | None, scaling: float | None
) -> Any:
    """Return [tokens, heads, size], 0 where no sequence lies; `rows`: queries, keys, values of that
    shape, the latter two with as many heads or a part of them.

    A causal mask is aligned to the end, as shared beginnings need it. One split keeps the bits of a
    sequence free of its neighbours; so does a window that is never longer than what the call is
    told of the longest sequence, for torch takes another kernel where it is.
    """
    import torch
    from torch.nn.attention.varlen import varlen_attn

    queries, keys, values = (x if x.stride(-1) == 1 else x.contiguous() for x in rows)
    ends = layout.ends(queries.device)
    seen = ends.own if ends.places is None else ends.places
    wide = -1 if reach is None else reach
    attended = varlen_attn(
        _at(queries, ends.own, ends.tokens),
        _at(keys, seen, ends.tokens),
        _at(values, seen, ends.tokens),
        ends.asked,
        ends.seen,
        ends.most,
        max(ends.most_seen, wide + 1),
        scale=scaling,
        window_size=(wide, 0 if layout.causal else wide),
        enable_gqa=queries.shape[1] != keys.shape[1],
        num_splits=1,
    )
    assert not isinstance(attended, tuple)  # it is one where more is asked for
    if ends.own is not None:
        out = torch.zeros_like(queries, memory_format=torch.contiguous_format)
        return out.index_copy_(0, ends.own, attended)
    behind = len(queries) - ends.tokens
    return torch.nn.functional.pad(attended, (0, 0, 0, 0, 0, behind)) if behind else attended


def _at(rows: Any, places: Any, tokens: int) -> Any:
    """Return rows at places, or the first of them without a copy."""
    return rows[:tokens] if places is None else rows.index_select(0, places)
