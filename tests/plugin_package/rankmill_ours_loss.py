"""A plug-in loss; in a module of its own, so that the others need no torch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rankmill.plugins import Loss, loss


@loss("squared_gap")
@dataclass(frozen=True, slots=True)
class SquaredGap(Loss):
    """Mean squared difference of the student's and the teacher's gaps to the positive."""

    kinds = frozenset({"logit", "log-prob", "similarity"})

    def _values(self, f: Tensor, g: Tensor) -> Tensor:
        gap = (f[:, :1] - f[:, 1:]) - (g[:, :1] - g[:, 1:])
        return (gap**2).mean(dim=1)
