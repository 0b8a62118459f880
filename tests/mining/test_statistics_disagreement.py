"""Disagreement of teachers (quantity 26): oracles, kinds of scores, more than two, refusals."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups, make_scores
from oracles import disagreement as oracle
from oracles.pair_order import kendall_tau_b

from rankmill.mining.actors import Execution
from rankmill.mining.derive import crossed_cells, cut_groups
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.statistics import STATISTICS, measure_groups, measure_pool
from rankmill.mining.store.execution import Silent

DEFAULTS = ["kendall_tau", "jensen_shannon(T=1,score=zscore)", "inverted_pairs"]
# Of float32 scores below 20 in lists of 8: ln softmax rounds them by some 2⁻⁵³ × 20 each.
CLOSE = {"abs": 1e-13, "rel": 0}


def drawn(rows, size, seed=3, step=0.5):
    """Scores with ties, float32 and exact."""
    random = np.random.Generator(np.random.Philox(seed))
    return (np.round(random.normal(0, 3, (rows, size)) / step) * step).astype(np.float32)


def others(workspace, kind="logit", **scores):
    """Scores artifacts of the documents of `make_groups` by label."""
    made = {}
    for label, lists in scores.items():
        size = np.shape(lists)[1]
        docs = [list(range(row * size, row * size + size)) for row in range(len(lists))]
        made[label] = make_scores(workspace, np.asarray(lists).tolist(), docs=docs, kind=kind)
    return made


def columns(made):
    return pa.concat_tables(made.tables()).drop_columns("query").to_pydict()


def test_two_teachers_are_compared_row_by_row(workspace):
    x, y = drawn(60, 8), drawn(60, 8, seed=4)
    groups = make_groups(workspace, x, grade=[[1, 0, 1, 0, 0, 0, 0, 0]] * 60)
    made = measure_groups(workspace, groups, other=others(workspace, b=y))
    table = columns(made)
    assert list(table)[-3:] == DEFAULTS
    for row in range(60):
        a, b = x[row].tolist(), y[row].tolist()
        tau, js, inverted = (table[name][row] for name in DEFAULTS)
        assert tau == pytest.approx(kendall_tau_b(a, b), abs=1e-15)
        wanted = oracle.jensen_shannon(oracle.standardised(a), oracle.standardised(b))
        assert js == pytest.approx(wanted, **CLOSE)
        assert inverted == oracle.inverted_pairs(a, b, [1, 0, 1, 0, 0, 0, 0, 0])
    units = {field.name: field.metadata[b"unit"] for field in list(made.table().schema)[-3:]}
    assert list(units.values()) == ["τ-b".encode(), b"nats", b"share"]


def test_three_teachers_are_compared_two_by_two_and_one_can_be_named(workspace):
    x, y, z = (drawn(20, 6, seed=seed) for seed in (1, 2, 3))
    groups, beside = make_groups(workspace, x), others(workspace, b=y, c=z)
    named = [f"{n}(other=c)" for n in ("kendall_tau", "jensen_shannon", "inverted_pairs")]
    texts = ["kendall_tau", "jensen_shannon(T=2,score=logit)", "inverted_pairs", *named]
    table = list(columns(measure_groups(workspace, groups, texts, other=beside)).values())
    positive = [1] + [0] * 5

    def inverted(a, b):
        return oracle.inverted_pairs(a, b, positive)

    def spread(a, b):
        return oracle.jensen_shannon(a, b, 2.0)

    for row in range(20):
        teachers = [scores[row].tolist() for scores in (x, y, z)]
        for number, compare in enumerate((kendall_tau_b, spread, inverted)):
            wanted = oracle.over_pairs(compare, teachers)
            assert table[number][row] == pytest.approx(wanted, **CLOSE)
        a, c = teachers[0], teachers[2]
        assert table[3][row] == pytest.approx(kendall_tau_b(a, c), abs=1e-15)
        assert table[5][row] == inverted(a, c)


def test_the_labels_decide_no_value(workspace):
    x, y, z = (drawn(20, 6, seed=seed) for seed in (1, 2, 3))
    groups = make_groups(workspace, x)
    one = measure_groups(workspace, groups, DEFAULTS, other=others(workspace, b=y, c=z))
    two = measure_groups(workspace, groups, DEFAULTS, other=others(workspace, c=y, b=z))
    for first, second in zip(columns(one).values(), columns(two).values(), strict=True):
        assert first == pytest.approx(second, abs=1e-15)  # three numbers in another order


def test_the_same_beliefs_stored_as_other_kinds_agree(workspace):
    z = np.array([[3.0, 0.5, -2.0, -4.0], [0.25, 1.0, -1.0, 6.0]], np.float32)
    p = (1 / (1 + np.exp(-z.astype(np.float64)))).astype(np.float32)
    groups = make_groups(workspace, z)
    beside = others(workspace, "probability", p=p) | others(workspace, "log-prob", s=np.log(p))
    table = columns(measure_groups(workspace, groups, DEFAULTS, other=beside))
    assert table["kendall_tau"] == [1.0, 1.0]
    assert table["inverted_pairs"] == [0.0, 0.0]
    # A probability near 1 − e⁻⁶ as float32 fixes its logit to 2⁻²⁵·e⁶ ≈ 1e-5 and the divergence,
    # which is quadratic in it, to far less.
    assert max(table["jensen_shannon(T=1,score=zscore)"]) < 1e-9


def test_teachers_in_other_units_agree_where_scores_are_standardised(workspace):
    z = np.array([[8.0, 2.0, -4.0, -8.0]], np.float32)
    beside = others(workspace, "similarity", cosine=z / 16)  # exact
    texts = ["jensen_shannon", "jensen_shannon(score=raw)", "jensen_shannon(score=logit)"]
    made = measure_groups(workspace, make_groups(workspace, z), texts, other=beside)
    like, raw, lacking = (values[0] for values in columns(made).values())
    assert like == 0.0
    wanted = oracle.jensen_shannon(z[0].tolist(), (z / 16)[0].tolist())
    assert raw == pytest.approx(wanted, **CLOSE)
    assert raw > 0.1
    assert lacking is None
    assert made.counts == {"null[jensen_shannon(T=1,score=logit)]:no_probability": 1}


class Told(Silent):
    def __init__(self):
        self.said = []

    def announce(self, text):
        self.said.append(text)


def test_what_unjudged_scores_leave_out_is_said(workspace):
    scores = make_scores(workspace, [[1.0, 2.0, 3.0]])
    beside = others(workspace, b=[[3.0, 2.0, 1.0]])
    told = Told()
    made = measure_pool(workspace, scores, other=beside, executor=Execution(progress=told))
    assert "inverted_pairs" not in made.parameters["statistics"]
    (said,) = told.said
    assert said.startswith("without judgements of these scores, left out: ")
    left_out = said.removesuffix("; a pool of one judged split has them, and so have groups")
    assert {"inverted_pairs", "teacher_agrees"} <= set(left_out.partition(": ")[2].split(", "))
    measure_pool(
        workspace, scores, ["kendall_tau"], other=beside, executor=Execution(0, None, told)
    )
    assert len(told.said) == 1  # nothing that was asked for is missing
    with pytest.raises(UsageError, match=r"needs judgements[^\n]*\n.*one judged split.*--groups"):
        measure_pool(workspace, scores, ["inverted_pairs"], other=beside)


def test_undefined_rows_say_why(workspace):
    x = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]
    y = [[0.5, 0.5, 0.5], [1.0, 0.5, 0.25], [1.0, 0.5, 0.25]]
    beside = others(workspace, "probability", y=y)
    groups = make_groups(workspace, x, grade=[[1, 0, 0], [1, 0, 0], [1, 1, 1]])
    made = measure_groups(workspace, groups, DEFAULTS, other=beside)
    table = columns(made)
    tau, js, inverted = (table[name] for name in DEFAULTS)
    assert tau == [None, -1.0, -1.0]
    assert [value is None for value in js] == [True, True, True]
    assert inverted == [0.0, 1.0, None]
    assert made.counts == {
        "null[kendall_tau]:constant": 1,
        "null[jensen_shannon(T=1,score=zscore)]:constant": 1,
        "null[jensen_shannon(T=1,score=zscore)]:saturated": 2,
        "null[inverted_pairs]:no_such_pair": 1,
    }


def test_one_undefined_teacher_makes_the_mean_undefined(workspace):
    x, y, flat = [[1.0, 2.0, 3.0]], [[2.0, 1.0, 3.0]], [[1.0, 1.0, 1.0]]
    beside = others(workspace, y=y, flat=flat)
    texts = ["kendall_tau", "kendall_tau(other=y)"]
    table = columns(measure_groups(workspace, make_groups(workspace, x), texts, other=beside))
    assert list(table.values()) == [[None], [pytest.approx(1 / 3)]]


def test_how_much_the_order_of_a_list_matters_to_a_listwise_teacher(workspace):
    # Minus the ranks, as ranks are stored: a list as it was, and shown the other way round.
    shown = [[-1.0, -2.0, -3.0, -4.0], [-2.0, -1.0, -4.0, -3.0], [-1.0]]
    reversed_ = [[-1.0, -2.0, -3.0, -4.0], [-1.0, -2.0, -4.0, -3.0], [-1.0]]
    measured = make_scores(workspace, shown, kind="rank")
    other = {"reversed": make_scores(workspace, reversed_, kind="rank")}
    made = measure_pool(workspace, measured, DEFAULTS[:2], other=other)
    table = columns(made)
    assert table["kendall_tau"] == [1.0, pytest.approx(2 / 3), None]
    assert made.counts == {
        "null[kendall_tau]:too_short": 1,
        "null[jensen_shannon(T=1,score=zscore)]:only_ranks": 3,
    }


def test_lists_of_a_pool_may_be_part_of_what_another_teacher_scored(workspace):
    measured = make_scores(workspace, [[1.0, 3.0], [2.0, 1.0, 4.0]], docs=[[1, 4], [0, 2, 9]])
    wider = make_scores(
        workspace, [[9.0, 2.0, 7.0, 5.0], [3.0, 1.0, 2.0]], docs=[[0, 1, 3, 4], [0, 2, 9]]
    )
    table = columns(measure_pool(workspace, measured, ["kendall_tau"], other={"w": wider}))
    assert table["kendall_tau"] == [1.0, pytest.approx(kendall_tau_b([2, 1, 4], [3, 1, 2]))]


def test_groups_are_cut_where_teachers_disagree(workspace):
    x, y = drawn(30, 6, step=0.01), drawn(30, 6, seed=4, step=0.01)
    groups = make_groups(workspace, x)
    made = measure_groups(workspace, groups, DEFAULTS, other=others(workspace, b=y))
    condition = "where('kendall_tau > 0 AND inverted_pairs < 0.5')"
    cut = Groups(cut_groups(workspace, groups, made, condition))
    kept = cut.rows(0, len(cut)).query.tolist()
    table = columns(made)
    wanted = [
        row
        for row in range(30)
        if table["kendall_tau"][row] > 0 and table["inverted_pairs"][row] < 0.5
    ]
    assert kept == wanted
    assert 0 < len(kept) < 30


def test_cells_may_be_cut_by_disagreement(workspace):
    x, y = drawn(80, 6, step=0.01), drawn(80, 6, seed=4, step=0.01)
    groups = make_groups(workspace, x)
    texts = ["kendall_tau", "pair_entropy"]
    made = measure_groups(workspace, groups, texts, other=others(workspace, b=y))
    cells = crossed_cells(workspace, groups, made, locality="kendall_tau")
    assert len({cell.rows for cell in cells.values()}) == 1
    tau = columns(made)["kendall_tau"]
    near, far = (
        [tau[row] for row in Groups(cells[bin_, 0]).rows(0, 3).query.tolist()] for bin_ in (0, 1)
    )
    assert max(near) < min(far)


def test_what_cannot_be_compared_is_refused(workspace):
    x = drawn(2, 3)
    groups, beside = make_groups(workspace, x), others(workspace, b=x + 1)
    with pytest.raises(UsageError, match=r"kendall_tau needs another teacher's scores"):
        measure_groups(workspace, groups, ["kendall_tau"])
    with pytest.raises(UsageError, match=r"no scores are called 'c'") as caught:
        measure_groups(workspace, groups, ["kendall_tau(other=c)"], other=beside)
    assert "known: b" in str(caught.value)
    with pytest.raises(BadInput, match="'b' is a groups, and another teacher's scores are wanted"):
        measure_groups(workspace, groups, other={"b": groups})
    with pytest.raises(UsageError, match="scores 'c' are the same as 'b'"):
        measure_groups(workspace, groups, other=beside | {"c": beside["b"]})
    with pytest.raises(UsageError, match="scores 'self' are the same as those that are measured"):
        measure_pool(workspace, beside["b"], other={"self": beside["b"]})
    few = make_scores(workspace, [[1.0, 2.0], [1.0, 2.0, 3.0]], docs=[[0, 1], [3, 4, 5]])
    with pytest.raises(
        BadInput, match=r"1 pairs have no score of the teacher 'few', the first is document 2\n"
    ):
        measure_groups(workspace, groups, other={"few": few})
    broken = others(workspace, b=[[0.0, math.nan, 1.0], [0.0, 1.0, 2.0]])
    with pytest.raises(BadInput, match="the score of document 1 by the teacher 'b' is not finite"):
        measure_groups(workspace, groups, other=broken)
    wrong = make_scores(workspace, [[0.0, 1.0, math.inf]])
    with pytest.raises(BadInput, match="the teacher score of document 2 is inf"):
        measure_pool(workspace, wrong, ["kendall_tau"], other=others(workspace, b=x[:1]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jensen_shannon(T=0)", "T=0.0 is not a temperature"),
        ("jensen_shannon(score=prob)", "score=prob is not zscore, logprob, logit, raw"),
    ],
)
def test_refusals_name_the_value(text, message):
    with pytest.raises(UsageError, match=message):
        STATISTICS.parse(text)
