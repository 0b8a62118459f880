"""How far teachers are apart on the documents of a row (docs/quantities.md §6, 26).

One teacher's scores are those that are measured; the others' are looked up pair by pair in scores
artifacts, each under a label. Two teachers are compared at a time: where nobody says which other
one is meant, a value is the mean over all pairs of teachers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Annotated, Any, NamedTuple

import numpy as np

from ...native import divergence, pair_order, scales
from ..errors import BadInput, BadPair, UsageError
from ..names import nearest
from ..options import Option
from ..pair_keys import pair_keys
from ..parts.costs import PAIRS
from ..parts.parameters import OTHER, TEMPERATURE
from ..processors import in_threads
from ..score_kinds import RANK, SCALES, has_probability
from ..store import Artifact
from ..teachers.lookup import PairScores
from .base import (
    CONSTANT,
    NO_PROBABILITY,
    ONLY_RANKS,
    STATISTICS,
    Column,
    Rows,
    checked_temperature,
    scale_code,
)

STANDARDISED = "zscore"


class ScoresBeside:
    """Another model's scores of the same documents, looked up by pair; `kind` is that of them.

    `whose`: of whom they are, for errors; `score_them`: what to do where a pair has none; `mend`:
    where one is not finite.
    """

    def __init__(self, artifact: Artifact, whose: str, score_them: str, mend: str):
        self.artifact, self.kind = artifact, str(artifact.metadata["kind"])
        self.whose, self.score_them, self.mend = whose, score_them, mend
        self.scores = PairScores(artifact)

    def of(self, rows: Rows) -> np.ndarray:
        """Return the score of every item, float32 [items]; raises BadInput for one that lacks."""
        query = np.repeat(rows.query, np.diff(rows.offsets))
        order = np.argsort(pair_keys(query, rows.doc), kind="stable")
        scores = np.full(len(order), np.nan, np.float32)
        missing = np.ones(len(order), bool)
        if len(order):
            self.scores.fill(query[order], rows.doc[order], scores, missing)
        if missing.any():
            at = order[np.flatnonzero(missing)[0]]
            raise BadPair(
                f"{int(missing.sum()):,} pairs have no score of {self.whose}, the first is {{doc}}",
                query=query[at],
                doc=rows.doc[at],
                within=self.artifact.path,
                do=self.score_them,
            )
        if not np.isfinite(scores).all():
            at = order[np.flatnonzero(~np.isfinite(scores))[0]]
            raise BadPair(
                f"the score of {{doc}} by {self.whose} is not finite",
                query=query[at],
                doc=rows.doc[at],
                within=self.artifact.path,
                do=self.mend,
            )
        out = np.empty_like(scores)
        out[order] = scores
        out.flags.writeable = False
        return out


def other_teacher(artifact: Artifact, label: str) -> ScoresBeside:
    """Return the scores of the teacher that is called `label` in the names of columns."""
    return ScoresBeside(
        artifact,
        f"the teacher {label!r}",
        "let it score the pool that these documents are from: rankmill score TEACHER --pool POOL",
        "score this pair again; a missing score must not be written as a number",
    )


def refuse_others(measured: Artifact, others: Mapping[str, Artifact]) -> None:
    """Refuse what cannot stand beside the measured scores; raises UsageError or BadInput.

    Other kinds of artifacts, scores of other texts, and the same scores twice, which never
    disagree.
    """
    own = measured.inputs.get("scores") if measured.kind == "groups" else measured.fingerprint
    seen = {own: "those that are measured"}
    for label, artifact in others.items():
        if artifact.kind != "scores":
            raise BadInput(
                f"{label!r} is a {artifact.kind}, and another teacher's scores are wanted",
                where=artifact.path,
                do="give what `rankmill score` or `rankmill import --as scores` made",
            )
        texts = {"corpus", "queries"} & set(measured.inputs) & set(artifact.inputs)
        if any(measured.inputs[role] != artifact.inputs[role] for role in texts):
            raise BadInput(
                f"the scores {label!r} are of another collection than what is measured",
                where=artifact.path,
                do="let that teacher score the same pool",
            )
        if artifact.fingerprint in seen:
            raise UsageError(
                f"the scores {label!r} are the same as {seen[artifact.fingerprint]}",
                where=artifact.path,
                do="name each teacher's scores once: nobody disagrees with himself",
            )
        seen[artifact.fingerprint] = f"{label!r}"


class _Teacher(NamedTuple):
    """Scores of all items, float32 and read-only, and what kind they are."""

    scores: np.ndarray
    kind: str


@dataclass(frozen=True, slots=True)
class _AmongTeachers:
    """A statistic of two teachers' scores of the same documents.

    `other`: the label of the teacher that the measured one is compared with; without, the value is
    the mean over all pairs of teachers, and null where it is null for one of them.
    """

    @property
    def needs(self) -> frozenset[str]:
        """Scores of another teacher."""
        return frozenset({"others"})

    def over_pairs(
        self, rows: Rows, other: str | None, compare: Callable[[_Teacher, _Teacher], Column]
    ) -> Column:
        """Return the mean of what `compare` gives of two teachers, in the order of their labels."""
        rows.check_finite()
        measured = _Teacher(rows.scores, rows.kind)
        labels = sorted(rows.others) if other is None else [other]
        teachers = [measured, *(_looked_up(rows, label) for label in labels)]
        values, status = np.zeros(len(rows)), np.full(len(rows), scales.DEFINED, np.uint8)
        pairs = list(combinations(teachers, 2))
        for a, b in pairs:
            value, state = compare(a, b)
            values += value
            status = np.where(status == scales.DEFINED, state, status).astype(np.uint8)
        return np.where(status == scales.DEFINED, values / len(pairs), np.nan), status


def check_other(statistic: Any, labels: frozenset[str]) -> None:
    """Refuse a statistic whose `other` is none of the labels; raises UsageError."""
    label = getattr(statistic, "other", None) if isinstance(statistic, _AmongTeachers) else None
    if label is not None and label not in labels:
        raise UsageError(f"{statistic}: no scores are called {label!r}", do=nearest(label, labels))


def _looked_up(rows: Rows, label: str) -> _Teacher:
    beside: ScoresBeside = rows.others[label]
    return _Teacher(rows.once(("other", label), lambda: beside.of(rows)), beside.kind)


def _exact(scores: np.ndarray) -> np.ndarray:
    """Return scores in the read-only float64 that the kernels of orders take."""
    exact = scores.astype(np.float64)
    exact.flags.writeable = False
    return exact


def _unless_short(rows: Rows, status: np.ndarray) -> np.ndarray:
    return np.where(np.diff(rows.offsets) < 2, scales.TOO_SHORT, status).astype(np.uint8)


def kendall_tau_b(rows: Rows, x: np.ndarray, y: np.ndarray) -> Column:
    """Return τ-b of two models' scores of every row; null where one of them is constant."""
    counts = np.empty((len(rows), len(pair_order.PAIR_COUNTS)), np.int64)
    ours, theirs = _exact(x), _exact(y)

    def work(start: int, stop: int) -> None:
        pair_order.count_pairs(ours, theirs, rows.offsets, start, stop, counts)

    in_threads(work, rows.offsets)
    tau = pair_order.kendall_tau_b(counts)
    return tau, _unless_short(rows, np.where(np.isnan(tau), CONSTANT, scales.DEFINED))


