"""Memory that torch held on accelerators between two moments, and which devices were used.

Only a process that has set up CUDA is asked; nothing here imports torch.
"""

from __future__ import annotations

import sys
from typing import Any

_before: dict[int, int] = {}  # bytes allocated on each device when it was last asked
_seen: dict[int, int] = {}  # peaks that others have read, and started anew, since then


def take() -> tuple[int, list[int]]:
    """Return the peak of the fullest device since the last call, and the devices that were used:
    those on which something was allocated meanwhile."""
    cuda = _cuda()
    if cuda is None:
        return 0, []
    largest, used = 0, []
    for device in range(cuda.device_count()):
        peak = max(cuda.max_memory_allocated(device), _seen.pop(device, 0))
        if peak > _before.get(device, 0):
            used.append(device)
        largest = max(largest, peak)
        cuda.reset_peak_memory_stats(device)
        _before[device] = cuda.memory_allocated(device)
    return largest, used


def take_peak(device: Any) -> int:
    """Return the peak of one device since it was last read, for a log step by step, and
    start it anew; `take` still learns of it."""
    import torch

    peak = int(torch.cuda.max_memory_allocated(device))
    number = torch.cuda.current_device() if device.index is None else int(device.index)
    _seen[number] = max(_seen.get(number, 0), peak)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def _cuda() -> Any:
    """Return torch.cuda where this process uses it."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    ready = getattr(cuda, "is_initialized", None)
    return cuda if ready is not None and ready() else None
