"""Means over fixed sets of queries, and verdicts on claims, against slow versions and by
simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rankmill.mining.errors import BadInput
from rankmill.training.equivalence import paired_tost
from rankmill.training.random_effects import Uncertainty
from rankmill.training.significance import t_interval
from rankmill.training.strata import (
    Effect,
    judged,
    over_seeds,
    over_sets,
    reversed_equivalence,
)


def draws(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def effect(mean: float, error: float, freedom: int = 10_000) -> Effect:
    return Effect(mean, Uncertainty(error, ((error**2, freedom),)), "queries", freedom + 1, 1)


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_set_is_the_interval_that_is_there_already(seeds):
    table = draws(1).normal(0.02, 0.1, (seeds, 60))
    mine, there = over_sets([table]).interval(0.95), t_interval(table)
    assert (mine.low, mine.high) == pytest.approx((there.low, there.high))
    assert over_sets([table]).known.p_value(0.02) <= 1


def test_two_sets_by_hand():
    """Half-width² = Σ t²v over the queries of both sets and the seeds' means."""
    random = draws(2)
    tables = [random.normal(0.02, 0.1, (3, 50)), random.normal(0.04, 0.3, (3, 20))]
    squared = 0.0
    for table in tables:
        n = table.shape[1]
        v = table.mean(axis=0).var(ddof=1) / n / 4
        squared += stats.t.ppf(0.975, n - 1) ** 2 * v
    by_seed = np.mean([table.mean(axis=1) for table in tables], axis=0)
    squared += stats.t.ppf(0.975, 2) ** 2 * by_seed.var(ddof=1) / 3
    made = over_sets(tables)
    mean = (tables[0].mean() + tables[1].mean()) / 2
    found = made.interval(0.95)
    assert made.mean == pytest.approx(mean)
    assert found.high - found.mean == pytest.approx(np.sqrt(squared))
    assert (made.queries, made.seeds, found.over) == (70, 3, "queries and 3 seeds")


def test_an_interval_over_sets_covers():
    random, inside, count = draws(3), 0, 400
    for _ in range(count):
        seed = random.normal(0, 0.01, (3, 1))  # the same students on both sets
        tables = [
            0.02 + seed + random.normal(0, 0.1, n) + random.normal(0, 0.05, (3, n))
            for n in (80, 30)
        ]
        found = over_sets(tables).interval(0.95)
        inside += found.low <= 0.02 <= found.high
    assert inside / count >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / count)


def test_values_of_seeds_are_students_t():
    values = np.asarray([0.1, 0.14, 0.09])
    found = over_seeds(values).interval(0.95)
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.over == "3 seeds"
    with pytest.raises(BadInput, match="over seeds"):
        over_seeds(values[:1])
    with pytest.raises(BadInput, match="2 sets with 1, 2 seeds"):
        over_sets([np.zeros((1, 5)), np.zeros((2, 5))])


@pytest.mark.parametrize(
    ("expect", "mean", "error", "verdict"),
    [
        ("equivalent", 0.001, 0.002, "holds"),
        ("equivalent", 0.05, 0.005, "fails"),
        ("equivalent", 0.018, 0.002, "undecided"),  # told from 0, but not by more than the margin
        ("equivalent", 0.0, 0.02, "undecided"),  # too wide to say anything
        ("more", 0.02, 0.005, "holds"),
        ("more", 0.001, 0.002, "fails"),  # a gain of the margin is excluded
        ("more", -0.05, 0.005, "fails"),
        ("more", 0.015, 0.01, "undecided"),
        ("less", -0.02, 0.005, "holds"),
        ("less", 0.001, 0.002, "fails"),
        ("less", -0.015, 0.01, "undecided"),
        ("not_less", 0.0, 0.005, "holds"),
        ("not_less", 0.05, 0.01, "holds"),
        ("not_less", -0.05, 0.005, "fails"),
        ("not_less", -0.02, 0.01, "undecided"),
    ],
)
def test_verdicts_of_known_effects(expect, mean, error, verdict):
    """The margin is 0.02."""
    assert judged(effect(mean, error), expect, 0.02, 0.05).verdict(0.05) == verdict


def test_equivalence_is_the_paired_test_that_is_there_already():
    d = draws(4).normal(0.002, 0.07, 300)
    there = paired_tost(d, 0.02)
    mine = judged(over_sets([d]), "equivalent", 0.02, 0.05)
    assert mine.p_holds == pytest.approx(there.p)
    assert mine.power == pytest.approx(there.power, abs=0.02)


def test_power_is_the_share_of_studies_that_decide():
    random, count = draws(5), 1500
    for expect, truth in (("equivalent", 0.0), ("more", 0.02), ("less", -0.02), ("not_less", 0.0)):
        decided, power = 0, 0.0
        for _ in range(count):
            one = judged(over_sets([random.normal(truth, 0.1, 200)]), expect, 0.02, 0.05)
            decided += one.p_holds < 0.05
            power += one.power / count
        assert decided / count == pytest.approx(power, abs=0.05)


def test_the_reference_calls_equivalent_what_is_not_told_apart():
    """docs/quantities.md: both p values above .10, whatever the margin: little data suffices."""
    random = draws(6)
    a = random.normal(0.5, 0.25, 43)
    assert reversed_equivalence(a + 0.02, random.permutation(a))  # a difference of the margin
    assert not reversed_equivalence(a + 0.3, random.permutation(a))
    few = over_sets([(a + 0.02 - random.permutation(a))[None]])
    assert judged(few, "equivalent", 0.01, 0.05).verdict(0.05) == "undecided"
