"""Pair sums of long lists on both sides of the switch to cells, for every mix of roles.

Bounds, as docs/statistics.md states them: a block of one role with `LONG` documents or more is
within 1e-12 nats a pair; every other block within 1e-9 of its value. A column that joins blocks is
allowed what its blocks are, by their shares of the pairs.
"""

from __future__ import annotations

import itertools
import math

import numba
import numpy as np
import pytest
from oracles import entropy as oracle
from rounding import STATED_PAIRS

from rankmill.native import entropy, pool_entropy, scales

LONG = pool_entropy.LONG
COMPILED = not numba.config.DISABLE_JIT
SIZES: tuple[int, ...] = (0, 1, 2, LONG - 2, LONG - 1, LONG, LONG + 1, LONG + 2, 300, 511, 512, 513)
if not COMPILED:  # a pair takes microseconds in Python
    SIZES = (0, 2, LONG - 1, LONG)
CELLS = 1e-12 / math.log(2.0)  # bits per pair
DIRECT = STATED_PAIRS  # of the value
ROLES = ("pos_pos", "pos_neg", "neg_neg")


def measured(lists, T=1.0, scale=scales.AS_STORED):
    """Run the kernel over [(scores, positive)]; returns one {column: value} per list."""
    values = np.concatenate([np.asarray(s, np.float32) for s, _ in lists])
    marks = np.concatenate([np.asarray(p, np.uint8) for _, p in lists])
    offsets = np.cumsum([0] + [len(s) for s, _ in lists]).astype(np.int64)
    for array in (values, marks, offsets):
        array.flags.writeable = False
    out, status = np.full((len(lists), 5), 99.0), np.full((len(lists), 5), 99, np.uint8)
    call = entropy.pair_columns
    call(values, offsets, marks, scale, 1.0 / T, 0, len(lists), out, status)
    assert (np.isnan(out) == (status != scales.DEFINED)).all()
    return [dict(zip(entropy.PAIR_COLUMNS, row, strict=True)) for row in out.tolist()]


