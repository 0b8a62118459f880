"""Kernels that change their way with size or range: both sides of each switch against an oracle.

The switch of the pair sums has a file of its own, `test_native_long_lists.py`; those of the strips
of BM25 and of the list entropy are tested with their kernels.
"""

from __future__ import annotations

import numpy as np
import pytest

from rankmill.native import bm25_order, geometry


def generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(list(key)))


@pytest.mark.parametrize("values", ["distinct", "ties", "equal", "ascending", "descending"])
@pytest.mark.parametrize("keep", [1, geometry._FEW - 1, geometry._FEW, geometry._FEW + 1, 40, 78])
def test_the_largest_distances_by_insertion_and_by_heap(keep, values):
    given = {
        "distinct": generator(keep).random(78),
        "ties": generator(keep).integers(0, 6, 78),
        "equal": np.full(78, 0.5),
        "ascending": np.arange(78),
        "descending": np.arange(78)[::-1],
    }[values].astype(np.float32)
    squares = given.copy()
    geometry._keep_largest(squares, 78, keep)
    assert squares[78 - keep :].tolist() == np.sort(given)[78 - keep :].tolist()


@pytest.mark.parametrize("crowd", [1, bm25_order._CROWD, bm25_order._CROWD + 1, 300])
@pytest.mark.parametrize("bits", [1, 11, 12, 24, 32])
def test_candidates_sorted_by_one_digit_and_by_all(bits, crowd):
    """`crowd` keys share their highest digit: insertion up to _CROWD, then digit by digit."""
    rng = generator(bits, crowd)
    n = crowd + 40
    upper = rng.integers(0, 1 << bits, n, dtype=np.uint64)
    low = np.uint64(max(0, bits - 11))
    upper[:crowd] = (upper[:crowd] & np.uint64((1 << int(low)) - 1)) | (np.uint64(1) << low >> 1)
    key = upper << np.uint64(32) | np.arange(n, dtype=np.uint64)
    wanted = np.sort(key)
    bm25_order._sort(key, n, bits, np.empty(n, np.uint64), np.empty(1 << 11, np.int64))
    assert key.tolist() == wanted.tolist()


@pytest.mark.parametrize("n", [2, bm25_order._LONG_RUN, bm25_order._LONG_RUN + 1, 200])
def test_open_runs_ordered_by_insertion_and_by_heap(n):
    rng = generator(n)
    fine = rng.integers(0, 9, n + 3)
    doc = rng.permutation(n + 5).astype(np.uint32).reshape(1, -1)
    order = np.empty(n, np.int64)
    bm25_order._order_run(fine, 3, doc, 0, 5, n, order)
    wanted = sorted(range(n), key=lambda i: (-fine[3 + i], doc[0, 5 + i]))
    assert order.tolist() == wanted
