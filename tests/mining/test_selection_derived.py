"""Cuts of queries and targets: golden values, balanced books, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups
from rounding import UNIT

from rankmill.mining.derive import CUTS, TARGETS, cut_groups, retarget_groups
from rankmill.mining.derive.cuts import fences
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.statistics import measure_groups

H = np.array([0.02, 0.30, 0.34, 0.36, 0.40, 0.42, 0.46, 0.95])
G = [-0.2, -1.0, -4.0, -6.0]


def test_golden_cuts():
    assert np.quantile(H, [0.25, 0.5, 0.75]) == pytest.approx([0.33, 0.38, 0.43])
    assert fences(H) == pytest.approx((0.18, 0.58))
    kept = {
        "keep_below(q=0.75)": 6,
        "keep_above(q=0.25)": 6,
        "keep_below(q=0.5)": 4,
        "keep_above(q=0.5)": 4,
        "keep_inside_fences": 6,
        "keep_outside_fences": 2,
    }
    for text, number in kept.items():
        assert CUTS.parse(text).keeps(H).sum() == number, text


def test_ties_with_the_quantile_are_left_out_on_both_sides():
    tied = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    assert CUTS.parse("keep_below").keeps(tied).tolist() == [True] + [False] * 4
    assert CUTS.parse("keep_above").keeps(tied).tolist() == [False] * 4 + [True]


def test_a_cut_names_its_statistic_canonically():
    cut = CUTS.parse("keep_below(of=pair_entropy(score=logprob),q=0.75)")
    assert cut.of == "pair_entropy(T=1)"
    assert CUTS.parse(str(cut)) == cut


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_below(q=1)", "q=1.0 is not a quantile to cut at"),
        ("keep_below(of=entropy)", "unknown statistic 'entropy'"),
        ("keep_under", "did you mean keep_below"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        CUTS.parse(text)


def test_cut_groups_keep_their_rows_and_balance_their_books(workspace):
    scores = np.random.Generator(np.random.Philox(3)).normal(0, 3, (40, 5)).astype(np.float32)
    groups = make_groups(workspace, scores, parts=3)
    measured = measure_groups(workspace, groups)
    values = pa.concat_tables(measured.tables())["pair_entropy(T=1)"].to_numpy()
    wanted = np.flatnonzero(values < np.quantile(values, 0.75))
    cut = cut_groups(workspace, groups, measured, "keep_below(q=0.75)")
    rows = Groups(cut).take(np.arange(cut.rows))
    assert rows.query.tolist() == wanted.tolist()
    assert rows.score.tolist() == scores[wanted].tolist()
    assert cut.dropped == {"cut": sorted(set(range(40)) - set(wanted.tolist()))}
    assert cut.metadata["cut"] == 'keep_below(of="pair_entropy(T=1)",q=0.75)'
    assert cut.metadata["kind"] == "logit"
    assert measure_groups(workspace, cut, ["ties"]).rows == cut.rows


def test_queries_with_several_groups_stay_while_one_is_kept(workspace):
    scores = np.array([[3, 0], [0, 3], [0, 1], [0, 2], [5, 0]], np.float32)
    groups = make_groups(workspace, scores, queries=[0, 0, 1, 2, 2], parts=2)
    measured = measure_groups(workspace, groups, ["margin(of=min,score=raw)"])
    cut = cut_groups(workspace, groups, measured, 'keep_above(of="margin(of=min,score=raw)")')
    assert Groups(cut).take(np.arange(cut.rows)).query.tolist() == [0, 2]
    assert cut.dropped == {"cut": [1]}


def test_undefined_statistics_are_a_reason_of_their_own(workspace):
    scores = np.array([[-1.0, 0.0], [-1.0, -2.0], [-3.0, -3.5], [-2.0, -2.0]], np.float32)
    groups = make_groups(workspace, scores, kind="log-prob")
    measured = measure_groups(workspace, groups, ["pair_entropy(score=logit)"])
    cut = cut_groups(workspace, groups, measured, "keep_above(of=pair_entropy(score=logit))")
    assert cut.dropped["undefined"] == [0]


def test_cuts_that_cannot_be_made_are_refused(workspace):
    groups = make_groups(workspace, np.array([[1, 0], [1, 0]], np.float32))
    other = make_groups(workspace, np.array([[2, 0], [1, 0]], np.float32))
    measured = measure_groups(workspace, groups, ["pair_entropy"])
    with pytest.raises(BadInput, match="measured on other groups"):
        cut_groups(workspace, other, measured, "keep_below")
    with pytest.raises(BadInput, match=r"ties was not measured"):
        cut_groups(workspace, groups, measured, "keep_below(of=ties)")
    with pytest.raises(BadInput, match="keeps none of 2 groups"):
        cut_groups(workspace, groups, measured, "keep_below")


# ---- targets -------------------------------------------------------------------------------------


Z = [1.507772, -0.541325, -3.981515, -5.997518]
PRINTED = 5e-7  # half a unit of the last digit of golden values
# Golden z have a printed error each; a stored ln q, up to 7, and its exponential in float32 some 4
# roundings of a q·|ln q| ≤ 1/e; and scores of up to 6 stored before.
SOFTMAX = 2 * PRINTED + UNIT["float32"] * (4 + 6)


def retargeted(workspace, scores, text, kind="logit"):
    groups = make_groups(workspace, np.array(scores, np.float32), kind=kind)
    made = retarget_groups(workspace, groups, text)
    assert Groups(made).part(0).doc.tolist() == Groups(groups).part(0).doc.tolist()
    return Groups(made).part(0).score, made


@pytest.mark.parametrize("T", [0.5, 2.0, 4.0])
def test_temperature_is_an_exact_entropy_knob(workspace, T):
    z = [1.507772, -0.541325, -3.981515, -5.997518]
    _, made = retargeted(workspace, [z], f"temperature(T={T})")
    found = measure_groups(workspace, made, ["pair_entropy(score=logit)"]).table()
    wanted = {0.5: 0.043226, 2.0: 0.517386, 4.0: 0.801387}[T]
    assert found.column(1)[0].as_py() == pytest.approx(wanted, abs=5e-7)


def test_temperature_makes_logits_of_other_kinds(workspace):
    from_s, made = retargeted(workspace, [G], "temperature(T=2)", "log-prob")
    assert made.metadata["kind"] == "logit"
    # dz/ds = 1 + e^z: that of the stored s, and one rounding of z.
    off = UNIT["float32"] * ((1 + np.exp(Z)) * np.abs(G) + np.abs(Z)) + PRINTED
    assert (np.abs(from_s[0] - np.array(Z) / 2) <= off).all()
    cosine, made = retargeted(workspace, [[0.5, 0.25]], "temperature(T=0.5)", "similarity")
    assert made.metadata["kind"] == "similarity"
    assert cosine[0].tolist() == [1.0, 0.5]
    with pytest.raises(BadInput, match="a probability of 1 has no logit\n  where: query ordinal 0"):
        retargeted(workspace, [[1.0, 0.5]], "temperature", "probability")


def test_smoothing_moves_the_softmax_towards_the_labels(workspace):
    q = np.array([0.678091, 0.304686, 0.015169, 0.002053])
    same, made = retargeted(workspace, [G], "smooth(share=0)", "log-prob")
    assert np.exp(same[0]) == pytest.approx(q, abs=SOFTMAX)
    assert made.metadata["kind"] == "log-prob"
    smooth, _ = retargeted(workspace, [G], "smooth(share=0.25)", "log-prob")
    assert np.exp(smooth[0]) == pytest.approx(0.75 * q + 0.25 * np.array([1, 0, 0, 0]), abs=SOFTMAX)
    assert np.exp(smooth[0]).sum() == pytest.approx(1.0, abs=4 * SOFTMAX)


def test_smoothing_mixes_the_softmax_that_losses_read(workspace):
    q = np.exp(Z) / np.exp(Z).sum()  # kl reads the softmax of stored logits, not of log σ(z)
    same, made = retargeted(workspace, [Z], "smooth(share=0)")
    assert np.exp(same[0]) == pytest.approx(q, abs=SOFTMAX)
    assert made.parameters["target"] == "smooth(share=0,score=raw)"
    on_s, _ = retargeted(workspace, [Z], "smooth(share=0,score=logprob)")
    assert np.exp(on_s[0]) == pytest.approx([0.678091, 0.304686, 0.015169, 0.002053], abs=SOFTMAX)
    on_z, _ = retargeted(workspace, [G], "smooth(share=0,score=logit)", "log-prob")
    assert np.exp(on_z[0]) == pytest.approx(q, abs=SOFTMAX)
    with pytest.raises(UsageError, match=r"these are probabilities.*\n.*rankmill retarget logprob"):
        retargeted(workspace, [np.exp(G)], "smooth", "probability")
    with pytest.raises(UsageError, match="a similarity has none"):
        retargeted(workspace, [[0.5, 0.25]], "smooth(score=logprob)", "similarity")


def test_logprob_makes_log_probabilities_of_other_kinds(workspace):
    for scores, kind in ((Z, "logit"), (np.exp(G), "probability"), (G, "log-prob")):
        found, made = retargeted(workspace, [scores], "logprob", kind)
        # One rounding of what is stored, |z| and |s| ≤ 6; s changes by less than z does.
        assert found[0] == pytest.approx(G, abs=PRINTED + 2 * UNIT["float32"] * 6)
        assert made.metadata["kind"] == "log-prob"
        assert made.parameters["target"] == "logprob"
    for scores, kind in (([0.5, 0.25], "similarity"), ([-1.0, -2.0], "rank")):
        with pytest.raises(UsageError, match="logprob needs"):
            retargeted(workspace, [scores], "logprob", kind)
    with pytest.raises(BadInput, match="a probability of 0 has no logarithm"):
        retargeted(workspace, [[0.5, 0.0]], "logprob", "probability")


def test_rank_labels_halve_and_ties_share(workspace):
    found, made = retargeted(workspace, [[3.0, 9.0, 1.0, 3.0]], "rank_labels(c=2)")
    ranks = np.array([2.5, 1.0, 4.0, 2.5])
    assert found[0] == pytest.approx(2.0 ** (-ranks / 2))
    assert made.metadata["kind"] == "probability"
    with pytest.raises(UsageError, match="below the smallest float32"):
        retargeted(workspace, [[3.0, 9.0]], "rank_labels(c=0.001)")


def test_scaling_defines_the_tied_group(workspace):
    rows = [[1.0, 3.0, 2.0], [0.1, 0.1, 0.1]]
    found, _ = retargeted(workspace, rows, "minmax")
    assert found.tolist() == [[0.0, 1.0, 0.5], [0.5, 0.5, 0.5]]
    found, _ = retargeted(workspace, rows, "zscore")
    assert found[0] == pytest.approx([-math.sqrt(1.5), math.sqrt(1.5), 0.0])
    assert found[1].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("temperature(T=0)", "T=0.0 is not a temperature"),
        ("smooth(share=1)", "share=1.0 is not below 1"),
        ("smooth(score=z)", "score=z is not a score scale"),
        ("rank_labels(c=0)", "c=0.0 is not a half-life"),
        ("temprature", "did you mean temperature"),
    ],
)
def test_targets_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        TARGETS.parse(text)
