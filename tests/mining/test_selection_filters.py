"""Filters and the strategies that aim at a statistic."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import entropy as oracle

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.selection import FILTERS, STRATEGIES, Candidates


def candidates(scores, kind="logit", positive=0, distance=None, ranks=None):
    n = len(scores)
    return Candidates(
        query_id="q",
        doc=np.arange(n, dtype=np.uint32),
        score=np.asarray(scores, np.float64),
        kind=kind,
        rank={k: np.asarray(v, np.uint16) for k, v in (ranks or {}).items()},
        allowed=np.arange(n) != positive,
        positive=positive,
        distance=None if distance is None else lambda: np.asarray(distance, np.float64),
    )


def kept(text, given):
    return np.flatnonzero(FILTERS.parse(text).keeps(given) & given.allowed).tolist()


LOGITS = [1.0, 2.0, 1.0, 0.2, -3.0, -20.0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("margin(gap=0,score=logit)", [2, 3, 4, 5]),
        ("margin(gap=3,score=logit)", [4, 5]),
        ("margin(gap=3,score=raw)", [4, 5]),
        ("margin", [4, 5]),  # log σ: −0.313, −0.127, −0.313, −0.598, −3.05, −20
        ("margin(gap=-1,score=logit)", [1, 2, 3, 4, 5]),
        ("share(of=1)", [2, 3, 4, 5]),
        ("share(of=0.8)", [3, 4, 5]),
        ("between(low=-5,high=1.5,score=logit)", [2, 3, 4]),
        ("between(high=-1,score=raw)", [4, 5]),
        ("between(low=-1)", [1, 2, 3]),
        ("percentile(low=0,high=0.8)", [2, 3, 4, 5]),
        ("percentile(low=0.4,high=1)", [1, 2, 3]),
        ("rank_window(source=bm25,first=2,last=4)", [2, 3]),
        ("rank_window(source=bm25)", [1, 2, 3]),
    ],
)
def test_filters(text, wanted):
    given = candidates(LOGITS, ranks={"bm25(k1=1)": [1, 1, 2, 4, 0, 0]})
    assert kept(text, given) == wanted
    assert FILTERS.parse(FILTERS.text(FILTERS.parse(text))) == FILTERS.parse(text)


def test_gaps_mean_the_same_for_every_sign_and_kind():
    """A relative margin (s_j ≤ 0.95·s_0) would turn round for negative scores; a gap cannot."""
    z = np.array(LOGITS) - 30.0
    s = np.array([oracle.log_sigmoid(v) for v in z])
    for kind, scores in (("logit", z), ("log-prob", s), ("probability", np.exp(s))):
        assert kept("share(of=0.5)", candidates(scores, kind)) == [3, 4, 5]
        assert kept("margin(gap=0.5,score=logit)", candidates(scores, kind)) == [3, 4, 5]


def test_a_similarity_needs_the_raw_scale():
    given = candidates([0.9, 0.8, 0.3], kind="similarity")
    assert kept("margin(gap=0.2,score=raw)", given) == [2]
    with pytest.raises(BadInput, match="a similarity has no log-probability\n  where: query 'q'"):
        kept("share", given)


@pytest.mark.parametrize(
    ("family", "text", "message"),
    [
        (FILTERS, "margin(gap=inf)", "gap=inf is not a gap"),
        (FILTERS, "margin(score=logits)", "did you mean logit"),
        (FILTERS, "share(of=0)", "of=0.0 is not a share"),
        (FILTERS, "between(low=2,high=1)", "keeps nothing or everything"),
        (FILTERS, "between", "keeps nothing or everything"),
        (FILTERS, "percentile(low=0.5,high=0.5)", "are not shares"),
        (FILTERS, "rank_window(source=a,first=0)", "is not a window of ranks"),
        (STRATEGIES, "softmax(T=0)", "T=0.0 is not a temperature"),
        (STRATEGIES, "softmax(by=scores)", "by=scores is unknown"),
        (STRATEGIES, "softmax(last=0)", "last=0 is not a rank"),
        (STRATEGIES, "mixture(first=0)", "is not a window of ranks"),
        (STRATEGIES, "mixture(number=0)", "number=0 must be at least 1"),
        (STRATEGIES, "shell(near=0.5,far=0.5)", "is not a shell"),
        (STRATEGIES, "entropy_target(H=2)", "H=2.0 is not a pair entropy"),
        (STRATEGIES, "entropy_target(T=-1)", "T=-1.0 is not a temperature"),
        (STRATEGIES, "entropy_target(steps=-1)", "steps=-1 is negative"),
    ],
)
def test_refusals_name_the_value(family, text, message):
    with pytest.raises(UsageError, match=message):
        family.parse(text)


def test_shells_are_ordered_by_distance_from_the_positive():
    distance = [0.0, 0.9, 0.1, 0.4, 0.4, np.nan, 0.7, 1.2, 0.2]
    given = candidates(np.zeros(9), distance=distance, ranks={"bm25": list(range(9))})
    near = STRATEGIES.parse("shell(near=0,far=0.5)")
    assert near.reach(given, 2).tolist() == [2, 8, 3, 4]
    far = STRATEGIES.parse("shell(near=0.75,far=1)")
    assert far.reach(given, 2).tolist() == [6, 1, 7][1:]
    window = STRATEGIES.parse("shell(near=0,far=1,source=bm25,last=4)").bind(["bm25"])
    assert window.reach(given, 2).tolist() == [2, 3, 4, 1]
    assert window.inclusion(given, window.reach(given, 2), 2).tolist() == [0.5] * 4
    assert near.needs == {"vectors"}


@pytest.mark.parametrize("target", [0.35, 0.5, 0.8])
def test_entropy_targeted_groups_come_close(target):
    rng = np.random.Generator(np.random.Philox(6))
    scores = rng.normal(0, 4, 120)
    given = candidates(scores)
    strategy = STRATEGIES.parse(f"entropy_target(H={target},steps=400)")
    reach = strategy.reach(given, 7)
    chosen = strategy.choose(given, reach, 7, np.random.Generator(np.random.Philox(1)))
    assert len(set(chosen.tolist())) == 7
    assert 0 not in chosen
    s = [oracle.log_sigmoid(z) for z in scores[[0, *chosen]]]
    assert oracle.pair_entropy(s) == pytest.approx(target, abs=0.02)
    assert np.isnan(strategy.inclusion(given, reach, 7)).all()


def test_entropy_target_without_outsiders_takes_what_there_is():
    given = candidates([1.0, 2.0, 3.0, 4.0], kind="similarity")
    strategy = STRATEGIES.parse("entropy_target(H=0.1)")
    rng = np.random.Generator(np.random.Philox(1))
    assert sorted(strategy.choose(given, np.array([1, 2, 3]), 3, rng).tolist()) == [1, 2, 3]
