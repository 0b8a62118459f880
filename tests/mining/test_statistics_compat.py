"""The reference's variants: golden values, and that they never come without the switch."""

from __future__ import annotations

import numpy as np
import pytest
from group_makers import make_groups, make_vectors
from oracles import entropy as oracle
from rounding import UNIT

from rankmill.mining.derive import CUTS
from rankmill.mining.errors import UsageError
from rankmill.mining.statistics import STATISTICS, measure_groups
from rankmill.mining.statistics.compat import (
    COMPAT,
    CUTS_COMPAT,
    SWITCH,
    diameter_compat,
    sum_normalised,
)

G = [-0.2, -1.0, -4.0, -6.0]
E = [[1, 0], [0, 1], [-1, 0], [0.6, 0.8]]
H = np.array([0.02, 0.30, 0.34, 0.36, 0.40, 0.42, 0.46, 0.95])
TOL = 5e-7


def test_golden_values(workspace):
    groups = make_groups(workspace, [G], kind="log-prob")
    vectors = make_vectors(workspace, np.array(E, np.float32))
    found = measure_groups(workspace, groups, compat=SWITCH, vectors=vectors)
    assert found.parameters["compat"] == SWITCH
    row = {
        name: column[0].as_py()
        for name, column in zip(found.table().column_names, found.table().columns, strict=True)
    }
    assert row["density_ratio_compat"] == pytest.approx(
        14.0, rel=6 * UNIT["float32"]
    )  # g: a sum, a quotient
    assert row["list_entropy_compat"] == pytest.approx(0.989677, abs=TOL)
    assert row["pair_entropy_compat"] == pytest.approx(0.322515, abs=TOL)
    assert row["run_entropy_compat"] == pytest.approx(1.465672, abs=TOL)
    assert row["diameter_compat(q=0.99)"] == pytest.approx(1.297519, abs=TOL)
    assert sum_normalised(np.array(G)) == pytest.approx(
        [0.017857, 0.089286, 0.357143, 0.535714], abs=TOL
    )


def test_logits_become_the_log_probabilities_that_the_reference_reads(workspace):
    z = [1.507772, -0.541325, -3.981515, -5.997518]
    found = measure_groups(workspace, make_groups(workspace, [z]), compat=SWITCH).table()
    assert found["list_entropy_compat"][0].as_py() == pytest.approx(
        0.989677, abs=5 * TOL
    )  # four printed z
    assert "diameter_compat(q=0.99)" not in found.column_names


def test_the_wrong_axis_can_pass_two():
    rows = np.random.Generator(np.random.Philox(1)).normal(0, 1, (16, 768))
    assert diameter_compat(rows) > 2.0


def test_golden_cuts():
    kept = {name: int(CUTS.parse(text).keeps(H).sum()) for name, text in CUTS_COMPAT.items()}
    assert kept == {
        "upper_quartile": 6,
        "lower_quartile": 6,
        "below_median": 4,
        "above_median": 4,
        "inner_quartiles": 6,
        "outlier_quartiles": 2,
    }


def test_nothing_of_it_without_the_switch(workspace):
    assert not set(COMPAT.names()) & set(STATISTICS.names())
    assert all(name.endswith("_compat") for name in COMPAT.names())
    groups = make_groups(workspace, [G], kind="log-prob")
    with pytest.raises(UsageError, match="unknown statistic 'list_entropy_compat'"):
        measure_groups(workspace, groups, ["list_entropy_compat"])
    with pytest.raises(UsageError, match="unknown compat statistic 'pair_entropy'"):
        measure_groups(workspace, groups, ["pair_entropy"], compat=SWITCH)
    with pytest.raises(UsageError, match="compat='locality' is unknown"):
        measure_groups(workspace, groups, compat="locality")


def test_a_similarity_has_none_of_it(workspace):
    found = measure_groups(workspace, make_groups(workspace, [G], kind="similarity"), compat=SWITCH)
    assert found.counts["null[pair_entropy_compat]:no_probability"] == 1


def test_epsilon_makes_the_difference_that_it_makes(workspace):
    far = [-1e-4, -40.0]
    groups = make_groups(workspace, [far], kind="log-prob")
    theirs = measure_groups(workspace, groups, compat=SWITCH).table()["pair_entropy_compat"]
    assert oracle.pair_entropy(far) > 0
    assert theirs[0].as_py() != pytest.approx(oracle.pair_entropy(far), rel=1e-3)
