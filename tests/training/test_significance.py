"""Paired tests, intervals and families against SciPy, hand computations and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import share_bound
from scipy import stats

from rankmill.mining.errors import BadInput
from rankmill.training.significance import (
    holm,
    macro_interval,
    paired_randomisation,
    paired_t,
    t_interval,
)


def sample(n, mean=0.0, sd=0.07, key=0):
    return np.random.Generator(np.random.PCG64(key)).normal(mean, sd, n)


@pytest.mark.parametrize("n", [2, 5, 43, 300])
def test_paired_t_is_scipys(n):
    d = sample(n, 0.02)
    assert paired_t(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-10)
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.9)
    assert t_interval(d, 0.9).low == pytest.approx(low)
    assert t_interval(d, 0.9).high == pytest.approx(high)


def test_exact_randomisation_is_scipys():
    for key in range(5):
        d = sample(9, 0.03, key=key)
        exact = stats.permutation_test(
            (d, np.zeros(9)), lambda x, y: np.mean(x - y), permutation_type="samples"
        )
        assert paired_randomisation(d) == pytest.approx(exact.pvalue, abs=1e-12)


def test_drawn_randomisation_is_near_the_exact_one_and_keyed():
    d = sample(14, 0.03, key=1)
    exact = stats.permutation_test(
        (d, np.zeros(14)),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        n_resamples=2**14,
    )
    drawn = paired_randomisation(d, draws=20_000, seed=3)
    assert abs(drawn - exact.pvalue) <= share_bound(exact.pvalue, 20_000)
    assert drawn == paired_randomisation(d, draws=20_000, seed=3)
    assert drawn != paired_randomisation(d, draws=20_000, seed=4)
    assert paired_randomisation(np.zeros(50)) == 1.0


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 0.7])
@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_values_have_an_interval_that_holds_them(value, seeds):
    table = np.full((seeds, 7), value)
    for found in (t_interval(table), macro_interval([table] * 3)):
        assert found.low <= found.mean <= found.high
        assert found.high - found.low < 1e-12


def test_seeds_widen_the_interval():
    d = sample(500)
    shifts = np.array([-0.05, 0.0, 0.05])
    alone = t_interval(d)
    with_seeds = t_interval(d + shifts[:, None])
    assert with_seeds.high - with_seeds.low > 5 * (alone.high - alone.low)


def test_an_interval_says_what_it_is_about():
    d = np.stack([sample(50, key=key) for key in range(3)])
    assert t_interval(d[0]).scope == "over queries only; one seed"
    assert t_interval(d).scope == "over queries and 3 seeds"
    assert macro_interval([d, d + 0.1, d + 0.3]).scope == "over 3 data sets and 3 seeds"
    assert macro_interval([d[0], d[1], d[2]]).scope == "over 3 data sets"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_keeps_the_order_and_never_lowers(p):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert adjusted[int(np.argmin(p))] == pytest.approx(min(1.0, min(p) * len(p)))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_the_macro_interval_holds_more_than_the_data_sets_at_hand():
    tables = [sample(80, mean, key=key) for key, mean in enumerate((0.2, 0.3, 0.7))]
    found = macro_interval(tables)
    means = [t.mean() for t in tables]
    assert found.mean == pytest.approx(np.mean(means))
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_seeds_are_the_same_students_on_every_data_set():
    shift = np.array([[-0.1], [0.0], [0.1]])  # one student is better everywhere
    tables = [sample(80, mean, key=key) + shift for key, mean in enumerate((0.2, 0.3, 0.4))]
    means = np.array([[row.mean() for row in table] for table in tables]).T  # [seeds, data sets]
    found, by_table = macro_interval(tables), t_interval(means)
    assert (found.low, found.high) == pytest.approx((by_table.low, by_table.high))


def test_few_data_sets_have_no_interval_but_a_reason():
    for sets in (1, 2):
        found = macro_interval([sample(80, 0.3, key=key) for key in range(sets)])
        assert (found.low, found.high) == (None, None)
        assert found.reason == f"too few data sets: {sets}, at least 3 needed"
        assert abs(found.mean - 0.3) < 6 * 0.07 / np.sqrt(80)  # six standard errors


def test_equal_differences_have_no_spread():
    assert paired_t(np.zeros(5)) == 1.0
    assert paired_t(np.full(5, 0.1)) == 0.0


def test_refusals():
    with pytest.raises(BadInput, match="one value per query, two at least"):
        paired_t(np.array([0.1]))
    with pytest.raises(BadInput, match="the difference of query 1 is not finite"):
        paired_t(np.array([0.1, np.nan]))
    with pytest.raises(BadInput, match=r"data sets with 1, 2 seeds\n.*the same students"):
        macro_interval([np.zeros((1, 5)), np.zeros((2, 5))])
