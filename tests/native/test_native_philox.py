"""Draws in kernels are those of NumPy's generator, whatever the order in which kinds are mixed."""

from __future__ import annotations

import numpy as np
import pytest

from rankmill.mining.draws import generator, key_of
from rankmill.native import philox

pytestmark = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # with the JIT off


def state_of(key: int) -> np.ndarray:
    state = np.empty(philox.STATE, np.uint64)
    philox.seed(state, np.uint64(key))
    return state


@pytest.mark.parametrize("key", [0, 1, 2**63, 2**64 - 1, key_of(7, "select", "q1")])
def test_draws_are_those_of_numpy(key):
    state, numpy = state_of(key), np.random.Generator(np.random.Philox(key=key))
    out = np.empty(1_100, np.int64)
    for n in (0, 1, 2, 3, 16, 400, 401, 1_000, 1_024):
        philox.permutation(state, n, out)
        assert out[:n].tolist() == numpy.permutation(n).tolist()
        assert philox.uniform(state) == numpy.random()
    items = np.arange(100, 140)
    philox.shuffle(state, items, len(items))
    assert items.tolist() == numpy.permutation(np.arange(100, 140)).tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 1_000, 1_023, 1_024, 1_025, 65_537])
def test_counts_of_draws_are_those_of_numpy(n):
    """One call after the other: an odd n leaves half a number for the next."""
    key = key_of(n, "counts")
    state, numpy = state_of(key), np.random.Generator(np.random.Philox(key=key))
    out = np.full(n, 7, np.uint16)
    for _ in range(4):
        philox.count_draws(state, n, out)
        assert (out == np.bincount(numpy.integers(0, n, n), minlength=n)).all()
    assert philox.uniform(state) == numpy.random()


@pytest.mark.parametrize("bound", [2, 3, 2**31 - 1, 2**31, 2**31 + 1, 3 * 2**30, 2**32 - 1])
def test_what_falls_beyond_is_drawn_again_as_numpy_does(bound):
    """Just above 2³¹ every second number is drawn again."""
    state, numpy = state_of(5), np.random.Generator(np.random.Philox(key=5))
    left = np.uint64(2**32 % bound)
    found = [int(philox.below(state, np.uint64(bound), left)) for _ in range(500)]
    assert found == numpy.integers(0, bound, 500).tolist()


def test_a_query_draws_the_same_in_a_kernel_and_in_python():
    out = np.empty(50, np.int64)
    for query in ("q", "", "ü", "q\x001"):
        state = state_of(key_of(3, "select", query))
        philox.permutation(state, 50, out)
        assert out.tolist() == generator(3, "select", query).permutation(50).tolist()
