"""Pilot students: every design trains one, small, and development queries say what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from rankmill import stages
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import UsageError
from rankmill.mining.store import Artifact
from rankmill.study.advise.candidates import Candidate
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.grid.declared import FOR_CHOOSING, for_choosing
from rankmill.study.results import BM25_SOURCE
from rankmill.training.evaluation import Evaluation
from rankmill.training.settings import settings_from
from rankmill.training.significance import Interval, holm, paired_t, t_interval
from rankmill.training.start import untrained

NOTABLE = 0.05
_FLAGS = {"documents": "pilot", "seed": "seed"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What pilots are: `documents` that each sees, the `student`, its `loss`, `settings` of its
    training, and the development `split` whose queries judge it."""

    documents: int
    student: str
    split: str
    loss: str = "kl"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("documents", "seed"):
            if name in self.settings:
                raise UsageError(
                    f"the pilots' {name} is no setting", do=f"say --{_FLAGS[name]} in its place"
                )
        settings_from({**self.settings, "documents": self.documents})

    @property
    def lengths(self) -> dict[str, int]:
        """The tokens that a student keeps of a query and of a document."""
        made = settings_from(self.settings)
        return {"query_length": made.query_length, "doc_length": made.doc_length}


@dataclass(frozen=True, slots=True)
class Pilot:
    """What one pilot gained over the untrained student, with its interval over queries, what its
    training took in seconds, and how it stands to the best pilot by the adjusted test."""

    gain: Interval
    seconds: float
    verdict: str


def check_pilots(asked: Asked, collection: Collection, pool: Artifact) -> None:
    """Refuse queries that are not for choosing, and those that the groups are of.

    Raises UsageError for both, BadInput for a split that the collection does not have.
    """
    if not for_choosing(asked.split):
        raise UsageError(
            f"pilots judged on the split {asked.split!r} would choose by queries that judge",
            do=f"name a split for choosing ({', '.join(sorted(FOR_CHOOSING))}): --dev dev",
        )
    judged = collection.qrels(asked.split).queries
    own = np.concatenate([table["query"].to_numpy() for table in pool.tables()])
    shared = len(np.intersect1d(judged, own))
    if shared:
        raise UsageError(
            f"{shared:,} of the {len(judged):,} queries of the split {asked.split!r} are queries "
            "of the pool: pilots would be judged on the queries that they are trained on",
            do="name other development queries: --dev SPLIT",
        )


def pilots_of(
    asked: Asked,
    collection: Collection,
    candidates: Sequence[Candidate],
    measure: str,
    seed: int,
    executor: Execution,
) -> dict[str, Pilot]:
    """Train and judge a pilot of every design; returns them by the design's name."""
    first = stages.Mine(BM25_SOURCE, collection, split=asked.split, executor=executor).make()
    where = first.workspace
    before = untrained(where, asked.student, seed=seed, **asked.lengths)
    start = _values(before, first, measure, executor)
    gains: dict[str, np.ndarray] = {}
    spent: dict[str, float] = {}
    for number, one in enumerate(candidates, 1):
        executor.progress.announce(f"pilot {number} of {len(candidates)}: {one.name}")
        student = stages.Train(
            asked.student,
            one.groups,
            loss=asked.loss,
            documents=asked.documents,
            seed=seed,
            **asked.settings,
            executor=executor,
        ).make()
        gains[one.name] = _values(student, first, measure, executor) - start
        spent[one.name] = seconds_of(student)
    verdicts = _verdicts(gains)
    return {
        name: Pilot(t_interval(table), spent[name], verdicts[name]) for name, table in gains.items()
    }


def _values(student: Artifact, first: Artifact, measure: str, executor: Execution) -> np.ndarray:
    judged = stages.Evaluate(
        student=student, first_stage=first, measures=measure, executor=executor
    ).make()
    return Evaluation(judged).values(measure)


def _verdicts(gains: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Say of every pilot whether it is told apart from the best; p after Holm over all pairs, as
    the same values say which is the best."""
    best = max(gains, key=lambda name: float(gains[name].mean()))
    pairs = list(combinations(gains, 2))
    p_values = holm([paired_t(gains[one] - gains[other]) for one, other in pairs])
    adjusted = {frozenset(pair): p for pair, p in zip(pairs, p_values, strict=True)}
    told = {}
    for name in gains:
        if name == best:
            told[name] = "best"
        else:
            below = adjusted[frozenset((name, best))] < NOTABLE
            told[name] = "below the best" if below else "not distinguishable from the best"
    return told
