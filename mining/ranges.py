"""Ranges of rows, one per thread: kernels that release the interpreter share out their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np


def in_threads(work: Callable[[int, int], None], offsets: Sequence[int] | np.ndarray) -> None:
    """Call work(start, stop) on one range of rows per thread; the ranges have equal numbers of
    items.

    Rows do not depend on each other, so the result does not depend on the number of threads. An
    actor limits it by NUMBA_NUM_THREADS.
    """
    bounds = np.asarray(offsets)
    threads = min(int(numba.config.NUMBA_NUM_THREADS), 1 + int(bounds[-1] - bounds[0]) // 50_000)
    if threads < 2:
        work(0, len(bounds) - 1)
        return
    targets = np.linspace(bounds[0], bounds[-1], threads + 1)
    cuts = np.searchsorted(bounds, targets)
    cuts[0], cuts[-1] = 0, len(bounds) - 1
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, cuts[:-1].tolist(), cuts[1:].tolist()))
