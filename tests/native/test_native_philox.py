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


def test_a_query_draws_the_same_in_a_kernel_and_in_python():
    out = np.empty(50, np.int64)
    for query in ("q", "", "ü", "q\x001"):
        state = state_of(key_of(3, "select", query))
        philox.permutation(state, 50, out)
        assert out.tolist() == generator(3, "select", query).permutation(50).tolist()
