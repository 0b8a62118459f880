"""Main effects and interaction of two factors, against sums written out and by simulation."""

import numpy as np
import pytest
from oracles.factorial import effect

from rankmill.mining.errors import BadInput
from rankmill.training.factorial import contrasts, two_factors
from rankmill.training.random_effects import half_width, parts_of
from rankmill.training.significance import paired_t

NAMES = ("locality", "entropy")
LEVELS = (("near", "far"), ("low", "high"))
WEIGHTS = {  # of the cells (locality, entropy), by the definition of each effect
    "near → far": {(1, 0): 0.5, (1, 1): 0.5, (0, 0): -0.5, (0, 1): -0.5},
    "low → high": {(0, 1): 0.5, (1, 1): 0.5, (0, 0): -0.5, (1, 0): -0.5},
    "near → far, low → high": {(1, 1): 1.0, (0, 0): 1.0, (0, 1): -1.0, (1, 0): -1.0},
}


def drawn(seeds, queries, *, shape=(2, 2), times=(), key=0):
    """Draw a design in which nothing has an effect, but queries and seeds differ in everything."""
    random = np.random.Generator(np.random.PCG64(key))
    a, b = shape

    def noise(scale, *where):
        return random.normal(0, scale, where)

    return (
        noise(0.2, 1, 1, *times, 1, queries)  # of a query
        + noise(0.05, a, 1, *times, 1, queries)  # of a query with a level of A
        + noise(0.03, a, b, *times, 1, queries)
        + noise(0.02, a, 1, *times, seeds, 1)  # of a seed with a level of A
        + noise(0.01, a, b, *times, seeds, 1)
        + noise(0.05, a, b, *times, seeds, queries)
    )


@pytest.mark.parametrize(("seeds", "queries"), [(2, 7), (3, 20)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_effects_are_those_of_the_sums_written_out(seeds, queries, level):
    y = drawn(seeds, queries, key=seeds)
    cells = {(a, b): y[a, b].tolist() for a in range(2) for b in range(2)}
    found = two_factors(y, NAMES, LEVELS, level=level)
    assert [row.step for row in found] == list(WEIGHTS)
    assert [row.interaction for row in found] == [False, False, True]
    assert found[2].factor == "locality × entropy"
    for row in found:
        slow = effect(cells, WEIGHTS[row.step], level)
        assert (row.difference.mean, row.difference.low, row.difference.high) == pytest.approx(slow)
        assert row.difference.over == f"queries and {seeds} seeds"
        assert row.variance is not None


def test_an_effect_that_was_put_in_comes_out_alone():
    y = drawn(3, 200, key=5)
    y[1] += 0.2  # far is better by 0.2, whatever the entropy
    y[1, 1] += 0.15  # and more so where the entropy is high
    found = {row.step: row for row in two_factors(y, NAMES, LEVELS)}
    assert found["near → far"].difference.mean == pytest.approx(0.275, abs=0.05)
    assert found["low → high"].difference.mean == pytest.approx(0.075, abs=0.05)
    assert found["near → far, low → high"].difference.mean == pytest.approx(0.15, abs=0.05)
    assert found["near → far"].p_adjusted < 0.05


def test_three_levels_have_all_steps_and_one_seed_says_so():
    y = drawn(1, 30, shape=(3, 2))
    found = two_factors(y, NAMES, (("near", "middle", "far"), ("low", "high")))
    assert [row.step for row in found[:4]] == [
        "near → middle",
        "near → far",
        "middle → far",
        "low → high",
    ]
    assert len(found) == 4 + 3
    assert {row.difference.over for row in found} == {"queries"}
    assert all(row.variance is None and row.p <= row.p_adjusted for row in found)
    first = y[1].mean(axis=0) - y[0].mean(axis=0)
    assert found[0].p == pytest.approx(paired_t(first))


@pytest.mark.parametrize("seeds", [2, 3])
def test_intervals_of_effects_cover(seeds):
    # 95 % intervals of effects that are 0 hold 0 in 93 % of the designs at least, four standard
    # deviations of the simulation apart; with few seeds they hold it more often.
    times, covered = 1500, 0.93
    y = drawn(seeds, 60, times=(times,), key=seeds)
    lowest = covered - 4 * np.sqrt(covered * (1 - covered) / times)
    for steps, d in contrasts(y):
        held = np.mean(np.abs(d.mean(axis=(1, 2))) <= half_width(parts_of(d), 0.95))
        assert held >= lowest, (steps, held)


def test_refusals():
    with pytest.raises(BadInput, match=r"values of shape \(2, 3, 4\) for factors of 2 and 2"):
        two_factors(np.zeros((2, 3, 4)), NAMES, LEVELS)
    with pytest.raises(BadInput, match="two levels at least"):
        two_factors(np.zeros((1, 2, 3, 4)), NAMES, (("near",), ("low", "high")))
    with pytest.raises(BadInput, match="not finite"):
        two_factors(np.full((2, 2, 2, 4), np.nan), NAMES, LEVELS)