@STATISTICS.register("kendall_tau", PAIRS)
@dataclass(frozen=True, slots=True)
class KendallTau(_AmongTeachers):
    """Kendall's τ-b between the orders of two teachers, in [−1, 1]; null if one is flat.

    Ties are those of the stored scores, and any kind will do: of two lists of ranks that a listwise
    teacher gave, of the same documents shown in two orders, it is how little the order matters.
    """

    other: Annotated[str | None, OTHER] = None

    @property
    def unit(self) -> str:
        """A rank correlation."""
        return "τ-b"

    def measure(self, rows: Rows) -> Column:
        """Return τ-b of every row."""
        return self.over_pairs(
            rows, self.other, lambda a, b: kendall_tau_b(rows, a.scores, b.scores)
        )


@STATISTICS.register("jensen_shannon")
@dataclass(frozen=True, slots=True)
class JensenShannon(_AmongTeachers):
    """Jensen–Shannon divergence of two teachers' softmaxes of scores/T, nats in [0, ln 2].

    `score=zscore`: each list of each teacher is first brought to mean 0 and variance 1, on the
    logit scale where there is one, so that neither units nor temperatures of teachers count, only
    how their scores are spread. `logprob`, `logit`, `raw`: both as they are on that scale.
    """

    T: Annotated[float, TEMPERATURE] = 1.0
    score: Annotated[
        str, Option("zscore: each list to mean 0 and variance 1; or logprob, logit, raw.")
    ] = STANDARDISED
    other: Annotated[str | None, OTHER] = None

    def __post_init__(self) -> None:
        checked_temperature(self.T)
        if self.score not in (known := (STANDARDISED, *SCALES)):
            raise UsageError(
                f"score={self.score} is not {', '.join(known)}", do=nearest(str(self.score), known)
            )

    @property
    def unit(self) -> str:
        """Nats."""
        return "nats"

    def measure(self, rows: Rows) -> Column:
        """Return the divergence of every row."""
        return self.over_pairs(rows, self.other, partial(self._of, rows))

    def _of(self, rows: Rows, a: _Teacher, b: _Teacher) -> Column:
        x_scale, y_scale = (scale_code(one.kind, self._scale(one.kind)) for one in (a, b))
        out, status = np.full(len(rows), np.nan), np.empty(len(rows), np.uint8)
        if x_scale is None or y_scale is None:
            ranks = RANK in (a.kind, b.kind)
            return out, np.full(len(rows), ONLY_RANKS if ranks else NO_PROBABILITY, np.uint8)
        standardised = self.score == STANDARDISED
        fixed = (a.scores, b.scores, rows.offsets, x_scale, y_scale, standardised, 1.0 / self.T)
        compare = divergence.jensen_shannon
        in_threads(lambda i, j: compare(*fixed, i, j, out, status), rows.offsets)
        if standardised:
            flat = (_flat(rows, a.scores) | _flat(rows, b.scores)) & (status == scales.DEFINED)
            status[flat] = CONSTANT
        return out, status

    def _scale(self, kind: str) -> str:
        """Return the scale on which scores of a kind are read."""
        if self.score != STANDARDISED:
            return self.score
        return "logit" if has_probability(kind) else "raw"


