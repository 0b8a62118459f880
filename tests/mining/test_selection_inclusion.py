"""Inclusion over everything that is drawn: the random source's list and the selection, together.

A corpus of 16 documents, two fixed lists, and a list of the random source that is drawn anew each
time. Every design is simulated 200,000 times from its description (`oracles.draws`), and by the
code itself, fewer times (`RANKMILL_DRAWS` sets how many).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import draws as oracle
from rounding import share_bound, sum_bound

from rankmill.mining.selection import STRATEGIES, Candidates
from rankmill.mining.selection.base import DRAWN, MIXED
from rankmill.mining.selection.selector import Chooser
from rankmill.mining.sources.uniform import draw_distinct
from rankmill.mining.statistics.density_ratio import strata_of

DRAWS = 200_000
RUNS = int(os.environ.get("RANKMILL_DRAWS", "2000"))
N, DEPTH = 16, 10
BM25 = np.array([0, 3, 1, 2, 5, 4, 7, 6, 0, 0, 0, 0, 8, 0, 0, 0])
DENSE = np.array([1, 2, 0, 0, 0, 3, 0, 0, 4, 5, 6, 0, 0, 0, 7, 0])
# At most 16 probabilities of a hypergeometric sum of 16 terms: the logarithms of its weights are
# themselves sums of 16 terms, 10 at most, so a weight has some 200 roundings; 2,000 are enough for
# the sum of all probabilities and quotients of them.
SUM = sum_bound(2_000, 5.0, "float64")
BARRED = np.isin(np.arange(N), [2, 9, 11])  # positives and copies: never negatives
ALLOWED = ~BARRED
SCORE = np.arange(N) % 5 / 2.0


def candidates(drawn: np.ndarray, barred: np.ndarray = BARRED) -> Candidates:
    """What a selection sees when the random source drew these documents, in this order."""
    random = np.zeros(N, np.uint16)
    random[drawn] = 1 + np.arange(len(drawn))
    pool = np.flatnonzero((BM25 > 0) | (DENSE > 0) | (random > 0) | barred)
    return Candidates(
        query_id="q",
        doc=pool.astype(np.uint32),
        score=SCORE[pool],
        kind="logit",
        rank={
            "bm25": BM25[pool].astype(np.uint16),
            "dense": DENSE[pool].astype(np.uint16),
            "random": random[pool],
        },
        allowed=~barred[pool],
        positive=int(np.searchsorted(pool, 2)),
        origin={"random": DRAWN},
        documents=N,
        outside=N - len(pool),
    )


def recorded(text: str, size: int, given: Candidates, when_short: str = "drop_query"):
    """Return π (float64 [N]) that a selection records, documents outside the pool included."""
    pi, beyond = Chooser(text, [], size + 1, when_short).probabilities(given)
    found = np.full(N, beyond)
    found[given.doc] = pi
    return found


def window(rank, first, last):
    return (rank >= first) & (rank <= last) & ALLOWED


def lists(rng):
    """Ranks of every document in 200,000 lists of the random source, 0 = not drawn."""
    rank = 1 + np.argsort(np.argsort(rng.random((DRAWS, N)), axis=1), axis=1)
    return np.where(rank <= DEPTH, rank, 0)


@dataclass(frozen=True)
class Design:
    """Simulates a strategy: masks of what was taken, of those draws that made a group at all."""

    size: int
    simulate: object


def of_window(first, last, size):
    def simulate(rng):
        inside = window(lists(rng), first, last)
        inside = inside[inside.sum(axis=1) >= size]
        return oracle.uniform(rng, len(inside), inside, size)

    return Design(size, simulate)


def best_ranks(first, size):
    def simulate(rng):
        rank = lists(rng)
        inside = window(rank, first, N)
        enough = inside.sum(axis=1) >= size
        return oracle.smallest(np.where(inside, rank.astype(float), np.inf)[enough], size)

    return Design(size, simulate)


def mixed(of_source, of_target, number, size):
    """`number` of the target, the rest of what the window still holds."""

    def simulate(rng):
        rank = lists(rng)
        source = np.broadcast_to(of_source(rank), rank.shape)
        target = np.broadcast_to(of_target(rank), rank.shape)
        enough = (target.sum(axis=1) >= number) & (
            source.sum(axis=1) - np.minimum(number, source.sum(axis=1)) >= size - number
        )
        return oracle.mixture(rng, enough.sum(), source[enough], target[enough], number, size)

    return Design(size, simulate)


def shares(parts, numbers):
    """So many of each part; fixed lists keep what a drawn list also holds."""

    def simulate(rng):
        rank = lists(rng)
        masks = [np.broadcast_to(part(rank), rank.shape) for part in parts]
        enough = np.all(
            [mask.sum(axis=1) >= n for mask, n in zip(masks, numbers, strict=True)], axis=0
        )
        return oracle.quotas(rng, enough.sum(), [mask[enough] for mask in masks], numbers)

    return Design(sum(numbers), simulate)


def padded(inside, size):
    """All of a window too small, then any other document of the pool: the drawn list's included."""

    def simulate(rng):
        rank = lists(rng)
        pool = ALLOWED & ((BM25 > 0) | (DENSE > 0) | (rank > 0)) & ~inside
        taken = oracle.uniform(rng, DRAWS, pool, size - int(inside.sum()))
        return taken | inside

    return Design(size, simulate)


