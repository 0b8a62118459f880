"""Losses: one value per group from student scores f and teacher scores g, column 0 positive.

Notation (docs/quantities.md §4): u_ij = f_i − f_j, v_ij = g_i − g_j, σ the logistic function, sp =
softplus, q = softmax. All tensors are float32 [groups, k]; a loss returns [groups], in nats unless
it says otherwise, and the trainer takes the mean over all groups of a step. `floor` is the infimum
over f, so `loss − floor` can be compared between data sets. The temperature T divides the teacher's
scores only. g is on the scale in which the groups are stored, never converted: a loss may declare
that scale, groups on another are then refused, and `retarget` makes groups on it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..mining.errors import UsageError
from ..mining.meter.lazily import Lazily
from ..mining.names import Family, nearest, neutral
from ..mining.options import Option
from ..mining.parts.costs import STEP, STEP_PAIRS
from ..mining.parts.parameters import TEMPERATURE
from ..mining.score_kinds import (
    ADDITIVE,
    RETARGET,
    SCALE_OF,
    SCORE_KINDS,
    has_probability,
    refuse_ranks,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
else:
    torch, F = Lazily("torch"), Lazily("torch.nn.functional")

LOSSES = Family(
    "loss",
    __package__,
    {".pointwise": "bce mse", ".listwise": "lambda_loss listmle listnet"},
    group="rankmill.losses",
    plural="losses",
    costs=STEP,
)

ANY = frozenset(SCORE_KINDS)


class Loss(ABC):
    """What every member has: its value per group, its floor, and the score kinds it can use."""

    __slots__ = ()
    kinds: ClassVar[frozenset[str]] = ADDITIVE
    supervised: ClassVar[bool] = False  # True: never looks at teacher scores
    in_batch: ClassVar[bool] = False  # True: f has further columns, documents of other groups

    def values(self, f: Tensor, g: Tensor) -> Tensor:
        """Return the loss of each group, [groups]."""
        return self._values(f, g)

    def floor(self, g: Tensor) -> Tensor:
        """Return the least value that any student can reach on each group, [groups]."""
        return self._floor(g)

    def check(self, kind: str | None) -> None:
        """Refuse teacher scores of a kind that this loss cannot use; raises UsageError."""
        if self.supervised:
            return
        if kind is None:
            raise UsageError(f"{self} needs teacher scores and the groups carry none", do="use lce")
        if kind not in self.kinds:
            refuse_ranks(kind, str(self))
            do = f"it takes {', '.join(sorted(self.kinds))}; score with raw logits, use lce, "
            do += "or make groups on another scale: rankmill retarget logprob --groups NAME"
            if not has_probability(kind):
                do = f"a {kind} has no probability: take mse, kl or margin_mse, which read scores "
                do += "as they are stored, or lce, which reads none"
            raise UsageError(f"{self} cannot use teacher scores of kind {kind!r}", do=do)

    def check_student(self, student: str, teacher: str | None) -> None:  # noqa: B027
        """Refuse a student whose kind of scores this loss cannot train towards the teacher's kind
        (None: not known yet); raises UsageError. Differences do with any."""

    @abstractmethod
    def _values(self, f: Tensor, g: Tensor) -> Tensor: ...

    def _floor(self, g: Tensor) -> Tensor:
        return g.new_zeros(g.shape[0])


@dataclass(frozen=True, slots=True)
class Tempered(Loss):
    """A loss whose teacher is softened by a temperature T > 0 (1 leaves the scores as they are).

    `score` declares the scale of the teacher's scores: `logit` or `logprob`, or `raw`, as they are
    stored. Groups stored on another scale are refused.
    """

    T: Annotated[float, TEMPERATURE] = (
        1.0  # as in the canonical texts of statistics: pair_entropy(T=2)
    )
    _: KW_ONLY
    score: Annotated[
        str, Option("Scale that groups must be on: logit or logprob; raw: whatever is stored.")
    ] = neutral("raw")

    def __post_init__(self) -> None:
        if self.score not in (*RETARGET, "raw"):
            known = nearest(str(self.score), [*RETARGET, "raw"])
            raise UsageError(f"score={self.score} is not a score scale", do=known)
        if not 0 < self.T < float("inf"):
            raise UsageError(f"T={self.T} is not positive", do="1 leaves scores as they are")

    def check(self, kind: str | None) -> None:
        """Refuse scores of a kind that cannot be used, and those on another scale than declared."""
        Loss.check(self, kind)
        if self.score != "raw" and SCALE_OF.get(str(kind)) != self.score:
            raise UsageError(
                f"{self} reads the scale {self.score}, but the groups hold scores of kind {kind!r}",
                do=f"make groups on it (rankmill retarget '{RETARGET[self.score]}' --groups NAME), "
                "or leave out score= to read them as they are stored",
            )


def pair_differences(scores: Tensor) -> Tensor:
    """Return s_i − s_j for i < j in the order 01, 02, …, 12, …: [groups, k(k−1)/2]."""
    i, j = torch.triu_indices(scores.shape[1], scores.shape[1], offset=1, device=scores.device)
    return scores[:, i] - scores[:, j]


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

    pairs: Annotated[str, Option("anchored: margins from the positive; all: of every pair.")] = (
        "anchored"
    )

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


@LOSSES.register("ranknet_soft", STEP_PAIRS)
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


@LOSSES.register("ranknet_hard", STEP_PAIRS)
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


# ---- the Bregman family, which holds most of the others -----------------------------------------


@LOSSES.register("bregman", STEP_PAIRS)
@dataclass(frozen=True, slots=True)
class Bregman(Tempered):
    """The divergence D_φ(T(g) ‖ T(f)) by its potential φ and its transform T. Floor 0.

    D_φ(a‖b) = φ(a) − φ(b) − ⟨∇φ(b), a−b⟩ (docs/quantities.md §3, D2). `of=softmax`: a =
    softmax(g/T), summed over the list, φ = entropy (Σ p ln p: `kl`), squared (Brier) or burg (−Σ ln
    p: Itakura–Saito). `of=pairs`: a = σ(v_ij/T), mean over i < j, φ = entropy (binary:
    `ranknet_soft` minus its floor) or squared. `of=margins`: a = (g_0 − g_j)/T, mean over j, φ =
    squared (`margin_mse`). Source: Bregman (1967); Banerjee et al., "Clustering with Bregman
    divergences" (JMLR 2005), table 1.
    """

    phi: Annotated[str, Option("Potential: entropy, squared or burg.")] = "entropy"
    of: Annotated[str, Option("Transform of the scores: softmax, pairs or margins.")] = "softmax"

    def __post_init__(self) -> None:
        Tempered.__post_init__(self)
        known = {
            "softmax": ("entropy", "squared", "burg"),
            "pairs": ("entropy", "squared"),
            "margins": ("squared",),
        }
        if self.of not in known:
            raise UsageError(f"of={self.of} is not one of {', '.join(known)}")
        if self.phi not in known[self.of]:
            raise UsageError(
                f"phi={self.phi} has no divergence of {self.of}",
                do=f"one of {', '.join(known[self.of])}",
            )

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        if self.of == "margins":
            error = (f[:, :1] - f[:, 1:]) - (g[:, :1] - g[:, 1:]) / self.T
            return error.square().mean(dim=1)
        if self.of == "pairs":
            u, v = pair_differences(f), pair_differences(g) / self.T
            p = torch.sigmoid(v)
            if self.phi == "squared":
                return (p - torch.sigmoid(u)).square().mean(dim=1)
            return (F.softplus(u) - F.softplus(v) + p * (v - u)).mean(dim=1)
        log_a, log_b = F.log_softmax(g / self.T, dim=1), F.log_softmax(f, dim=1)
        if self.phi == "squared":
            return (log_a.exp() - log_b.exp()).square().sum(dim=1)
        if self.phi == "burg":
            return (torch.exp(log_a - log_b) - (log_a - log_b) - 1).sum(dim=1)
        return (log_a.exp() * (log_a - log_b)).sum(dim=1)
