"""What forward passes do with the device: which it is, one batch per core, what its errors mean.

`using` says for a block which device models run on and how; workers in other processes are told by
the executor. An error of memory is answered once, with a smaller batch in the same process. Any
other error of an accelerator leaves its context damaged: the process must end, and the shard goes
elsewhere (docs/faults.md §2).
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BadInput, UsageError

if TYPE_CHECKING:
    import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")

AUTO = "auto"
ATTENTIONS = (AUTO, "sdpa")
HALVED = "batches_halved"  # of a ledger: how often a device had no memory for a batch
_DEVICE = re.compile(r"auto|cpu|cuda(:(?P<number>\d{1,4}))?", re.ASCII)
DAMAGED = 70  # exit status of an actor whose device context is of no more use
_DAMAGE = ("CUDA error", "cuDNN error", "CUBLAS_STATUS_", "HIP error", "device-side assert")


@dataclass(frozen=True, slots=True)
class Engine:
    """Where and how models run.

    `device`: auto (the first GPU, else the processor), cpu, cuda or cuda:N. `batch_tokens`: of a
    forward pass (None: what suits the device). `attention`: sdpa (a call for the texts of one
    length), or auto: on GPUs in 16 bits one call for all texts, elsewhere sdpa. Results are not
    named by the device; by the others they are, where those can change bits (`precision.declared`).
    """

    device: str = AUTO
    batch_tokens: int | None = None
    attention: str = AUTO

    @property
    def number(self) -> int | None:
        """The number of the GPU that is named; None where none is."""
        match = _DEVICE.fullmatch(self.device)
        return None if match is None or match["number"] is None else int(match["number"])

    @property
    def place(self) -> str:
        """The device, `auto` settled, as torch writes it."""
        if self.device != AUTO:
            return self.device
        if "torch" not in sys.modules and not _gpu_nodes():
            return "cpu"  # as torch would say, which takes more than a second to load
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def _gpu_nodes() -> bool:
    """Whether the system has a file of a GPU driver: Nvidia's, its twin below Windows, AMD's."""
    return any(Path("/dev", name).exists() for name in ("nvidiactl", "nvidia0", "dxg", "kfd"))


_engine: ContextVar[Engine] = ContextVar("engine", default=Engine())  # noqa: B039 (it is frozen)


def engine() -> Engine:
    """Return where and how models of this process run."""
    return _engine.get()


@contextlib.contextmanager
def using(chosen: Engine) -> Iterator[None]:
    """Let models run so inside the block; it is not checked, see `check_engine`."""
    before = _engine.set(chosen)
    try:
        yield
    finally:
        _engine.reset(before)


def check_engine(chosen: Engine, workers: int = 0) -> None:
    """Refuse, before any work, a device that is not there.

    `workers`: actors that share the GPUs. Raises UsageError for what is no device, BadInput for
    one that this machine has not got.
    """
    if _DEVICE.fullmatch(chosen.device) is None:
        raise UsageError(
            f"device={chosen.device} is not known", do="write auto, cpu, cuda, or cuda:1 for one"
        )
    if chosen.number is not None and workers:
        raise UsageError(
            f"device={chosen.device} with {workers} workers, each of which is lent a GPU",
            do="write device=cuda, and CUDA_VISIBLE_DEVICES=… for some of the GPUs; or workers=0",
        )
    if chosen.device.startswith("cuda"):
        _check_gpu(chosen)


def _check_gpu(chosen: Engine) -> None:
    import torch

    names = []
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    there = ", ".join(f"cuda:{number} ({name})" for number, name in enumerate(names))
    if (chosen.number or 0) < len(names):
        return
    built = torch.version.cuda or torch.version.hip
    none = "torch sees no GPU" if built else "this torch was built for processors alone"
    raise BadInput(
        f"there is no device {chosen.device}: {f'there are {there}' if names else none}",
        do="name one of those, or device=auto, which takes the first"
        if names
        else "write device=cpu or auto; `rankmill doctor` shows what is there",
    )


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


def from_device(tensor: Any) -> Callable[[], np.ndarray]:
    """Return the function that waits for a tensor's values and gives them as an array.

    From a GPU they are copied to pinned memory as soon as they are computed, in the order of its
    work, so what is asked of the GPU meanwhile need not be done first.
    """
    if tensor.device.type != "cuda":
        values: np.ndarray = tensor.numpy()
        return lambda: values
    import torch

    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(tensor.device))

    def wait() -> np.ndarray:
        done.synchronize()
        copied: np.ndarray = host.numpy()
        return copied

    return wait


def later(items: Iterable[Item], by: int) -> Iterator[Item]:
    """Yield the items in order, each when `by` more were asked for: work that a device does on its
    own goes on while what came out earlier is read."""
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > by:
            yield waiting.popleft()
    yield from waiting


def tell_halved(usage: Mapping[str, float], announce: Callable[[str], None]) -> None:
    """Say of a shard whose device had no memory for a batch that batches are smaller from then
    on."""
    if usage.get(HALVED):
        announce(
            "the device had no memory for a batch: they are half as large from now on, which may "
            "change last bits (docs/inference.md); --batch-tokens N fixes their size"
        )


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
