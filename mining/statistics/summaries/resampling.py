"""Bootstraps over queries: the draws, and the sums that every resample needs, by a kernel."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

import numpy as np

from ....native import philox
from ....native import resampled as native
from ...ahead import Ahead
from ...processors import in_threads

_BLOCK_WEIGHTS = 1 << 24  # that are kept at a time: 32 MB


def weighted_sums(
    table: np.ndarray, key: int, resamples: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (weight uint16 [some, n], Σ weight·row float64 [some, m]) until all resamples are done.

    table float64 [n, m]. A resample draws n of the n rows with replacement: `integers(0, n, n)` of
    NumPy's Philox generator of that key, one call after the other. A weight says how often a row
    was drawn. While sums are made of one block, the next is drawn.
    """
    n = len(table)

    def drawn() -> Generator[np.ndarray, None, None]:
        state = np.empty(philox.STATE, np.uint64)
        philox.seed(state, np.uint64(key))
        block = max(1, min(resamples, _BLOCK_WEIGHTS // max(1, n)))
        for start in range(0, resamples, block):
            weight = np.empty((min(block, resamples - start), n), np.uint16)
            for row in weight:
                philox.count_draws(state, n, row)
            yield weight

    for weight in Ahead(drawn, 1, "resamples"):
        sums = np.empty((len(weight), table.shape[1]))
        in_threads(partial(_summed, table, weight, sums), np.arange(len(weight) + 1) * n)
        yield weight, sums


def _summed(table: np.ndarray, weight: np.ndarray, sums: np.ndarray, first: int, last: int) -> None:
    native.weighted_sums(table, weight, first, last, sums)
