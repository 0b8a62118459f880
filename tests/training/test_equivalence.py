"""Paired TOST against SciPy and a simulated power table, and when "equivalent" may be said."""

import numpy as np
import pytest
from scipy import stats

from rankmill.mining.errors import BadInput, UsageError
from rankmill.training.equivalence import _power, paired_tost, tost_power
from rankmill.training.random_effects import Uncertainty, half_width, parts_of, skew_of, uncertainty


def sample(n, mean=0.0, sd=0.07, key=0):
    return np.random.Generator(np.random.PCG64(key)).normal(mean, sd, n)


@pytest.mark.parametrize(
    ("n", "sd", "margin", "power"),
    [  # power by simulation
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
    half = np.abs(sample(200))
    d = np.concatenate([half, -half]) + 0.001  # no skewness
    result = paired_tost(d, 0.02)
    low = stats.ttest_1samp(d, -0.02, alternative="greater").pvalue
    high = stats.ttest_1samp(d, 0.02, alternative="less").pvalue
    assert (result.p_low, result.p_high) == pytest.approx((low, high))
    assert result.p_adjusted == result.p == max(result.p_low, result.p_high)
    assert result.power == pytest.approx(tost_power(400, d.std(ddof=1), 0.02))
    assert result.outcome == "equivalent"
    assert -0.02 < result.interval.low < result.interval.high < 0.02


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [3, 8, 43])
def test_skewed_differences_move_the_end_where_students_t_is_bold_outward(n, sign):
    d = sign * np.random.Generator(np.random.PCG64(n)).exponential(1.0, n)
    alpha, t = 0.05, stats.t.ppf(0.95, n - 1)
    third, variance = stats.kstat(d, 3), stats.kstat(d, 2)  # without bias
    half, moved = t * stats.sem(d), third / (6 * variance * n) * (1 + 2 * t**2)  # Johnson 1978
    found = paired_tost(d, 0.5, alpha=alpha)
    assert np.sign(moved) == sign
    assert d.mean() - found.interval.low == pytest.approx(half + max(0, -moved))
    assert found.interval.high - d.mean() == pytest.approx(half + max(0, moved))
    at = paired_tost(d - d.mean(), half + abs(moved), alpha=alpha)  # the end is the margin
    bold, other = (at.p_high, at.p_low) if sign > 0 else (at.p_low, at.p_high)
    assert (bold, at.p) == (pytest.approx(alpha), bold)
    assert other == pytest.approx(stats.t.sf((half + abs(moved)) / stats.sem(d), n - 1))
    plain = Uncertainty(stats.sem(d), ((variance / n, n - 1),))
    assert at.power < _power(plain, half + abs(moved), alpha)


def test_queries_too_few_for_a_skewness_or_all_alike_have_none():
    assert skew_of(np.array([[0.0, 1.0]])) == 0
    assert skew_of(np.full((3, 9), 0.1)) == 0
    assert skew_of(np.arange(4.0)[:, None] + np.zeros(5)) == 0  # seeds alone
    tables = np.random.Generator(np.random.PCG64(1)).exponential(1, (4, 3, 9))
    assert skew_of(tables).tolist() == [float(skew_of(one)) for one in tables]


def test_a_p_value_far_out_is_no_floor_of_rounding():
    d = np.random.Generator(np.random.PCG64(5)).exponential(0.01, 300)
    found = paired_tost(d, 0.2)
    assert 0 < found.p_high < 1e-40


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


def test_seeds_that_spread_take_the_power_away():
    d = sample(500, sd=0.05)
    alone = paired_tost(d, 0.02)
    assert (alone.outcome, alone.power > 0.99) == ("equivalent", True)
    shifts = np.array([-0.02, 0.0, 0.02])
    spread = paired_tost(d + shifts[:, None], 0.02)
    assert spread.outcome == "undecided"
    assert spread.power < 0.2
    known = uncertainty(d + shifts[:, None])
    assert skew_of(d + shifts[:, None]) < 0  # so the upper test is that of t
    assert spread.p_high == pytest.approx(known.p_value(0.02 - d.mean()) / 2)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("margin", [0.005, 0.01, 0.02, 0.05, 0.2])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_both_tests_pass_exactly_when_the_interval_lies_inside(seeds, margin, alpha):
    for key in range(8):
        shifts = sample(seeds, 0.0, 0.005, key=key)[:, None]
        found = paired_tost(sample(100, 0.004, key=key) + shifts, margin, alpha=alpha)
        assert found.interval.level == pytest.approx(1 - 2 * alpha)
        inside = -margin < found.interval.low and found.interval.high < margin
        assert inside == (found.p < alpha)


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_power_is_that_of_simulated_tests(seeds):
    # True components as they are estimated: query, seed and rest of these spreads, difference 0.
    n, query, seed, rest, margin = 200, 0.05, 0.002, 0.03, 0.012
    random = np.random.Generator(np.random.PCG64(3))
    shape = (4000, seeds, n)
    d = random.normal(0, query, (4000, 1, n)) + random.normal(0, seed, (4000, seeds, 1))
    d += random.normal(0, rest, shape)
    half = half_width(parts_of(d), 0.9)
    passed = np.mean(np.abs(d.mean(axis=(1, 2))) + half < margin)
    of_queries, of_seeds = query**2 / n + rest**2 / n / seeds, seed**2 / seeds + rest**2 / n / seeds
    error = np.sqrt(of_queries + of_seeds - rest**2 / n / seeds)
    known = Uncertainty(float(error), ((of_queries, n - 1), (of_seeds, seeds - 1)))
    assert 0.1 < passed < 0.95
    assert _power(known, margin, 0.05) == pytest.approx(passed, abs=4 * np.sqrt(0.25 / 4000) + 0.02)


def test_a_family_may_take_the_verdict_away():
    alone = paired_tost(sample(400, 0.012), 0.02)
    assert alone.outcome == "equivalent"
    assert alone.within_family(0.2, 0.3).outcome == "undecided"
    assert alone.within_family(0.2, 0.01).outcome == "different"


def test_refusals():
    with pytest.raises(UsageError, match="margin=0 is not positive"):
        paired_tost(np.zeros(5), 0)
    with pytest.raises(UsageError, match="alpha=0.7 is not a level"):
        paired_tost(np.zeros(5), 0.1, alpha=0.7)
    with pytest.raises(BadInput, match="1 queries have no spread"):
        tost_power(1, 0.1, 0.01)
