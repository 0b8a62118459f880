"""Bootstraps over queries: the draws, and the sums that every resample needs, by a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ....native import resampled as native
from ...processors import in_threads

_BLOCK_WEIGHTS = 1 << 24  # that are kept at a time: 32 MB


def weighted_sums(
    table: np.ndarray, draws: np.random.Generator, resamples: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (weight uint16 [some, n], Σ weight·row float64 [some, m]) until all resamples are done.

    table float64 [n, m]. A resample draws n of the n rows with replacement, one call of
    `draws.integers` each; a weight says how often a row was drawn.
    """
    n = len(table)
    block = max(1, min(resamples, _BLOCK_WEIGHTS // max(1, n)))
    for start in range(0, resamples, block):
        weight = np.empty((min(block, resamples - start), n), np.uint16)
        for number in range(len(weight)):
            weight[number] = np.bincount(draws.integers(0, n, n), minlength=n)
        sums = np.empty((len(weight), table.shape[1]))
        in_threads(partial(_summed, table, weight, sums), np.arange(len(weight) + 1) * n)
        yield weight, sums


def _summed(table: np.ndarray, weight: np.ndarray, sums: np.ndarray, first: int, last: int) -> None:
    native.weighted_sums(table, weight, first, last, sums)
