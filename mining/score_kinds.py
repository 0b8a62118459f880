"""What a teacher's number says: a logit, a probability, a similarity, or nothing but an order.

Ranks are stored as scores like the others, minus the rank, so that the better document has the
larger number everywhere. Whatever needs more than the order of them refuses them.
"""

from __future__ import annotations

import numpy as np

from .errors import UsageError
from .names import nearest

RANK = "rank"
SCORE_KINDS = ("logit", "log-prob", "probability", "similarity", RANK)
_NAMES = {"log-prob": "log_probability"}
_WITH_PROBABILITY = frozenset({"logit", "log-prob", "probability"})

ADDITIVE = frozenset({"logit", "log-prob", "similarity"})
"""Kinds whose differences mean something as they are stored: what losses and softmaxes read."""

SCALE_OF = {"logit": "logit", "log-prob": "logprob"}
"""The scale on which scores of a kind are stored, where it has a name of its own."""

SCALES = ("logprob", "logit", "raw")
"""The scales on which a statistic may read scores."""

RETARGET = {"logit": "temperature(T=1)", "logprob": "logprob"}
"""The target that makes groups of a scale: scales are never converted in silence."""


def name_of(kind: str) -> str:
    """Return what people are shown scores of a kind as; the stored column is `logit` for all."""
    return _NAMES.get(kind, kind)


def as_shown(values: np.ndarray, kind: str) -> np.ndarray:
    """Return float32 scores as people are shown them: ranks as ranks, 1 is best, whole if all are.

    Everything else as it is stored.
    """
    if kind != RANK:
        return values
    ranks = -values
    whole = bool((ranks == np.rint(ranks)).all())  # neither NaN nor a mean of several ranks is
    return ranks.astype(np.int32) if whole else ranks


def has_probability(kind: str) -> bool:
    """Say whether P(relevant) can be read off a score of this kind."""
    return kind in _WITH_PROBABILITY


def refuse_probabilities(kind: str, what: str) -> None:
    """Raise UsageError where `what` would take differences of stored probabilities."""
    if kind == "probability":
        raise UsageError(
            f"{what} reads scores as they are stored, and these are probabilities, whose "
            "differences no loss can use",
            do="make groups on another scale first: rankmill retarget logprob --groups NAME",
        )


def refuse_ranks(kind: str, what: str) -> None:
    """Raise UsageError where `what` would take distances between ranks for distances of scores."""
    if kind == RANK:
        raise UsageError(
            f"{what} needs real scores; this teacher gives only ranks, an order without distances",
            do="use a teacher with scores; or what needs no more than an order: the losses "
            "ranknet_hard, listmle, lambda_loss and the target rank_labels(c=10)",
        )


def check_scale(scale: str) -> None:
    """Refuse a `score=` parameter that is no scale; raises UsageError with the nearest."""
    if scale not in SCALES:
        raise UsageError(f"score={scale} is not a score scale", do=nearest(str(scale), SCALES))
