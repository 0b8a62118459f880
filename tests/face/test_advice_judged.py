"""Predictions of gains and how they are judged, on made-up studies of which the truth is known."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from oracles import advice as oracle

from rankmill.study.advise.judged import (
    ADVICE,
    BM25,
    CHANCE,
    THEORY,
    chosen,
    judge,
    judge_pilots,
    spearman,
    worths,
)
from rankmill.study.advise.predict import STRENGTHS, fit
from rankmill.study.advise.records import Piloted, Record

H, D = "pair_entropy(T=1)", "diameter(q=1)"
FEATURES = (H, D)
FAMILIES = ("bm25", "random", "anchors", "stratified", "dense")


def world(
    collections: int, *, slope: float, noise: float = 0.003, seed: int = 5, blocks: int = 1
) -> list[Record]:
    """Return studies in which a design gains `slope` per unit of entropy more than the others of
    its pool, whatever its family; families' entropies change places from pool to pool."""
    rng = np.random.Generator(np.random.Philox(seed))
    made = []
    for c in range(collections):
        easy = rng.normal(0.05, 0.02)
        entropy = 0.1 + 0.15 * rng.permutation(len(FAMILIES)) + rng.normal(0, 0.01, len(FAMILIES))
        for block in range(blocks):
            for place, family in enumerate(FAMILIES):
                gain = easy + slope * (entropy[place] - entropy.mean()) + rng.normal(0, noise)
                made.append(
                    Record(
                        corpus=f"c{c}",
                        collection=f"collection {c}",
                        block=f"c{c} b{block}",
                        design=family,
                        family=family,
                        gain=float(gain),
                        cost=float(100 * np.exp(rng.normal(0, 0.05))),
                        queries=1000.0 + 100 * c,
                        statistics={H: float(entropy[place]), D: float(rng.normal(1, 0.1))},
                    )
                )
    return made


def plain(records: list[Record]) -> list[dict[str, Any]]:
    return [asdict(one) for one in records]


@pytest.mark.parametrize("strength", [math.inf, 3.0, 0.1])
def test_a_fit_is_ridge_regression_within_blocks(strength: float) -> None:
    records = world(4, slope=0.1, blocks=2)
    found = fit(records, FEATURES, strength)
    weights, scale, level = oracle.ridge(plain(records), list(FEATURES), strength)
    assert found.weights == pytest.approx(weights)
    assert found.scale == pytest.approx(scale)
    assert found.level == pytest.approx(level)
    block = records[: len(FAMILIES)]
    told = oracle.predicted(plain(records), plain(block), list(FEATURES), strength)
    assert found.gains(block) == pytest.approx(told)


def test_the_strength_is_that_with_the_least_error_on_collections_left_out() -> None:
    for slope in (0.0, 0.02, 0.2):
        records = world(5, slope=slope, noise=0.01)
        wanted = oracle.strength_of(plain(records), list(FEATURES), list(STRENGTHS))
        assert fit(records, FEATURES).strength == wanted


@pytest.mark.parametrize("by", ["gain", "rate"])
def test_losses_are_those_of_collections_left_out_by_hand(by: str) -> None:
    records = world(5, slope=0.05, noise=0.01, blocks=2)
    found = judge(records, FEATURES, by)
    assert found is not None
    made = {rule.name: rule for rule in found.rules}
    own = oracle.losses(plain(records), list(FEATURES), list(STRENGTHS), by, None)
    assert made[ADVICE].lost.mean == pytest.approx(np.mean(list(own.values())))
    for name, family in ((BM25, "bm25"), ("always anchors", "anchors")):
        lost = oracle.losses(plain(records), list(FEATURES), list(STRENGTHS), by, family)
        assert made[name].lost.mean == pytest.approx(np.mean(list(lost.values())))
        behind = [lost[key] - own[key] for key in own]
        told = made[name].behind
        assert told is not None
        assert told.mean == pytest.approx(np.mean(behind))
    assert found.collections == tuple(f"collection {c}" for c in range(5))


def test_the_error_is_that_of_gains_and_not_of_differences_alone() -> None:
    """Designs that differ exactly as predicted, in collections that gain unequally: what is wrong
    of a predicted gain is the level."""
    records = world(4, slope=0.0, noise=0.0)
    levels = [np.mean([one.gain for one in records if one.corpus == f"c{c}"]) for c in range(4)]
    missed = [own - np.mean(levels[:c] + levels[c + 1 :]) for c, own in enumerate(levels)]
    found = judge(records, FEATURES)
    assert found is not None
    assert found.error == pytest.approx(math.sqrt(np.mean(np.square(missed))))


def test_where_statistics_predict_the_advice_beats_always_bm25() -> None:
    found = judge(world(10, slope=0.2), FEATURES)
    assert found is not None
    assert found.beats_bm25
    made = {rule.name: rule for rule in found.rules}
    assert made[ADVICE].lost.mean < 0.01 < made[BM25].lost.mean
    assert made[CHANCE].beaten
    assert found.correlation is not None
    assert found.correlation.low is not None
    assert found.correlation.low > 0.7


