"""The order is a bijection per epoch, the same for every world size, and pinned by values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankmill.mining.errors import UsageError
from rankmill.training.order import Order, share


def test_golden_order():
    # Changing these numbers changes every trained student.
    two_epochs = "3 1 5 6 8 0 2 9 4 7 2 7 6 0 1 3 5 9 4 8"
    assert " ".join(map(str, Order(10, seed=42).take(0, 20))) == two_epochs
    assert Order(10**12, seed=7).take(5, 8).tolist() == [287773236422, 110453458452, 514743085757]


@given(groups=st.integers(1, 700), seed=st.integers(0, 2**40), epoch=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_each_epoch_sees_each_group_once(groups, seed, epoch):
    seen = Order(groups, seed).take(epoch * groups, (epoch + 1) * groups)
    assert sorted(seen.tolist()) == list(range(groups))


@given(
    groups=st.integers(1, 300),
    batch=st.integers(1, 40),
    world=st.integers(1, 16),
    start=st.integers(0, 900),
    steps=st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_ranks_together_read_the_single_process_order(groups, batch, world, start, steps):
    order = Order(groups, seed=3)
    together = []
    for step in range(steps):
        bounds = start + step * batch, start + (step + 1) * batch
        for rank in range(world):
            together.extend(order.take(*share(*bounds, rank, world)).tolist())
    assert together == order.take(start, start + steps * batch).tolist()


def test_resume_at_every_index():
    order = Order(37, seed=5)
    whole = order.take(0, 111).tolist()
    for start in range(111):
        assert order.take(start, 111).tolist() == whole[start:]
        assert order.at(start) == whole[start]


def test_epochs_and_seeds_differ_and_mix():
    order = Order(5000, seed=1)
    first, second = order.take(0, 5000), order.take(5000, 10000)
    other = Order(5000, seed=2).take(0, 5000)
    assert (first != second).mean() > 0.99
    assert (first != other).mean() > 0.99
    assert abs(np.corrcoef(np.arange(5000), first)[0, 1]) < 5 / np.sqrt(5000)
    steps = np.abs(np.diff(first))
    assert steps.mean() == pytest.approx(5000 / 3, rel=5 * 0.75 / np.sqrt(5000))  # of uniform draws


def test_every_pair_of_neighbours_is_about_equally_likely():
    counts = np.zeros((8, 8))
    for seed in range(2000):
        a, b = Order(8, seed).take(0, 2)
        counts[a, b] += 1
    expected = 2000 / 56
    off = counts[~np.eye(8, dtype=bool)]
    assert ((off - expected) ** 2 / expected).sum() < 110  # chi-square, 55 degrees, p ≈ 1e-5


def test_sequential_order():
    assert Order(4, shuffle=False).take(2, 10).tolist() == [2, 3, 0, 1, 2, 3, 0, 1]


def test_refusals():
    with pytest.raises(UsageError, match="an order over 0 groups"):
        Order(0)
    with pytest.raises(UsageError, match="positions 3 to 2"):
        Order(5).take(3, 2)
    with pytest.raises(UsageError, match="rank 2 of 2 processes"):
        share(0, 4, 2, 2)
