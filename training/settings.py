"""Everything of a training run that can change the student, besides student, groups and loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..mining.errors import UsageError
from ..mining.models import COMPUTE


@dataclass(frozen=True, slots=True)
class Settings:
    """How a student is trained.

    `documents`: the budget, documents seen. `batch`: groups per optimiser step. `micro`: groups per
    forward pass of a process (None: the whole batch). `warmup`: share of the steps with a rising
    learning rate, which then falls linearly to 0. `clip`: largest gradient norm (0: no clipping).
    `query_length`, `doc_length`: tokens without special ones. `negatives`: how many of a group are
    used, drawn anew each epoch (None: all). `compute`: float32, or bfloat16 autocast.
    `validate_steps`: steps between validations (None: a tenth of all); `patience`: validations
    without a new best after which training stops (0: never). Both need a validation set.
    """

    documents: int = 100_000
    batch: int = 16
    micro: int | None = None
    lr: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    query_length: int = 32
    doc_length: int = 128
    negatives: int | None = None
    compute: str = "float32"
    validate_steps: int | None = None
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("documents", "batch", "lr"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)} is not positive")
        if not 0 <= self.warmup <= 1:
            raise UsageError(f"warmup={self.warmup} is not a share of the steps (0 to 1)")
        if self.clip < 0 or self.weight_decay < 0:
            raise UsageError(f"clip={self.clip}, weight_decay={self.weight_decay} is negative")
        if self.micro is not None and self.micro < 1:
            raise UsageError(f"micro={self.micro}", do="give at least one group per forward pass")
        if self.compute not in COMPUTE:
            raise UsageError(f"compute={self.compute} is not one of {', '.join(COMPUTE)}")

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the rate of a step (0 … steps−1): linear up, linear down to 0 after the last."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * (steps - step) / max(1, steps - rising)