def test_where_they_say_nothing_it_does_not() -> None:
    for seed in range(8):
        found = judge(world(8, slope=0.0, noise=0.02, seed=seed), FEATURES)
        assert found is not None
        assert not found.beats_bm25
        assert found.correlation is not None
        assert found.correlation.low is not None
        assert found.correlation.low < 0.3


def test_a_world_in_which_bm25_is_always_best_is_not_beaten() -> None:
    records = [
        replace(one, gain=0.1 if one.family == "bm25" else 0.02)
        for one in world(8, slope=0.0, seed=1)
    ]
    found = judge(records, FEATURES)
    assert found is not None
    assert found.against_bm25 is not None
    assert found.against_bm25.lost.mean == pytest.approx(0, abs=0.02)
    assert not found.beats_bm25


def test_two_collections_are_not_judged_and_a_missing_family_counts_its_own() -> None:
    assert judge(world(2, slope=0.2), FEATURES) is None
    records = [
        one
        for one in world(4, slope=0.2)
        if not (one.family == "anchors" and one.corpus in ("c0", "c1"))
    ]
    found = judge(records, FEATURES)
    assert found is not None
    made = {rule.name: rule for rule in found.rules}
    assert made["always anchors"].collections == 2
    assert made["always anchors"].behind is None  # two collections are no test
    assert not made["always anchors"].beaten
    assert made[BM25].collections == 4


def test_a_block_of_one_design_compares_nothing() -> None:
    records = world(3, slope=0.2)
    alone = replace(records[0], corpus="d", block="d", collection="d")
    assert judge([*records, alone], FEATURES) == judge(records, FEATURES)


def test_a_statistic_that_never_differs_within_a_pool_predicts_nothing() -> None:
    records = [
        replace(one, statistics={**one.statistics, D: 0.5 + len(one.corpus)})
        for one in world(4, slope=0.2)
    ]
    found = fit(records, FEATURES, 1.0)
    assert found.weights[1] == 0.0
    assert found.weights[0] > 0
    assert np.isfinite(found.gains(records[:5])).all()


def test_worth_is_gain_per_relative_cost_and_a_loss_is_no_better_for_being_cheap() -> None:
    block = [
        replace(one, cost=c) for one, c in zip(world(1, slope=0), (1, 4, 1, 4, 2), strict=True)
    ]
    gains = np.array([0.1, 0.1, -0.1, -0.1, 0.0])
    centre = (1 * 4 * 1 * 4 * 2) ** (1 / 5)
    wanted = [0.1 * centre, 0.1 * centre / 4, -0.1, -0.1, 0.0]
    assert worths(block, gains, "rate") == pytest.approx(wanted)
    assert worths(block, gains, "gain") == pytest.approx(gains)
    assert chosen(block, np.zeros(5)) == 2  # of equal ones the cheapest, then by name: anchors


def test_the_theorem_is_a_rule_where_its_terms_are_known() -> None:
    records = world(3, slope=0.0, noise=0.02)
    found = judge(records, FEATURES, "gain")
    assert found is not None
    losses = []
    for c in range(3):
        block = [one for one in records if one.corpus == f"c{c}"]
        root = math.sqrt(math.log(block[0].queries) / block[0].queries)
        terms = [one.statistics[D] * root + one.statistics[H] / 2 for one in block]
        best = max(one.gain for one in block)
        losses.append(best - block[int(np.argmin(terms))].gain)
    made = {rule.name: rule for rule in found.rules}
    assert made[THEORY].lost.mean == pytest.approx(np.mean(losses))
    without = judge(records, (H,), "gain")
    assert without is not None
    assert THEORY not in {rule.name for rule in without.rules}


def test_pilots_are_judged_by_the_students_they_stand_for() -> None:
    records = world(10, slope=0.3, noise=0.02)
    blocks = [[one for one in records if one.corpus == f"c{c}"] for c in range(10)]
    rng = np.random.Generator(np.random.Philox(8))
    good = [Piloted(block, [0.3 * one.gain for one in block]) for block in blocks]
    idle = [Piloted(block, list(rng.normal(size=len(block)))) for block in blocks]
    found, nothing = judge_pilots(good, "gain"), judge_pilots(idle, "gain")
    assert found is not None
    assert nothing is not None
    assert found.rules[0].lost.mean == 0.0
    assert found.beats_bm25
    assert not nothing.beats_bm25
    losses = []
    for one in idle:
        best = max(record.gain for record in one.block)
        losses.append(best - one.block[int(np.argmax(one.gains))].gain)
    assert nothing.rules[0].lost.mean == pytest.approx(np.mean(losses))
    assert judge_pilots(good[:2]) is None


def test_spearman_counts_ties_by_mean_ranks() -> None:
    scipy = pytest.importorskip("scipy.stats")
    x, y = np.array([1.0, 2, 2, 4, 5]), np.array([3.0, 1, 4, 4, 9])
    assert spearman(x, y) == pytest.approx(scipy.spearmanr(x, y).statistic)
    assert spearman(np.ones(5), y) == 0.0
