"""Distances against the float64 oracle, golden values, degenerate groups."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import geometry as oracle
from rounding import STATED

from rankmill.native import geometry, scales

E = [[1, 0], [0, 1], [-1, 0], [0.6, 0.8]]
QUANTILES = (1.0, 0.99, 0.95)


def run(groups, queries=None, *, cosine=False, quantiles=QUANTILES, dtype: type = np.float32):
    """Return (out, status) of groups given as lists of vectors, stored back to front."""
    width = np.asarray(groups[0]).shape[1]
    stored = np.concatenate([np.asarray(g, dtype).reshape(-1, width) for g in groups])[::-1].copy()
    half, single = np.empty((0, 0), np.uint16), stored
    if dtype == np.float16:
        half, single = stored.view(np.uint16), np.empty((0, 0), np.float32)
    index = np.arange(len(stored), dtype=np.int64)[::-1].copy()
    asked = np.empty((0, width), np.float32) if queries is None else np.array(queries, np.float32)
    offsets = np.cumsum([0] + [len(g) for g in groups]).astype(np.int64)
    for array in (half, single, index, offsets):
        array.flags.writeable = False
    out = np.full((len(groups), len(quantiles) + 3), 99.0)
    status = np.full(out.shape, 99, np.uint8)
    geometry.geometry_columns(
        half,
        single,
        index,
        asked,
        offsets,
        np.array(quantiles),
        cosine,
        0,
        len(groups),
        out,
        status,
    )
    return out, status


def test_golden_values():
    out, _ = run([E])
    wanted = [2.0, 1.989443, 1.947214, 1.436214, 2.0]
    assert out[0, :5] == pytest.approx(wanted, abs=5e-7)
    cosine, _ = run([E], cosine=True)
    assert cosine[0, 0] == pytest.approx(2.0, abs=5e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("size", [2, 3, 16, 40])
@pytest.mark.parametrize("width", [1, 7, 384])
def test_equals_the_oracle(size, width, dtype):
    rng = np.random.Generator(np.random.Philox(size * 1000 + width))
    groups = [rng.normal(0, 3, (size, width)).astype(dtype) for _ in range(5)]
    queries = rng.normal(0, 1, (5, width)).astype(np.float32)
    quantiles = (1.0, 0.99, 0.95, 0.5, 0.0)
    out, _ = run(groups, queries, quantiles=quantiles, dtype=dtype)
    for row, group, query in zip(out, groups, queries, strict=True):
        wanted = [oracle.diameter(group, q) for q in quantiles]
        around = oracle.radius(group[1:], group[0])
        wanted += [around.mean(), around.max(), oracle.radius(group, query).mean()]
        assert row == pytest.approx(wanted, rel=STATED, abs=STATED)
        assert row[0] >= row[6] * (1 - STATED)  # diameter ≥ radius


def test_euclid_squared_is_twice_the_cosine_distance():
    rng = np.random.Generator(np.random.Philox(3))
    groups = [rng.normal(0, 1, (2, 32)) for _ in range(20)]
    assert run(groups)[0][:, 0] ** 2 == pytest.approx(
        2 * run(groups, cosine=True)[0][:, 0], rel=STATED
    )


def test_near_neighbours_keep_their_digits():
    rng = np.random.Generator(np.random.Philox(4))
    centre = rng.normal(0, 1, 64)
    group = (centre + rng.normal(0, 1e-3, (6, 64))).astype(np.float32)
    out, _ = run([group])
    assert out[0, 0] == pytest.approx(oracle.diameter(group), rel=1e-4)


@pytest.mark.parametrize("width", [7, 384])
@pytest.mark.parametrize("count", [4, 5, 17, 33])
def test_groups_with_close_pairs_keep_six_digits(count, width):
    """Distances on both sides of where the product of rows gives way to the sum of squares."""
    rng = np.random.Generator(np.random.Philox(count))
    centre = rng.normal(0, 1, width)
    spread = np.geomspace(1e-2, 3, count)[:, None]
    group = (centre + spread * rng.normal(0, 1, (count, width))).astype(np.float32)
    quantiles = (1.0, 0.7, 0.3, 0.0)
    out, _ = run([group, group[:3], group], quantiles=quantiles)
    around = oracle.radius(group[1:], group[0])
    wanted = [oracle.diameter(group, q) for q in quantiles] + [around.mean(), around.max()]
    assert out[0, :6] == pytest.approx(wanted, rel=STATED)
    assert out[2].tobytes() == out[0].tobytes()  # what lay in the scratch before does not matter


def test_single_documents_zero_vectors_and_empty_groups():
    out, status = run([np.ones((1, 3)), np.array([[0, 0, 0], [1, 0, 0]]), np.empty((0, 3))])
    assert out[0, :3].tolist() == [0.0, 0.0, 0.0]
    assert status[0].tolist() == [0, 0, 0] + [scales.TOO_SHORT] * 3
    assert set(status[1].tolist()) == {scales.ZERO_VECTOR}
    assert set(status[2].tolist()) == {scales.TOO_SHORT}
    assert np.isnan(out[1:]).all()
    _, status = run([np.ones((2, 3))], [[0.0, 0.0, 0.0]])
    assert status[0, 5] == scales.ZERO_VECTOR
    assert status[0, 0] == scales.DEFINED


def test_every_finite_half_keeps_its_direction_and_the_others_are_found():
    """One component against 1: the cosine says whether the half was widened exactly."""
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    pairs = [np.array([[1, 0], [1, h]], np.float16) for h in half]
    out, status = run(pairs, dtype=np.float16, cosine=True)
    finite = np.isfinite(half)
    assert (status[finite, 0] == scales.DEFINED).all()
    assert (status[~finite, 0] == scales.NOT_FINITE).all()
    wide = half[finite].astype(np.float64)
    wanted = 1.0 - 1.0 / np.sqrt(1.0 + wide * wide)
    assert out[finite, 0] == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_vectors_that_are_not_finite_are_found(value, dtype):
    group = np.ones((3, 40))
    group[2, 33] = value
    assert set(run([group], dtype=dtype)[1][0].tolist()) == {scales.NOT_FINITE}
