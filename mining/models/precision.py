"""Which precision models run in: named outright, or `auto`, the faster one on this machine."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices import AUTO, engine
from ..errors import BadInput
from ..names import unless_neutral

if TYPE_CHECKING:
    from ..store.execution import Progress

COMPUTE = ("float32", "bfloat16", "float16")
CHOICES = (AUTO, *COMPUTE)  # auto: the faster of float32 and bfloat16 on the device
THREADS = 1  # that share an operation of a forward pass, see `devices.on_every_core`
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # larger brought nothing on a processor
SLOWDOWN = 6  # of bfloat16 on a processor with AVX2 alone, beside float32: docs/inference.md


def device() -> Any:
    """Return the device that models of this process run on: that of its `engine`."""
    import torch

    return torch.device(engine().place)


def on_gpu() -> bool:
    """Say whether models of this process run on a GPU; what only names a result asks this, which
    needs no torch on a machine without one."""
    return engine().place != "cpu"


def batch_tokens() -> int:
    """Return the tokens of a forward pass: those asked for, else what suits the device."""
    return engine().batch_tokens or BATCH_TOKENS["cuda" if on_gpu() else "cpu"]


def check_compute(compute: str) -> str:
    """Return `compute` if models can run in it on the device of this process; raises BadInput."""
    if compute not in COMPUTE:
        raise BadInput(f"compute={compute} is not known", do=f"one of {', '.join(COMPUTE)}")
    if compute == "float16" and not on_gpu() and not half_on_processor():
        raise BadInput(
            "this processor does not multiply in float16",
            where=f"compute={compute}",
            do="use compute=bfloat16 or float32, or a machine with a GPU",
        )
    return compute


def half_on_processor() -> bool:
    """Say whether torch runs float16 on this processor by more than conversions."""
    import torch

    known = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None)
    return bool(known and known())


def has_tiles() -> bool:
    """Say whether this processor multiplies bfloat16 in tiles (AMX)."""
    return _can("amx_bf16")


def multiplies_bfloat16() -> bool:
    """Say whether this processor multiplies bfloat16, in tiles or as dot products (AVX-512)."""
    return _named("avx512_bf16") or has_tiles() or _can("avx512_bf16")


def _can(instructions: str) -> bool:
    if _named(instructions):
        return True
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):  # an older version
        return False
    return bool(torch.cpu.get_capabilities().get(instructions))


def _named(instructions: str) -> bool:
    """Whether the kernel names instructions, in a process without torch: that asks the processor,
    would say the same, and takes more than a second to load. What an old kernel does not name,
    the processor may have all the same."""
    return "torch" not in sys.modules and instructions in _of_kernel()


@cache
def _of_kernel() -> frozenset[str]:
    """Return the instruction sets that the kernel names for every processor; none elsewhere."""
    path = Path("/proc/cpuinfo")
    said = path.read_text(errors="replace").splitlines() if path.exists() else []
    flags = [set(line.partition(":")[2].split()) for line in said if line.startswith("flags")]
    return frozenset(set.intersection(*flags)) if flags else frozenset()


def bfloat16_is_faster() -> bool:
    """Say whether models run faster in bfloat16 than in float32 on the device of this process.

    Told by what the device can do, never by a clock, so that a machine always answers alike: GPUs
    and processors that multiply bfloat16. On others torch converts around each product
    (docs/inference.md has what was measured).
    """
    return on_gpu() or multiplies_bfloat16()


def settle_compute(compute: str, progress: Progress) -> str:
    """Return the precision that models run in, `auto` settled and told to `progress`.

    What is returned stands in fingerprints and labels, so results of machines that settle `auto`
    differently never pass for each other. A precision named outright is obeyed; one that is slower
    than float32 here is told. Raises BadInput for what the device cannot do.
    """
    if compute == AUTO:
        compute = "bfloat16" if bfloat16_is_faster() else "float32"
        progress.announce(f"compute=auto: {compute} is the faster one on this machine")
    elif compute == "bfloat16" and not bfloat16_is_faster():
        progress.announce(
            "compute=bfloat16 is slower than float32 on this processor, which has neither AMX nor "
            f"AVX-512 BF16 ({SLOWDOWN} times on AVX2); compute=auto takes the faster one"
        )
    return check_compute(compute)


def declared(compute: str) -> dict[str, Any]:
    """Return what decides the bits of a forward pass besides model and text, as JSON values.

    The tokens of a batch are the rows of its products, so another number may be another last bit.
    Which attention is asked for decides on a GPU alone: a processor knows one.
    """
    chosen = engine()
    attention = chosen.attention if on_gpu() else AUTO
    said: dict[str, Any] = {"compute": compute, "threads": THREADS}
    return said | unless_neutral(
        batch_tokens=(chosen.batch_tokens, None), attention=(attention, AUTO)
    )
