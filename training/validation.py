"""How well a student in training orders held-out groups, and when to stop.

The lists are the groups of a validation artifact, graded by their judgements; nDCG uses the grade
as gain and log₂(rank + 1) as discount (as trec_eval), the ideal order is that of the group. As in
TREC DL every grade above 0 gains, whatever grade makes a positive; one below 0 gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..mining.errors import UsageError
from ..mining.groups.format import Groups
from .networks import Network
from .stream import GroupStream, Packer

CUTOFF = 10
_BATCH = 32


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """Validate every `every` steps; stop after `patience` of them without a new best (0: never)."""

    every: int
    patience: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.patience < 0:
            raise UsageError(
                f"validate_steps={self.every}, patience={self.patience}",
                do="validate every 1 step or more, patience 0 never stops",
            )

    def over(self, seen: Sequence[float]) -> bool:
        """Say whether to stop, given the validations so far, oldest first."""
        values = list(seen)
        return bool(self.patience and values and best(values) < len(values) - self.patience)


def best(values: Sequence[float]) -> int:
    """Return the place of the first largest value."""
    return int(np.argmax(np.asarray(values)))


def validate(network: Network, groups: Groups, pack: Packer, autocast: Any) -> float:
    """Return the mean nDCG@10 over the groups; the network is left as it was."""
    training, values = network.training, []
    network.eval()
    with torch.inference_mode(), autocast():
        stream = GroupStream(groups, pack, batch=_BATCH, shuffle=False, stop=len(groups))
        for batch in stream:
            scores = network.scores(batch.texts, groups.size).float().cpu().numpy()
            values.append(ndcg(scores, batch.groups.grade, batch.groups.doc))
    network.train(training)
    return float(np.concatenate(values).mean())


def ndcg(
    scores: np.ndarray, grade: np.ndarray, doc: np.ndarray, cutoff: int = CUTOFF
) -> np.ndarray:
    """Return nDCG@cutoff of each row: float64 [n]; equal scores by document, 0 without positives.

    `scores` float [n, k], `grade` int [n, k], `doc` uint32 [n, k].
    """
    order = np.lexsort((doc, -scores), axis=1)[:, :cutoff]
    gain = np.maximum(grade, 0).astype(np.float64)
    discount = 1 / np.log2(np.arange(2, order.shape[1] + 2))
    gained = (np.take_along_axis(gain, order, axis=1) * discount).sum(axis=1)
    ideal = (-np.sort(-gain, axis=1)[:, :cutoff] * discount).sum(axis=1)
    return np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)


def not_validated() -> float:
    """The value logged for a step without validation."""
    return math.nan