def bm25(first, last):
    return lambda rank: window(BM25, first, last)


def dense(first, last):
    return lambda rank: window(DENSE, first, last)


def random(first, last):
    return lambda rank: window(rank, first, last)


def without(part, *others):
    return lambda rank: part(rank) & ~np.any([other(rank) for other in others], axis=0)


DESIGNS = {
    "uniform(source=random,last=5)": of_window(1, 5, 3),
    "uniform(source=random,last=10)": of_window(1, 10, 3),
    "uniform(source=random,first=4,last=9)": of_window(4, 9, 2),
    "random": of_window(1, N, 4),
    "top(source=random)": best_ranks(1, 3),
    "top(source=random,first=3)": best_ranks(3, 3),
    "softmax(by=rank,T=2,source=random)": of_window(1, N, 4),
    "mixture(source=bm25,last=7)": mixed(bm25(1, 7), random(1, N), 1, 4),
    "mixture(source=bm25,last=7,number=3)": mixed(bm25(1, 7), random(1, N), 3, 4),
    "mixture(source=bm25,last=7,target_last=4,number=2)": mixed(bm25(1, 7), random(1, 4), 2, 4),
    "mixture(source=bm25,first=2,last=8,target=dense)": mixed(bm25(2, 8), dense(1, N), 1, 4),
    "mixture(source=random,last=8,target=bm25,target_last=5,number=2)": mixed(
        random(1, 8), bm25(1, 5), 2, 4
    ),
    "mixture(source=random,first=2,last=9,target=random,target_last=4,number=2)": mixed(
        random(2, 9), random(1, 4), 2, 4
    ),
    "quotas(sources=[bm25,random],take=[2,2],last=5)": shares(
        [bm25(1, 5), without(random(1, 5), bm25(1, 5))], [2, 2]
    ),
    "quotas(sources=[random,bm25],take=[2,1],last=6)": shares(
        [without(random(1, 6), bm25(1, 6)), bm25(1, 6)], [2, 1]
    ),
    "quotas(sources=[dense,random,bm25],take=[1,1,2],last=7)": shares(
        [
            dense(1, 7),
            without(random(1, 7), bm25(1, 7), dense(1, 7)),
            without(bm25(1, 7), dense(1, 7)),
        ],
        [1, 1, 2],
    ),
    "bands([1-4],[5-9],source=random)": shares([random(1, 4), random(5, 9)], [2, 2]),
    "bands([2-3],[4-10],source=random,take=[1,3])": shares([random(2, 3), random(4, 10)], [1, 3]),
    "uniform(source=bm25,last=5)": Design(
        3, lambda rng: oracle.uniform(rng, DRAWS, window(BM25, 1, 5), 3)
    ),
    "uniform(source=dense,last=3)": padded(window(DENSE, 1, 3), 5),  # short: filled from the pool
}
FILLED = {"uniform(source=dense,last=3)": "fill"}


@pytest.mark.parametrize("text", DESIGNS)
def test_inclusion_is_that_of_200_000_draws_of_list_and_group(text):
    design = DESIGNS[text]
    taken = design.simulate(np.random.Generator(np.random.Philox(7)))
    assert len(taken) > DRAWS / 3
    assert (taken.sum(axis=1) == design.size).all()
    given = candidates(np.arange(N - 1, N - 1 - DEPTH, -1))
    pi = recorded(text, design.size, given, FILLED.get(text, "drop_query"))
    assert pi.sum() == pytest.approx(design.size, abs=SUM)
    assert (np.abs(taken.mean(axis=0) - pi) <= share_bound(pi, len(taken))).all()


