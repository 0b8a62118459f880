"""Everything of a training run that can change the student, besides student, groups and loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from ..mining.errors import UsageError
from ..mining.models.precision import CHOICES
from ..mining.names import is_neutral, nearest, neutral
from ..mining.options import Option, check_options

PRECISIONS = CHOICES


@dataclass(frozen=True, slots=True, kw_only=True)
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

    documents: Annotated[
        int,
        Option("Budget in documents seen: 50000, 1M.", unit="documents", least=1, count=True),
    ] = 100_000
    batch: Annotated[int, Option("Groups per optimiser step.", unit="groups", least=1)] = 16
    micro: Annotated[
        int | None,
        Option("Groups per forward pass; default: the whole batch.", unit="groups", least=1),
    ] = None
    lr: Annotated[float, Option("Peak learning rate.", above=0)] = 2e-5
    warmup: Annotated[
        float, Option("Share of the steps with a rising learning rate.", least=0, most=1)
    ] = 0.1
    weight_decay: Annotated[float, Option("Weight decay of AdamW.", least=0)] = 0.01
    clip: Annotated[float, Option("Largest gradient norm; 0 clips nothing.", least=0)] = 1.0
    seed: Annotated[int, Option("Seed of every draw.", least=0, most=2**63 - 1)] = 0
    query_length: Annotated[int, Option("Tokens kept of a query.", unit="tokens", least=1)] = 32
    doc_length: Annotated[int, Option("Tokens kept of a document.", unit="tokens", least=1)] = 128
    negatives: Annotated[
        int | None,
        Option("Negatives of a group that are used, drawn anew each epoch; default: all.", least=1),
    ] = None
    compute: Annotated[
        str, Option("float32, bfloat16, float16, or auto: the faster of the first two here.")
    ] = "float32"
    validate_steps: Annotated[
        int | None, Option("Steps between validations; default: a tenth of all.", least=1)
    ] = None
    patience: Annotated[
        int,
        Option("Validations without a new best after which training stops; 0: never.", least=0),
    ] = 0
    pieces: Annotated[
        int, Option("Pieces in which the texts of a pass are padded; 1: as they come.", least=1)
    ] = neutral(2)
    cache: Annotated[
        int | None,
        Option("Gradient cache: groups encoded at a time, all in-batch negatives kept.", least=1),
    ] = None
    recompute: Annotated[
        bool, Option("Gradient checkpointing: less memory, a second forward pass.")
    ] = neutral(False)
    compile: Annotated[bool, Option("Let torch.compile fuse the encoder.")] = neutral(False)
    threads: Annotated[
        int | None, Option("Threads of a step; another number, another student.", least=1)
    ] = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.compute not in PRECISIONS:
            raise UsageError(f"compute={self.compute} is not one of {', '.join(PRECISIONS)}")
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
    """Return the settings that keywords say; raises UsageError for an unknown one."""
    known = [field.name for field in fields(Settings)]
    for name in given:
        if name not in known:
            raise UsageError(f"there is no training setting {name!r}", do=nearest(name, known))
    return Settings(**given)
