"""Gain per cost: the interval is the set of rates that the paired test keeps."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import ratio as oracle

from rankmill.mining.errors import BadInput
from rankmill.training.ratio import ratio_interval
from rankmill.training.significance import t_interval


def study(seed: int, seeds: int = 3, queries: int = 25, mean: float = 0.03, spread: float = 0.02):
    """Return the gains [seeds, queries] and the costs [seeds] of one experiment."""
    rng = np.random.Generator(np.random.Philox(seed))
    gain = mean + rng.normal(0, 0.07, (1, queries)) + rng.normal(0, 0.05, (seeds, queries))
    gain += rng.normal(0, 0.01, (seeds, 1))
    return gain, 4.0 * (1 + rng.normal(0, spread, seeds))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_it_is_every_rate_that_the_test_keeps(seed, seeds):
    gain, cost = study(seed, seeds, spread=0.02 * (seed % 3))
    found = ratio_interval(gain, cost)
    low, high = oracle.ends(gain, cost)
    assert found.mean == pytest.approx(gain.mean() / cost.mean())
    assert found.low == pytest.approx(low, rel=1e-6, abs=1e-9)
    assert found.high == pytest.approx(high, rel=1e-6, abs=1e-9)
    assert found.over == t_interval(gain).over


@pytest.mark.parametrize("seed", range(30))
def test_it_holds_0_exactly_where_the_interval_of_the_gain_does(seed):
    gain, cost = study(seed, mean=0.01 * (seed % 7), spread=0.05)
    of_gain, rate = t_interval(gain), ratio_interval(gain, cost)
    assert (rate.low <= 0 <= rate.high) == (of_gain.low <= 0 <= of_gain.high)


def test_with_one_seed_or_equal_costs_it_is_the_gain_divided_by_the_cost():
    for gain, cost in ((study(1, seeds=1)[0], [4.0]), (study(2)[0], [2.5] * 3)):
        of_gain, rate = t_interval(gain), ratio_interval(gain, np.array(cost))
        assert rate.low == pytest.approx(of_gain.low / cost[0])
        assert rate.high == pytest.approx(of_gain.high / cost[0])


def test_a_cost_that_is_not_told_from_0_leaves_no_interval():
    gain, cost = study(3, seeds=2)[0], np.array([1.0, 3.0])
    found = ratio_interval(gain, cost)
    assert found.low is None
    assert found.high is None
    assert found.reason == "the cost of 2 seeds spreads too much"
    assert oracle.ends(gain, cost) == (None, None)


def test_other_units_of_cost_change_nothing_but_the_unit():
    gain, cost = study(4)
    hours, seconds = ratio_interval(gain, cost), ratio_interval(gain, 3600 * cost)
    for end in ("mean", "low", "high"):
        assert getattr(hours, end) == pytest.approx(3600 * getattr(seconds, end))


def test_it_covers_at_its_level():
    true, held = 0.03 / 4.0, 0
    for seed in range(400):
        found = ratio_interval(*study(1000 + seed, spread=0.03))
        held += found.low <= true <= found.high
    assert held >= 0.93 * 400


@pytest.mark.parametrize(
    "cost", [[1.0, 2.0], [0.0, 0.0, 0.0], [1.0, float("nan"), 1.0], [-1.0] * 3]
)
def test_costs_that_are_none_are_refused(cost):
    with pytest.raises(BadInput, match="more than 0 in the mean"):
        ratio_interval(study(5)[0], np.array(cost))
