"""What forward passes do with the device: one batch per core, and what its errors mean.

An error of memory is answered once, with a smaller batch in the same process. Any other error of an
accelerator leaves its context damaged: the process must end, and the shard goes elsewhere
(docs/faults.md §2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")

DAMAGED = 70  # exit status of an actor whose device context is of no more use
_DAMAGE = ("CUDA error", "cuDNN error", "CUBLAS_STATUS_", "HIP error", "device-side assert")


def on_every_core(
    compute: Callable[[Item], Result], items: Sequence[Item], *, device: str
) -> Iterator[Result]:
    """Compute the items in order; on a processor one item per core, each by one thread alone.

    How many threads share an operation can change the order of its sums, and with it the last bits
    (a float32 product of width 32, say). So none is ever shared, not even where there is but one
    item: as many threads as the caller's torch has take items, and every item is computed by one.
    That is also faster than all threads in each item, whose barriers wait for the slowest core.
    """
    if device != "cpu" or not items:
        yield from map(compute, items)
        return
    import torch

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(min(threads, len(items)), initializer=_one_thread)
    try:
        yield from pool.map(compute, items)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # no join: see `ahead.Ahead`
        torch.set_num_threads(threads)  # what threads that begin later get


def _one_thread() -> None:
    """Let operations of torch that this thread calls use no other thread.

    OpenMP and MKL keep that number per thread: callers do not see it, and others beside them keep
    theirs. A fresh thread has OpenMP's own default until torch sets up its threads, at the first
    operation that asks for them (products do not); asking here makes sure that it comes before.
    """
    import torch

    torch.get_num_threads()
    torch.set_num_threads(1)


def to_device(array: np.ndarray, device: Any) -> Any:
    """Return an array as a tensor on the device; on its way to a GPU it passes pinned memory, so
    that the processor need not wait for the copy."""
    import torch

    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def out_of_memory(error: BaseException) -> bool:
    """Say whether a device had too little memory for a batch; the process may go on."""
    return type(error).__name__ == "OutOfMemoryError" and isinstance(error, RuntimeError)


def damaged(error: BaseException) -> bool:
    """Say whether an error leaves this process with a device that must not be used again.

    Told by name and text, so that a process without torch can ask.
    """
    if out_of_memory(error):
        return False
    named = type(error).__name__ == "AcceleratorError"
    return named or (isinstance(error, RuntimeError) and any(s in str(error) for s in _DAMAGE))
