"""Score against rank ratio, against plain loops over lists of other lengths and other kinds."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rankmill.report.rank_curves import Scale, list_curves, rank_curve


def run(lists: list[list[float]], kind: str = "similarity") -> Any:
    """A stand-in for a run: flat scores of one part, and what its metadata says."""
    part = SimpleNamespace(
        offsets=np.cumsum([0, *map(len, lists)]),
        score=np.array([s for scores in lists for s in scores], np.float32),
    )
    return SimpleNamespace(
        artifact=SimpleNamespace(metadata={"kind": kind}), parts=lambda: [part], lists=lists
    )


LISTS = [[0.9, 0.1, 0.4, 0.3], [0.2], [], [0.5, 0.6, 0.1, 0.2, 0.3, 0.7, 0.8, 0.0]]


@pytest.mark.parametrize("points", [1, 4, 5])
def test_values_stand_at_the_ratio_of_their_rank(points):
    got = list_curves(run(LISTS), Scale(0.5), points)
    expected = []
    for scores in LISTS:
        if not scores:
            continue
        best = sorted((math.exp(s / 0.5) for s in scores), reverse=True)
        total = sum(best)
        ranks = [math.ceil(j * len(best) / points) for j in range(1, points + 1)]
        expected.append([best[rank - 1] / total for rank in ranks])
    assert got == pytest.approx(np.array(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "score", "probability"),
    [("logit", 0.0, 0.5), ("logit", 2.0, 0.880797), ("log-prob", -1.0, 0.367879)]
    + [("probability", 0.25, 0.25), ("logit", -800.0, 1e-30)],
)
def test_probabilities_of_each_kind(kind, score, probability):
    assert Scale(None)(np.array([score]), kind)[0] == pytest.approx(probability, rel=1e-5)


def test_one_similarity_makes_everything_a_softmax():
    logits, log_probs, cosines = (run(LISTS, k) for k in ("logit", "log-prob", "similarity"))
    assert Scale.of([logits, log_probs], 0.05) == Scale(None)
    assert Scale.of([logits, cosines], 0.05) == Scale(0.05)
    assert Scale(None).label == "mean P(relevant)"
    assert Scale(0.05).label == "mean softmax over the list at T = 0.05"


def test_a_power_law_is_found_again():
    rank = np.arange(1, 51)
    lists = [(scale * rank**-1.3).tolist() for scale in (0.5, 0.4, 0.3)]
    curve = rank_curve(run(lists, "probability"), Scale(None), 50)
    assert curve.ratio[[0, -1]].tolist() == [0.02, 1.0]
    assert curve.mean == pytest.approx(0.4 * rank**-1.3, rel=1e-5)
    assert (curve.low <= curve.mean).all()
    assert (curve.mean <= curve.high).all()
    assert curve.decay is not None
    assert curve.decay.alpha == pytest.approx(1.3, abs=1e-4)
    assert curve.decay.bic["power_law"] < curve.decay.bic["exponential"] - 100
    assert rank_curve(run(lists, "probability"), Scale(None), 2).decay is None
