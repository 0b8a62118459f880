"""Targets: other labels for the same groups; documents, Δ and κ stay fixed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np

from ..actors import INLINE, Execution
from ..errors import BadPair, UsageError
from ..groups.derived import build_derived, first_rows
from ..groups.format import GroupArrays, Groups, groups_table
from ..names import Family, nearest
from ..options import Option
from ..parts.costs import GROUPS
from ..parts.parameters import SCORE_SCALE, TEMPERATURE
from ..score_kinds import SCALES, has_probability, refuse_probabilities, refuse_ranks
from ..selection.targeted import log_probabilities
from ..store import Artifact, Output, Shard, Workspace, open_artifact

TARGETS = Family("target", plural="targets", costs=GROUPS)


class Target(Protocol):
    """New scores from the stored ones."""

    def kind(self, kind: str) -> str:
        """Return the kind of the new scores, given that of the old ones."""
        ...

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Return float64 [n, k]."""
        ...


@TARGETS.register("temperature")
@dataclass(frozen=True, slots=True)
class Temperature:
    """z/T on logits (other kinds are made logits first), s/T on similarities: an exact entropy
    knob.

    D3 on the new scores, on the logit scale at T = 1, is D3 on the old ones at T.
    """

    T: Annotated[float, TEMPERATURE] = 2.0

    def __post_init__(self) -> None:
        if not 0.0 < self.T < float("inf"):
            raise UsageError(f"T={self.T} is not a temperature", do="give a number above 0")

    def kind(self, kind: str) -> str:
        """Logits, unless they were similarities; refuses ranks."""
        refuse_ranks(kind, "temperature")
        return "similarity" if kind == "similarity" else "logit"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Divide by T; raises BadInput where P = 1 has no logit."""
        score = groups.score.astype(np.float64)
        if kind in ("logit", "similarity"):
            return score / self.T
        return _logits(groups, kind) / self.T


@TARGETS.register("logprob")
@dataclass(frozen=True, slots=True)
class LogProb:
    """s = log σ(z), the scale of the default entropy: losses and statistics then read one scale.

    Log-probabilities stay as they are. A probability of 0 has no logarithm and is refused.
    """

    def kind(self, kind: str) -> str:
        """Log-probabilities; refuses ranks and similarities, which have no probability."""
        _refuse_without_probability(kind, "logprob")
        return "log-prob"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Convert to log-probabilities."""
        return _log_probabilities(groups, kind)


