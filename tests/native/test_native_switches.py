"""Kernels that change their way with size or range: both sides of each switch against an oracle.

The switch of the pair sums has a file of its own, `test_native_long_lists.py`.
"""

from __future__ import annotations

import numba
import numpy as np
import pytest
from oracles import entropy as oracle_entropy
from oracles.bm25 import bm25
from test_native_bm25 import search
from test_native_entropy import LISTS, run

from rankmill.native import bm25 as bm25_kernels
from rankmill.native import bm25_order, geometry, softmax

# Vector code sums a block in 32 lanes of eight; Python one after the other, with 255 roundings.
LIST_DIGITS = 255 * 2.0**-24 if numba.config.DISABLE_JIT else 1e-6


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


@pytest.mark.parametrize("postings", [bm25_kernels._SPARSE + more for more in (-1, 0, 1)])
def test_strips_with_few_and_with_many_postings(postings):
    """Below _SPARSE postings the touched documents are listed, from there on the strip scanned."""
    rng = generator(postings)
    docs = [["y"] * int(rng.integers(1, 4)) for _ in range(postings + 200)]
    for place in rng.permutation(len(docs))[: postings - 7]:
        docs[place] += ["x"] * int(rng.integers(1, 4))
    for place in rng.permutation(len(docs))[:7]:
        docs[place] += ["z"]  # x and z together: one document may be touched twice
    for got, want in zip(search(docs, [["x", "z"]], 30), bm25(docs, [["x", "z"]], 30), strict=True):
        assert got[0] == [d for d, _ in want]
        np.testing.assert_allclose(got[1], [s for _, s in want], rtol=1e-5)


@pytest.mark.parametrize("rest", [0.5, 0.99, 1.01, 2.0, 1e3])
@pytest.mark.parametrize("count", [2, 33, 256, 257])
def test_list_entropy_in_both_precisions(count, rest):
    """Σ e^x of all but the highest, around where float32 gives way to float64."""
    gap = -np.log(softmax._LEAST * rest / (count - 1))
    row = np.zeros(count, np.float32)
    row[count // 2] = gap
    for shift in (0.0, 1000.0):
        exact = (row + np.float32(shift)).astype(np.float64)
        out, _ = run(LISTS, [exact.tolist()], 1.0)
        wanted = oracle_entropy.list_entropy(exact.tolist())
        assert out["nats"][0] == pytest.approx(wanted, rel=LIST_DIGITS, abs=1e-300)


@pytest.mark.parametrize("top", [0.5, 0.999, 1.001, 4.0])
@pytest.mark.parametrize("below", [softmax._REACH - 1.0, softmax._REACH + 1.0])
def test_list_entropy_far_from_zero(top, below):
    """Scores around the largest exponent of the float32 path, and around its reach below."""
    scores = np.full(40, top * softmax._LARGEST / softmax._LOG2_E, np.float32)
    scores[1::2] -= np.float32(1.0)
    scores[-1] -= np.float32(below)
    exact = scores.astype(np.float64).tolist()
    out, _ = run(LISTS, [exact], 1.0)
    assert out["nats"][0] == pytest.approx(oracle_entropy.list_entropy(exact), rel=1e-6)
    wanted = oracle_entropy.effective_size(exact)
    assert out["effective_size"][0] == pytest.approx(wanted, rel=1e-6)