def _flat(rows: Rows, scores: np.ndarray) -> np.ndarray:
    """Say which rows have one score for all their documents, bool [rows]."""
    flat = np.ones(len(rows), bool)
    filled = np.flatnonzero(np.diff(rows.offsets))
    if len(filled):
        starts = rows.offsets[filled]
        flat[filled] = np.minimum.reduceat(scores, starts) == np.maximum.reduceat(scores, starts)
    return flat


@STATISTICS.register("inverted_pairs")
@dataclass(frozen=True, slots=True)
class InvertedPairs(_AmongTeachers):
    """Share of the pairs of a positive and a negative that two teachers order the other way round.

    A tie of either is no inversion. Scores of any kind will do: only their order is read.
    """

    other: Annotated[str | None, OTHER] = None

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    @property
    def needs(self) -> frozenset[str]:
        """Scores of another teacher, and labels."""
        return frozenset({"others", "labels"})

    def measure(self, rows: Rows) -> Column:
        """Return the share of every row."""
        return self.over_pairs(rows, self.other, partial(self._of, rows))

    def _of(self, rows: Rows, a: _Teacher, b: _Teacher) -> Column:
        counts = np.empty((len(rows), 2), np.int64)
        fixed = (_exact(a.scores), _exact(b.scores), rows.positive, rows.offsets)

        def work(start: int, stop: int) -> None:
            pair_order.count_inverted(*fixed, start, stop, counts)

        in_threads(work, rows.offsets)
        inverted, pairs = counts.T
        share = np.divide(inverted, pairs, out=np.full(len(rows), np.nan), where=pairs > 0)
        return share, _unless_short(rows, np.where(pairs > 0, scales.DEFINED, scales.NO_SUCH_PAIR))


def default_disagreement(labels: bool) -> tuple[str, ...]:
    """Return what is measured beside other teachers' scores when nothing is asked for."""
    values = (KendallTau(), JensenShannon(), InvertedPairs())
    return tuple(str(value) for value in values if labels or "labels" not in value.needs)
