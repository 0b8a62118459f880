"""The fit of an estimate: coverage of its intervals on made costs, monotony, bounds."""

from __future__ import annotations

import numpy as np
import pytest

from rankmill.study.estimate.fit import (
    COUNTS,
    LEVEL,
    MEMORY,
    SECONDS,
    Interval,
    Kind,
    fit,
    known,
    largest,
    together,
)
from rankmill.study.estimate.measured import Measured, Sizes, kind_of, lines_of
from rankmill.study.estimate.scratch import CORPUS, QUERIES, Made

EXACT = Kind(0.0, 0.0)  # nothing but what the residuals say
SIZES = np.array([64.0, 8.0, 32.0, 8.0, 64.0])


def coverage(kind: Kind, at: float, noise: float, *, relative: bool, fixed: float = 0.5) -> float:
    """Return how often the interval held a later cost, over 2,000 seeded simulations."""
    rng = np.random.Generator(np.random.Philox(7))
    held = 0
    for _ in range(2000):
        true = fixed + 0.02 * np.append(SIZES, at)
        cost = true + rng.normal(0, 1, 6) * (noise * true if relative else noise)
        cost = np.maximum(cost, 0)
        held += fit(list(SIZES), cost[:-1].tolist()).at(at, kind).holds(cost[-1])
    return held / 2000


@pytest.mark.parametrize("at", [16.0, 64.0, 640.0, 64_000.0])
@pytest.mark.parametrize("noise", [0.001, 0.05, 0.2])
def test_intervals_hold_nine_of_ten_later_costs_without_any_declared_uncertainty(at, noise):
    assert coverage(EXACT, at, noise, relative=False) >= 0.88


@pytest.mark.parametrize("fixed", [0.0, 0.5])
def test_a_cost_without_a_fixed_part_is_covered_too(fixed):
    assert coverage(EXACT, 640.0, 0.02, relative=False, fixed=fixed) >= 0.88


@pytest.mark.parametrize("at", [64.0, 640.0, 64_000.0])
def test_noise_that_grows_with_the_cost_is_covered_with_the_declared_uncertainty(at):
    assert coverage(SECONDS, at, 0.1, relative=True) >= 0.88


def test_a_line_without_noise_is_found_exactly():
    line = fit(SIZES, 3.0 + 0.25 * SIZES)
    found = line.at(1000.0, EXACT)
    assert line.fixed == pytest.approx(3.0)
    assert line.slope == pytest.approx(0.25)
    assert (found.low, found.point, found.high) == pytest.approx((253.0, 253.0, 253.0))


def test_points_grow_with_the_size_and_are_never_negative():
    rng = np.random.Generator(np.random.Philox(3))
    for _ in range(500):
        line = fit(SIZES, rng.exponential(1.0, 5))
        at = [line.at(x, SECONDS) for x in (0.0, 1.0, 64.0, 1e4, 1e7)]
        assert all(0 <= one.low <= one.point <= one.high for one in at)
        points = [one.point for one in at]
        assert points == sorted(points)


def test_interval_has_the_documented_ends():
    costs = np.array([2.0, 1.1, 1.5, 0.9, 2.2])
    line = fit(SIZES, costs)
    slope, fixed = np.polyfit(SIZES, costs, 1)
    s = np.sqrt(((costs - fixed - slope * SIZES) ** 2).sum() / 3)
    t = 2.353363434801824  # Student's 95 % quantile on 3 degrees of freedom
    away = (500.0 - SIZES.mean()) ** 2 / ((SIZES - SIZES.mean()) ** 2).sum()
    point = fixed + slope * 500.0
    half = np.hypot(t * s * np.sqrt(1 + 1 / 5 + away), 0.25 * point) + 0.05
    found = line.at(500.0, SECONDS)
    assert found.point == pytest.approx(point)
    assert found.high == pytest.approx(point + half)
    assert found.low == pytest.approx(max(0.0, point - half))


def test_one_sample_or_one_size_is_taken_as_proportional_with_twice_the_uncertainty():
    assert fit([10.0], [2.0]).at(100.0, COUNTS) == Interval(20.0, 16.0, 24.0)
    same = fit([10.0, 10.0, 10.0], [1.0, 2.0, 3.0]).at(20.0, EXACT)
    half = 2 * 2.919985580355516 * np.sqrt(1 + 1 / 3)  # s = 1, t on 2 degrees of freedom
    assert (same.point, same.high) == pytest.approx((4.0, 4.0 + half))
    assert known(10.0, COUNTS) == Interval(10.0, 8.0, 12.0)
    with pytest.raises(ValueError, match="0 sizes and 0 costs"):
        fit([], [])


