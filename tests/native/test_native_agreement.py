"""Pairs that positives win and lose, against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.entropy import positives_won as slowly

from rankmill.native.agreement import positives_won

EDGES = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0 + 2.0**-23]
values = st.sampled_from(EDGES) | st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = st.lists(st.lists(values, max_size=9), max_size=6)


def counted(scores: np.ndarray, offsets: np.ndarray, positive: np.ndarray) -> list[int]:
    out = np.full(2, -7, np.int64)
    for array in (scores, offsets, positive):
        array.flags.writeable = False
    positives_won(scores, offsets, positive, out)
    return out.tolist()


@given(rows, st.randoms(use_true_random=False))
def test_pairs_are_counted_as_defined(lists, random) -> None:
    scores = np.array([value for row in lists for value in row], np.float32)
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    positive = np.array([random.random() < 0.4 for _ in scores], bool)
    assert counted(scores, offsets, positive) == slowly(scores, offsets, positive)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_long_lists_with_few_and_many_positives(share: float) -> None:
    random = np.random.Generator(np.random.Philox(5))
    offsets = np.array([0, 0, 1, 400, 400, 401, 900], np.int64)
    scores = np.round(random.normal(size=900), 1).astype(np.float32)
    positive = random.random(900) < share
    assert counted(scores, offsets, positive) == slowly(scores, offsets, positive)


def test_no_rows_no_pairs() -> None:
    nothing = np.zeros(0, np.float32), np.zeros(1, np.int64), np.zeros(0, bool)
    assert counted(*nothing) == [0, 0]
