"""Pair-wise risk: how often a system orders two documents against their grades.

Definition 2.1 (docs/quantities.md §3, D1) as a measure beside those of ir_measures. Whatever gives
scores has a risk: a run, a student's order of a first stage, a teacher's scores of a pool.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mining.errors import UsageError
from ..mining.names import Family, nearest
from ..mining.pair_keys import pair_keys, queries_of
from ..native.pair_order import PAIR_COUNTS, count_pairs

MEASURES = Family("measure")
_SUPPORTS = ("judged", "returned", "list")
_TIES = {"error": 1.0, "half": 0.5}


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judged pairs, ascending by (query, doc): uint32, uint32, int16 [pairs]."""

    query: np.ndarray
    doc: np.ndarray
    grade: np.ndarray

    def of(self, queries: np.ndarray) -> Judgements:
        """Return those of some queries."""
        own = np.isin(self.query, queries)
        return Judgements(self.query[own], self.doc[own], self.grade[own])


@dataclass(frozen=True, slots=True)
class Lists:
    """Scored pairs in any order: query and doc uint32, score float32 [pairs]."""

    query: np.ndarray
    doc: np.ndarray
    score: np.ndarray

    def of(self, queries: np.ndarray) -> Lists:
        """Return those of some queries."""
        own = np.isin(self.query, queries)
        return Lists(self.query[own], self.doc[own], self.score[own])


@MEASURES.register("PairRisk")
@dataclass(frozen=True, slots=True)
class PairRisk:
    """D1: P[sgn(f(x) − f(x')) ≠ sgn(y(x) − y(x'))] over pairs of one query with y(x) ≠ y(x').

    `mu`, the documents that μ is uniform over: `judged`, all that the qrels judge, where those that
    the run did not return lie below all that it did, tied with each other; `returned`, the judged
    ones that it returned; `list`, all that it returned, where one without judgement has grade 0. A
    document of negative grade belongs to none. `ties`: equal scores f are an `error`, as in the
    definition, or `half` of one, as in Kendall's τ. f is always the stored score. A risk: 0 is
    best.
    """

    mu: str = "judged"
    ties: str = "error"

    def __post_init__(self) -> None:
        for name, known in (("mu", _SUPPORTS), ("ties", tuple(_TIES))):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name}={value} is unknown", do=nearest(str(value), known))

    def per_query(
        self, queries: np.ndarray, judged: Judgements, lists: Lists
    ) -> tuple[np.ndarray, int]:
        """Return the risk of each query and the number of judged documents that have no score.

        `queries` uint32 [n] ascending; float64 [n], NaN for a query without a pair that counts. The
        second number is that of the documents that `mu=judged` put below the others, else 0.
        """
        keys, f, y, missing = self._documents(judged.of(queries), lists.of(queries))
        query = queries_of(keys)
        starts = np.searchsorted(query, queries)
        ends = np.searchsorted(query, queries, side="right")
        offsets = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64)
        counts = np.empty((len(queries), len(PAIR_COUNTS)), np.int64)
        for array in (f, y, offsets):
            array.flags.writeable = False  # one compiled form serves all callers
        count_pairs(f, y, offsets, 0, len(queries), counts)
        concordant, discordant, tied = counts[:, 0], counts[:, 1], counts[:, 2]
        pairs = concordant + discordant + tied
        wrong = discordant + _TIES[self.ties] * tied
        risk = np.divide(wrong, pairs, out=np.full(len(queries), np.nan), where=pairs > 0)
        return risk, missing

    def _documents(
        self, judged: Judgements, lists: Lists
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return keys (ascending), f, y of the documents that μ is over, and how many had no f."""
        excluded = judged.grade < 0
        known = pair_keys(judged.query, judged.doc)
        scored = pair_keys(lists.query, lists.doc)
        order = np.argsort(scored, kind="stable")
        scored, score = scored[order], lists.score[order].astype(np.float64)
        if self.mu == "list":
            y = _looked_up(scored, known, judged.grade.astype(np.float64), 0.0)
            kept = y >= 0
            return scored[kept], score[kept], y[kept], 0
        known, y = known[~excluded], judged.grade[~excluded].astype(np.float64)
        f = _looked_up(known, scored, score, -np.inf)
        there = f > -np.inf
        if self.mu == "judged":
            return known, f, y, int((~there).sum())
        return known[there], f[there], y[there], 0


def _looked_up(
    wanted: np.ndarray, keys: np.ndarray, values: np.ndarray, otherwise: float
) -> np.ndarray:
    """Return the value of each wanted key, `otherwise` where ascending `keys` lack it."""
    out = np.full(len(wanted), otherwise)
    if len(keys):
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        there = keys[at] == wanted
        out[there] = values[at[there]]
    return out
