"""The terms of Theorem 2.1 per design: values by hand, orders, agreement with what was observed."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from group_makers import Given, given, make_groups, make_scores, make_vectors
from rounding import STATED, STATED_PAIRS
from scipy.stats import kendalltau, spearmanr

from rankmill.api import terms
from rankmill.cli.render.designs import plain_terms
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.statistics import measure_groups
from rankmill.mining.statistics.summaries.terms import columns_for, design_of
from rankmill.mining.store import Shard, Stage
from rankmill.mining.store.tables import QRELS
from rankmill.training.ordering import _correlations, order_designs

DELTA, H = "diameter(metric=euclidean,q=1)", "pair_entropy(T=1,score=raw)"


def design(workspace, angle, gap, queries=6, spread=0.0):
    """Statistics of groups of two documents whose vectors lie `angle` apart, scores `gap`."""
    steps = 1 + spread * np.linspace(-1, 1, queries)
    scores = np.column_stack([gap * steps, np.zeros(queries)]).astype(np.float32)
    groups = make_groups(workspace, scores)
    at = np.column_stack([np.zeros(queries), angle * steps]).reshape(-1)
    vectors = make_vectors(workspace, np.column_stack([np.cos(at), np.sin(at)]).astype(np.float32))
    return measure_groups(workspace, groups, ["diameter", H], vectors=vectors)


def evaluation(workspace, values, measure="AP", judgements=0):
    """An evaluation of given values per query."""
    grades = [pa.array([judgements], f.type) for f in QRELS]
    qrels = given(workspace, "qrels", pa.Table.from_arrays(grades, schema=QRELS), QRELS, {"j": judgements})  # fmt: skip # noqa: E501
    schema = pa.schema([("query", pa.uint32()), (measure, pa.float64())])
    columns = [pa.array(range(len(values)), pa.uint32()), pa.array(values, pa.float64())]
    stage = Stage(
        kind="evaluation",
        parameters={"measures": [measure], "given": [str(v) for v in values]},
        inputs={"qrels": qrels},
        schema=schema,
        shards=lambda: [Shard(0, 0, len(values))],
        worker=Given,
        options={"table": pa.Table.from_arrays(columns, schema=schema)},
        metadata={"source": "given"},
    )
    return workspace.build(stage)


def test_the_terms_of_one_design_by_hand(workspace):
    made = design(workspace, math.pi / 3, 2.0)  # unit vectors 60° apart: distance 1
    found, _ = design_of(made, locality=DELTA, entropy=H, n="documents")
    p = 1 / (1 + math.exp(-2.0))
    bits = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert found.amount == {"queries": 6, "groups": 6, "documents": 12, "pairs": 12}
    assert found.diameter.mean == pytest.approx(1.0, abs=STATED)  # float32 vectors
    assert found.entropy_bits.mean == pytest.approx(bits, rel=STATED_PAIRS)
    assert found.entropy_nats == pytest.approx(bits * math.log(2), rel=STATED_PAIRS)
    assert found.locality == pytest.approx(math.sqrt(math.log(12) / 12), abs=STATED)
    assert found.entropy == pytest.approx(bits / 2, rel=STATED_PAIRS)
    assert found.ratios == ()
    assert columns_for(made, None, None) == (DELTA, H)


def test_orders_by_each_term_and_by_their_sum(workspace):
    made = {
        "near, unsure": design(workspace, 0.1, 0.1),
        "far, sure": design(workspace, 2.0, 5.0),
        "middle": design(workspace, 1.0, 1.0),
    }
    found = terms(made)
    assert found.orders["locality"] == ("near, unsure", "middle", "far, sure")
    assert found.orders["entropy"] == ("far, sure", "middle", "near, unsure")
    by_locality, by_entropy = terms(made, weights=(1e6, 1)), terms(made, weights=(1, 1e6))
    assert by_locality.orders["combined"] == found.orders["locality"]
    assert by_entropy.orders["combined"] == found.orders["entropy"]
    both = found.predicted["combined"]["middle"]
    assert both == sum(found.predicted[k]["middle"] for k in ("locality", "entropy"))
    assert found.observed is None
    assert "observed" not in found.orders


def ladder(workspace, count, noise=0.0):
    """Designs that lie further and further out, and students that get worse with it."""
    random = np.random.Generator(np.random.Philox(2))
    made = {f"d{i}": design(workspace, 0.3 + 0.2 * i, 1.0 + i, 20, 0.1) for i in range(count)}
    values = [0.9 - 0.1 * i + noise * random.normal(0, 1, 30) for i in range(count)]
    against = {f"d{i}": [evaluation(workspace, v)] for i, v in enumerate(values)}
    return made, against, values


def test_agreement_with_the_observed_order(workspace):
    made, against, values = ladder(workspace, 6, noise=0.3)
    found = terms(made, against=against, measure="AP", resamples=200)
    means = [v.mean() for v in values]
    assert list(found.observed.values()) == pytest.approx(means)
    for kind in ("locality", "entropy"):
        predicted = list(found.predicted[kind].values())
        one = found.agreement[kind]
        risk = [-m for m in means]
        assert one.kendall == pytest.approx(kendalltau(predicted, risk).statistic)
        assert one.spearman == pytest.approx(spearmanr(predicted, risk).statistic)
        assert -1 <= one.kendall_low <= one.kendall <= one.kendall_high <= 1
    assert found.agreement["locality"].kendall > 0 > found.agreement["entropy"].kendall
    assert found.agreement["locality"].kendall_low < 1
    assert not found.too_few
    assert found.chance == pytest.approx(2 / 720)
    again = terms(made, against=against, measure="AP", resamples=200)
    assert again == found  # the bootstrap is keyed


def test_rank_correlations_are_scipys_with_ties_too():
    random = np.random.Generator(np.random.Philox(6))
    for _ in range(50):
        x, y = random.integers(0, 4, (2, 7)).astype(float)
        tau, rho = _correlations(x[:, None], y)[0]
        if np.ptp(x) and np.ptp(y):
            # Quotients of whole numbers and roots of them: a few roundings of 1.1e-16.
            assert tau == pytest.approx(kendalltau(x, y).statistic, abs=1e-15)
            assert rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-15)
    assert np.isnan(_correlations(np.ones((4, 1)), np.arange(4.0))).all()


def test_designs_that_differ_beyond_doubt_agree_in_every_resample(workspace):
    made, against, _ = ladder(workspace, 5)
    found = order_designs(made, against, measure="AP", resamples=50)
    one = found.agreement["locality"]
    assert (one.kendall, one.kendall_low, one.kendall_high) == (1.0, 1.0, 1.0)
    assert (one.spearman, one.spearman_low, one.spearman_high) == (1.0, 1.0, 1.0)
    assert found.orders["observed"] == ("d0", "d1", "d2", "d3", "d4")


def test_a_risk_is_observed_as_it_is(workspace):
    made, _, values = ladder(workspace, 3)
    name = "PairRisk(mu=judged,ties=error)"
    against = {f"d{i}": evaluation(workspace, [*(1 - v), None], name) for i, v in enumerate(values)}
    found = terms(made, against=against, measure="PairRisk", resamples=20)
    assert found.agreement["locality"].kendall == 1.0
    assert found.observed["d0"] == pytest.approx((1 - values[0]).mean())  # the null is left out


def test_few_designs_are_said_to_be_few(workspace):
    made, against, _ = ladder(workspace, 4)
    four = terms(made, against=against, measure="AP", resamples=20)
    assert four.too_few
    assert four.chance == pytest.approx(1 / 12)
    two = terms(made, against={k: against[k] for k in ("d0", "d1")}, measure="AP")
    assert two.too_few
    assert two.agreement is None
    assert two.chance == 1.0


def test_equal_designs_have_no_correlation(workspace):
    made = {name: design(workspace, 1.0, 1.0) for name in "abc"}
    against = {s: evaluation(workspace, [0.5, 0.1 * i]) for i, s in enumerate("abc")}
    found = terms(made, against=against, measure="AP", resamples=20)
    assert found.agreement["locality"].kendall is None
    assert found.agreement["locality"].spearman_low is None


def test_plain_values_are_json(workspace):
    import json

    made, against, _ = ladder(workspace, 3)
    plain = plain_terms(terms(made, against=against, measure="AP", resamples=20))
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text)["designs"]["d0"]["amount"]["queries"] == 20


def test_refusals(workspace):
    made, against, _ = ladder(workspace, 2)
    with pytest.raises(UsageError, match="there is nothing to order"):
        terms({"d0": made["d0"]})
    with pytest.raises(UsageError, match="'d7' is not a design"):
        terms(made, against={"d7": against["d0"]})
    with pytest.raises(UsageError, match="weights 1,0 are not positive"):
        terms(made, weights=(1.0, 0.0))
    with pytest.raises(UsageError, match='n="docs" is unknown'):
        terms(made, n="docs")
    with pytest.raises(BadInput, match=r"radius.* was not measured"):
        terms(made, locality="radius")
    with pytest.raises(BadInput, match="AP@3 was not measured"):
        terms(made, against=against, measure="AP@3")
    other = {"d0": against["d0"], "d1": [evaluation(workspace, [0.5] * 30, judgements=1)]}
    with pytest.raises(BadInput, match="the evaluations are by different judgements"):
        terms(made, against=other, measure="AP")
    undefined = {k: evaluation(workspace, [None, None]) for k in made}
    with pytest.raises(BadInput, match="AP is undefined for every query"):
        terms(made, against=undefined, measure="AP")
    scores = make_scores(workspace, [[1.0, 2.0]])
    with pytest.raises(BadInput, match="this scores is not statistics of groups"):
        design_of(scores, locality=DELTA, entropy=H)
    flat = measure_groups(workspace, make_groups(workspace, [[1.0, 2.0]]), [H])
    with pytest.raises(BadInput, match="diameter was not measured"):
        columns_for(flat, None, None)
    cosine = make_groups(workspace, [[0.1, 0.2]], kind="similarity")
    vectors = make_vectors(workspace, np.eye(2, dtype=np.float32))
    null = measure_groups(workspace, cosine, ["diameter", "pair_entropy"], vectors=vectors)
    with pytest.raises(BadInput, match=r"pair_entropy\(T=1\) has no value in any group"):
        terms({"a": null, "b": null}, entropy="pair_entropy(T=1)")
