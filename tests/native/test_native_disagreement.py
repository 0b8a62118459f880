"""Kernels of two teachers' disagreement against the definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import disagreement as oracle

from rankmill.native import divergence, pair_order, scales

few = st.sampled_from([-3e38, -2.5, -0.0, 0.0, 1.0, 3.0, 3e38])
lists = st.lists(st.tuples(few, few, st.integers(0, 1)), max_size=24)


def read_only(values, dtype):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def laid_out(rows):
    offsets = read_only(np.cumsum([0] + [len(row) for row in rows]), np.int64)
    return offsets, [item for row in rows for item in row]


def inverted(rows):
    """Run the kernel over rows of (x, y, positive), in two ranges."""
    offsets, items = laid_out(rows)
    x, y = (read_only([item[i] for item in items], np.float64) for i in (0, 1))
    positive = read_only([item[2] for item in items], np.uint8)
    out = np.full((len(rows), 2), -1, np.int64)
    half = len(rows) // 2
    for start, stop in ((0, half), (half, len(rows))):
        pair_order.count_inverted(x, y, positive, offsets, start, stop, out)
    return out


def spread(rows, scale=scales.AS_STORED, standardised=False, T=1.0):
    """Run the kernel of the divergence over rows of (x, y), in two ranges."""
    offsets, items = laid_out(rows)
    x, y = (read_only([item[i] for item in items], np.float32) for i in (0, 1))
    out, status = np.full(len(rows), -1.0), np.full(len(rows), 99, np.uint8)
    half = len(rows) // 2
    fixed = (x, y, offsets, scale, scale, standardised, 1.0 / T)
    for start, stop in ((0, half), (half, len(rows))):
        divergence.jensen_shannon(*fixed, start, stop, out, status)
    return out, status


@settings(deadline=None, max_examples=200)
@given(st.lists(lists, max_size=4))
def test_inverted_pairs_are_those_written_out(rows):
    for row, (wrong, pairs) in zip(rows, inverted(rows).tolist(), strict=True):
        wanted = oracle.inverted_pairs(*zip(*row, strict=True)) if row else None
        assert (wrong / pairs if pairs else None) == wanted


def test_inverted_pairs_of_a_long_list():
    random = np.random.Generator(np.random.Philox(7))
    x, y = random.integers(0, 50, (2, 1000)).tolist()
    positive = (random.random(1000) < 0.3).astype(int).tolist()
    wrong, pairs = inverted([list(zip(x, y, positive, strict=True))])[0].tolist()
    assert pairs == sum(positive) * (1000 - sum(positive))
    assert wrong / pairs == oracle.inverted_pairs(x, y, positive)


# A score of the kernel carries the rounding of ln softmax: a few 2⁻⁵³ of the largest number in it,
# below 100 here, and the sum weighs them with probabilities: below 1e-13, as its docstring says.
@pytest.mark.parametrize("size", [2, 16, 1000])
@pytest.mark.parametrize("T", [0.25, 1.0, 20.0])
def test_divergence_is_the_definition(size, T):
    random = np.random.Generator(np.random.Philox(size))
    rows = [random.normal(0, 4, (size, 2)).astype(np.float32).tolist() for _ in range(8)]
    found, status = spread(rows, T=T)
    assert (status == scales.DEFINED).all()
    for row, value in zip(rows, found.tolist(), strict=True):
        x, y = zip(*row, strict=True)
        assert value == pytest.approx(oracle.jensen_shannon(x, y, T), abs=1e-13, rel=0)
    found, _ = spread(rows, standardised=True, T=T)
    for row, value in zip(rows, found.tolist(), strict=True):
        x, y = (oracle.standardised(scores) for scores in zip(*row, strict=True))
        # Standardising adds a relative rounding of size·2⁻⁵³ to numbers of √size/T at most.
        slack = 1e-13 + 2 * size * math.sqrt(size) / T * 2.0**-53
        assert value == pytest.approx(oracle.jensen_shannon(x, y, T), abs=slack, rel=0)


def test_divergence_at_its_ends():
    same, apart = [(0.3, 0.3), (-1.5, -1.5)], [(3e38, -3e38), (-3e38, 3e38)]
    flat = [(1.0, 5.0), (1.0, 5.0), (1.0, 5.0)]
    found, status = spread([same, apart, flat, [(1.0, 2.0)], []], T=1e-3)
    assert found[:2].tolist() == [0.0, math.log(2)]
    assert 0.0 <= found[2] < 1e-12  # of scores at 5000 T
    assert status.tolist() == [scales.DEFINED] * 3 + [scales.TOO_SHORT] * 2
    assert np.isnan(found[3:]).all()
    found, _ = spread([flat, [(1.0, 2.0), (1.0, 3.0)]], standardised=True)
    assert found[0] == 0.0  # equal scores count as 0 each: what is to become of them is said above


def test_divergence_of_standardised_scores_does_not_see_units():
    random = np.random.Generator(np.random.Philox(9))
    x = random.integers(-4, 4, (6, 2)).astype(np.float32)
    scaled = x * np.array([1024.0, 1 / 64], np.float32)  # powers of two: nothing is rounded
    pair = [x.tolist()], [scaled.tolist()]
    assert spread(pair[0], standardised=True)[0] == spread(pair[1], standardised=True)[0]
    assert abs(spread(pair[0])[0] - spread(pair[1])[0]) > 0.01


def test_a_saturated_probability_has_no_divergence():
    rows = [[(0.5, 1.0), (0.25, 0.5)], [(0.5, 0.75), (0.25, 0.5)]]
    _, status = spread(rows, scale=scales.PROB_TO_LOGIT)
    assert status.tolist() == [scales.SATURATED, scales.DEFINED]
