"""The tolerances of `rounding` are bounds: exact tails of the binomial, and sums in bad orders."""

import math
from fractions import Fraction

import numpy as np
import pytest
from rounding import UNIT, share_bound, stored_twice, sum_bound
from scipy.stats import binom


@pytest.mark.parametrize("chance", [0.0, 1e-4, 0.02, 0.3, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("draws", [50, 4000, 200_000])
def test_a_share_lies_further_off_with_at_most_the_stated_probability(chance, draws):
    for error in (1e-3, 1e-9):
        off = float(share_bound(chance, draws, error)) * draws
        below = binom.cdf(math.ceil(chance * draws - off) - 1, draws, chance)
        above = binom.sf(math.floor(chance * draws + off), draws, chance)
        assert below + above <= error
    assert share_bound(0.5, draws) < 7 * math.sqrt(0.25 / draws) + 8 / draws  # and is of use


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_sums_in_any_order_stay_within_their_bound(kind):
    rng = np.random.Generator(np.random.Philox(3))
    for terms in (2, 17, 400):
        x = (rng.lognormal(0, 3, terms) * rng.choice([-1, 1], terms)).astype(kind)
        exact = sum(Fraction(float(v)) for v in x)
        for order in (x, x[::-1], np.sort(x), x[np.argsort(-np.abs(x))]):
            found = np.cumsum(order, dtype=kind)[-1]
            off = abs(Fraction(float(found)) - exact)
            assert off <= Fraction(float(sum_bound(terms, np.abs(x).sum(dtype="float64"), kind)))


def test_two_orders_stored_in_float32_stay_within_theirs():
    rng = np.random.Generator(np.random.Philox(4))
    x = rng.normal(0, 1, (500, 64))
    one, other = x.sum(axis=1).astype(np.float32), np.cumsum(x[:, ::-1], axis=1)[:, -1]
    off = stored_twice(64, np.abs(x).sum(axis=1), one)
    assert (np.abs(one - other.astype(np.float32)) <= off).all()
    assert (off < 8 * UNIT["float32"] * (np.abs(one) + 1e-3)).all()
