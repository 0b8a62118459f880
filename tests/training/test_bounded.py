"""Intervals that are shown: none of too few queries, none beyond a measure's ends in silence."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pytest

from rankmill.report import content
from rankmill.report.page.tables import change, score
from rankmill.report.study.tables import interval as written
from rankmill.study import words
from rankmill.training.bounded import cut, difference_interval, mean_interval, range_of
from rankmill.training.comparison import compare, shown
from rankmill.training.significance import Interval, t_interval

FEW = "too few queries: 2, at least 3 needed"


@pytest.mark.parametrize(
    ("measure", "ends"),
    [
        ("nDCG@10", (0.0, 1.0)),
        ("AP(rel=2)", (0.0, 1.0)),
        ("R@100", (0.0, 1.0)),
        ("Judged@10", (0.0, 1.0)),
        ("PairRisk(ties=half)", (0.0, 1.0)),
        ("NumRet", None),
        ("NumRel", None),
        ("nDCG(gains={1:5,2:1})@10", None),
    ],
)
def test_the_ends_of_measures(measure, ends):
    assert range_of(measure) == ends


def test_every_measure_that_is_called_bounded_is_one_of_ir_measures():
    from rankmill.training.bounded import _FROM_0_TO_1

    assert _FROM_0_TO_1 - {"PairRisk"} <= set(ir_measures.measures.registry)


@pytest.mark.parametrize("values", [[1.0, 0.5], [[1.0, 0.5], [0.5, 0.5]], [0.7]])
def test_fewer_than_three_queries_have_no_interval(values):
    told = mean_interval(np.array(values), "nDCG@10")
    assert (told.low, told.high) == (None, None)
    assert told.mean == pytest.approx(np.mean(values))
    assert str(told.reason).startswith("too few queries: ")
    assert "at least 3 needed" in words.between(told)
    assert told.over == ("queries and 2 seeds" if np.ndim(values) == 2 else "queries")


def test_ends_beyond_the_measure_are_cut_and_it_is_said():
    """By hand: mean 5/6, s = √(1/12), s/√3 = 1/6, t(2) = 4.3027: 0.8333 ± 0.7171."""
    told = mean_interval(np.array([1.0, 0.5, 1.0]), "nDCG@10")
    assert told.low == pytest.approx(5 / 6 - 4.302653 / 6, abs=1e-6)
    assert (told.high, told.reason) == (1.0, "cut at 1")
    assert words.between(told) == "0.1162 to 1.0000, cut at 1"
    assert words.bounds(told)["cut"] == "cut at 1"
    both = mean_interval(np.array([1.0, 0.0, 1.0]), "AP")
    assert (both.low, both.high, both.reason) == (0.0, 1.0, "cut at 0 and 1")
    for values in ([0.5, 0.55, 0.6], [0.2, 0.3, 0.25, 0.28]):
        assert mean_interval(np.array(values), "AP") == t_interval(np.array(values))
    assert mean_interval(np.array([1.0, 9.0, 2.0]), "NumRet") == t_interval(
        np.array([1.0, 9.0, 2.0])
    )


def test_a_cut_interval_holds_the_mean_as_often_as_the_whole():
    """Every sample of three of {0, ½, 1}: whether the true mean ½ is inside never changes."""
    grid = np.array(np.meshgrid(*[[0.0, 0.5, 1.0]] * 3)).reshape(3, -1).T
    for sample in grid:
        whole, told = t_interval(sample), mean_interval(sample, "AP")
        assert whole.low is not None
        assert whole.high is not None
        assert told.low is not None
        assert told.high is not None
        assert (whole.low <= 0.5 <= whole.high) == (told.low <= 0.5 <= told.high)
        assert 0 <= told.low <= told.mean <= told.high <= 1


def test_differences_end_at_one_and_keep_their_tests():
    two = {"a": np.array([1.0, 0.9]), "b": np.array([0.1, 0.3])}
    three = {"a": np.array([1.0, 1.0, 0.9]), "b": np.array([0.0, 0.9, 0.1])}
    (row,) = shown(raw := compare(two), "nDCG@10")
    assert (row.difference.low, row.difference.reason) == (None, FEW)
    assert (row.p_t, row.p_adjusted) == (raw[0].p_t, raw[0].p_adjusted)
    assert words.signed(row).startswith(f"+0.7500 ({FEW}, p = ")
    assert words.plain(row)["reason"] == FEW
    (row,) = shown(raw := compare(three), "nDCG@10")
    assert raw[0].difference.high is not None
    assert raw[0].difference.high > 1
    assert (row.difference.high, row.difference.reason) == (1.0, "cut at 1")
    assert "to +1.0000, cut at 1, over queries only; one seed, p" in words.signed(row)
    assert shown(raw, "NumRet") == raw


def test_no_interval_stays_none():
    none = Interval(0.5, None, None, reason="one collection")
    assert cut(none, (0.0, 1.0)) == none
    assert difference_interval(none, 2, "AP").reason == FEW
    assert cut(Interval(0.5, 0.4, math.inf), (0.0, 1.0)).high == 1.0


def test_reports_say_it_too():
    told = mean_interval(np.array([1.0, 0.5, 1.0]), "nDCG@10")
    cell = score(content.Interval(told.mean, told.low, told.high, told.reason))
    assert "cut at 1" in str(cell.small[0])
    assert "… 1.0, cut at 1)" in str(written(told)).replace("1.000", "1.0").replace("1.00", "1.0")
    few = content.Difference("BM25", 0.75, 0.2, None, None, FEW)
    assert any(FEW in str(one) for one in change(few).small)