def allowed(wanted, positives, negatives):
    """The stated bound of every column, in its unit."""
    n = positives + negatives
    pairs = (positives * (positives - 1) // 2, positives * negatives)
    pairs = dict(zip(ROLES, (*pairs, negatives * (negatives - 1) // 2), strict=True))
    sizes = {"pos_pos": positives, "pos_neg": 0, "neg_neg": negatives}
    bound = {
        role: CELLS if sizes[role] >= LONG else DIRECT * wanted[role]
        for role in ROLES
        if pairs[role]
    }
    share = {role: pairs[role] / (n * (n - 1) // 2) for role in bound}
    bound["all"] = sum(bound[role] * share[role] for role in share)
    cells = sum(share[role] for role in share if sizes[role] >= LONG)
    bound["misorder"] = 1e-12 * cells + DIRECT * wanted["misorder"] * (1.0 - cells)
    return bound


def agree(found, scores, positive, T=1.0):
    wanted = oracle.all_pair_columns(scores, positive, T)
    positives = int(np.sum(positive))
    for name, bound in allowed(wanted, positives, len(scores) - positives).items():
        # The oracle itself: some ten roundings a value and twenty in the mean.
        assert abs(found[name] - wanted[name]) <= bound + 30 * 2.0**-53 * wanted[name], (
            name,
            found[name],
            wanted[name],
        )
    for name in ROLES:
        assert math.isnan(found[name]) == math.isnan(wanted[name])


def drawn(positives, negatives, spread=3.0, lift=2.0, key=0):
    """Scores and marks in mixed order; the positives lie `lift` higher."""
    rng = np.random.Generator(np.random.Philox([key, positives, negatives]))
    marks = rng.permutation(np.arange(positives + negatives) < positives)
    scores = rng.normal(0.0, spread, len(marks)) + lift * marks
    return scores.astype(np.float32).astype(np.float64), marks


def test_the_quick_oracle_is_the_slow_one():
    for T, (positives, negatives) in itertools.product((0.3, 1.0), ((3, 8), (0, 6), (7, 0))):
        scores, marks = drawn(positives, negatives)
        quick = oracle.all_pair_columns(scores, marks, T)
        assert quick["all"] == pytest.approx(oracle.pair_entropy(scores, T), rel=1e-14)
        assert quick["misorder"] == pytest.approx(oracle.misorder(scores, T), rel=1e-14)
        for name, pairs in zip(ROLES, oracle.pairs_by_role(marks), strict=True):
            if pairs:
                wanted = oracle.pair_entropy(scores, T, pairs)
                assert quick[name] == pytest.approx(wanted, rel=1e-14)
            else:
                assert math.isnan(quick[name])


@pytest.mark.parametrize("positives", SIZES)
def test_every_mix_of_positives_and_negatives(positives):
    lists = [drawn(positives, negatives) for negatives in SIZES if positives + negatives > 1]
    for found, (scores, marks) in zip(measured(lists), lists, strict=True):
        agree(found, scores, marks)


@pytest.mark.parametrize("T", [0.05, 0.5, 2.0, 7.0])
@pytest.mark.parametrize(
    ("positives", "negatives"),
    [(256, 300), (513, 2), (255, 256), (2, 300)] if COMPILED else [(256, 40)],
)
def test_temperatures_and_a_top_score_on_a_negative(positives, negatives, T):
    lists = []
    for lift in (-6.0, 0.0, 6.0):
        scores, marks = drawn(positives, negatives, lift=lift)
        scores[np.flatnonzero(~marks)[0]] = np.float32(scores.max() + 3.5)
        lists.append((scores, marks))
    for found, (scores, marks) in zip(measured(lists, T), lists, strict=True):
        agree(found, scores, marks, T)


def extremes(marks):
    """Lists with ties, borders of cells, and scores far beyond what exp takes, by name."""
    n = len(marks)
    rng = np.random.Generator(np.random.Philox(n))
    noise = rng.normal(0.0, 1.0, n)
    steps = np.arange(n)
    return {
        "all equal": np.full(n, 2.5),
        "few values": np.round(noise * 2.0) / 2.0,
        "cell borders": steps % 40 * pool_entropy.CELL,
        "far from zero": 1e4 + noise,
        "one far above": np.where(steps == n // 2, 1e4, noise),
        "one far below": np.where(steps == n // 2, -1e4, noise),
        "both ends of exp": np.where(steps % 3 == 0, 700.0, -700.0) + noise,
        "just within exp": np.where(steps == 0, 599.0, noise),
        "two hundred below": np.where(steps == 0, 200.0, noise),
        "wide": noise * 150.0,
        "huge": noise * 3e37,
        "nearly certain": np.where(marks, 18.0, -18.0) + noise * 0.1,
        "near zero": -np.exp(noise * 3.0 - 15.0),
    }


@pytest.mark.parametrize("T", [1.0, 0.037])
@pytest.mark.parametrize(
    ("positives", "negatives"),
    [(300, 258), (256, 1), (254, 257)] if COMPILED else [(256, 5)],
)
def test_ties_and_extreme_scores(positives, negatives, T):
    _, marks = drawn(positives, negatives)
    lists = {k: v.astype(np.float32).astype(np.float64) for k, v in extremes(marks).items()}
    rows = measured([(scores, marks) for scores in lists.values()], T)
    for found, (name, scores) in zip(rows, lists.items(), strict=True):
        try:
            agree(found, scores, marks, T)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_scores_whose_differences_over_the_temperature_are_infinite():
    scores, marks = np.repeat([3e38, -3e38, 1e38], 100), np.arange(300) % 3 == 0
    with np.errstate(over="ignore"):  # numpy warns where the kernel runs in Python
        found = measured([(scores, marks)], 1e-300)[0]
    agree(found, scores, marks, 1e-300)


def test_a_list_after_a_long_one_does_not_feel_it():
    long, short = drawn(300, 513), drawn(1, 15)
    after = measured([long, short, long])
    assert str(after[1]) == str(measured([short])[0])  # as text, for NaN is not NaN
    assert str(after[0]) == str(after[2])


def test_probabilities_of_logits():
    scores, marks = drawn(300, 300, spread=8.0)
    logarithms = np.array([oracle.log_sigmoid(z) for z in scores.tolist()])
    wanted = oracle.all_pair_columns(logarithms, marks)
    found = measured([(scores, marks)], scale=scales.LOGIT_TO_LOGPROB)[0]
    for name, value in wanted.items():  # log σ itself is within 1e-12 of its value, about 10
        assert found[name] == pytest.approx(value, rel=STATED_PAIRS, abs=1e-11)


def test_the_series_between_cells_is_within_its_bound():
    """Every distance of cells, at places where the polynomial is not exact."""
    at = np.linspace(-1.0, 1.0, 41)
    T = np.polynomial.chebyshev.chebvander(at, pool_entropy.MOMENTS - 1)
    for d in range(1, pool_entropy.REACH + 1):
        x = pool_entropy.CELL * (d + (at[None, :] - at[:, None]) / 2.0)
        q = 1.0 / (1.0 + np.exp(x))
        h = np.log1p(np.exp(-x)) + x * q
        assert np.abs(T @ pool_entropy.ENTROPY[d] @ T.T - h).max() < 2e-13
        assert np.abs(T @ pool_entropy.MISORDER[d] @ T.T - q).max() < 2e-13
    beyond = pool_entropy.CELL * pool_entropy.REACH
    assert math.log1p(math.exp(-beyond)) + beyond * math.exp(-beyond) < 1e-15
