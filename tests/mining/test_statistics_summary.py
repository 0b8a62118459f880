"""Summaries of a data set: what they count, what they do with nulls, intervals of correlations."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from group_makers import make_groups, make_scores, make_vectors
from scipy import stats

from rankmill.mining.draws import generator
from rankmill.mining.errors import BadInput
from rankmill.mining.statistics import measure_groups, summarise
from rankmill.mining.statistics.summaries.summary import (
    _pearson,
    _resampled,
    correlation,
    describe,
    histogram,
)


@pytest.fixture
def measured(workspace):
    rng = np.random.Generator(np.random.Philox(1))
    groups = make_groups(workspace, rng.normal(0, 3, (80, 6)).astype(np.float32))
    vectors = make_vectors(workspace, rng.normal(0, 1, (480, 12)).astype(np.float16))
    return measure_groups(workspace, groups, vectors=vectors)


def test_a_summary_is_plain_json_with_units_and_reasons(measured):
    found = summarise(measured)
    json.dumps(found, allow_nan=False)
    assert found["rows"] == 80
    column = found["columns"]["pair_entropy(T=1)"]
    values = measured.table()["pair_entropy(T=1)"].to_numpy()
    assert column["n"] == 80
    assert column["unit"] == "bits"
    assert column["nulls"] == {}
    assert column["mean"] == pytest.approx(values.mean())
    assert column["variance"] == pytest.approx(values.var())
    assert (column["min"], column["max"]) == (values.min(), values.max())
    assert len(column["deciles"]) == 11
    assert sum(column["histogram"]["counts"]) == 80
    assert column["histogram"]["edges"][0] == 0.0
    assert column["histogram"]["edges"][-1] == 1.0
    assert "diameter(metric=euclidean,q=1)" in found["correlation"]["names"]
    assert found["correlation"] == summarise(measured)["correlation"]  # the bootstrap is keyed


def test_nulls_are_counted_by_reason(workspace):
    groups = make_groups(workspace, [[0.1, 0.2]] * 4, kind="similarity")
    found = summarise(measure_groups(workspace, groups, ["pair_entropy", "ties"]))
    column = found["columns"]["pair_entropy(T=1)"]
    assert column == {"n": 0, "unit": "bits", "nulls": {"no_probability": 4}}
    assert found["correlation"]["rows"] == 0


def test_infinite_ratios_have_their_own_bin():
    values = np.array([0.2, 1.0, 3.0, 15.0, np.inf, np.inf, np.nan])
    found = describe("density_ratio(target=x)", values)
    assert found["n"] == 6
    assert found["max"] == "inf"
    assert found["mean"] == pytest.approx(4.8)
    assert found["histogram"]["infinite"] == 2
    assert sum(found["histogram"]["counts"]) == 4
    assert histogram("diameter(q=1)", np.array([2.0000001]))["counts"][-1] == 1
    assert histogram("kendall_tau(other=b)", np.array([-1.0, 1.0]))["edges"][::50] == [-1.0, 1.0]
    assert histogram("inverted_pairs", np.array([0.0]))["declared"] is True
    assert histogram("ties", np.array([3.0, 3.0]))["declared"] is False


def test_correlations_equal_scipy_and_their_intervals_hold_the_truth():
    rng = np.random.Generator(np.random.Philox(12))
    x = rng.normal(0, 1, 400)
    y = 0.6 * x + 0.8 * rng.normal(0, 1, 400)
    z = rng.normal(0, 1, 400)
    found = correlation({"x": x, "y": y, "z": z}, np.arange(400), resamples=300)
    assert found["pearson"][0][1] == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["spearman"][0][2] == pytest.approx(stats.spearmanr(x, z).statistic)
    assert found["pearson_low"][0][1] < 0.6 < found["pearson_high"][0][1]
    assert found["pearson_low"][0][2] < 0.0 < found["pearson_high"][0][2]
    width = found["pearson_high"][0][1] - found["pearson_low"][0][1]
    # 2·1.96·(1 − ρ²)/√n. 300 resamples: a quantile spreads by .15 of a deviation, the width by 6 %;
    # 400 rows: a deviation by 7 %; four times both.
    assert width == pytest.approx(4 * 0.64 / 20, rel=0.37)


def test_intervals_are_over_queries_not_rows():
    rng = np.random.Generator(np.random.Philox(9))
    x, y = rng.normal(0, 1, (2, 60))
    one = correlation({"x": x, "y": y}, np.arange(60), resamples=300)
    copies = {"x": np.repeat(x, 9), "y": np.repeat(y, 9)}
    nine = correlation(copies, np.repeat(np.arange(60), 9), resamples=300)
    width = [f["pearson_high"][0][1] - f["pearson_low"][0][1] for f in (one, nine)]
    assert width[1] == pytest.approx(width[0], rel=0.15)


def test_columns_that_do_not_vary_correlate_with_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = correlation({"x": np.ones(9), "y": np.arange(9.0)}, np.arange(9), resamples=20)
    assert found["pearson"] == [[1.0, None], [None, 1.0]]


def test_refusals(workspace, measured):
    with pytest.raises(BadInput, match="scores are not statistics"):
        summarise(make_scores(workspace, [[1.0]]))
    with pytest.raises(BadInput, match="there is no column 'H'"):
        summarise(measured, correlate=["H"])


def by_the_formula(tables, owner, groups, seed, resamples):
    """The bootstrap as it is defined: one weighted correlation after the other."""
    draws = generator(seed, "summary.bootstrap")
    found = {kind: [] for kind in tables}
    for _ in range(resamples):
        weight = np.bincount(draws.integers(0, groups, groups), minlength=groups)
        for kind, table in tables.items():
            found[kind].append(_pearson(table, weight[owner]))
    return {kind: np.stack(matrices) for kind, matrices in found.items()}


@pytest.mark.parametrize("odd", ["plain", "far", "constant", "outlier", "nearly constant"])
def test_resamples_are_those_of_the_formula(odd):
    """n terms of standardised columns, and variances of 1e-3 or more: n·2⁻⁵³/1e-3 is the bound."""
    random = np.random.Generator(np.random.Philox(3))
    n = 300
    data = random.normal(0, 1, (n, 4))
    data[:, 1] += data[:, 0]
    if odd == "far":
        data[:, 2] = 1e6 + 1e-2 * data[:, 2]  # the formula itself loses digits here
    if odd == "constant":
        data[:, 2] = 7.5
    if odd == "outlier":
        data[:, 2], data[5, 2] = 0.25, 9.0  # a third of the resamples do not hold it
    if odd == "nearly constant":
        data[:, 2] = 1.0 + 1e-13 * (np.arange(n) % 2)
    owner = np.sort(random.integers(0, 200, n))
    owner = np.unique(owner, return_inverse=True)[1]
    groups = int(owner.max()) + 1
    tables = {"pearson": data, "spearman": np.argsort(np.argsort(data, axis=0), axis=0) + 1.0}
    ours = _resampled(tables, owner, groups, 4, 40)
    theirs = by_the_formula(tables, owner, groups, 4, 40)
    least = 1e-6 if odd == "far" else 1e-9
    for kind in tables:
        np.testing.assert_allclose(ours[kind], theirs[kind], rtol=0, atol=least, equal_nan=True)
    if odd == "constant":
        assert np.isnan(ours["pearson"][:, 2, 0]).all()
