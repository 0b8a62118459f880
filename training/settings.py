"""Everything of a training run that can change the student, besides student, groups and loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..mining.errors import UsageError
from ..mining.models.precision import CHOICES
from ..mining.names import Call, Family, is_neutral, neutral, parse

PRECISIONS = CHOICES


SETTINGS = Family("training setting")


@SETTINGS.register("settings")
@dataclass(frozen=True, slots=True)
class Settings:
    """How a student is trained.

    `documents`: the budget, documents seen. `batch`: groups per optimiser step. `micro`: groups per
    forward pass of a process (None: the whole batch). `warmup`: share of the steps with a rising
    learning rate, which then falls linearly to 0. `clip`: largest gradient norm (0: no clipping).
    `query_length`, `doc_length`: tokens without special ones. `negatives`: how many of a group are
    used, drawn anew each epoch (None: all). `compute`: float32, or autocast to bfloat16, or to
    float16 with a loss scale that halves, and skips the step, when a gradient overflows; auto is
    settled as bfloat16 where that is faster, else float32, before anything is named by it.
    `validate_steps`: steps between validations (None: a tenth of all); `patience`: validations
    without a new best after which training stops (0: never). Both need a validation set.

    `pieces`: the texts of a forward pass are sorted by length and padded in so many pieces, which
    changes no score (1: as they come). `cache`: groups encoded at a time in a step whose in-batch
    negatives are all its groups (a gradient cache). `recompute`: keep a layer's input only, and
    compute the rest again in the backward pass (gradient checkpointing). `compile`: let
    `torch.compile` fuse the encoder.

    `threads`: of a step, in each process; on a processor they decide how sums are rounded, so
    another number is another student (None: the processors that the process may use). On a GPU the
    number says nothing and is not kept.
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
    pieces: int = neutral(2)
    cache: int | None = None
    recompute: bool = neutral(False)
    compile: bool = neutral(False)
    threads: int | None = None

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
        if self.compute not in PRECISIONS:
            raise UsageError(f"compute={self.compute} is not one of {', '.join(PRECISIONS)}")
        if self.pieces < 1:
            raise UsageError(f"pieces={self.pieces}", do="1 leaves the texts as they come")
        if self.cache is not None and self.cache < 1:
            raise UsageError(f"cache={self.cache}", do="encode at least one group at a time")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads={self.threads}", do="train on at least one thread")
        if self.cache is not None and self.micro is not None:
            raise UsageError(
                f"cache={self.cache} with micro={self.micro}",
                do="choose: cache keeps all in-batch negatives of a step, micro has fewer",
            )

    def declared(self) -> dict[str, Any]:
        """Return what identifies the plan, as JSON values: all that is not neutral."""
        said = ((f, getattr(self, f.name)) for f in fields(self))
        return {f.name: value for f, value in said if not is_neutral(f, value)}

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the rate of a step (0 … steps−1): linear up, linear down to 0 after the last."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * (steps - step) / max(1, steps - rising)


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Return the settings that keywords or a recipe's table say.

    Raises UsageError for an unknown name, with the nearest, or a value that does not fit.
    """
    return SETTINGS.parse(Call("settings", (), tuple(given.items())))


def read_settings(text: str) -> dict[str, Any]:
    """Read `micro=4,patience=3` as a command line gives it; returns only what is said there.

    Raises UsageError for an unknown name or a value that does not fit.
    """
    said = parse(f"settings({text})")
    if not isinstance(said, Call) or said.positional:
        raise UsageError(f"{text!r} is not a list of settings", do="write micro=4,patience=3")
    value = SETTINGS.parse(said)
    return {key: getattr(value, key) for key, _ in said.named}
