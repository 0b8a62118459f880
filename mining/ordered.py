"""Products of tables for statistics, the same bits for any number of threads of any BLAS."""

from __future__ import annotations

import numpy as np

from ..native.products import ordered_product


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left @ right in float64 with every sum in one order; 1-d arrays as in NumPy.

    For tables of statistics, not for millions of vectors: one core, some 10⁹ terms a second.
    """
    a = np.ascontiguousarray(np.atleast_2d(left), dtype=np.float64)
    b = np.asarray(right, dtype=np.float64)
    b = np.ascontiguousarray(b[:, None] if b.ndim == 1 else b)
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"{a.shape[1]} columns cannot meet {b.shape[0]} rows")
    out = np.empty((a.shape[0], b.shape[1]))
    ordered_product(a, b, out)
    kept = out[:, 0] if np.ndim(right) == 1 else out
    return kept[0] if np.ndim(left) == 1 else kept


def least_squares(columns: list[np.ndarray], y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (coefficients, residual sum of squares) of y ≈ Σ coefficient·column.

    float64 [n] each, independent of each other. Modified Gram–Schmidt with the right-hand side as
    the last column (Björck, BIT 7, 1967): as stable as Householder's way for least squares.
    """
    count = len(columns)
    basis = [np.asarray(c, dtype=np.float64).copy() for c in columns]
    rest = np.asarray(y, dtype=np.float64).copy()
    r, z = np.zeros((count, count)), np.zeros(count)
    for i in range(count):
        r[i, i] = np.sqrt((basis[i] * basis[i]).sum())
        basis[i] /= r[i, i]
        for j in range(i + 1, count):
            r[i, j] = (basis[i] * basis[j]).sum()
            basis[j] -= r[i, j] * basis[i]
        z[i] = (basis[i] * rest).sum()
        rest -= z[i] * basis[i]
    coefficients = np.zeros(count)
    for i in range(count - 1, -1, -1):
        coefficients[i] = (z[i] - (r[i, i + 1 :] * coefficients[i + 1 :]).sum()) / r[i, i]
    return coefficients, float((rest * rest).sum())
