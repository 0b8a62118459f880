"""Tolerances that follow from the arithmetic, or from the number of draws; never from one machine.

Rounding: terms of a sum × unit roundoff × magnitude. Higham, Accuracy and Stability of Numerical
Algorithms, §3.1: a sum of n products, in any order, has an error of at most γ_n·Σ|terms| with
γ_n = n·u/(1 − n·u). So a tolerance made of it holds on every processor and for every library,
whatever its kernels and their order of addition.

Draws: Bernstein's inequality (Boucheron, Lugosi and Massart, Concentration Inequalities, §2.8).

`pytest.approx` without numbers allows 10⁻⁶ of the value. That is 9·10⁹ roundings of float64 and 16
of float32: good for sums of float64 whose terms do not cancel, and for nothing that is stored or
computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What docs/statistics.md states of every value, and of pair entropies, beside their formulas in
# float64: the kernels' series are cut off for it, so it holds where sums of float32 allow.
STATED, STATED_PAIRS = 1e-6, 1e-9
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_DRAWS = 4
_MASK = 1e30  # what is larger stands for minus infinity and is no number
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
_ROWS = ("native_layer_norm", "_softmax", "sum", "mean")  # sums along the last axis, and more
_MOVES = ("view", "clone", "copy", "cat", "embedding", "index", "slice", "select", "expand")


def sum_bound(terms: int, magnitude: Any, kind: str = "float32") -> Any:
    """Return γ_n·magnitude: what a sum of `terms` may be off whose absolute terms add up to it."""
    each = terms * UNIT[kind]
    return each / (1 - each) * magnitude


def stored_twice(terms: int, magnitude: Any, value: Any, kind: str = "float32") -> Any:
    """Return how far apart two sums in float64 may be that add in different orders and are stored
    in `kind`: one rounding each, and both sums' own."""
    return 2 * sum_bound(terms, magnitude, "float64") + 2 * UNIT[kind] * np.abs(value)


def share_bound(chance: Any, draws: int, error: float = 1e-9) -> Any:
    """Return how far the share of `draws` independent draws may be from `chance`: further with a
    probability of at most `error`, whatever `chance` is."""
    log = np.log(2 / error)
    spread = np.asarray(chance) * (1 - np.asarray(chance))
    return log / (3 * draws) + np.sqrt((log / (3 * draws)) ** 2 + 2 * log * spread.clip(0) / draws)


def network_bound(compute: Callable[[], Any], kind: str = "float32") -> float:
    """Return how far the outputs of a network computed in `kind` may be from exact ones.

    `compute` runs it in float64, with attention written out ("eager"), and returns a tensor. It is
    run again with every operation off by what its terms allow, the signs drawn anew each time; the
    largest move of 4 runs, doubled because signs can agree more than in 4 draws, is the bound.
    Rounding errs by less than each operation is made to, and with signs as mixed. The draws have a
    fixed seed and float64 rounds 10⁹ times finer, so the bound is the same on every machine.
    """
    with torch.no_grad():
        exact = compute()
        assert exact.dtype == torch.float64
        moves = []
        for seed in range(_DRAWS):
            with _Erring(UNIT[kind], seed):
                moves.append((compute() - exact).abs().max().item())
    assert np.isfinite(moves).all()
    return 2 * max(moves)


class _Erring(TorchDispatchMode):
    """Moves the result of every operation by its bound, each component up or down at random."""

    def __init__(self, unit: float, seed: int):
        super().__init__()
        self.unit, self.rng = unit, np.random.Generator(np.random.Philox(seed))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        first = out[0] if isinstance(out, tuple) else out
        name = func.overloadpacket.__name__
        moved = isinstance(first, torch.Tensor) and first.dtype == torch.float64
        if not moved or func.is_view or name.strip("_").startswith(_MOVES):
            return out
        terms, magnitude = 2, first.abs()
        if name in _PRODUCTS:
            terms = args[-1].shape[-2] + 1
            magnitude = func(*(a.abs() for a in args), **kwargs)
        elif name in _ROWS:
            terms = args[0].shape[-1] + 4
            magnitude = magnitude.amax(-1, keepdim=True).expand_as(first)
        drawn = self.rng.integers(0, 2, tuple(first.shape))
        magnitude = magnitude.where(magnitude < _MASK, 0.0)
        signs = torch.as_tensor(2.0 * drawn - 1.0)
        first = first + terms * self.unit * magnitude * signs
        return (first, *out[1:]) if isinstance(out, tuple) else first
