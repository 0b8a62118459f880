"""What torch is asked for on a GPU: that it is there, and takes what it is given.

No GPU is needed. Attention runs on tensors that know their type and shape and nothing else;
the rest is compared with what torch declares. A new torch that renames an argument fails here, not
on somebody's machine.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rankmill.mining.devices import out_of_memory
from rankmill.mining.models.passes import varlen
from rankmill.mining.models.passes.layouts import Layout

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mining", "training", "rankmill", "bench")
CALLED: dict[str, tuple[Any, ...]] = {  # of torch.cuda: what each is called with
    "current_device": (),
    "current_stream": ("cuda:0",),
    "device_count": (),
    "empty_cache": (),
    "get_device_capability": ("cuda:0",),
    "get_device_name": (0,),
    "get_device_properties": (0,),
    "get_rng_state": ("cuda:0",),
    "is_available": (),
    "is_initialized": (),
    "max_memory_allocated": (0,),
    "mem_get_info": ("cuda:0",),
    "memory_allocated": (0,),
    "reset_peak_memory_stats": (0,),
    "set_device": (0,),
    "set_rng_state": ("a state", "cuda:0"),
    "synchronize": (),
}
PROPERTIES = ("name", "major", "minor", "total_memory", "uuid")


def test_the_table_has_every_call() -> None:
    """Nobody asks torch.cuda for what is not in the table above."""
    asked = set()
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            asked |= set(re.findall(r"torch\.cuda\.(\w+)", text))
            if "_cuda()" in text:  # mining/meter/accelerator.py holds the module in a variable
                asked |= set(re.findall(r"\bcuda\.(\w+)\(", text))
    assert asked - {"Event"} <= set(CALLED)
    assert set(CALLED) - asked <= {"is_initialized"}  # by its name alone, where torch may be absent


@pytest.mark.parametrize("name", CALLED)
def test_a_call_is_there_and_takes_what_it_is_given(name: str) -> None:
    inspect.signature(getattr(torch.cuda, name)).bind(*CALLED[name])


def test_events_and_properties_are_as_they_are_used() -> None:
    event = torch.cuda.Event
    inspect.signature(event.record).bind("event", "a stream")
    inspect.signature(event.synchronize).bind("event")
    declared = Path(torch._C.__file__).parent / "_C" / "__init__.pyi"
    text = declared.read_text(encoding="utf-8")
    about = text.split("class _CudaDeviceProperties")[1].split("\n\n")[0].split("\nclass ")[0]
    for name in PROPERTIES:
        assert re.search(rf"^\s+{name}: ", about, re.MULTILINE), name


def test_memory_that_is_short_is_known_by_its_name() -> None:
    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))


def test_products_can_be_kept_from_rounding_their_sums() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction
    try:
        matmul.allow_bf16_reduced_precision_reduction = False
        assert matmul.allow_bf16_reduced_precision_reduction in (False, (False, True))
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before


def test_a_kernel_can_be_chosen_in_an_order() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    inspect.signature(sdpa_kernel).bind([SDPBackend.EFFICIENT_ATTENTION], set_priority=True)


# ---- attention in one call -----------------------------------------------------------------------


def test_attention_in_one_call_has_the_arguments_that_are_used() -> None:
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    placed = ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    assert list(known)[:7] == placed
    assert all(known[name].kind is inspect.Parameter.KEYWORD_ONLY for name in varlen._NEEDED)
    assert known["window_size"].default == (-1, -1)
    others = {n for n, p in known.items() if n not in placed and p.default is p.empty}
    assert not others, "varlen_attn wants more than it is given"


def test_what_that_call_rests_on_takes_windows_and_splits() -> None:
    forward = torch.ops.aten._flash_attention_forward.default._schema
    names = [argument.name for argument in forward.arguments]
    assert names[:9] == [
        *("query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k"),
        *("dropout_p", "is_causal"),
    ]
    assert {"scale", "window_size_left", "window_size_right", "num_splits"} <= set(names)


@pytest.mark.parametrize(("heads", "keys", "size"), [(12, 12, 32), (14, 2, 64), (16, 8, 128)])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 65])
@pytest.mark.parametrize("shared", [True, False])
def test_attention_runs_through_torch_for_the_shapes_of_teachers(
    heads: int, keys: int, size: int, causal: bool, window: int | None, shared: bool
) -> None:
    """Torch's own function, down to its kernel, whose place a shape takes."""
    start, length = np.array([0, 6, 11, 16]), np.array([6, 5, 5, 9])
    at, before = np.array([0, 0, 0, 0]), np.array([0, 6, 6, 0])
    nothing = np.zeros(4, np.int64)
    layout = Layout(start, length, at if shared else nothing, before if shared else nothing, causal)
    query = torch.empty(30, heads, size, dtype=torch.bfloat16, device="meta")
    key = torch.empty(30, keys, size, dtype=torch.bfloat16, device="meta")
    reach = None if window is None else window - 1
    calls = Calls()
    with calls:
        out = varlen.attend_at_once([query, key, key], layout, reach, 0.1)
    assert (out.shape, out.dtype) == ((30, heads, size), torch.bfloat16)
    assert calls.names.count("torch_attn._varlen_attn.default") == 1


class Calls(TorchDispatchMode):
    """Keeps the names of the operations that torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))
