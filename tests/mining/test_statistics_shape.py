"""Neighbours, intrinsic dimension, decay with rank: known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.statistics.neighbours import (
    intrinsic_dimension,
    log_density,
    nearest_distances,
    two_nn,
)
from rankmill.mining.statistics.summaries.power_law import fit_decay, power_law_leads


def rng(key):
    return np.random.Generator(np.random.Philox(key))


def test_golden_two_nn():
    assert two_nn(np.array([1, 2, 3]), np.array([2, 3, 4]))[0] == pytest.approx(2.164043, abs=5e-7)


def test_neighbours_equal_the_obvious_way():
    rows = rng(1).normal(0, 1, (700, 5))
    rows[13] = rows[600]  # a copy: distance 0 to another id, not to itself
    found = nearest_distances(rows, 3)
    every = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(axis=2))
    np.fill_diagonal(every, np.inf)
    assert found == pytest.approx(np.sort(every, axis=1)[:, :3], rel=1e-12, abs=1e-12)
    assert found[13, 0] == 0.0
    with pytest.raises(BadInput, match="3 vectors have no 3 neighbours each"):
        nearest_distances(rows[:3], 3)


# The logarithms of n ratios are exponential: their mean, and so 1/d̂, spreads by 1/√n of itself.
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_dimension_of_flat_manifolds_is_found(dimension):
    flat = rng(dimension).random((1500, dimension))
    turned = flat @ np.linalg.qr(rng(9).normal(0, 1, (30, 30)))[0][:dimension]
    found = intrinsic_dimension(turned)
    assert found.value == pytest.approx(dimension, rel=5 / np.sqrt(1500))
    assert found.low < found.value < found.high
    assert (found.rows, found.dropped) == (1500, 0)


def test_a_sphere_has_one_dimension_less_than_its_space():
    rows = rng(4).normal(0, 1, (1500, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert intrinsic_dimension(rows).value == pytest.approx(3.0, rel=5 / np.sqrt(1500))


def test_copies_are_dropped_and_counted():
    rows = rng(5).random((200, 2))
    found = intrinsic_dimension(np.concatenate([rows, rows[:30]]))
    assert found.dropped == 60
    copies = intrinsic_dimension(np.ones((5, 2)))
    assert math.isnan(copies.value)
    assert copies.rows == 0


def test_log_density_stays_in_logarithms():
    found = log_density(np.array([1e-3, 1.0, 0.0]), 384.0)
    assert found[0] == pytest.approx(384.0 * math.log(1e3))  # r^−384 would be 1e1152
    assert found[1] == 0.0
    assert math.isnan(found[2])
    with pytest.raises(UsageError, match="dimension=0 must be above 0"):
        log_density(np.array([1.0]), 0)


def test_a_power_law_is_recovered_with_its_range_and_interval():
    rank = np.arange(1, 101)
    curves = rank**-0.8 * np.exp(rng(2).normal(0, 0.2, (40, 1)))
    found = fit_decay(curves, 1, 100, resamples=100)
    assert found.alpha == pytest.approx(0.8, abs=1e-9)
    assert found.r2 == pytest.approx(1.0)
    assert (found.first, found.last, found.points, found.queries) == (1, 100, 100, 40)
    noisy = rank**-0.8 * np.exp(rng(3).normal(0, 0.5, (40, 100)))
    found = fit_decay(noisy, 5, 60, resamples=200)
    assert found.low < 0.8 < found.high
    assert found.points == 56


@pytest.mark.parametrize(
    ("shape", "curve"),
    [
        ("power_law", lambda x: x**-1.2),
        ("exponential", lambda x: np.exp(-0.07 * x)),
        ("log_normal", lambda x: np.exp(-0.4 * np.log(x) ** 2)),
    ],
)
def test_the_true_shape_wins(shape, curve):
    rank = np.arange(1, 81)
    curves = curve(rank) * np.exp(rng(6).normal(0, 0.05, (30, 80)))
    assert fit_decay(curves, 1, 80, resamples=20).best == shape


def test_lists_of_different_lengths():
    curves = np.tile(np.arange(1, 21.0) ** -0.5, (6, 1))
    curves[3:, 12:] = np.nan
    assert fit_decay(curves, 1, 20, resamples=50).alpha == pytest.approx(0.5)
    assert fit_decay(curves[3:], 1, 20, resamples=20).points == 12


def test_refusals():
    with pytest.raises(BadInput, match="the score at rank 3 of query number 0 is -2.0"):
        fit_decay(np.array([[1.0, 0.5, -2.0, 0.1]]), 1, 4)
    with pytest.raises(UsageError, match="ranks 2 to 3 are too few to fit"):
        fit_decay(np.ones((1, 5)), 2, 3)
    with pytest.raises(BadInput, match="only 2 ranks between 1 and 9 have a score"):
        fit_decay(np.array([[0.5, 0.4, np.nan, np.nan]]), 1, 9)


def test_leads_are_those_of_the_fit_of_each_list_by_itself():
    """`fit_decay` of one list is the same three fits; a scale and a summand of log y change
    nothing, equal scores have no shape."""
    rng = np.random.Generator(np.random.Philox(5))
    rank = np.arange(1, 21)
    curves = np.stack(
        [
            -1.5 * np.log(rank),
            -0.3 * rank,
            -(np.log(rank) ** 2),
            *np.sort(rng.normal(size=(30, 20)), axis=1)[:, ::-1],
        ]
    )
    noisy = curves + rng.normal(0, 0.02, curves.shape)
    leads = power_law_leads(noisy)
    for y, lead in zip(noisy, leads, strict=True):
        bic = fit_decay(np.exp(y)[None], 1, 20, resamples=1).bic
        # residuals agree to about 1e-12 of themselves, so 20·ln of them to 2e-11
        assert lead == pytest.approx(
            min(bic["exponential"], bic["log_normal"]) - bic["power_law"], abs=1e-9
        )
    assert leads[0] > 2  # at most ln 20 = 3.0 over the log-normal, which holds it
    assert leads[1] < -2
    assert leads[2] < -2
    assert power_law_leads(7.0 * noisy + 3.0) == pytest.approx(leads, abs=1e-9)
    assert np.isnan(power_law_leads(np.full((1, 6), 0.25))).all()
    # exact shapes: bounded by the resolution of float64, never infinite
    assert np.isfinite(power_law_leads(curves[:3])).all()
    with pytest.raises(UsageError, match="5 ranks are too few to tell shapes apart"):
        power_law_leads(np.zeros((1, 5)))
