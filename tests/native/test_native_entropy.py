"""The kernels against the oracles: golden values, properties, extreme scores, any cut of rows."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import entropy as oracle
from rounding import STATED, STATED_PAIRS

from rankmill.native import agreement, entropy, scales, softmax

G = [-0.2, -1.0, -4.0, -6.0]
Z = [1.507772, -0.541325, -3.981515, -5.997518]
TOL = 5e-7
# Vector code sums a block in 32 lanes of eight; Python one after the other, with 255 roundings.
LIST_DIGITS = 255 * 2.0**-24 if numba.config.DISABLE_JIT else 1e-6

# Ways to run a kernel on one row: kernel, whether it takes the labels, columns.
PAIRS = (entropy.pair_columns, True, entropy.PAIR_COLUMNS)
LISTS = (softmax.list_columns, False, softmax.LIST_COLUMNS)
AGREE = (agreement.agreement_columns, True, agreement.AGREEMENT_COLUMNS)

scores = st.floats(-40, 40, width=32)
groups = st.lists(scores, min_size=2, max_size=20)
temperatures = st.sampled_from([0.1, 0.5, 1.0, 2.0, 7.0])


def run(kernel, rows, *arguments, positive=None, scale=scales.AS_STORED, cuts=None):
    """Run a kernel over rows of any lengths; returns ({column: values}, {column: status})."""
    call, labels, columns = kernel
    values = np.array([s for row in rows for s in row], np.float32)
    offsets = np.cumsum([0] + [len(r) for r in rows]).astype(np.int64)
    if positive is None:
        positive = [i == 0 for row in rows for i in range(len(row))]
    marks = np.array(positive, np.uint8)
    for array in (values, offsets, marks):
        array.flags.writeable = False
    out = np.full((len(rows), len(columns)), 99.0)
    status = np.full(out.shape, 99, np.uint8)
    before = (marks, scale) if labels else (scale,)
    if kernel is AGREE:  # a group's positive is its first document
        held = np.append(marks, 0)[offsets[:-1]] > 0
        before = (np.where(held, offsets[:-1], -1), *before)
    for start, stop in cuts or [(0, len(rows))]:
        call(values, offsets, *before, *arguments, start, stop, out, status)
    return {c: out[:, i] for i, c in enumerate(columns)}, {
        c: status[:, i] for i, c in enumerate(columns)
    }


def test_golden_pair_entropy():
    out, status = run(PAIRS, [G], 1.0)
    assert out["all"][0] == pytest.approx(0.322515, abs=TOL)
    assert out["pos_neg"][0] == pytest.approx(0.358233, abs=TOL)
    assert out["neg_neg"][0] == pytest.approx(0.286797, abs=TOL)
    assert out["misorder"][0] == pytest.approx(0.084708, abs=TOL)
    assert status["pos_pos"][0] == scales.NO_SUCH_PAIR
    assert math.isnan(out["pos_pos"][0])


@pytest.mark.parametrize(
    ("row", "T", "bits"),
    [
        (G, 0.5, 0.135852),
        (G, 2.0, 0.622939),
        (G, 4.0, 0.862475),
        (Z, 1.0, 0.219850),
        (Z, 0.5, 0.043226),
        (Z, 2.0, 0.517386),
        (Z, 4.0, 0.801387),
        (np.repeat(G, 2), 1.0, 0.419299),
        (np.repeat(G, 10), 1.0, 0.478858),
        ([-0.2, -1.0, -4.0, 0.0], 1.0, 0.547197),
    ],
)
def test_golden_pair_entropy_by_temperature_scale_and_copies(row, T, bits):
    assert run(PAIRS, [row], 1.0 / T)[0]["all"][0] == pytest.approx(bits, abs=TOL)


def test_golden_list_entropy():
    out, _ = run(LISTS, [G], 1.0)
    assert out["nats"][0] == pytest.approx(0.701773, abs=TOL)
    assert out["nats"][0] / math.log(2) == pytest.approx(1.012444, abs=TOL)
    assert out["normalised"][0] == pytest.approx(0.506222, abs=TOL)
    assert out["effective_size"][0] == pytest.approx(1.808724, abs=TOL)


def test_golden_agreement():
    out, _ = run(AGREE, [G], 0.5)
    assert out["margin_min"][0] == pytest.approx(0.8, abs=TOL)
    assert out["margin_mean"][0] == pytest.approx(3.466667, abs=TOL)
    assert out["margin_variance"][0] == pytest.approx(4.222222, abs=TOL)
    assert out["variance"][0] == pytest.approx(5.42, abs=TOL)
    assert (out["first"][0], out["rank"][0], out["ties"][0]) == (1, 1, 0)
    assert out["suspects"][0] == 0
    assert run(AGREE, [G], 1.0)[0]["suspects"][0] == 1


def test_golden_scales():
    stored = np.array(G, np.float32)
    for s, z in zip(stored, Z, strict=True):
        assert scales.convert(float(s), scales.LOGPROB_TO_LOGIT) == pytest.approx(z, abs=1e-5)
    assert scales.convert(0.0, scales.LOGPROB_TO_LOGIT) == math.inf
    assert scales.convert(0.25, scales.PROB_TO_LOGIT) == pytest.approx(math.log(1 / 3))
    assert scales.convert(0.25, scales.PROB_TO_LOGPROB) == pytest.approx(math.log(0.25))
    assert scales.convert(0.0, scales.PROB_TO_LOGPROB) == -math.inf
    assert scales.convert(0.0, scales.PROB_TO_LOGIT) == -math.inf
    assert scales.convert(1.0, scales.PROB_TO_LOGIT) == math.inf


@given(groups, temperatures)
@settings(max_examples=150, deadline=None)
def test_pair_entropy_equals_the_oracle(row, T):
    row = np.array(row, np.float32).tolist()
    out, _ = run(PAIRS, [row], 1.0 / T)
    assert out["all"][0] == pytest.approx(oracle.pair_entropy(row, T), rel=STATED_PAIRS, abs=1e-300)
    assert out["misorder"][0] == pytest.approx(
        oracle.misorder(row, T), rel=STATED_PAIRS, abs=1e-300
    )


@given(groups, st.data())
@settings(max_examples=80, deadline=None)
def test_the_split_equals_the_oracle_and_adds_up(row, data):
    row = np.array(row, np.float32).tolist()
    marks = data.draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row)))
    out, status = run(PAIRS, [row], 1.0, positive=marks)
    total = 0.0
    for name, pairs in zip(
        ("pos_pos", "pos_neg", "neg_neg"), oracle.pairs_by_role(marks), strict=True
    ):
        if not pairs:
            assert status[name][0] == scales.NO_SUCH_PAIR
            continue
        assert out[name][0] == pytest.approx(
            oracle.pair_entropy(row, 1.0, pairs), rel=STATED_PAIRS, abs=1e-300
        )
        total += out[name][0] * len(pairs)
    count = len(row) * (len(row) - 1) // 2
    assert total / count == pytest.approx(out["all"][0], rel=1e-12)


@given(groups, temperatures)
@settings(max_examples=150, deadline=None)
def test_list_entropy_equals_the_oracle(row, T):
    row = np.array(row, np.float32).tolist()
    out, _ = run(LISTS, [row], 1.0 / T)
    assert out["nats"][0] == pytest.approx(oracle.list_entropy(row, T), rel=STATED, abs=1e-300)
    assert out["effective_size"][0] == pytest.approx(oracle.effective_size(row, T), rel=STATED)
    assert 0.0 <= out["normalised"][0] <= 1.0 + 1e-12


@given(groups)
@settings(max_examples=100, deadline=None)
def test_log_sigmoid_scale_equals_the_oracle(row):
    row = np.array(row, np.float32).tolist()
    out, _ = run(PAIRS, [row], 1.0, scale=scales.LOGIT_TO_LOGPROB)
    s = [oracle.log_sigmoid(z) for z in row]
    assert out["all"][0] == pytest.approx(oracle.pair_entropy(s), rel=STATED_PAIRS, abs=1e-300)


@given(st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=12), st.data())
@settings(max_examples=80, deadline=None)
def test_agreement_equals_the_oracle(row, data):
    row = np.array(row, np.float32).tolist()
    marks = [True] + data.draw(
        st.lists(st.booleans(), min_size=len(row) - 1, max_size=len(row) - 1)
    )
    marks[-1] = False
    out, _ = run(AGREE, [row], 0.5, positive=marks)
    for name, wanted in oracle.agreement(row, marks, 0.5).items():
        assert out[name][0] == pytest.approx(wanted, rel=STATED_PAIRS, abs=1e-9), name


@given(st.lists(st.integers(-64, 64), min_size=2, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_entropy_is_invariant_to_shift_and_order_and_rises_with_temperature(row, random):
    row = [v / 4 for v in row]  # exact in float32, so the shift is exact too
    moved = [v + 8 for v in row]
    random.shuffle(moved)
    for kernel, name in ((PAIRS, "all"), (LISTS, "nats")):
        same = run(kernel, [row, moved], 1.0)[0][name]
        assert same[0] == pytest.approx(same[1], rel=STATED_PAIRS if kernel is PAIRS else STATED)
        rising = [run(kernel, [row], 1.0 / T)[0][name][0] for T in (0.5, 1.0, 2.0, 8.0)]
        assert all(a <= b * (1 + STATED) for a, b in zip(rising, rising[1:], strict=False))
    assert 0.0 <= run(PAIRS, [row], 1.0)[0]["all"][0] <= 1.0 + 1e-12


@pytest.mark.parametrize("row", [[0.0, 3e4, -3e4, 1.0], [0.0, 700.0], [0.0, 30.0], [5.0, 5.0, 5.0]])
def test_extreme_scores_stay_exact(row):
    out, _ = run(PAIRS, [row], 1.0)
    assert out["all"][0] == pytest.approx(oracle.pair_entropy(row), rel=STATED_PAIRS, abs=0.0)
    listed, _ = run(LISTS, [row], 1.0)
    assert listed["nats"][0] == pytest.approx(oracle.list_entropy(row), rel=STATED, abs=1e-290)


def test_temperature_limits():
    assert run(PAIRS, [G], 1e-9)[0]["all"][0] == pytest.approx(1.0)
    tied = [1.0, 1.0, 2.0, 5.0]
    assert run(PAIRS, [tied], 1e9)[0]["all"][0] == pytest.approx(1 / 6)  # the share of exact ties


def test_many_pairs_do_not_underflow():
    row = np.random.Generator(np.random.Philox(1)).normal(0, 5, 1500).astype(np.float32).tolist()
    small = row[:300]
    out, _ = run(PAIRS, [small], 1.0)
    assert out["all"][0] == pytest.approx(oracle.pair_entropy(small), rel=STATED_PAIRS)
    assert np.isfinite(run(PAIRS, [row], 1.0)[0]["all"][0])
    assert run(LISTS, [row], 1.0)[0]["nats"][0] == pytest.approx(
        oracle.list_entropy(row), rel=STATED
    )


@pytest.mark.parametrize("shift", [0.0, 1.3, -7e4, 3e5])
@pytest.mark.parametrize("T", [0.05, 0.7, 1.0, 30.0])
@pytest.mark.parametrize("count", [2, 31, 32, 33, 200, 255, 257, 1000])
def test_list_entropy_in_single_precision_keeps_six_digits(count, T, shift):
    """Certain and undecided lists, far from zero too, at every length of a last vector."""
    rng = np.random.Generator(np.random.Philox(count))
    rows = [(rng.normal(shift, width, count)).astype(np.float32) for width in (0.01, 1, 5, 15)]
    out, _ = run(LISTS, rows, 1.0 / T)
    for place, row in enumerate(rows):
        exact = row.astype(np.float64).tolist()
        wanted = oracle.list_entropy(exact, T), oracle.effective_size(exact, T)
        found = out["nats"][place], out["effective_size"][place]
        assert found == pytest.approx(wanted, rel=STATED, abs=1e-300)
        assert out["nats"][place] <= math.log(count)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 7, 31, 32, 199])
def test_a_score_that_is_not_finite_is_found_anywhere_in_a_list(bad, place):
    row = np.linspace(-3, 3, 200)
    row[place] = bad
    _, status = run(LISTS, [row], 1.0)
    assert status["nats"][0] == scales.NOT_FINITE


def test_undefined_rows_have_a_status_and_nan():
    rows = [[], [1.0], G, [math.nan, 1.0], [0.0, math.inf]]
    out, status = run(PAIRS, rows, 1.0)
    wanted = [scales.TOO_SHORT] * 2 + [scales.DEFINED] + [scales.NOT_FINITE] * 2
    assert status["all"].tolist() == wanted
    assert np.isnan(out["all"]).tolist() == [True, True, False, True, True]
    out, status = run(LISTS, rows, 1.0)
    assert (
        status["nats"].tolist() == [scales.TOO_SHORT, scales.DEFINED, scales.DEFINED] + wanted[3:]
    )
    assert out["nats"][1] == 0.0
    assert status["normalised"][1] == scales.TOO_SHORT
    _, status = run(AGREE, rows, 0.5)
    assert status["rank"].tolist() == wanted
    _, status = run(AGREE, [G], 0.5, positive=[0, 1, 0, 0])
    assert status["rank"][0] == scales.NO_POSITIVE
    _, status = run(AGREE, [G], 0.5, positive=[1, 1, 1, 1])
    assert status["margin_min"][0] == scales.NO_SUCH_PAIR
    _, status = run(PAIRS, [[-1.0, 0.0]], 1.0, scale=scales.LOGPROB_TO_LOGIT)
    assert status["all"][0] == scales.SATURATED


def test_any_cut_into_ranges_gives_the_same_bytes():
    rng = np.random.Generator(np.random.Philox(7))
    rows = [rng.normal(0, 3, n).astype(np.float32).tolist() for n in rng.integers(0, 40, 50)]
    for kernel, arguments in ((PAIRS, (1.0,)), (LISTS, (0.7,)), (AGREE, (0.5,))):
        whole, status = run(kernel, rows, *arguments)
        parts, again = run(kernel, rows, *arguments, cuts=[(30, 50), (0, 1), (1, 30)])
        for name in whole:
            assert whole[name].tobytes() == parts[name].tobytes()
            assert status[name].tobytes() == again[name].tobytes()


@pytest.mark.parametrize("rest", [0.5, 0.99, 1.01, 2.0, 1e3])
@pytest.mark.parametrize("count", [2, 33, 256, 257])
def test_list_entropy_in_both_precisions(count, rest):
    """Σ e^x of all but the highest, around where float32 gives way to float64."""
    gap = -np.log(softmax._LEAST * rest / (count - 1))
    row = np.zeros(count, np.float32)
    row[count // 2] = gap
    for shift in (0.0, 1000.0):
        exact = (row + np.float32(shift)).astype(np.float64)
        out, _ = run(LISTS, [exact.tolist()], 1.0)
        wanted = oracle.list_entropy(exact.tolist())
        assert out["nats"][0] == pytest.approx(wanted, rel=LIST_DIGITS, abs=1e-300)


@pytest.mark.parametrize("top", [0.5, 0.999, 1.001, 4.0])
@pytest.mark.parametrize("below", [softmax._REACH - 1.0, softmax._REACH + 1.0])
def test_list_entropy_far_from_zero(top, below):
    """Scores around the largest exponent of the float32 path, and around its reach below."""
    scores = np.full(40, top * softmax._LARGEST / softmax._LOG2_E, np.float32)
    scores[1::2] -= np.float32(1.0)
    scores[-1] -= np.float32(below)
    exact = scores.astype(np.float64).tolist()
    out, _ = run(LISTS, [exact], 1.0)
    assert out["nats"][0] == pytest.approx(oracle.list_entropy(exact), rel=STATED)
    wanted = oracle.effective_size(exact)
    assert out["effective_size"][0] == pytest.approx(wanted, rel=STATED)
