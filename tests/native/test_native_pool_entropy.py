"""Long lists by cells of scores: against all pairs in float64, within the stated bound."""

from __future__ import annotations

import numpy as np
import pytest
from rounding import STATED_PAIRS

from rankmill.native import entropy, pool_entropy, scales

BOUND = 1e-12 / np.log(2.0)  # bits per pair


def every_pair(scores):
    """(entropy in bits, misorder) of all pairs of float64 scores, as means."""
    x = np.abs(scores[:, None] - scores[None, :])[np.triu_indices(len(scores), 1)]
    r = np.exp(-x)
    bits = (np.log1p(r) + x * r / (1.0 + r)) / np.log(2.0)
    return bits.mean(), (r / (1.0 + r)).mean()


def measured(scores, positives=0, inverse_t=1.0):
    values = np.asarray(scores, np.float32)
    marks = (np.arange(len(values)) < positives).astype(np.uint8)
    offsets = np.array([0, len(values)], np.int64)
    for array in (values, marks, offsets):
        array.flags.writeable = False
    out, status = np.empty((1, 5)), np.empty((1, 5), np.uint8)
    entropy.pair_columns(values, offsets, marks, scales.AS_STORED, inverse_t, 0, 1, out, status)
    return {str(name): out[0, i] for i, name in enumerate(entropy.PAIR_COLUMNS)}


def draw(spread, n, key=1):
    rng = np.random.Generator(np.random.Philox(key))
    return rng.normal(0, spread, n).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.5, 4.0, 30.0])
@pytest.mark.parametrize("n", [pool_entropy.LONG, 700])
def test_long_lists_equal_all_their_pairs(spread, n):
    scores = draw(spread, n)
    found, (bits, misorder) = measured(scores), every_pair(scores)
    assert found["all"] == pytest.approx(bits, rel=STATED_PAIRS, abs=BOUND)
    assert found["misorder"] == pytest.approx(misorder, rel=STATED_PAIRS, abs=BOUND)


def test_the_split_of_a_long_list():
    scores = draw(3.0, 900)
    found = measured(scores, positives=300, inverse_t=0.5)
    pairs = {"pos_pos": 300 * 299 / 2, "pos_neg": 300 * 600, "neg_neg": 600 * 599 / 2}
    assert found["pos_pos"] == pytest.approx(every_pair(scores[:300] / 2)[0], rel=STATED_PAIRS)
    assert found["neg_neg"] == pytest.approx(every_pair(scores[300:] / 2)[0], rel=STATED_PAIRS)
    total = sum(found[name] * number for name, number in pairs.items())
    assert total / sum(pairs.values()) == pytest.approx(found["all"], rel=1e-12)


def test_entropies_too_small_for_the_bound_are_summed_exactly():
    scores = np.arange(300) * 1.875  # exact in float32
    bits, _ = every_pair(scores)
    assert bits < 1e-2
    assert measured(scores)["all"] == pytest.approx(bits, rel=STATED_PAIRS)
    far = np.arange(300) * 40.0  # beyond the range of exp
    assert measured(far)["all"] == pytest.approx(every_pair(far)[0], rel=STATED_PAIRS, abs=0.0)
    near_zero = np.arange(256) * 2.25
    assert measured(near_zero)["all"] == pytest.approx(every_pair(near_zero)[0], rel=STATED_PAIRS)


def test_scores_on_cell_borders_and_copies():
    scores = np.repeat(np.arange(0, 40, pool_entropy.CELL), 8)
    assert measured(scores)["all"] == pytest.approx(every_pair(scores)[0], rel=1e-11)


def test_the_order_of_the_list_does_not_matter_beyond_rounding():
    scores = draw(4.0, 500)
    assert measured(scores[::-1])["all"] == pytest.approx(measured(scores)["all"], rel=1e-13)


def test_cells_hold_what_falls_into_them():
    scores = np.array([0.0, 0.6, 0.1, 1.4, 0.5, 1.5])
    ordered, starts = np.empty(6), np.empty(5, np.int64)
    pool_entropy.sort_into_cells(scores, 0, 6, 0.0, 4, ordered, starts)
    assert starts.tolist() == [0, 2, 4, 5, 6]
    assert ordered.tolist() == [0.0, 0.1, 0.6, 0.5, 1.4, 1.5]
    moments = np.empty((4, pool_entropy.MOMENTS))
    pool_entropy.moments_of(ordered, starts, 0.0, 4, moments)
    assert moments[:, 0].tolist() == [2, 2, 1, 1]
    assert moments[2, 1] == pytest.approx(2 * (1.4 - 1.0) / 0.5 - 1)
