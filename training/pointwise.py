"""Losses of every document by itself: the student's score against the teacher's, not differences.

So the students' scores have to mean what the teacher's do, which the other losses do not ask for: a
constant that is added to all scores of a group changes these.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..mining.errors import UsageError
from ..mining.meter.lazily import Lazily
from ..mining.names import nearest, neutral
from ..mining.options import Option
from ..mining.parts.parameters import TEMPERATURE
from .losses import LOSSES, Loss, Tempered

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
else:
    torch, F = Lazily("torch"), Lazily("torch.nn.functional")


@LOSSES.register("mse")
@dataclass(frozen=True, slots=True)
class Mse(Tempered):
    """Mean squared error of scores: mean_i (f_i − g_i/T)², in squared score units. Floor 0.

    g are raw logits (as the recipe of 2026 has it), log-probabilities or similarities as stored; T
    brings them into the student's range, such as T=0.05 cosines to a student of scale 20. Source:
    Ba and Caruana, "Do deep nets really need to be deep?" (NeurIPS 2014), equation 1: regression on
    logits.
    """

    def check_student(self, student: str, teacher: str | None) -> None:
        """Refuse a student of log-probabilities for a teacher of anything else: it stays below 0,
        and no logit above that can be reached."""
        if student == "log-prob" and teacher not in (None, "log-prob"):
            raise _other_student(self, student, f"a teacher's scores of kind {teacher!r}")

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        return (f - g / self.T).square().mean(dim=1)


_READS = {"logit": "logit", "log-prob": "logprob", "probability": "probability"}


@LOSSES.register("bce")
@dataclass(frozen=True, slots=True)
class Bce(Loss):
    """Binary cross-entropy of probabilities: mean_i [sp(f_i) − p_i·f_i], in nats.

    The student's probability is σ(f), the teacher's p = σ(g/T) of logits, e^g with `score=logprob`,
    g with `score=probability`; groups of another kind are refused. T softens logits alone. Floor:
    the mean over documents of h(p), the entropy of the teacher's answers. Source: Hinton, Vinyals
    and Dean, "Distilling the knowledge in a neural network" (2015), section 2, for two classes.
    """

    T: Annotated[float, TEMPERATURE] = 1.0
    _: KW_ONLY
    score: Annotated[
        str, Option("Scale of the teacher's scores: logit, logprob or probability.")
    ] = neutral("logit")

    kinds: ClassVar[frozenset[str]] = frozenset(_READS)

    def __post_init__(self) -> None:
        if self.score not in (known := tuple(_READS.values())):
            raise UsageError(
                f"score={self.score} is not {', '.join(known)}", do=nearest(str(self.score), known)
            )
        if not 0 < self.T < float("inf"):
            raise UsageError(f"T={self.T} is not positive", do="1 leaves scores as they are")
        if self.T != 1 and self.score != "logit":
            raise UsageError(
                f"T={self.T:g} softens logits, and score={self.score} are none",
                do="make groups of logits first: rankmill retarget 'temperature(T=1)'",
            )

    def check(self, kind: str | None) -> None:
        """Refuse scores without a probability, and those of another kind than declared."""
        Loss.check(self, kind)
        own = _READS[str(kind)]
        if own != self.score:
            other = "bce" if own == "logit" else f"bce(score={own})"
            raise UsageError(
                f"{self} reads score={self.score}, but the groups hold scores of kind {kind!r}",
                do=f"write {other}: the teacher's probability is the same",
            )

    def check_student(self, student: str, teacher: str | None) -> None:
        """Refuse a student of log-probabilities: σ of them is no probability above ½."""
        if student == "log-prob":
            raise _other_student(self, student, "the sigmoid that makes a probability of a score")

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        return (F.softplus(f) - self._probability(g) * f).mean(dim=1)

    def _floor(self, g: Tensor) -> Tensor:
        if self.score == "logit":
            v = g / self.T
            return (F.softplus(v) - torch.sigmoid(v) * v).mean(dim=1)  # h(σ(v)) = sp(v) − σ(v)·v
        p = self._probability(g)
        rest = -torch.expm1(g.clamp(max=0)) if self.score == "logprob" else 1 - p
        return -(torch.xlogy(p, p) + torch.xlogy(rest, rest)).mean(dim=1)

    def _probability(self, g: Tensor) -> Tensor:
        """Return the teacher's P; one that was rounded to a little more than 1 is 1."""
        if self.score == "logit":
            return torch.sigmoid(g / self.T)
        return (g.exp() if self.score == "logprob" else g).clamp(0, 1)


def _other_student(loss: Loss, student: str, beside: str) -> UsageError:
    return UsageError(
        f"{loss} sets each score of the student against {beside}, and this one gives {student}",
        do="train cross_encoder(score=logit), or take a loss of differences: kl, margin_mse",
    )