def test_a_slope_that_noise_made_is_not_followed_where_it_must_be_sure():
    noisy = fit(SIZES, [500.0, 510.0, 490.0, 500.0, 520.0])
    assert noisy.flat_unless_sure().at(1e6, EXACT).point == pytest.approx(504.0)
    sure = fit(SIZES, 100.0 + SIZES)
    assert sure.flat_unless_sure().at(1000.0, EXACT).point == pytest.approx(1100.0)


def test_sums_add_their_ends_and_peaks_take_the_largest():
    parts = [Interval(1.0, 0.5, 2.0), Interval(3.0, 2.0, 3.5)]
    assert together(parts) == Interval(4.0, 2.5, 5.5)
    assert largest(parts) == Interval(3.0, 2.0, 3.5)
    assert LEVEL == 0.9


# ---- from ledgers to lines -----------------------------------------------------------------------


def made(grows: str, wall: float, *, rss: float = 5e8, kind: str = "run", **usage: float) -> Made:
    cost = {
        "wall_s": wall + 1.0,
        "cpu_s": 2 * wall,
        "compile_s": 0.75,
        "start_s": 0.25,
        "overhead_s": 0.125,
        "gpu_s": 0.0,
        "peak_rss_bytes": rss,
        "bytes": 1000,
        "usage": usage,
    }
    return Made(kind, f"{kind}{wall}", grows, False, cost)


def test_lines_leave_out_what_is_paid_once_and_of_peaks_take_the_largest():
    lines = lines_of([made(QUERIES, 2.0, pairs=10), made(QUERIES, 3.0, rss=6e8, pairs=5)])
    assert lines["wall_s"] == pytest.approx(5.0)
    assert lines["cpu_s"] == pytest.approx(10.25)
    assert lines["peak_rss_bytes"] == 6e8
    assert lines["count pairs"] == 15
    assert lines["disk_bytes"] == 2000


def test_a_sample_that_found_a_part_of_its_work_done_is_not_counted():
    points = [({QUERIES: 8.0}, [made(QUERIES, 1.0), made(QUERIES, 2.0)])]
    points.append(({QUERIES: 64.0}, [made(QUERIES, 0.5)]))
    assert Measured(points={QUERIES: points}).sampled == {QUERIES: [8.0]}


def test_whole_artifacts_are_charged_to_the_first_of_a_class_alone():
    points = [({QUERIES: x}, [made(QUERIES, 0.1 * x)]) for x in SIZES]
    measured = Measured([made("whole", 7.0)], {QUERIES: points})
    target = {QUERIES: 1000.0, CORPUS: 50.0}
    with_it = measured.predicted(target, None, with_whole=True)["wall_s"].point
    without = measured.predicted(target, None, with_whole=False)["wall_s"].point
    assert without == pytest.approx(100.0)
    assert with_it == pytest.approx(107.0)


def test_memory_does_not_grow_with_queries_but_with_documents():
    def points(grows: str):
        sizes = [({grows: x, CORPUS: x, QUERIES: x}, x) for x in SIZES]
        return {grows: [(size, [made(grows, 1.0, rss=4e8 + 1e6 * x)]) for size, x in sizes]}

    target = {QUERIES: 1e6, CORPUS: 1e5}
    of_queries = Measured(points=points(QUERIES)).predicted(target, None, with_whole=True)
    of_corpus = Measured(points=points(CORPUS)).predicted(target, None, with_whole=True)
    assert of_queries["peak_rss_bytes"].point == pytest.approx(4.64e8)
    assert of_corpus["peak_rss_bytes"].point == pytest.approx(4e8 + 1e11)


def test_the_level_of_memory_is_that_of_the_first_sample():
    """Later samples share their process with models that a later run has not loaded by then."""

    def points(grows: str):
        sizes = [({grows: x, CORPUS: x, QUERIES: x}, x) for x in SIZES]
        return {grows: [(size, [made(grows, 1.0, rss=2e9 + 1e6 * x)]) for size, x in sizes]}

    def peak(grows: str):
        size: Sizes = {CORPUS: 100.0, QUERIES: 100.0}
        first = {grows: (size, [made(grows, 9.0, rss=3e8)])}
        measured = Measured(points=points(grows), first=first)
        target = {QUERIES: 1e6, CORPUS: 1e3}
        return measured.predicted(target, None, with_whole=True)["peak_rss_bytes"]

    assert peak(QUERIES) == known(3e8, MEMORY)
    assert peak(CORPUS).point == pytest.approx(3e8 + 1e6 * (1000 - 100))


def test_every_line_has_a_kind():
    assert kind_of("wall_s") is SECONDS
    assert kind_of("cpu_joules") is SECONDS
    assert kind_of("disk_bytes").floor == 64e3
    assert kind_of("count pairs") is COUNTS
