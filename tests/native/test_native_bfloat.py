"""bfloat16 kernels against torch."""

from __future__ import annotations

import numpy as np
import torch

from rankmill.native.bfloat import narrow_halves, narrow_singles, narrowing_norms


def bits_of(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16 by torch; returns int16 bits."""
    return torch.from_numpy(values.astype(np.float32)).bfloat16().view(torch.int16).numpy()


def value_of(bits: np.ndarray) -> np.ndarray:
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def test_every_float16_is_rounded_as_torch_rounds() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    stored = every[np.isfinite(every)].reshape(-1, 16)
    out = np.empty(stored.shape, dtype=np.uint16)
    narrow_halves(stored.view(np.uint16), out)
    assert np.array_equal(out.view(np.int16), bits_of(stored.astype(np.float32)))


def test_floats_are_rounded_as_torch_rounds_and_their_loss_is_measured() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    rows = (rng.normal(size=(50, 33)) * 10.0 ** rng.integers(-30, 30, (50, 1))).astype(np.float32)
    rows[0] = 0.0
    out, norms = np.empty(rows.shape, dtype=np.uint16), np.empty((50, 3))
    narrow_singles(rows, out)
    assert np.array_equal(out.view(np.int16), bits_of(rows))
    narrowing_norms(rows, out, norms)
    kept = value_of(out).astype(np.float64)
    for column, what in enumerate((rows.astype(np.float64), kept, rows - kept)):
        np.testing.assert_allclose(norms[:, column], np.linalg.norm(what, axis=1), rtol=1e-12)
