"""Several teachers as one: the weighted mean of their scores after a declared calibration.

Each member scores the pool by itself, so its scores are stored, shared and paid once like those of
any teacher; the mean is taken over stored scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..actors import Execution
from ..errors import UsageError
from ..names import Call, parse
from ..options import Option
from ..parts.costs import MEMBERS
from ..parts.parameters import UNSCORED
from ..score_kinds import SCORE_KINDS, refuse_ranks
from ..store import Artifact, Workspace, open_artifact
from .base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, check_missing, check_written, prepares
from .lookup import PairScores
from .scores import score_pool


@TEACHERS.register("ensemble", MEMBERS)
@dataclass(frozen=True, slots=True)
class Ensemble:
    """Σ w (scale · s + shift) / Σ w over the members `of`, each a teacher's text.

    Members of one kind need no calibration. Members of different kinds need `kind`, the kind of the
    mean: with `kind=logit` probabilities and log-probabilities are made logits first, ln p/(1 − p);
    similarities need a `scales` entry that says how many logits one unit is worth. `missing`: what
    becomes of pairs that a member has no score for.
    """

    of: Annotated[
        tuple[str, ...],
        Option("The members: teachers.", example="[stored(scores=ONE),stored(scores=OTHER)]"),
    ]
    weights: Annotated[
        tuple[float, ...] | None, Option("A weight for each member; default: equal.")
    ] = None
    scales: Annotated[
        tuple[float, ...] | None,
        Option("What each member's scores are multiplied with; default: 1."),
    ] = None
    shifts: Annotated[
        tuple[float, ...] | None, Option("What is added to each member's scores; default: 0.")
    ] = None
    kind: Annotated[
        str | None,
        Option("The kind of the mean, where members are of different kinds: logit, say."),
    ] = None
    missing: Annotated[str, UNSCORED] = "error"

    def __post_init__(self) -> None:
        if len(self.of) < 2:
            raise UsageError(
                f"an ensemble needs at least two teachers, of={list(self.of)} names {len(self.of)}",
                do="write ensemble(of=[cross_encoder(model=A),causal_lm(model=B)])",
            )
        for name in ("weights", "scales", "shifts"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.of):
                raise UsageError(
                    f"{name} has {len(values)} numbers, the ensemble {len(self.of)} members"
                )
        if self.weights is not None and not (min(self.weights) >= 0 < sum(self.weights)):
            raise UsageError(
                f"weights={list(self.weights)} must not be negative, nor all 0",
                do="turn a teacher round with a negative scale",
            )
        for member in self.of:
            check_written(member)
        check_missing(self.missing)
        if self.kind is not None and self.kind not in SCORE_KINDS:
            raise UsageError(
                f"kind={self.kind} is not known", do=f"one of {', '.join(SCORE_KINDS)}"
            )


@prepares(Ensemble)
def prepare_ensemble(
    workspace: Workspace, teacher: Ensemble, pool: Artifact, executor: Execution
) -> Prepared:
    """Score the pool with every member; raises UsageError for kinds that cannot be averaged."""
    members = [
        score_pool(workspace, member, pool, direction="trusted", executor=executor)
        for member in teacher.of
    ]
    kinds = [member.metadata["kind"] for member in members]
    for each in (*kinds, teacher.kind or ""):
        refuse_ranks(each, "the mean of an ensemble")
    kind = teacher.kind or kinds[0]
    for number, each in enumerate(kinds):
        if each != kind and not (teacher.kind and _can_become(each, kind, teacher.scales, number)):
            raise UsageError(
                f"member {number + 1} of the ensemble gives {each}, the mean is to be {kind}",
                where=teacher.of[number],
                do="say kind=logit; a similarity also needs scales=[…], its worth in logits",
            )
    count = len(members)
    calibration = {
        "weights": list(teacher.weights or (1.0,) * count),
        "scales": list(teacher.scales or (1.0,) * count),
        "shifts": list(teacher.shifts or (0.0,) * count),
    }
    named = tuple((k, tuple(v)) for k, v in calibration.items())
    of = tuple(parse(member.metadata["teacher"]) for member in members)
    return Prepared(
        label=str(Call("ensemble", named=(("of", of), *named, ("kind", kind)))),
        kind=kind,
        parameters={
            "members": [member.fingerprint for member in members],
            "missing": teacher.missing,
            **CUTS_UNKNOWN,
            **calibration,
        },
        make=EnsembleScorer,
        options={
            "members": [str(member.path) for member in members],
            "to_logit": [each != kind and each != "similarity" for each in kinds],
            "log": [each == "log-prob" for each in kinds],
            **calibration,
        },
        pair_work=lambda query, doc: np.full(len(query), count, dtype=np.int64),
        inputs={f"member[{number}]": member for number, member in enumerate(members)},
        # One with a negative scale is meant to run the other way, one of weight 0 does nothing.
        members=tuple(
            member
            for member, scale, weight in zip(
                members, calibration["scales"], calibration["weights"], strict=True
            )
            if scale > 0 and weight > 0
        ),
        missing=teacher.missing,
        cuts=False,  # each member counts what it cuts
        span=(-np.inf, np.inf) if teacher.scales or teacher.shifts else None,
    )


def _can_become(own: str, kind: str, scales: tuple[float, ...] | None, number: int) -> bool:
    if kind != "logit":
        return False
    return own != "similarity" or (scales is not None and scales[number] != 1)


class EnsembleScorer:
    """Weighted means over the stored scores of the members."""

    def __init__(
        self,
        members: list[str],
        to_logit: list[bool],
        log: list[bool],
        weights: list[float],
        scales: list[float],
        shifts: list[float],
    ):
        self.members = [PairScores(open_artifact(path)) for path in members]
        self.to_logit, self.log = to_logit, log
        self.weights, self.scales, self.shifts = weights, scales, shifts

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the mean of each pair, summed in float64 in the order of the members."""
        total, absent = np.zeros(len(doc)), np.zeros(len(doc), dtype=bool)
        for number, member in enumerate(self.members):
            scores = np.full(len(doc), np.nan, dtype=np.float32)
            lacking = np.ones(len(doc), dtype=bool)
            if len(doc):
                member.fill(query, doc, scores, lacking)
            absent |= lacking
            values = self._calibrated(scores.astype(np.float64), number)
            total += self.weights[number] * values
        mean = (total / sum(self.weights)).astype(np.float32)
        return Scored(mean, {"pairs_scored": 0}, absent)  # the members were paid for theirs

    def _calibrated(self, values: np.ndarray, number: int) -> np.ndarray:
        if self.to_logit[number]:
            with np.errstate(divide="ignore", invalid="ignore"):  # p = 1 has no logit: quarantined
                p = np.exp(values) if self.log[number] else values
                values = (values if self.log[number] else np.log(p)) - np.log1p(-p)
        return self.scales[number] * values + self.shifts[number]

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same: the members' scores are what they are."""
        return replace(self.score(query, doc), usage={})
