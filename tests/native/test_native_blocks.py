"""The search for blocks: against the obvious version, and what it promises of every group."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import blocks as oracle
from rounding import STATED, STATED_PAIRS

from rankmill.native import blocks as native

KINDS = {"mean": native.MEAN_RADIUS, "max": native.MAX_RADIUS, "diameter": native.DIAMETER}
ROLES = {None: native.ALL_PAIRS, "pos_neg": native.POS_NEG, "neg_neg": native.NEG_NEG}
STATUS = {
    native.FOUND: "found",
    native.LOCALITY_NARROW: "locality_too_narrow",
    native.ENTROPY_NARROW: "entropy_too_narrow",
    native.NOT_ATTAINED: "cell_not_attained",
}


def world(rows=3, items=9, dim=5, half=False, seed=1):
    """Scores and vectors of rows that get longer by one item each."""
    rng = np.random.Generator(np.random.Philox(seed))
    offsets = np.cumsum([0, *(items + i for i in range(rows))]).astype(np.int64)
    vectors = rng.normal(size=(offsets[-1], dim)).astype(np.float16 if half else np.float32)
    index = rng.permutation(offsets[-1]).astype(np.int64)
    score = rng.normal(0, 1.5, offsets[-1])
    keys = rng.integers(0, 2**63, rows).astype(np.uint64)
    return score, vectors, index, offsets, keys


def run(
    score, vectors, index, offsets, keys, *, locality="mean", cosine=False, pairs=None, positives=1,
    bins=2, span=0.5, tolerance=0.1, least=(1e-6, 1e-6), size=5, steps=80, rows=None,
):  # fmt: skip
    """Call the kernel as the stage does; returns (chosen, levels, status)."""
    half = vectors.view(np.uint16) if vectors.dtype == np.float16 else np.empty((0, 0), np.uint16)
    single = vectors if vectors.dtype == np.float32 else np.empty((0, 0), np.float32)
    n = len(offsets) - 1
    for array in (half, single, index):
        array.flags.writeable = False
    into = np.zeros((n, bins**2, size), np.int32), np.full((n, 2, bins), np.nan)
    into = (*into, np.zeros(n, np.uint8))
    items = native.Items(score, half, single, index, offsets, np.full(n, positives), keys)
    design = native.Design(
        KINDS[locality], cosine, ROLES[pairs], bins, span, tolerance, np.array(least), size, steps
    )
    for start, stop in rows or [(0, n)]:
        native.search_blocks(items, design, start, stop, *into)
    return into


CASES = [
    {},
    {"bins": 3},
    {"cosine": True},
    {"locality": "max"},
    {"locality": "max", "cosine": True, "positives": 2},
    {"locality": "diameter"},
    {"locality": "diameter", "cosine": True, "bins": 3},
    {"pairs": "pos_neg"},
    {"pairs": "neg_neg"},
    {"positives": 2},
    {"positives": 2, "pairs": "pos_neg", "span": 0.9},
    {"positives": 3, "pairs": "neg_neg"},
    {"span": 1.0, "bins": 3, "tolerance": 0.01},
    {"least": (1.0, 1e-6)},
    {"least": (1e-6, 0.2)},
    {"size": 2},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_finds_what_the_obvious_version_finds(case):
    score, vectors, index, offsets, keys = world(half=case == {})
    chosen, levels, status = run(score, vectors, index, offsets, keys, **case)
    settings = {"bins": 2, "span": 0.5, "tolerance": 0.1, "least": (1e-6, 1e-6), "steps": 80}
    settings |= {name: case[name] for name in settings if name in case}
    for row in range(len(status)):
        items = slice(offsets[row], offsets[row + 1])
        about = oracle.Row(
            score[items],
            vectors[index[items]],
            case.get("positives", 1),
            case.get("size", 5),
            case.get("locality", "mean"),
            case.get("cosine", False),
            case.get("pairs"),
        )
        said, groups, near, sure = oracle.block(about, int(keys[row]), **settings)
        assert STATUS[int(status[row])] == said
        assert levels[row, 0] == pytest.approx(near, abs=STATED)  # distances are float32
        if sure is not None:
            assert levels[row, 1] == pytest.approx(sure, abs=STATED_PAIRS)
        if groups is not None:
            assert chosen[row].tolist() == groups


def test_every_status_occurs_in_those_cases():
    found = {STATUS[int(s)] for case in CASES for s in run(*world(), **case)[2]}
    assert found == set(STATUS.values())


def test_a_row_does_not_depend_on_the_others_or_on_how_rows_are_shared_out():
    given = world(rows=6)
    whole = run(*given)
    pieces = run(*given, rows=[(4, 6), (0, 1), (1, 4)])
    for one, other in zip(whole, pieces, strict=True):
        assert one.tobytes() == other.tobytes()
    score, vectors, index, offsets, keys = given
    alone = run(score, vectors, index, offsets[2:4], keys[2:3])
    assert alone[0][0].tolist() == whole[0][2].tolist()


def test_groups_hold_all_positives_first_and_nothing_twice():
    chosen, _, status = run(*world(rows=8), positives=2)
    assert (status == native.FOUND).any()
    groups = chosen[status == native.FOUND].reshape(-1, 5)
    assert (groups[:, :2] == [0, 1]).all()
    assert all(len(set(group)) == 5 for group in groups.tolist())
    assert (groups[:, 2:] >= 2).all()


def test_levels_lie_inside_what_all_groups_of_a_tiny_pool_can_have():
    score, vectors, index, offsets, keys = world(items=9)
    _, levels, status = run(score, vectors, index, offsets, keys, size=4, steps=500)
    for row in np.flatnonzero(status == native.FOUND):
        items = slice(offsets[row], offsets[row + 1])
        about = oracle.Row(score[items], vectors[index[items]], 1, 4)
        low, high = about.reach()
        step = levels[row, 0, 1] - levels[row, 0, 0]
        assert step == pytest.approx(0.5 * (high - low), abs=STATED)
        ends = []
        for level in levels[row, 0]:
            near = [b for f, b in map(about.measure, about.every_group())
                    if abs(f - level) <= 0.1 * step + STATED]  # fmt: skip
            ends.append((min(near), max(near)))
        assert levels[row, 1, 0] >= max(low for low, _ in ends) - STATED_PAIRS
        assert levels[row, 1, 1] <= min(high for _, high in ends) + STATED_PAIRS
    assert (status == native.FOUND).any()


def test_equal_scores_have_no_entropy_contrast_and_equal_vectors_no_locality():
    score, vectors, index, offsets, keys = world(items=14)
    assert (
        run(np.zeros_like(score), vectors, index, offsets, keys)[2] == native.ENTROPY_NARROW
    ).all()
    same = np.ones_like(vectors)
    assert (run(score, same, index, offsets, keys)[2] == native.LOCALITY_NARROW).all()


def test_draws_are_those_of_plain_integers_and_even():
    counter, plain = np.zeros(1, np.int64), oracle.Draws(0xFEDCBA9876543210)
    found = [native.draw(np.uint64(0xFEDCBA9876543210), counter, 7) for _ in range(70_000)]
    assert found[:2000] == [plain.below(7) for _ in range(2000)]
    # Counts are binomial: 5 standard deviations of 70,000 draws with p = 1/7.
    assert np.bincount(found) == pytest.approx([10_000] * 7, abs=5 * np.sqrt(70_000 * 6 / 49))


@pytest.mark.parametrize("scale", range(5))
def test_scales_are_their_formulas(scale):
    from rankmill.native import scales

    stored = {
        scales.AS_STORED: [-3.0, 0.5],
        scales.LOGIT_TO_LOGPROB: [-800.0, -2.0, 0.0, 30.0],
        scales.LOGPROB_TO_LOGIT: [-5.0, -0.1, 0.0],
        scales.PROB_TO_LOGPROB: [0.0, 0.2, 1.0],
        scales.PROB_TO_LOGIT: [0.0, 0.2, 1.0],
    }[scale]
    values = np.array(stored, np.float32)
    out = np.empty(len(values))
    native.to_scale(values, scale, out)
    x = values.astype(np.float64)
    with np.errstate(all="ignore"):
        expected = {
            scales.AS_STORED: x,
            scales.LOGIT_TO_LOGPROB: -np.logaddexp(0.0, -x),
            scales.LOGPROB_TO_LOGIT: x - np.log(-np.expm1(x)),
            scales.PROB_TO_LOGPROB: np.log(x),
            scales.PROB_TO_LOGIT: np.log(x) - np.log1p(-x),
        }[scale]
    assert out == pytest.approx(expected, rel=1e-14)
