"""The worker that scores rows of a pool: looks up, scores what is missing, checks what arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from ..collection.rows import Corpus, Qrels, Queries
from ..errors import BadInput
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, open_artifact
from ..store.parts.begun import Begun
from ..store.tables import SCORES
from .base import Counting, Scorer
from .contract import Range, like_probabilities, outside, survey
from .lookup import PairLists, PairScores

NOT_FINITE = "not_finite"
KILLED = "killed_worker"
MISSING = "missing_score"
_SHOWN = 3


@dataclass(slots=True)
class _Pairs:
    """The pairs of a shard, flat: `row` of the shard, ordinals, scores, and which are absent."""

    row: np.ndarray
    query: np.ndarray
    doc: np.ndarray
    scores: np.ndarray
    absent: np.ndarray

    def without(self, out: np.ndarray) -> _Pairs:
        """Return the pairs that are not marked."""
        keep = ~out
        return _Pairs(
            self.row[keep], self.query[keep], self.doc[keep], self.scores[keep], self.absent[keep]
        )


class Poisoned:
    """Writes rows of a pool that kill their worker: no scores, their queries dropped."""

    def __init__(self, pool: Artifact, cuts: bool):
        self.pool, self.cuts = PairLists(pool), cuts
        self.texts = Queries(pool.input("queries"))

    def __call__(self, shard: Shard) -> Output:
        """Drop the queries of pool rows start…stop−1."""
        queries = self.pool.rows(shard.start, shard.stop)[0]
        return Output(
            SCORES.empty_table(),
            dropped={KILLED: queries.tolist()},
            counts={"pairs": 0, **({"truncated": 0} if self.cuts else {})},
            notes=[f"query {name!r} kills its worker" for name in self.texts.query_ids(queries)],
        )


class ScoreWorker:
    """Scores rows of a pool; loads the teacher only when a pair is not in the store yet.

    `earlier` and `begun`: finished scores, and (folder, fingerprint) of unfinished ones, in which
    pairs are looked up. `given`: the kind of scores that come from elsewhere, None for those that
    are computed here.
    """

    def __init__(
        self,
        pool: str,
        make: Callable[..., Scorer],
        scorer: Mapping[str, Any],
        earlier: list[str],
        limits: Range,
        missing: str,
        cuts: bool,
        given: str | None = None,
        begun: Sequence[tuple[str, str]] = (),
    ):
        self.pool = PairLists(open_artifact(pool))
        self.make, self.options = make, scorer
        self.earlier = [PairScores(open_artifact(path)) for path in earlier]
        self.earlier += [PairScores(Begun(Path(folder), name)) for folder, name in begun]
        self.limits, self.missing, self.cuts, self.given = limits, missing, cuts, given
        self._scorer: Scorer | None = None
        self._positives: np.ndarray | None = None

    @property
    def scorer(self) -> Scorer:
        """The teacher, loaded at first use."""
        if self._scorer is None:
            self._scorer = self.make(**self.options)
        return self._scorer

    def __call__(self, shard: Shard) -> Output:
        """Return the scores of pool rows start…stop−1."""
        queries, offsets, doc = self.pool.rows(shard.start, shard.stop)
        row = np.repeat(np.arange(len(queries)), np.diff(offsets))
        usage: dict[str, float] = {"pairs_asked": len(doc)}
        odd: dict[str, int] = {}
        pairs = self._scored(row, queries[row], doc, usage, odd)
        self._check_range(pairs)
        bad = ~np.isfinite(pairs.scores) & ~pairs.absent
        notes = self._notes(pairs, bad)
        dropped = {NOT_FINITE: np.unique(pairs.row[bad])}
        counts = {"pairs": 0, "missing": int(pairs.absent.sum()), **odd}
        out = np.isin(pairs.row, dropped[NOT_FINITE])
        if self.missing == "drop_query":
            dropped[MISSING] = np.setdiff1d(pairs.row[pairs.absent], dropped[NOT_FINITE])
            out |= np.isin(pairs.row, dropped[MISSING])
        pairs = pairs.without(out | pairs.absent)
        kept = np.delete(np.arange(len(queries)), np.concatenate([*dropped.values()]))
        bounds = np.append(np.searchsorted(pairs.row, kept), len(pairs.row))
        counts["pairs"] = len(pairs.doc)
        if self.cuts:
            counts["truncated"] = self._truncated(pairs)
        counts |= survey(pairs.scores, bounds, self._positive(pairs), self.limits)
        if self.given is not None:
            counts |= like_probabilities(pairs.scores, self.given)
        edges = pa.array(bounds.astype(np.int32))
        lists = [pa.ListArray.from_arrays(edges, pa.array(v)) for v in (pairs.doc, pairs.scores)]
        return Output(
            pa.Table.from_arrays([pa.array(queries[kept]), *lists], schema=SCORES),
            dropped={reason: queries[rows].tolist() for reason, rows in dropped.items()},
            counts={name: n for name, n in counts.items() if n or name in ("pairs", "truncated")},
            usage=usage,
            notes=notes,
        )

    def _truncated(self, pairs: _Pairs) -> int:
        """Count the pairs that are longer than the teacher reads; without pairs none is loaded."""
        if not len(pairs.doc):
            return 0
        return cast("Counting", self.scorer).truncated(pairs.query, pairs.doc)

    def _scored(
        self,
        row: np.ndarray,
        query: np.ndarray,
        doc: np.ndarray,
        usage: dict[str, float],
        odd: dict[str, int],
    ) -> _Pairs:
        """Look every pair up in the earlier artifacts, and let the teacher score the others."""
        scores = np.full(len(doc), np.nan, dtype=np.float32)
        unknown = np.ones(len(doc), dtype=bool)
        for store in self.earlier:
            if unknown.any():
                store.fill(query, doc, scores, unknown)
        usage["pairs_scored"] = int(unknown.sum())
        absent = np.zeros(len(doc), dtype=bool)
        if unknown.any():
            scored = self.scorer.score(query[unknown], doc[unknown])
            scores[unknown] = scored.scores
            if scored.absent is not None:
                absent[unknown] = scored.absent
            usage |= scored.usage
            odd |= scored.counts
            bad = unknown & ~absent & ~np.isfinite(scores)
            self._score_again(query, doc, scores, bad, usage)
        usage["pairs_reused"] = len(doc) - usage["pairs_scored"] - int(absent.sum())
        if absent.any() and self.missing == "error":
            raise BadInput(
                f"{int(absent.sum()):,} of {len(doc):,} pairs have no score: "
                f"{self._named(query[absent], doc[absent])}",
                where=self.pool.artifact.path,
                do="say what to do with them: missing=drop_doc or missing=drop_query",
            )
        return _Pairs(row, query, doc, scores, absent)

    def _score_again(
        self,
        query: np.ndarray,
        doc: np.ndarray,
        scores: np.ndarray,
        bad: np.ndarray,
        usage: dict[str, float],
    ) -> None:
        """Score once more, in float32, what came out as NaN or infinity."""
        if not bad.any():
            return
        again = self.scorer.score_again(query[bad], doc[bad])
        scores[bad] = again.scores
        for name, value in again.usage.items():
            usage[name] = usage.get(name, 0) + value
        usage["pairs_again"] = int(bad.sum())

    def _check_range(self, pairs: _Pairs) -> None:
        wrong = outside(pairs.scores, self.limits)
        if len(wrong):
            raise BadInput(
                f"{len(wrong):,} scores lie outside the declared range "
                f"{self.limits[0]:g} to {self.limits[1]:g}: "
                f"{self._named(pairs.query[wrong], pairs.doc[wrong], pairs.scores[wrong])}",
                where=self.pool.artifact.path,
                do="declare the kind that these scores are (logit has no bounds), or mend them",
            )

    def _positive(self, pairs: _Pairs) -> np.ndarray | None:
        """Say which pairs are judged relevant; None where the pool knows no judgements."""
        artifact = self.pool.artifact
        if "qrels" not in artifact.inputs:
            return None
        if self._positives is None:
            least = artifact.parameters.get("min_grade", 1)
            self._positives = Qrels(artifact.input("qrels")).positive_keys(least)
        return np.isin(pair_keys(pairs.query, pairs.doc), self._positives)

    def _notes(self, pairs: _Pairs, bad: np.ndarray) -> list[str]:
        """Say for each query with a score that is not finite which pair is at fault."""
        places = np.flatnonzero(bad)
        _, first = np.unique(pairs.row[places], return_index=True)
        return [
            self._named(pairs.query[[at]], pairs.doc[[at]], pairs.scores[[at]])
            for at in places[first]
        ]

    def _named(self, query: np.ndarray, doc: np.ndarray, scores: np.ndarray | None = None) -> str:
        artifact = self.pool.artifact
        query_ids = Queries(artifact.input("queries")).query_ids(query[:_SHOWN])
        doc_ids = Corpus(artifact.input("corpus")).doc_ids(doc[:_SHOWN])
        said = [""] * len(query_ids) if scores is None else [f": {s}" for s in scores[:_SHOWN]]
        return ", ".join(
            f"query {q!r} with document {d!r}{s}"
            for q, d, s in zip(query_ids, doc_ids, said, strict=True)
        )
