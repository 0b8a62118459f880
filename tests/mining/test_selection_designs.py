"""Inclusion probabilities against 200,000 simulated draws; quotas, groups of other make-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracles import draws as oracle
from rounding import share_bound
from selection_world import QUERIES, build_world, select

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.selection import FILTERS, STRATEGIES, Candidates
from rankmill.mining.selection.strategies import equal_width_bins
from rankmill.mining.selection.weighted import arrivals, systematic

DRAWS = 200_000
SCORES = np.array([0, 0, 0, 0, 0, 0, 1, 2, 2.2, 2.4, 7.9, 8])
RANK = np.array([1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11])
OTHER = np.array([0, 0, 3, 0, 1, 2, 4, 0, 0, 5, 6, 7])


APART = np.array([3.1, 0.4, 2.0, 0.9, np.nan, 1.6, 0.0, 2.7, 1.2, 0.4, 3.9, 1.1])


def candidates():
    return Candidates(
        query_id="q",
        doc=np.arange(12, dtype=np.uint32),
        score=SCORES.astype(np.float64),
        kind="logit",
        rank={"bm25": RANK.astype(np.uint16), "dense": OTHER.astype(np.uint16)},
        allowed=np.ones(12, bool),
        positive=0,
        distance=lambda: APART,
    )


def shell(inside, near, far):
    """Which documents lie between two shares of the order of distance; no vector, in none."""
    ahead = np.array([(APART[inside] < own).sum() for own in APART])  # ties: by document, below
    ahead += [(APART[inside & (np.arange(12) < doc)] == own).sum() for doc, own in enumerate(APART)]
    there = inside & ~np.isnan(APART)
    return there & (ahead >= round(near * there.sum())) & (ahead < round(far * there.sum()))


def window(rank, first, last):
    return (rank >= first) & (rank <= last)


def always(taken):
    """A design that draws nothing: the same documents each time."""
    return np.broadcast_to(taken, (DRAWS, len(taken)))


def within(inside, taken):
    """Draws among the documents of a window, as draws among all."""
    every = np.zeros((len(taken), len(inside)), dtype=bool)
    every[:, inside] = taken
    return every


def weighted(rng, weight, inside, size):
    return within(inside, oracle.systematic(rng, DRAWS, oracle.clocks(weight[inside], size)))


def binned(rng, inside, bins, size):
    owner = equal_width_bins(SCORES[inside], bins)
    return within(inside, oracle.stratified(rng, DRAWS, owner, bins, size))


BEST = 1 + np.argsort(np.argsort(-SCORES, kind="stable"))
BINS = equal_width_bins(SCORES, 4)
DENSE_ONLY = window(OTHER, 1, 7) & ~window(RANK, 1, 7)
DESIGNS = {
    "uniform(first=2,last=9,source=bm25)": (
        5,
        lambda rng: oracle.uniform(rng, DRAWS, window(RANK, 2, 9), 5),
    ),
    "stratified(bins=4)": (7, lambda rng: oracle.stratified(rng, DRAWS, BINS, 4, 7)),
    "softmax(T=1)": (
        4,
        lambda rng: oracle.systematic(rng, DRAWS, oracle.clocks(np.exp(SCORES), 4)),
    ),
    "softmax(T=4,source=dense,last=6)": (
        3,
        lambda rng: weighted(rng, np.exp(SCORES / 4), window(OTHER, 1, 6), 3),
    ),
    "softmax(by=rank,T=3,source=bm25)": (
        5,
        lambda rng: weighted(rng, np.exp(-RANK / 3), RANK > 0, 5),
    ),
    "top(source=bm25,first=3)": (4, lambda rng: always(window(RANK, 3, 6))),
    "top": (3, lambda rng: always(SCORES > 2.3)),
    "random(source=dense)": (4, lambda rng: oracle.uniform(rng, DRAWS, OTHER > 0, 4)),
    "stratified(bins=3,source=bm25,last=9)": (
        5,
        lambda rng: binned(rng, window(RANK, 1, 9), 3, 5),
    ),
    "bands([1-4],[7-11],source=bm25)": (
        5,  # the first band takes what is left over
        lambda rng: oracle.quotas(rng, DRAWS, [window(RANK, 1, 4), window(RANK, 7, 11)], [3, 2]),
    ),
    "bands([1-3],[5-9],take=[1,3])": (
        4,  # ranks of the teacher: best first, ties by document
        lambda rng: oracle.quotas(rng, DRAWS, [window(BEST, 1, 3), window(BEST, 5, 9)], [1, 3]),
    ),
    "anchors(top=2,count=3)": (5, lambda rng: always(np.isin(BEST, [1, 2, 4, 8, 11]))),
    "mixture(first=1,last=5,source=bm25,target=dense,number=1)": (
        4,
        lambda rng: oracle.mixture(rng, DRAWS, window(RANK, 1, 5), OTHER > 0, 1, 4),
    ),
    "mixture(first=4,last=9,source=bm25,target=bm25,target_last=6,number=3)": (
        5,
        lambda rng: oracle.mixture(rng, DRAWS, window(RANK, 4, 9), window(RANK, 1, 6), 3, 5),
    ),
    "quotas(sources=[bm25,dense],take=[3,2],last=7)": (
        5,
        lambda rng: oracle.quotas(rng, DRAWS, [window(RANK, 1, 7), DENSE_ONLY], [3, 2]),
    ),
    "shell(near=0,far=0.5)": (
        4,
        lambda rng: oracle.uniform(rng, DRAWS, shell(np.ones(12, bool), 0, 0.5), 4),
    ),
    "shell(near=0.25,far=1,source=bm25,last=9)": (
        3,
        lambda rng: oracle.uniform(rng, DRAWS, shell(window(RANK, 1, 9), 0.25, 1), 3),
    ),
    "quotas(sources=[dense,bm25],last=7)": (
        5,
        lambda rng: oracle.quotas(
            rng, DRAWS, [window(OTHER, 1, 7), window(RANK, 1, 7) & ~window(OTHER, 1, 7)], [3, 2]
        ),
    ),
}


@pytest.mark.parametrize("text", DESIGNS)
def test_recorded_probabilities_are_those_of_200_000_draws_of_the_design(text):
    size, simulate = DESIGNS[text]
    taken = simulate(np.random.Generator(np.random.Philox(5)))
    assert (taken.sum(axis=1) == size).all()
    given = candidates()
    strategy = STRATEGIES.parse(text).bind(["bm25", "dense"])
    reach = strategy.reach(given, size)
    recorded = np.zeros(12)
    recorded[reach] = strategy.inclusion(given, reach, size)
    assert (np.abs(recorded - taken.mean(axis=0)) <= share_bound(recorded, DRAWS)).all()
    assert recorded.sum() == pytest.approx(size, abs=12 * 2.0**-50)  # as the docs state it
    certain = (recorded == 0) | (recorded == 1)
    assert (taken.mean(axis=0)[certain] == recorded[certain]).all()


@pytest.mark.parametrize("wanted", [0.1, 0.9])
def test_an_entropy_targets_estimate_is_within_its_error_of_200_000_searches(wanted):
    """One that has looked `draws` times: a binomial share, drawn to n/N by one more draw."""
    steps, size, looks = 6, 4, 1000
    given = candidates()
    given = replace(given, allowed=np.arange(12) > 0, kind="similarity")
    rng = np.random.Generator(np.random.Philox(9))
    taken = oracle.swaps(rng, DRAWS, SCORES.astype(float), 0, size, wanted, steps)
    exact = taken.mean(axis=0)[1:]
    strategy = STRATEGIES.parse(f"entropy_target(H={wanted},steps={steps},draws={looks})")
    reach = strategy.reach(given, size)
    recorded = strategy.inclusion(given, reach, size)
    pulled = (looks * exact + size / 11) / (looks + 1)
    error = np.sqrt(exact * (1 - exact)) * (looks**-0.5 + DRAWS**-0.5)
    assert (np.abs(recorded - pulled) <= 5 * error).all()
    assert np.ptp(exact) > 20 * error.max()  # the searches do prefer some


def test_the_softmax_draw_is_no_gumbel_top_k():
    """For one document Gumbel top-k is the softmax itself; ours is up to 0.101 from it, when one
    document outweighs the rest, in small pools and in large ones."""
    apart = []
    for others in (1, 4, 99, 999):
        for ahead in np.linspace(0, 12, 121):
            log_weight = np.append(ahead, np.zeros(others))
            softmax = np.exp(log_weight) / np.exp(log_weight).sum()
            apart.append(np.abs(arrivals(log_weight, 1) - softmax).max())
    assert 0.1 < max(apart) < 0.101
    assert np.abs(arrivals(np.zeros(50), 7) - 7 / 50).max() < 1e-12


class LastPoint:
    """Draws that stand as far right as they can, where sums round up to the next number."""

    def permutation(self, of):
        return np.arange(of) if np.isscalar(of) else of

    def random(self):
        return 1.0 - 2.0**-53


def test_rounding_chooses_no_document_twice_and_none_that_cannot_be():
    certain = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    assert sorted(systematic(certain, 3, LastPoint()).tolist()) == [0, 1, 2]
    thirds = np.full(9, 1 / 3)
    assert len(set(systematic(thirds, 3, LastPoint()).tolist())) == 3


def test_quotas_draw_what_they_record():
    strategy = STRATEGIES.parse("quotas(sources=[bm25,dense],take=[3,2],last=7)")
    given, rng = candidates(), np.random.Generator(np.random.Philox(6))
    reach, seen = strategy.reach(given, 5), np.zeros(12)
    times = 4000
    for _ in range(times):
        chosen = strategy.choose(given, reach, 5, rng)
        assert window(RANK, 1, 7)[chosen].sum() == 3
        seen[chosen] += 1
    expected = np.zeros(12)
    expected[reach] = strategy.inclusion(given, reach, 5)
    assert (np.abs(seen / times - expected) <= share_bound(expected, times)).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quotas(sources=[bm25])", "are not two or more sources"),
        ("quotas(sources=[bm25,bm25])", "are not two or more sources"),
        ("quotas(sources=[bm25,dense],take=[1])", "does not fit 2 sources"),
        ("quotas(sources=[bm25,dense],take=[-1,2])", "does not fit 2 sources"),
        ("quotas(sources=[bm25,dense],last=0)", "last=0 is not a rank"),
        ("entropy_target(draws=0)", "draws=0 is too few to estimate from"),
    ],
)
def test_strategies_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        STRATEGIES.parse(text)


def test_quotas_must_sum_to_the_group():
    strategy = STRATEGIES.parse("quotas(sources=[bm25,dense],take=[3,3])")
    with pytest.raises(UsageError, match="are 6 documents, the group wants 5"):
        strategy.reach(candidates(), 5)


def test_an_estimated_probability_is_within_its_stated_error():
    text = "entropy_target(H=0.9,steps=5,draws={})"
    few, many = STRATEGIES.parse(text.format(400)), STRATEGIES.parse(text.format(4000))
    given = candidates()
    reach = few.reach(given, 4)
    estimated, truth = few.inclusion(given, reach, 4), many.inclusion(given, reach, 4)
    assert estimated.sum() == pytest.approx(4)
    # Both are drawn to the even share by one draw more, by less than 1/400 and 1/4000.
    off = share_bound(0.5, 400) + share_bound(0.5, 4000) + 1 / 400 + 1 / 4000
    assert np.abs(estimated - truth).max() <= off
    assert (estimated > 0).all()
    assert estimated.tolist() == few.inclusion(given, reach, 4).tolist()


# ---- groups of other make-up ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("designs"))


def test_several_positives_of_a_query_in_one_group(world):
    part = Groups(select(world, "top", positives="together")).part(0)
    for query, docs, grades in zip(part.query, part.doc, part.grade, strict=True):
        assert docs[:2].tolist() == [query + 4, query + 20]
        assert grades.tolist() == [2, 1] + [0] * 6
    assert (part.inclusion[:, :2] == 1).all()
    small = Groups(select(world, "top", positives="together", size=3)).part(0)
    assert (small.grade > 0).sum(axis=1).tolist() == [1] * len(small)  # at most half


def test_the_teachers_best_document_first_also_without_a_positive(world):
    chosen = select(world, "uniform(source=random)", positives="best")
    assert chosen.rows == QUERIES  # q11 has no positive
    part = Groups(chosen).part(0)
    for row, query in enumerate(part.query):
        assert (part.score[row, 0] >= part.score[row]).all()
        assert not {query + 4, query + 20} & set(part.doc[row, 1:].tolist()) or query == 11
    assert part.grade[-1].tolist() == [0] * 8
    chosen.verify()


@pytest.mark.parametrize("size", [2, 40])
def test_small_and_large_groups(world, size):
    chosen = select(world, "top", size=size)
    assert Groups(chosen).part(0).doc.shape[1] == size
    assert chosen.rows > 0


def test_a_group_of_1024(tmp_path):
    from rankmill.mining.selection.selector import Chooser

    n = 1200
    given = Candidates(
        query_id="q",
        doc=np.arange(n, dtype=np.uint32),
        score=np.linspace(3, -3, n),
        kind="logit",
        rank={"bm25": np.arange(n, dtype=np.uint16)},
        allowed=np.arange(n) > 0,
        positive=0,
    )
    chooser = Chooser("uniform(last=1199,source=bm25)", [], 1024, "error")
    chosen, probability, _ = chooser.choose(given, np.random.Generator(np.random.Philox(1)))
    assert len(set(chosen.tolist())) == 1023
    assert probability == pytest.approx(1023 / 1199)
    with pytest.raises(UsageError, match="size=1025 is not a group size"):
        select(build_world(tmp_path), "top", size=1025)


def test_near_copies_of_a_positive_are_filtered_by_text(world):
    """Texts are "text number i": of one positive 20 and 4 differ from others in one or two
    characters."""
    text = "near_copies(of=0.75)"
    assert select(world, "top", filters=[text], size=4).counts[f"filtered:{text}"] > 0
    none = select(world, "top", filters=["near_copies(of=1)"], size=4)
    assert "filtered:near_copies(of=1)" not in none.counts
    with pytest.raises(UsageError, match="of=2.0 is not an overlap"):
        FILTERS.parse("near_copies(of=2)")


def test_too_strict_a_filter_says_how_few_are_left(world):
    with pytest.raises(BadInput, match="query 'q0' has 0 candidates, a group of 8 needs 7"):
        select(world, "top", filters=["between(low=100,score=raw)"], when_short="error")
