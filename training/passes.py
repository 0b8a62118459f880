"""A forward and a backward pass: from a packed batch to the loss of its groups and to gradients.

Precision is decided here too: autocast around the forward pass, and for float16 a loss scale, so
that small gradients do not vanish. Source of the latter: Micikevicius et al., "Mixed precision
training" (ICLR 2018), section 3.2.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from ..mining.draws import key_of
from ..mining.errors import RankmillError, UsageError
from .gradient_cache import cached_backward
from .losses import Loss
from .networks import Network, TowerNetwork
from .settings import Settings
from .stream import Batch


class Passes:
    """Runs batches through a network; gradients add up in its weights.

    `size`: documents per group. `scaler` holds the loss scale (1 unless compute=float16).
    """

    def __init__(
        self, network: Network, loss: Loss, settings: Settings, size: int, here: torch.device
    ):
        self.network, self.loss, self.settings = network, loss, settings
        self.size, self.here = size, here
        self.autocast = autocast(settings.compute, here)
        self.scaler = torch.amp.GradScaler(here.type, enabled=settings.compute == "float16")
        self.scaler.scale(torch.zeros((), device=here))  # a rank may have no group in a step

    def __call__(self, batch: Batch, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        """Add a batch's share of the gradient of a step of `groups` groups.

        Returns the loss [n] and its floor [n] of each group, and its own scores [n, size].
        """
        if self.network.training:  # dropout is a function of the seed and the position
            torch.manual_seed(key_of(self.settings.seed, "dropout", batch.start))
        g = torch.from_numpy(batch.groups.score).to(self.here)
        if self.settings.cache is None:
            with self.autocast():
                f = self._scores(batch)
            values = self.loss.values(self._judged(f, batch), g)
            self.scaler.scale(values.sum() / groups).backward()
        else:
            f, values = self._cached(batch, g, groups)
        return values.detach(), self.loss.floor(g), f.detach()[:, : self.size]

    def check(self, step: int, loss: float, norm: float) -> bool:
        """Say whether a step counts: an overflow of float16 is skipped, other infinities raise."""
        scaled = self.scaler.is_enabled()
        if math.isfinite(loss) and (math.isfinite(norm) or scaled):
            if scaled and self.scaler.get_scale() < 1:
                raise _not_a_number(step, loss, norm)
            return math.isfinite(norm)
        raise _not_a_number(step, loss, norm)

    def _scores(self, batch: Batch) -> Tensor:
        if self.loss.in_batch:
            g = batch.groups
            return self.network.scores_in_batch(batch.texts, self.size, g.query, g.doc).float()
        return self.network.scores(batch.texts, self.size).float()

    def _judged(self, f: Tensor, batch: Batch) -> Tensor:
        """Take further positives out of the negatives of a loss that goes by labels."""
        if not (self.loss.supervised and batch.further.any()):
            return f
        further = torch.from_numpy(batch.further).to(self.here)
        others = torch.nn.functional.pad(further, (0, f.shape[1] - self.size))
        return f.masked_fill(others, -math.inf)

    def _cached(self, batch: Batch, g: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        network, seen = self.network, []
        if not isinstance(network, TowerNetwork):
            raise UsageError("cache is for bi-encoders", do="use micro with a cross_encoder")

        def finish(queries: Tensor, docs: Tensor) -> Tensor:
            own = batch.groups
            f = network.products_in_batch(queries, docs, self.size, own.query, own.doc).float()
            values = self.loss.values(self._judged(f, batch), g)
            seen.extend([f, values])
            return self.scaler.scale(values.sum() / groups)

        cached_backward(network, batch.texts, self.autocast, finish)
        return seen[0], seen[1]


def autocast(compute: str, here: torch.device) -> Any:
    """Return what makes the context of a forward pass."""
    if compute == "float32":
        return nullcontext
    return lambda: torch.autocast(here.type, dtype=getattr(torch, compute))


def _not_a_number(step: int, loss: float, norm: float) -> RankmillError:
    return RankmillError(
        f"the loss is {loss}, the gradient norm {norm}",
        where=f"step {step}",
        do="lower lr, keep clip=1, or use compute=float32; the last checkpoint is kept",
    )
