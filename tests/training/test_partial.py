"""Partial correlations: against residuals of regressions, and simulated ones that are known."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import partial as oracle

from rankmill.mining.draws import key_of
from rankmill.mining.statistics.summaries.resampling import weighted_sums
from rankmill.training.partial import BETWEEN, WITHIN, partial_correlations


def table(queries: int = 30, cells: int = 4, seed: int = 2):
    """Return a table in which a query is easy or hard, cells differ, and H drives the gain."""
    rng = np.random.Generator(np.random.Philox(seed))
    query = np.tile(np.arange(queries), cells)
    cell = np.repeat(np.arange(cells), queries)
    easy, mean = rng.normal(0, 1, queries)[query], rng.normal(0, 1, cells)[cell]
    d = rng.normal(1, 0.2, queries * cells) + 0.1 * easy
    h = 0.3 * d + rng.normal(0, 0.3, queries * cells) + 0.2 * mean
    k = rng.normal(0, 1, queries * cells) - h
    gain = 0.5 * h - 0.2 * d + 0.3 * easy + mean + rng.normal(0, 0.2, queries * cells)
    return gain, {"H": h, "Δ": d, "ln κ": k}, query, cell


@pytest.mark.parametrize("way", [BETWEEN, WITHIN])
def test_they_are_those_of_residuals(way: str) -> None:
    from scipy.stats import rankdata

    gain, statistics, query, cell = table()
    found = partial_correlations(gain, statistics, query, cell, way=way, resamples=20, seed=4)
    taken_out = cell if way == BETWEEN else query
    ((weights, _),) = weighted_sums(np.zeros((30, 1)), key_of(4, "partial.bootstrap"), 20)
    assert [one.name for one in found] == ["H", "Δ", "ln κ"]
    for one in found:
        others = [values for name, values in statistics.items() if name != one.name]
        assert one.given == tuple(name for name in statistics if name != one.name)
        for kind, turn in (("pearson", lambda x: x), ("spearman", rankdata)):
            y, x, z = turn(gain), turn(statistics[one.name]), [turn(o) for o in others]
            assert getattr(one, kind) == pytest.approx(oracle.partial(y, x, z, taken_out))
            drawn = oracle.bootstrap(y, x, z, taken_out, query, weights)
            low, high = np.quantile(drawn, [0.025, 0.975])
            assert getattr(one, f"{kind}_low") == pytest.approx(low)
            assert getattr(one, f"{kind}_high") == pytest.approx(high)


def test_within_queries_cells_are_compared_within_their_block() -> None:
    gain, statistics, query, cell = table()
    block = cell // 2
    far = gain + 7.0 * block
    found = partial_correlations(
        far, statistics, query, cell, block=block, way=WITHIN, resamples=20
    )
    for one in found:
        others = [values for name, values in statistics.items() if name != one.name]
        wanted = oracle.partial(far, statistics[one.name], others, 1000 * block + query)
        assert one.pearson == pytest.approx(wanted)


def test_known_partial_correlations_lie_in_the_intervals() -> None:
    """Of a normal vector with precision P the partial correlation is −P_ij/√(P_ii·P_jj)."""
    precision = np.array(
        [[2, -0.8, 0.0, 0.3], [-0.8, 1.5, 0.4, 0.0], [0.0, 0.4, 1.0, 0.2], [0.3, 0.0, 0.2, 1.2]]
    )
    true = [-precision[0, k] / np.sqrt(precision[0, 0] * precision[k, k]) for k in (1, 2, 3)]
    root = np.linalg.cholesky(np.linalg.inv(precision))
    held = 0
    for seed in range(40):
        rng = np.random.Generator(np.random.Philox(seed))
        y = (root @ rng.normal(size=(4, 200))).T
        found = partial_correlations(
            y[:, 0],
            {"H": y[:, 1], "Δ": y[:, 2], "ln κ": y[:, 3]},
            np.arange(200),
            np.zeros(200, int),
            resamples=300,
        )
        held += sum(
            one.pearson_low <= value <= one.pearson_high
            for one, value in zip(found, true, strict=True)
        )
    assert 0.88 <= held / 120 <= 0.99
    assert true == pytest.approx([0.4619, 0.0, -0.1936], abs=1e-4)


def test_rows_of_one_query_do_not_make_the_interval_narrower() -> None:
    gain, statistics, query, cell = table(queries=40, cells=1)
    once = partial_correlations(gain, statistics, query, cell)[0]
    four = [np.tile(v, 4) for v in (gain, *statistics.values(), query)]
    many = partial_correlations(
        four[0],
        dict(zip(statistics, four[1:4], strict=True)),
        four[4],
        np.repeat(np.arange(4), 40),
    )[0]
    assert many.pearson == pytest.approx(once.pearson)
    assert many.pearson_low == pytest.approx(once.pearson_low)


def test_what_is_not_defined_says_why() -> None:
    gain, statistics, query, cell = table()
    few = query < 5
    found = partial_correlations(
        gain[few], {k: v[few] for k, v in statistics.items()}, query[few], cell[few]
    )
    assert {one.reason for one in found} == {"5 queries, 10 at least"}
    assert found[0].pearson is None
    flat = partial_correlations(gain, {**statistics, "H": 1.0 * query}, query, cell, way=WITHIN)
    assert flat[0].reason == "a statistic does not vary between the cells of a query"
    equal = partial_correlations(0 * gain, statistics, query, cell)
    assert equal[0].reason == "the gain does not vary between the queries of a cell"
    same = partial_correlations(gain, {**statistics, "Δ": 2 * statistics["H"]}, query, cell)
    assert same[0].reason == "the statistics are not independent of each other"


def test_one_statistic_alone_is_a_plain_correlation() -> None:
    gain, statistics, query, _ = table(cells=1)
    (found,) = partial_correlations(gain, {"H": statistics["H"]}, query, np.zeros(30, int))
    assert found.given == ()
    assert found.pearson == pytest.approx(np.corrcoef(gain, statistics["H"])[0, 1])
