"""How many threads a training step runs on: declared, since a sum that is shared out otherwise
rounds otherwise.

Encoding and scoring can give each batch one thread. A step of training cannot: it is one sum over
one batch. So its number of threads is part of the request, is set whatever the environment says,
and another number is another student. A GPU's results do not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..mining.errors import UsageError
from ..mining.models.precision import on_gpu
from ..mining.processors import processors
from .processes import Processes
from .settings import Settings


def settled(settings: Settings, processes: Processes) -> Settings:
    """Return the settings with the number of threads filled in: none on a GPU.

    By default each process takes its share of the processors that it may use; process 0 decides.
    """
    if on_gpu():
        return replace(settings, threads=None)
    return replace(settings, threads=processes.agree(settings.threads or _share(processes)))


@contextmanager
def exactly(threads: int | None) -> Iterator[None]:
    """Let torch run on so many threads inside the block, however many processors there are.

    None leaves it alone. torch also tells MKL not to take fewer. Raises UsageError where OpenMP was
    told to take fewer when it thinks fit.
    """
    if threads is None:
        yield
        return
    import torch

    _refuse_fewer(threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse_fewer(threads: int) -> None:
    limit, dynamic = (
        os.environ.get(name, "").strip() for name in ("OMP_THREAD_LIMIT", "OMP_DYNAMIC")
    )
    if dynamic.lower() in ("true", "1"):
        said = f"OMP_DYNAMIC={dynamic} lets OpenMP take fewer"
    elif limit.isdigit() and int(limit) < threads:
        said = f"OMP_THREAD_LIMIT={limit} allows fewer"
    else:
        return
    raise UsageError(
        f"threads={threads}, but {said}: the student would silently be another",
        do="unset that variable, or ask for fewer threads",
    )


def _share(processes: Processes) -> int:
    """Return how many processors there are for each of the processes on this machine."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if processes.world > 1 else 1
    return max(1, processors() // here)