@pytest.mark.parametrize("text", DESIGNS)
def test_the_code_draws_what_it_records_whatever_list_was_drawn(text):
    size, rng = DESIGNS[text].size, np.random.Generator(np.random.Philox(8))
    chooser = Chooser(text, [], size + 1, FILLED.get(text, "drop_query"))
    first = candidates(draw_distinct(rng, N, DEPTH))
    pi = recorded(text, size, first, chooser.when_short)
    seen, made = np.zeros(N), 0
    for number in range(RUNS):
        now = candidates(draw_distinct(rng, N, DEPTH))
        reach = chooser.strategy.reach(now, size)
        if number % 40 == 0 or len(reach) < size:
            choice = chooser.choose(now, rng)
            if choice is None:
                continue
            docs = now.doc[choice[0]]
            assert choice[1] == pytest.approx(pi[docs], abs=SUM)
        else:
            docs = now.doc[chooser.strategy.choose(now, reach, size, rng)]
        made += 1
        seen[docs] += 1
    assert made > RUNS / 3
    assert (np.abs(seen / made - pi) <= share_bound(pi, made)).all()


# ---- the mixing guard ----------------------------------------------------------------------------


@st.composite
def mixtures(draw):
    """A list of the random source, a barred set, and a mixture whose windows may overlap."""
    size = draw(st.integers(2, 5))
    number = draw(st.integers(1, size - 1))
    first, target = draw(st.integers(1, 4)), draw(st.sampled_from(["random", "bm25", "dense"]))
    source = draw(st.sampled_from(["random", "bm25", "dense"]))
    last, target_last = draw(st.integers(first, N)), draw(st.one_of(st.none(), st.integers(1, N)))
    barred = np.isin(np.arange(N), [2, *draw(st.sets(st.integers(0, N - 1), max_size=4))])
    order = draw(st.permutations(range(N)))[: draw(st.integers(2, N))]
    text = f"mixture(source={source},first={first},last={last},target={target},number={number}"
    text += ")" if target_last is None else f",target_last={target_last})"
    return text, size, candidates(np.array(order), barred), target, target_last


@given(mixtures())
@settings(max_examples=400, deadline=None)
def test_no_density_ratio_of_a_mixture_is_above_its_guard(drawn):
    text, size, given_now, target, last = drawn
    bound = STRATEGIES.parse(text)
    if len(bound.reach(given_now, size)) < size:
        return  # no group
    allowed = given_now.allowed.copy()
    pi, beyond = Chooser(text, [], size + 1, "error").probabilities(given_now)
    assert pi.sum() + beyond * given_now.outside == pytest.approx(size, abs=SUM)
    assert (pi <= 1 + SUM).all()
    aim = ("corpus", None) if target == "random" else (target, last)
    strata = strata_of(given_now, allowed, pi, beyond, *aim)
    assert strata.kappa() <= size / bound.number * (1 + SUM)


# ---- by hand -------------------------------------------------------------------------------------


def thousand(last=200, rng=None):
    """3,000 documents, BM25 to rank 1,000, a list of 200 of the random source."""
    n, rng = 3000, rng or np.random.Generator(np.random.Philox(3))
    rank, random = np.zeros(n, np.uint16), np.zeros(n, np.uint16)
    rank[1:1001] = 1 + np.arange(1000)
    random[draw_distinct(rng, n, last)] = 1 + np.arange(last)
    pool = np.flatnonzero((rank > 0) | (random > 0) | (np.arange(n) == 0))
    return Candidates(
        query_id="q",
        doc=pool.astype(np.uint32),
        score=np.zeros(len(pool)),
        kind="logit",
        rank={"bm25": rank[pool], "random": random[pool]},
        allowed=pool > 0,
        positive=0,
        origin={"random": DRAWN},
        documents=n,
        outside=n - len(pool),
    )


def ratios(text, size=15, target="corpus", last=None):
    given_now = thousand()
    allowed = given_now.allowed.copy()
    pi, beyond = Chooser(text, [], size + 1, "error").probabilities(given_now)
    return strata_of(given_now, allowed, pi, beyond, target, last)


def test_half_of_a_drawn_list_is_drawn_from_the_same_corpus():
    """100 of 200, then 15: every document but the positive is chosen with 15/2,999."""
    for last in (100, 200):
        found = ratios(f"uniform(source=random,last={last})")
        assert found.kappa() == pytest.approx(1.0)
        assert found.coverage() == pytest.approx(1.0)
        assert found.nu.max() == pytest.approx(1 / 2999)