@TARGETS.register("smooth")
@dataclass(frozen=True, slots=True)
class Smooth:
    """Mix the teacher's softmax over the group with the labels: q' = (1 − share)·q + share·y/Σy.

    y are the grades of the positives, q the softmax of the scores on the scale `score`: `raw`, as
    they are stored and losses read them, `logit` or `logprob`. Written as log q'; a group without a
    positive keeps its q. share = 1 would give every negative the logarithm of 0, so it is refused.
    """

    share: Annotated[float, Option("How much of the labels is mixed in.")] = 0.1
    score: Annotated[str, SCORE_SCALE] = "raw"

    def __post_init__(self) -> None:
        if self.score not in SCALES:
            raise UsageError(
                f"score={self.score} is not a score scale", do=nearest(self.score, SCALES)
            )
        if not 0.0 <= self.share < 1.0:
            raise UsageError(f"share={self.share} is not below 1", do="give a number from 0 to 1")

    def kind(self, kind: str) -> str:
        """Log-probabilities that sum to 1 over the group; refuses what has no such scale."""
        refuse_ranks(kind, "smooth")
        if self.score == "raw":
            refuse_probabilities(kind, str(self))
        else:
            _refuse_without_probability(kind, str(self))
        return "log-prob"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Mix, in logarithms."""
        s = groups.score.astype(np.float64)
        if self.score == "logprob":
            s = _log_probabilities(groups, kind)
        elif self.score == "logit":
            s = _logits(groups, kind)
        top = s.max(axis=1, keepdims=True)
        log_q = s - top - np.log(np.exp(s - top).sum(axis=1, keepdims=True))
        label = np.maximum(groups.grade.astype(np.float64), 0.0)
        total = label.sum(axis=1, keepdims=True)
        label = np.divide(label, total, out=np.zeros_like(label), where=total > 0)
        share = np.where(total > 0, self.share, 0.0)
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log1p(-share) + log_q, np.log(share * label))


@TARGETS.register("rank_labels")
@dataclass(frozen=True, slots=True)
class RankLabels:
    """P = 2^(−rank/c), the teacher's rank within the group, 1 = best; ties share the mean rank."""

    c: Annotated[float, Option("How slowly labels fall: by half every c ranks.", unit="ranks")] = (
        1.0
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.c < float("inf"):
            raise UsageError(f"c={self.c} is not a half-life", do="give a number of ranks above 0")

    def kind(self, kind: str) -> str:
        """Probabilities."""
        return "probability"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Halve every `c` ranks; raises BadInput where that leaves the range of float32."""
        if groups.size / self.c > 125.0:
            raise UsageError(
                f"2^(−{groups.size}/{self.c:g}) is below the smallest float32",
                do=f"choose c of {groups.size / 125:.2g} or more",
            )
        score = groups.score
        above = (score[:, None, :] > score[:, :, None]).sum(axis=2)
        ties = (score[:, None, :] == score[:, :, None]).sum(axis=2)
        return np.exp2(-(above + (ties + 1) / 2.0) / self.c)


@TARGETS.register("minmax")
@dataclass(frozen=True, slots=True)
class MinMax:
    """(s − min)/(max − min) within the group; a group whose scores are all equal becomes ½."""

    def kind(self, kind: str) -> str:
        """No probability any more; refuses ranks."""
        refuse_ranks(kind, "minmax")
        return "similarity"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Scale to [0, 1]."""
        score = groups.score.astype(np.float64)
        low = score.min(axis=1, keepdims=True)
        width = score.max(axis=1, keepdims=True) - low
        return np.divide(score - low, width, out=np.full_like(score, 0.5), where=width > 0)


@TARGETS.register("zscore")
@dataclass(frozen=True, slots=True)
class ZScore:
    """(s − mean)/standard deviation within the group; all-equal scores become 0."""

    def kind(self, kind: str) -> str:
        """No probability any more; refuses ranks."""
        refuse_ranks(kind, "zscore")
        return "similarity"

    def scores(self, groups: GroupArrays, kind: str) -> np.ndarray:
        """Centre and scale by the population deviation."""
        score = groups.score.astype(np.float64)
        centred = score - score.mean(axis=1, keepdims=True)
        # Equal scores centre to rounding errors of their mean, not to exact zeros.
        varies = np.ptp(score, axis=1, keepdims=True) > 0
        spread = np.where(varies, score.std(axis=1, keepdims=True), 0.0)
        return np.divide(centred, spread, out=np.zeros_like(score), where=spread > 0)


def _refuse_without_probability(kind: str, what: str) -> None:
    refuse_ranks(kind, what)
    if not has_probability(kind):
        raise UsageError(
            f"{what} needs probabilities, and a {kind} has none",
            do="keep the scores as they are stored: statistics and targets take score=raw",
        )


def _log_probabilities(groups: GroupArrays, kind: str) -> np.ndarray:
    """Return s, float64 [n, k]; raises BadInput where P = 0."""
    score = groups.score.astype(np.float64)
    if kind == "probability":
        for row in np.flatnonzero((score <= 0.0).any(axis=1))[:1]:
            raise BadPair("a probability of 0 has no logarithm", query=groups.query[row])
    return log_probabilities(score, kind)


def _logits(groups: GroupArrays, kind: str) -> np.ndarray:
    """Return z, float64 [n, k]; raises BadInput where P is 0 or 1."""
    if kind == "logit":
        return groups.score.astype(np.float64)
    s = _log_probabilities(groups, kind)
    for row in np.flatnonzero((s >= 0.0).any(axis=1))[:1]:
        raise BadPair("a probability of 1 has no logit", query=groups.query[row])
    return s - np.log(-np.expm1(s))


def retarget_groups(
    workspace: Workspace,
    groups: Artifact | str,
    target: str | Target,
    *,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the same groups with other scores; the manifest names target and score kind."""
    groups = workspace.find(groups, "groups")
    value: Target = TARGETS.parse(target)
    return build_derived(
        workspace,
        groups,
        parameters={"target": str(value)},
        worker=Retargeter,
        options={"groups": str(groups.path), "target": str(value)},
        metadata={"kind": value.kind(groups.metadata["kind"]), "target": str(value)},
        executor=executor,
    )


class Retargeter:
    """The worker: rewrites the scores of a range of queries."""

    def __init__(self, groups: str, target: str):
        artifact = open_artifact(Path(groups))
        self.groups, self.bounds = Groups(artifact, level=2), first_rows(artifact)
        self.target: Target = TARGETS.stored(target)

    def __call__(self, shard: Shard) -> Output:
        """Return the groups of queries number start…stop−1 with their new scores."""
        start, stop = int(self.bounds[shard.start]), int(self.bounds[shard.stop])
        rows = self.groups.rows(start, stop)
        # A target sees the grades of positives; a judged negative has no share of the labels.
        labels = replace(rows, grade=np.where(self.groups.positive(rows), rows.grade, 0))
        scores = self.target.scores(labels, self.groups.kind)
        new = replace(rows, score=scores.astype(np.float32))
        return Output(groups_table(new, self.groups.min_grade))
