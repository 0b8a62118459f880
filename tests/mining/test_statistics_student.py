"""Per-query diagnostics of a student (quantity 25): golden values, oracles, degenerate rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups, make_scores
from oracles import pair_order as oracle
from scipy.stats import kendalltau

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.statistics import STATISTICS, measure_groups, measure_pool, summarise

G = [-0.2, -1.0, -4.0, -6.0]
F = [1.0, 0.5, -0.5, 0.0]
TOL = 5e-7


def columns(workspace, g, f, texts, kind="log-prob", own="similarity"):
    """Statistics of groups with teacher scores g and student scores f, each [rows, k]."""
    groups = make_groups(workspace, g, kind=kind)
    k = np.shape(f)[1]
    docs = [list(range(row * k, row * k + k)) for row in range(len(f))]
    student = make_scores(workspace, np.asarray(f).tolist(), docs=docs, kind=own)
    made = measure_groups(workspace, groups, texts, student=student)
    return made, pa.concat_tables(made.tables())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("student_kl", 0.262716),
        ("student_tau", 0.666667),
        ("student_variance", 0.3125),
        ("student_collapsed", 0.0),
        ("student_collapsed(below=0.32)", 1.0),
        ("student_collapsed(below=0.32,scale=2)", 0.0),
    ],
)
def test_golden_values(workspace, text, wanted):
    _, table = columns(workspace, [G], [F], [text])
    assert table.column(1)[0].as_py() == pytest.approx(wanted, abs=TOL)


def test_rows_equal_the_formulas(workspace):
    random = np.random.Generator(np.random.Philox(3))
    g = random.normal(-2, 2, (40, 6)).astype(np.float32)
    f = np.round(random.normal(0, 0.4, (40, 6)), 1).astype(np.float32)  # with ties
    texts = ["student_kl(T=0.5,score=raw,scale=20)", "student_tau"]
    _, table = columns(workspace, g, f, texts, kind="logit")
    for row in range(40):
        kl, tau = (table.column(1 + i)[row].as_py() for i in range(2))
        # ln softmax of scores up to 30: a few hundred roundings of 30 × 1.1e-16.
        wanted = oracle.divergence(g[row].tolist(), f[row].tolist(), 0.5, 20.0)
        assert kl == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        assert tau == pytest.approx(kendalltau(g[row], f[row]).statistic, abs=1e-15)


def test_a_student_that_equals_its_teacher(workspace):
    texts = ["student_kl(T=0.05,score=raw,scale=20)", "student_tau"]
    _, table = columns(workspace, [[0.9, 0.5, 0.1]], [[0.9, 0.5, 0.1]], texts, kind="similarity")
    assert table.column(1)[0].as_py() == pytest.approx(0.0, abs=1e-14)
    assert table.column(2)[0].as_py() == 1.0


def test_a_collapsed_student(workspace):
    texts = ["student_tau", "student_variance", "student_collapsed(scale=20)", "student_kl"]
    made, table = columns(workspace, [G, G], [[0.3] * 4, [0.3, 0.301, 0.3, 0.301]], texts)
    tau = oracle.kendall_tau_b(G, [0, 1, 0, 1])
    assert table["student_tau"].to_pylist() == [None, pytest.approx(tau, abs=1e-15)]
    assert made.counts == {"null[student_tau]:constant": 1}
    assert table["student_variance"][0].as_py() == 0.0
    assert table.column(3).to_pylist() == [1.0, 1.0]
    assert table.column(4)[0].as_py() == pytest.approx(oracle.divergence(G, [0.0] * 4), abs=TOL)


def test_lists_of_one_document_have_no_diagnosis(workspace):
    scores = make_scores(workspace, [[1.0], [2.0, 1.0]])
    student = make_scores(workspace, [[0.5], [0.1, 0.7]], kind="similarity")
    texts = ["student_kl", "student_tau", "student_variance"]
    made = measure_pool(workspace, scores, texts, student=student)
    table = pa.concat_tables(made.tables())
    assert [table.column(i)[0].as_py() for i in (1, 2, 3)] == [None] * 3
    assert table["student_tau"][1].as_py() == -1.0
    assert set(made.counts.values()) == {1}
    assert all(key.endswith(":too_short") for key in made.counts)


def test_a_pair_without_a_score_is_refused(workspace):
    groups = make_groups(workspace, [G, G])
    student = make_scores(workspace, [F, F[:3]], docs=[[0, 1, 2, 3], [4, 5, 7]])
    with pytest.raises(
        BadInput, match=r"1 pairs have no score of the student, .* document 6\n.*query ordinal 1"
    ):
        measure_groups(workspace, groups, ["student_tau"], student=student)


def test_without_a_student_it_is_refused(workspace):
    groups = make_groups(workspace, [G])
    with pytest.raises(UsageError, match=r"student_tau needs a student's scores"):
        measure_groups(workspace, groups, ["student_tau"])


def test_scales_that_do_not_exist_are_null(workspace):
    texts = ["student_kl(student=logprob)", "student_kl"]
    made, _ = columns(workspace, [[0.5, 0.7]], [[0.1, 0.2]], texts, kind="similarity")
    assert sorted(made.counts) == [
        "null[student_kl(T=1,scale=1)]:no_probability",
        "null[student_kl(T=1,scale=1,student=logprob)]:no_probability",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("student_kl(T=0)", "T=0.0 is not a temperature"),
        ("student_kl(scale=-1)", "scale=-1.0 is not a scale"),
        ("student_kl(student=prob)", "score=prob is not a score scale"),
        ("student_collapsed(below=0)", "below=0.0 is not a variance"),
    ],
)
def test_refusals_name_the_value(text, message):
    with pytest.raises(UsageError, match=message):
        STATISTICS.parse(text)


def test_a_summary_correlates_them_with_the_statistics_of_the_same_groups(workspace):
    random = np.random.Generator(np.random.Philox(8))
    g, f = random.normal(0, 2, (2, 60, 5)).astype(np.float32)
    made, table = columns(workspace, g, f, ["student_kl"], kind="logit")
    stats = measure_groups(workspace, make_groups(workspace, g), ["pair_entropy"])
    found = summarise(made, beside=[stats])
    assert found["correlation"]["names"] == ["student_kl(T=1,scale=1)", "pair_entropy(T=1)"]
    values = [table.column(1).to_numpy(), stats.table().column(1).to_numpy()]
    assert found["correlation"]["pearson"][0][1] == pytest.approx(np.corrcoef(values)[0, 1])
    other = measure_groups(workspace, make_groups(workspace, f), ["pair_entropy"])
    with pytest.raises(BadInput, match="are of other groups"):
        summarise(made, beside=[other])
