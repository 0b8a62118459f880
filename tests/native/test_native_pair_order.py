"""Pairs counted in O(n log n) against the pairs written out; τ-b against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import pair_order as oracle
from scipy.stats import kendalltau

from rankmill.native import pair_order

few = st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1.0, 3.0])
lists = st.lists(st.tuples(few, few), max_size=30)


def counts(rows):
    """Run the kernel over rows of (x, y) pairs, in two ranges."""
    x = np.array([a for row in rows for a, _ in row], np.float64)
    y = np.array([b for row in rows for _, b in row], np.float64)
    offsets = np.cumsum([0] + [len(row) for row in rows]).astype(np.int64)
    for array in (x, y, offsets):
        array.flags.writeable = False
    out = np.full((len(rows), 5), -1, np.int64)
    half = len(rows) // 2
    for start, stop in ((0, half), (half, len(rows))):
        pair_order.count_pairs(x, y, offsets, start, stop, out)
    return out


@settings(deadline=None, max_examples=200)
@given(st.lists(lists, max_size=4))
def test_counts_are_those_of_all_pairs_written_out(rows):
    wanted = [oracle.pair_counts([a for a, _ in row], [b for _, b in row]) for row in rows]
    assert [tuple(row) for row in counts(rows).tolist()] == wanted


def test_a_long_list_with_ties():
    random = np.random.Generator(np.random.Philox(4))
    x, y = random.integers(0, 40, 700), random.integers(0, 4, 700)
    row = list(zip(x.tolist(), y.tolist(), strict=True))
    assert tuple(counts([row])[0].tolist()) == oracle.pair_counts(x.tolist(), y.tolist())


@pytest.mark.parametrize("row", [[], [(1.0, 2.0)], [(1.0, 1.0)] * 4])
def test_rows_without_an_order(row):
    tied = len(row) * (len(row) - 1) // 2
    assert counts([row]).tolist() == [[0, 0, 0, 0, tied]]
    assert np.isnan(pair_order.kendall_tau_b(counts([row]))).all()


def test_tau_b_is_scipys():
    random = np.random.Generator(np.random.Philox(5))
    for distinct in (3, 10, 1000):
        x, y = random.integers(0, distinct, (2, 60)).astype(float).tolist()
        found = pair_order.kendall_tau_b(counts([list(zip(x, y, strict=True))]))
        # Two square roots and a quotient of exact integers: a few roundings of 1.1e-16.
        assert found[0] == pytest.approx(kendalltau(x, y).statistic, abs=1e-15)
        assert found[0] == pytest.approx(oracle.kendall_tau_b(x, y), abs=1e-15)