def test_quotas_keep_the_share_of_the_corpus():
    """10 of BM25's 200, 5 of the 2,799 others: κ = (1/2,999) / ((5/2,799) / 15) = 2.79993."""
    text = "quotas(sources=[bm25,random],take=[10,5],last=200)"
    assert ratios(text).kappa() == pytest.approx(3 * 2799 / 2999)
    half = "quotas(sources=[bm25,random],take=[10,5],last=100)"
    assert ratios(half).kappa() == pytest.approx(3 * 2899 / 2999)


def test_a_window_with_one_document_of_the_corpus_attains_its_guard():
    assert ratios("mixture(source=bm25,last=200)").kappa() == pytest.approx(15.0)
    assert ratios("mixture(source=bm25,last=200,number=3)").kappa() == pytest.approx(5.0)
    assert ratios("mixture(source=bm25,last=200,target_last=20)").kappa() == pytest.approx(15.0)
    deep = ratios("mixture(source=bm25,last=200,number=3)", target="bm25", last=1000)
    assert deep.kappa() == pytest.approx((1 / 1000) / (3 / 2999 / 15))


# ---- what has no closed form ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "top",  # the best of a pool that holds a drawn list
        "stratified(bins=2)",
        "stratified(bins=2,source=random)",
        "anchors(top=1,count=4)",
        "anchors(top=1,count=4,source=random)",
        "bands([1-3],[4-8])",
        "bands([1-3],[4-8],source=mixed)",
        "softmax(T=1)",
        "softmax(T=1,source=random)",
        "uniform(source=mixed,last=8)",
        "top(source=mixed)",
        "random(source=mixed)",
        "softmax(by=rank,source=mixed)",
        "mixture(source=mixed,last=8)",
        "mixture(source=bm25,last=7,target=mixed)",
        "quotas(sources=[bm25,mixed],take=[2,2])",
        "entropy_target(draws=3,steps=2)",
        "entropy_target(draws=3,steps=2,source=random)",
    ],
)
def test_what_depends_on_a_drawn_list_in_other_ways_is_unknown_never_a_number(text):
    given_now = candidates(np.arange(DEPTH))
    given_now.rank = {**given_now.rank, "mixed": given_now.rank["random"]}
    given_now.origin = {"random": DRAWN, "mixed": MIXED}
    pi, beyond = Chooser(text, [], 5, "error").probabilities(given_now)
    assert math.isnan(beyond) or np.isnan(pi).any()
    chosen = Chooser(text, [], 5, "error").choose(
        given_now, np.random.Generator(np.random.Philox(1))
    )
    assert np.isnan(chosen[1]).any()


def test_a_filter_that_compares_candidates_makes_inclusion_unknown():
    text = "uniform(source=bm25,last=7)"
    for name, unknown in (("percentile(high=0.9)", True), ("between(low=-9)", False)):
        given_now = candidates(np.arange(DEPTH))
        pi, _ = Chooser(text, [name], 4, "error").probabilities(given_now)
        assert np.isnan(pi).any() == unknown


def test_what_a_filter_leaves_outside_the_pool_is_estimated_from_what_was_drawn():
    """Σπ is the size of the group whatever is estimated, and π within its stated error."""
    n, size, rng = 3000, 15, np.random.Generator(np.random.Philox(12))
    kept = rng.random(n) < 0.6
    inside = kept[1:].sum()  # what the filter leaves of the corpus, the positive apart
    for _ in range(20):
        given_now = thousand(rng=rng)
        given_now.score = np.where(kept[given_now.doc], 0.0, 5.0)
        allowed = given_now.allowed.copy()
        chooser = Chooser(
            "uniform(source=random)", ["between(high=1,score=raw)"], size + 1, "error"
        )
        pi, beyond = chooser.probabilities(given_now)
        outside = round(given_now.outside * given_now.share_outside)
        assert pi.sum() + beyond * outside == pytest.approx(size)
        drawn = given_now.by_draw_alone.sum()
        error = given_now.outside / inside * np.sqrt(0.6 * 0.4 / drawn)
        assert abs(beyond * inside / size - 1) <= 5 * error
        found = strata_of(given_now, allowed, pi, beyond, "corpus", None)
        assert found.kappa() == math.inf  # what the filter removes is in the corpus
        assert found.coverage() == pytest.approx(inside / (n - 1), rel=5 * error)
        assert (found.number * found.nu).sum() == pytest.approx(1.0)
