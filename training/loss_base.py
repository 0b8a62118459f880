"""What a loss is: one value per group from student scores f and teacher scores g, column 0
positive.

Notation (docs/quantities.md §4): u_ij = f_i − f_j, v_ij = g_i − g_j, σ the logistic function, sp =
softplus, q = softmax. All tensors are float32 [groups, k]; a loss returns [groups], in nats unless
it says otherwise, and the trainer takes the mean over all groups of a step. `floor` is the infimum
over f, so `loss − floor` can be compared between data sets. The temperature T divides the teacher's
scores only. g is on the scale in which the groups are stored, never converted: a loss may declare
that scale, groups on another are then refused, and `retarget` makes groups on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..mining.errors import UsageError
from ..mining.names import Family, nearest, neutral
from ..mining.score_kinds import ADDITIVE, RETARGET, SCALE_OF, SCORE_KINDS, refuse_ranks

LOSSES = Family("loss", group="rankmill.losses")

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
            raise UsageError(
                f"{self} cannot use teacher scores of kind {kind!r}",
                do=f"it takes {', '.join(sorted(self.kinds))}; score with raw logits, use lce, "
                "or make groups on another scale: rankmill retarget logprob --groups NAME",
            )

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

    T: float = 1.0  # as in the canonical texts of statistics: pair_entropy(T=2)
    _: KW_ONLY
    score: str = neutral("raw")

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
