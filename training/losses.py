"""The losses by name; what they have in common: `loss_base`; members on lists: `listwise`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..mining.errors import UsageError
from . import listwise
from .loss_base import ANY, LOSSES, Loss, Tempered, pair_differences

__all__ = ["LOSSES", "Loss", "listwise", "pair_differences"]


@LOSSES.register("lce")
@dataclass(frozen=True, slots=True)
class Lce(Loss):
    """Localised contrastive estimation: −ln softmax(f)₀, the positive against its own negatives.

    Supervised: the teacher's scores are not used. Floor 0. Source: Gao, Dai and Callan, "Rethink
    training of BERT rerankers in multi-stage retrieval pipeline" (ECIR 2021), equation 4.
    """

    supervised: ClassVar[bool] = True

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        return -F.log_softmax(f, dim=1)[:, 0]


@LOSSES.register("infonce")
@dataclass(frozen=True, slots=True)
class InfoNce(Loss):
    """InfoNCE: −ln softmax(f)₀ where f also holds the documents of the other groups in the step.

    Supervised, bi-encoder students only; copies of a group's own documents are left out (score −∞).
    With accumulation the other groups are those of the same micro-batch. Floor 0. Source: van den
    Oord, Li and Vinyals, "Representation learning with contrastive predictive coding" (2018),
    equation 4; in-batch negatives as in Karpukhin et al., "Dense passage retrieval" (EMNLP 2020).
    """

    supervised: ClassVar[bool] = True
    in_batch: ClassVar[bool] = True

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        return -F.log_softmax(f, dim=1)[:, 0]


@LOSSES.register("kl")
@dataclass(frozen=True, slots=True)
class Kl(Tempered):
    """Kullback–Leibler divergence: Σ_i q^g_i (ln q^g_i − ln q^f_i), q^g = softmax(g/T). Floor 0.

    Source: docs/quantities.md §4; the listwise distillation of Lin, Yang and Lin (RepL4NLP 2021).
    """

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        teacher = F.log_softmax(g / self.T, dim=1)
        return (teacher.exp() * (teacher - F.log_softmax(f, dim=1))).sum(dim=1)


@LOSSES.register("reverse_kl")
@dataclass(frozen=True, slots=True)
class ReverseKl(Tempered):
    """Reverse divergence: Σ_i q^f_i (ln q^f_i − ln q^g_i); the student may ignore modes. Floor 0.

    Source: Gu, Dong, Wei and Huang, "MiniLLM" (ICLR 2024), equation 1, on the documents of a group.
    """

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        student = F.log_softmax(f, dim=1)
        return (student.exp() * (student - F.log_softmax(g / self.T, dim=1))).sum(dim=1)


@LOSSES.register("jensen_shannon")
@dataclass(frozen=True, slots=True)
class JensenShannon(Tempered):
    """Jensen–Shannon divergence: ½ KL(q^g‖m) + ½ KL(q^f‖m), m = ½(q^g + q^f). Floor 0.

    Symmetric, in [0, ln 2].
    Source: Lin, "Divergence measures based on the Shannon entropy" (IEEE Trans. Inf. Theory 1991).
    """

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        a, b = F.log_softmax(g / self.T, dim=1), F.log_softmax(f, dim=1)
        middle = torch.logaddexp(a, b) - math.log(2)
        return 0.5 * (a.exp() * (a - middle) + b.exp() * (b - middle)).sum(dim=1)


@LOSSES.register("margin_mse")
@dataclass(frozen=True, slots=True)
class MarginMse(Tempered):
    """Mean squared error of margins: mean_j (m^f_j − m^g_j)², in squared score units. Floor 0.

    `pairs=anchored`: m_j = s_0 − s_j for j ≥ 1, anchored on the positive even where the teacher
    prefers another document; `pairs=all`: every pair i < j. Here T divides the teacher's margins.
    Source: Hofstätter et al., "Improving efficient neural ranking models with cross-architecture
    knowledge distillation" (2020), equation 8.
    """

    pairs: str = "anchored"

    def __post_init__(self) -> None:
        Tempered.__post_init__(self)
        if self.pairs not in ("anchored", "all"):
            raise UsageError(f"pairs={self.pairs} is not anchored or all")

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        if self.pairs == "all":
            error = pair_differences(f) - pair_differences(g) / self.T
        else:
            error = (f[:, :1] - f[:, 1:]) - (g[:, :1] - g[:, 1:]) / self.T
        return error.square().mean(dim=1)


@LOSSES.register("ranknet_soft")
@dataclass(frozen=True, slots=True)
class RankNetSoft(Tempered):
    """RankNet with the teacher's pair probabilities: mean_{i<j} [sp(u_ij) − p_ij·u_ij].

    p_ij = σ(v_ij/T). Floor H_nat, the teacher's pair entropy in nats; minus the floor it is the
    mean binary KL(p^g‖p^f). Source: Burges et al., "Learning to rank using gradient descent" (ICML
    2005), equation 3; docs/quantities.md §4.
    """

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        u, p = pair_differences(f), torch.sigmoid(pair_differences(g) / self.T)
        return (F.softplus(u) - p * u).mean(dim=1)

    def _floor(self, g: Tensor) -> Tensor:
        v = pair_differences(g) / self.T
        return (F.softplus(v) - torch.sigmoid(v) * v).mean(dim=1)  # h(σ(v)) = sp(v) − σ(v)·v


@LOSSES.register("ranknet_hard")
@dataclass(frozen=True, slots=True)
class RankNetHard(Loss):
    """RankNet on the teacher's order alone: mean_{i<j} [sp(u_ij) − 1[v_ij > 0]·u_ij]. Floor 0.

    As the reference's code (docs/quantities.md §4): teacher confidence is thrown away, so no
    entropy theory applies, and of a tie the later document wins. Use `ranknet_soft` unless figures
    must match the reference. Source: docs/quantities.md §4; Burges et al. (ICML 2005) with target
    probabilities 0 and 1.
    """

    kinds: ClassVar[frozenset[str]] = ANY

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        u, wins = pair_differences(f), pair_differences(g) > 0
        return (F.softplus(u) - wins.to(u.dtype) * u).mean(dim=1)
