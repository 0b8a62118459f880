"""The tests against SciPy, the power table of paper-experiments.md, and what must be refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rankmill.mining.errors import BadInput, UsageError
from rankmill.training.significance import (
    bootstrap_interval,
    compare,
    holm,
    paired_randomisation,
    paired_t,
    paired_tost,
    spread_of_mean_difference,
    t_interval,
    tost_power,
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
    assert drawn == pytest.approx(exact.pvalue, abs=0.01)
    assert drawn == paired_randomisation(d, draws=20_000, seed=3)
    assert drawn != paired_randomisation(d, draws=20_000, seed=4)
    assert paired_randomisation(np.zeros(50)) == 1.0


def test_bootstrap_interval_covers_like_the_t_interval():
    d = sample(200, 0.02)
    ours, student = bootstrap_interval(d, seed=1), t_interval(d)
    assert ours.mean == pytest.approx(d.mean())
    assert ours.low == pytest.approx(student.low, abs=0.0015)
    assert ours.high == pytest.approx(student.high, abs=0.0015)


def test_seeds_widen_the_interval():
    d = sample(500)
    shifts = np.array([-0.05, 0.0, 0.05])
    alone = bootstrap_interval(d)
    with_seeds = bootstrap_interval(d + shifts[:, None])
    assert with_seeds.high - with_seeds.low > 5 * (alone.high - alone.low)
    from_queries, from_seeds = spread_of_mean_difference(d + shifts[:, None], np.zeros((3, 500)))
    assert from_queries == pytest.approx(d.var(ddof=1) / 500)
    assert from_seeds == pytest.approx(0.05**2 / 3)


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


@pytest.mark.parametrize(
    ("n", "sd", "margin", "power"),
    [  # paper-experiments.md §7, by simulation there
        (43, 0.07, 0.02, 0.17),
        (97, 0.07, 0.02, 0.75),
        (97, 0.12, 0.02, 0.03),
        (300, 0.07, 0.01, 0.59),
        (500, 0.07, 0.01, 0.88),
        (500, 0.12, 0.01, 0.17),
        (1000, 0.12, 0.01, 0.68),
        (418, 0.07, 0.01, 0.80),
        (133, 0.07, 0.02, 0.90),
        (43, 0.12, 0.01, 0.0),
    ],
)
def test_power_table(n, sd, margin, power):
    assert tost_power(n, sd, margin) == pytest.approx(power, abs=0.012)


def test_tost_is_two_one_sided_t_tests():
    d = sample(400, 0.001)
    result = paired_tost(d, 0.02)
    low = stats.ttest_1samp(d, -0.02, alternative="greater").pvalue
    high = stats.ttest_1samp(d, 0.02, alternative="less").pvalue
    assert (result.p_low, result.p_high) == pytest.approx((low, high))
    assert result.outcome == "equivalent"
    assert -0.02 < result.interval.low < result.interval.high < 0.02


def test_equivalence_is_not_said_without_power():
    # A lucky sample: tiny mean, spread that leaves a power below one half, and still p < α.
    d = np.concatenate([np.full(30, 0.05), np.full(30, -0.05)])
    margin = 1.05 * stats.t.ppf(0.95, 59) * d.std(ddof=1) / np.sqrt(60)
    result = paired_tost(d, margin)
    assert result.p < 0.05
    assert result.power < 0.5
    assert result.outcome == "undecided"


def test_outcomes():
    assert paired_tost(sample(300, 0.05), 0.01).outcome == "different"
    assert paired_tost(sample(43, 0.0, key=2), 0.01).outcome == "undecided"
    assert paired_tost(np.zeros(10), 0.01).outcome == "equivalent"


def test_compare_adjusts_over_the_family():
    base = sample(60, 0.4, 0.2)
    systems = {"a": base, "b": base + sample(60, 0.05, key=4), "c": base + sample(60, key=5)}
    rows = compare(systems, draws=2000)
    assert [(r.a, r.b) for r in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert holm([r.p_t for r in rows]) == [r.p_adjusted for r in rows]
    assert rows[0].difference.high < 0 < rows[2].difference.low
    assert rows[0].p_randomisation == pytest.approx(rows[0].p_t, abs=0.01)
    assert len(compare(systems, [("a", "c")], draws=100)) == 1


def test_equal_differences_have_no_spread():
    assert paired_t(np.zeros(5)) == 1.0
    assert paired_t(np.full(5, 0.1)) == 0.0


def test_refusals():
    with pytest.raises(BadInput, match="one value per query, two at least"):
        paired_t(np.array([0.1]))
    with pytest.raises(BadInput, match="the difference of query 1 is not finite"):
        paired_t(np.array([0.1, np.nan]))
    with pytest.raises(UsageError, match="margin=0 is not positive"):
        paired_tost(np.zeros(5), 0)
    with pytest.raises(BadInput, match="a has 3 queries, b has 4"):
        compare({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(BadInput, match="one seed has no spread"):
        spread_of_mean_difference(np.zeros((1, 5)), np.zeros((3, 5)))
    with pytest.raises(BadInput, match="1 queries have no spread"):
        tost_power(1, 0.1, 0.01)
