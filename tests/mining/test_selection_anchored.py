"""Anchors and rank bands: golden groups, the oracle, probabilities against draws, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import anchors as oracle
from rounding import share_bound

from rankmill.mining.errors import UsageError
from rankmill.mining.selection import STRATEGIES, Candidates


def candidates(scores, **ranks):
    n = len(scores)
    return Candidates(
        query_id="q",
        doc=np.arange(n, dtype=np.uint32),
        score=np.asarray(scores, np.float64),
        kind="logit",
        rank={k: np.asarray(v, np.uint16) for k, v in ranks.items()},
        allowed=np.ones(n, bool),
        positive=0,
    )


def draws(number=1):
    return np.random.Generator(np.random.Philox(number))


def chosen(text, given, size, number=1):
    strategy = STRATEGIES.parse(text).bind(list(given.rank))
    reach = strategy.reach(given, size)
    return strategy.choose(given, reach, size, draws(number)).tolist()


def test_golden_groups():
    """Ten scores 9 … 0 and a far one: quantiles follow the documents, widths the scores."""
    given = candidates([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, -90.0])
    assert chosen("anchors(top=2,count=4)", given, 6) == [0, 1, 3, 5, 7, 9]
    # Levels 7 − 97·(1, 3, 5, 7)/8 = −5.125, −29.375, −53.625, −77.875; the far one is taken once.
    assert chosen("anchors(top=2,count=4,by=width)", given, 6) == [0, 1, 8, 7, 9, 6]
    assert chosen("anchors(top=0,count=10)", given, 10) == list(range(10))


@pytest.mark.parametrize("by", ["quantile", "width"])
def test_anchors_are_those_of_the_definition(by):
    random = draws(7)
    for _ in range(60):
        n = int(random.integers(3, 40))
        scores = np.round(random.normal(0, 2, n), 1).tolist()  # many are equal
        top = int(random.integers(0, n - 1))
        size = int(random.integers(top + 1, n + 1))
        given = candidates(scores)
        text = f"anchors(top={top},count={size - top},by={by})"
        assert chosen(text, given, size) == oracle.anchors(scores, top, size, by)
        strategy = STRATEGIES.parse(text)
        reach = strategy.reach(given, size)
        pi = dict(zip(reach.tolist(), strategy.inclusion(given, reach, size), strict=True))
        assert {i for i, p in pi.items() if p == 1.0} == set(oracle.anchors(scores, top, size, by))
        assert sum(pi.values()) == size


@pytest.mark.parametrize(
    "text",
    ["bands([1-4],[7-12])", "bands([1-4],[7-12],source=bm25)", "bands([2-3],[5-9],take=[1,4])"],
)
def test_bands_draw_what_they_record(text):
    rank = [0, 3, 1, 2, 9, 8, 7, 6, 5, 4, 10, 12, 11]
    given = candidates(np.arange(13) % 5, bm25=rank)
    strategy = STRATEGIES.parse(text).bind(["bm25"])
    reach, rng, seen = strategy.reach(given, 5), draws(3), np.zeros(13)
    times = 6_000
    for _ in range(times):
        seen[strategy.choose(given, reach, 5, rng)] += 1
    recorded = np.zeros(13)
    recorded[reach] = strategy.inclusion(given, reach, 5)
    assert recorded.sum() == pytest.approx(5)
    assert (np.abs(recorded - seen / times) <= share_bound(recorded, times)).all()
    order = oracle.in_order(given.score.tolist())
    ranks = rank if strategy.source else [1 + order.index(i) for i in range(13)]
    members = oracle.band_members(ranks, strategy.windows)
    assert sorted(reach.tolist()) == sorted(i for part in members for i in part)


def test_their_texts_come_back():
    for text, full in (
        ("bands([1-32],[100-200])", "bands(ranks=[1-32,100-200])"),
        ("bands([1-32,100-200],source=bm25)", "bands(ranks=[1-32,100-200],source=bm25)"),
        ("bands(1-5)", "bands(ranks=[1-5])"),
        ("anchors", "anchors(top=16,count=240,by=quantile)"),
        ("anchors(top=8,count=7,by=width)", "anchors(top=8,count=7,by=width)"),
    ):
        value = STRATEGIES.parse(text)
        assert str(value) == full
        assert STRATEGIES.parse(full) == STRATEGIES.stored(str(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bands", "needs ranks"),
        ("bands([5])", "are not bands of ranks"),
        ("bands([5-1])", "are not bands of ranks"),
        ("bands([0-4])", "are not bands of ranks"),
        ("bands([1-70000])", "are not bands of ranks"),
        ("bands([1-10],[10-20])", "overlap or do not rise"),
        ("bands([11-20],[1-10])", "overlap or do not rise"),
        ("bands([1-4],[5-9],take=[1])", "does not fit 2 bands"),
        ("bands([1-4],take=[0])", "does not fit 1 bands"),
        ("bands([1-4],ranks=[5-6])", "given twice"),
        ("anchors(by=range)", "write by=quantile or by=width"),
        ("anchors(count=0)", "are no numbers of documents"),
        ("anchors(top=-1)", "are no numbers of documents"),
        ("anchors(source=bm25,last=0)", "last=0 is not a rank"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        STRATEGIES.parse(text)


def test_a_size_without_a_place_for_an_anchor_is_refused():
    given = candidates(np.arange(40.0))
    with pytest.raises(UsageError, match="choose groups of 18 to 257"):
        chosen("anchors", given, 15)
    with pytest.raises(UsageError, match="choose groups of 4 to 6"):
        chosen("anchors(top=2,count=3)", given, 6)
