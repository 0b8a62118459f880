"""Losses on whole lists: the teacher's list, or its order alone (notation: losses.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..mining.errors import UsageError
from ..mining.meter.lazily import Lazily
from ..mining.options import Option
from ..mining.parts.costs import STEP_PAIRS

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
else:
    torch, F = Lazily("torch"), Lazily("torch.nn.functional")
from .losses import ANY, LOSSES, Loss, Tempered, pair_differences


@LOSSES.register("listnet")
@dataclass(frozen=True, slots=True)
class ListNet(Tempered):
    """Cross-entropy of top-one probabilities: −Σ_i q^g_i ln q^f_i, q^g = softmax(g/T).

    Floor: the teacher's list entropy in nats; minus the floor it is `kl`. Source: Cao et al.,
    "Learning to rank: from pairwise approach to listwise approach" (ICML 2007), top-one model.
    """

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        return -(F.softmax(g / self.T, dim=1) * F.log_softmax(f, dim=1)).sum(dim=1)

    def _floor(self, g: Tensor) -> Tensor:
        log_q = F.log_softmax(g / self.T, dim=1)
        return -(log_q.exp() * log_q).sum(dim=1)


@LOSSES.register("listmle")
@dataclass(frozen=True, slots=True)
class ListMle(Loss):
    """Likelihood of the teacher's order: −Σ_i ln( exp f_π(i) / Σ_{j≥i} exp f_π(j) ). Floor 0.

    π sorts by falling g, of a tie the earlier document first; only the order of g is used. Source:
    Xia et al., "Listwise approach to learning to rank" (ICML 2008), equation 6 (Plackett–Luce).
    """

    kinds: ClassVar[frozenset[str]] = ANY

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        order = torch.argsort(g, dim=1, descending=True, stable=True)
        ranked = f.gather(1, order)
        rest = torch.logcumsumexp(ranked.flip(1), dim=1).flip(1)
        return (rest - ranked).sum(dim=1)


@LOSSES.register("lambda_loss", STEP_PAIRS)
@dataclass(frozen=True, slots=True)
class LambdaLoss(Loss):
    """NDCG-Loss2++ on the teacher's order: Σ_{y_i>y_j} (ρ_ij + μ δ_ij)·|G_i − G_j|·sp(−u_ij)/ln 2.

    ρ_ij = |1/D(r_i) − 1/D(r_j)|, δ_ij = |1/D(d) − 1/D(d+1)| with d = |r_i − r_j|, D(r) = log₂(1+r),
    r the student's ranks, G = y / maxDCG. The paper's y are judged grades; here y_i = k − rank of i
    under the teacher with linear gain, our choice, because an exponential gain of ranks would leave
    only the first documents. In bits, floor 0. Source: Wang et al., "The LambdaLoss framework for
    ranking metric optimization" (CIKM 2018), equations 11 to 13, μ = 10 there.
    """

    mu: Annotated[float, Option("Weight of the second part of the loss.")] = 10.0
    kinds: ClassVar[frozenset[str]] = ANY

    def __post_init__(self) -> None:
        if not self.mu >= 0:
            raise UsageError(f"mu={self.mu} is negative", do="0 leaves LambdaRank's weights")

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        k = f.shape[1]
        y = (k - _ranks(g)).to(f.dtype)
        r = _ranks(f.detach()).to(f.dtype)
        ideal = (torch.arange(k - 1, -1, -1, device=f.device) / _discount(_counting(k, f))).sum()
        i, j = torch.triu_indices(k, k, offset=1, device=f.device)
        apart = (r[:, i] - r[:, j]).abs()
        rho = (1 / _discount(r[:, i]) - 1 / _discount(r[:, j])).abs()
        delta = (1 / _discount(apart) - 1 / _discount(apart + 1)).abs()
        better = torch.sign(y[:, i] - y[:, j])  # ranks of the teacher never tie
        weight = (rho + self.mu * delta) * (y[:, i] - y[:, j]).abs() / ideal
        bits = F.softplus(-better * pair_differences(f)) / math.log(2)
        return (weight * bits).sum(dim=1)


def _ranks(scores: Tensor) -> Tensor:
    """Return the 1-based rank of each document; of a tie the earlier one first."""
    order = torch.argsort(scores, dim=1, descending=True, stable=True)
    return torch.argsort(order, dim=1) + 1


def _counting(k: int, like: Tensor) -> Tensor:
    return torch.arange(1, k + 1, device=like.device, dtype=like.dtype)


def _discount(rank: Tensor) -> Tensor:
    return torch.log2(1 + rank)
