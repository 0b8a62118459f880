"""Vector kernels against NumPy in float64, for every finite float16 there is."""

from __future__ import annotations

import numpy as np
import pytest
from rounding import UNIT, stored_twice

from rankmill.native.topk import merge_ranked
from rankmill.native.vectors import normalise_rows, pair_dots


def run(left: np.ndarray, row: np.ndarray, stored: np.ndarray, doc: np.ndarray) -> np.ndarray:
    """Call the kernel once for each of two parts of `stored`."""
    out = np.full(len(doc), np.nan, dtype=np.float32)
    bits = np.empty(stored.shape[1], dtype=np.uint32)
    middle = len(stored) // 2
    for first, part in ((0, stored[:middle]), (middle, stored[middle:])):
        half, single = np.empty((0, 0), np.uint16), np.empty((0, 0), np.float32)
        if stored.dtype == np.float16:
            half = part.view(np.uint16)
        else:
            single = part
        pair_dots(left, row, half, single, first, doc, bits, bits.view(np.float32), out)
    return out


def test_every_float16_is_read_exactly() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    stored = every[np.isfinite(every)][:, None]
    doc = np.arange(len(stored))
    one = np.ones((1, 1), dtype=np.float32)
    found = run(one, np.zeros(len(doc), dtype=np.int64), stored, doc)
    assert np.array_equal(found, stored[:, 0].astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("width", [1, 7, 384])
def test_products_are_those_of_float64(dtype: str, width: int) -> None:
    rng = np.random.Generator(np.random.Philox(width))
    left = rng.normal(size=(5, width)).astype(np.float32)
    stored = rng.normal(size=(40, width)).astype(dtype)
    row, doc = rng.integers(0, 5, 300), rng.integers(0, 40, 300)
    expected = (left[row].astype(np.float64) * stored[doc].astype(np.float64)).sum(1)
    found = run(left, row, stored, doc)
    magnitude = np.abs(left[row].astype(np.float64) * stored[doc]).sum(1)
    assert (
        np.abs(found - expected.astype(np.float32)) <= stored_twice(width, magnitude, found)
    ).all()
    some = rng.permutation(300)[:37]
    assert np.array_equal(run(left, row[some], stored, doc[some]), found[some])


def test_rows_are_normalised_and_zero_stays_zero() -> None:
    rows = np.asarray([[3, 4], [0, 0], [1e-30, 0]], dtype=np.float32)
    normalise_rows(rows)
    exact = np.asarray([[0.6, 0.8], [0, 0], [1, 0]])
    # Three roundings of float64 and one of float32.
    assert (np.abs(rows - exact) <= 1.01 * UNIT["float32"] * exact).all()


def test_merging_keeps_the_best_and_the_lower_document_of_ties() -> None:
    inf = np.inf
    best = (np.asarray([[0.9, 0.5, -inf]], np.float32), np.asarray([[4, 7, -1]]))
    block = (np.asarray([[0.9, 0.5, 0.1]], np.float32), np.asarray([[2, 0, 1]]))
    merged = np.empty((1, 3), np.float32), np.empty((1, 3), np.int64)
    merge_ranked(*best, *block, 10, *merged)
    assert merged[1].tolist() == [[4, 12, 7]]
    np.testing.assert_allclose(merged[0], [[0.9, 0.9, 0.5]])
    nothing = np.full((1, 3), -inf, np.float32), np.full((1, 3), -1)
    merge_ranked(*nothing, *block, 10, *merged)
    assert merged[1].tolist() == [[12, 10, 11]]
    merge_ranked(*nothing, *nothing, 10, *merged)
    assert merged[1].tolist() == [[-1, -1, -1]]
