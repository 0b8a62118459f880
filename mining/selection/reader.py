"""From a pool row to candidates: positives found, exclusions made, missing scores dealt with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from ..collection.rows import Corpus, Qrels, Queries
from ..errors import BadInput
from ..models.vectors import Vectors
from ..runs.itself import COUNT, KEEP, itself, of_query
from ..store import Artifact, open_artifact
from ..text.near_copies import KeptShingles
from .base import DRAWN, MIXED, Candidates
from .candidates import EXACT, NotFinite, PoolRows, ScoreRows, TextCopies, finder_of

UNSCORED = "excluded:unscored"  # candidates without a score, where the policy lets them go


@dataclass(slots=True)
class Asked:
    """One query of the pool: its candidates per positive, or the reason why there are none."""

    query: int
    query_id: str
    judged: np.ndarray
    grades: np.ndarray
    excluded_grade: int
    around: list[Candidates] = field(default_factory=list)
    reason: str | None = None
    itself: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))

    def grade_of(self, docs: np.ndarray) -> np.ndarray:
        """Return the grade (int64) of each document, 0 where it is not judged."""
        if not len(self.judged):
            return np.zeros(len(docs), np.int64)
        place = np.minimum(np.searchsorted(self.judged, docs), len(self.judged) - 1)
        return np.where(self.judged[place] == docs, self.grades[place], 0)

    def excludes(self, docs: np.ndarray) -> np.ndarray:
        """Say which documents the judgements exclude for this query, or are it: bool [docs]."""
        return np.isin(docs, self.never)

    @property
    def never(self) -> np.ndarray:
        """Documents (uint32) that the judgements exclude, and those that are the query itself."""
        return np.concatenate([self.judged[self.grades == self.excluded_grade], self.itself])


class CandidateReader:
    """Reads the candidates of pool rows; `counts` says what was excluded and why.

    `paths`: folders of the artifacts pool, scores, corpus, queries, qrels and, if declared,
    vectors. `size` of the groups bounds how many positives one can hold. `copies` says what is a
    copy of a positive (`mining.text.copies`), `self_rule` what is the query itself.
    """

    def __init__(
        self,
        paths: Mapping[str, str],
        *,
        size: int,
        min_grade: int,
        positives: str,
        missing: str,
        copies: str = EXACT,
        self_rule: str = KEEP,
    ):
        artifacts = {role: open_artifact(Path(path)) for role, path in paths.items()}
        self.pool, self.scores = PoolRows(artifacts["pool"]), ScoreRows(artifacts["scores"])
        self.corpus, self.queries = Corpus(artifacts["corpus"]), Queries(artifacts["queries"])
        self.qrels, self.empty = Qrels(artifacts["qrels"]), self.corpus.empty
        self.copies, self.shingles = finder_of(copies, artifacts), KeptShingles(self.corpus)
        self.itself = itself(self.corpus, self.queries, [self.qrels], self_rule)
        self.vectors = Vectors(artifacts["vectors"]) if "vectors" in artifacts else None
        self.min_grade, self.positives, self.missing = min_grade, positives, missing
        self.size = size
        self.origin = dict(self.pool.origin)
        if positives == "best":  # a drawn document may be the best: the positive is drawn too
            self.origin = {k: MIXED if v == DRAWN else v for k, v in self.origin.items()}
        self.counts: dict[str, int] = {}

    @cached_property
    def texts(self) -> TextCopies:
        """The texts of the corpus, mapped."""
        return TextCopies(self.corpus)

    def rows(self, start: int, stop: int) -> Iterator[Asked]:
        """Yield pool rows start…stop−1, ascending queries."""
        rows = [self.pool.row(row) for row in range(start, stop)]
        query_ids = self.queries.query_ids([query for query, _, _ in rows])
        for (query, docs, ranks), query_id in zip(rows, query_ids, strict=True):
            asked = Asked(query, query_id, *self.qrels.of(query), self.qrels.excluded_grade)
            asked.itself = of_query(self.itself, query)
            try:
                self._fill(asked, docs, ranks)
            except NotFinite as found:
                doc_id = self.corpus.doc_id(found.doc)
                raise found.refusal(query_id, doc_id, self.scores.artifact) from None
            yield asked

    def count(self, name: str, number: int) -> None:
        """Add to a count of the manifest."""
        if number:
            self.counts[name] = self.counts.get(name, 0) + int(number)

    def _fill(self, asked: Asked, docs: np.ndarray, ranks: dict[str, np.ndarray]) -> None:
        good = asked.grades >= self.min_grade
        score = self.scores.of(asked.query, docs)
        anchors = self._anchors(asked, docs, score, good)
        if not len(anchors):
            return
        positives = asked.judged[good]
        barred = self._barred(docs, positives) | self._excluded(asked, docs)
        unscored = ~barred & np.isnan(score)
        self.count(UNSCORED, unscored.sum())
        allowed = ~barred & ~unscored
        outside = self._outside(docs, np.concatenate([positives, asked.never]))
        place = np.searchsorted(docs, anchors)
        together = self.positives == "together"
        for number, positive in enumerate(place[:1] if together else place):
            # At most half of a group, so that it keeps something to learn from.
            also = place[1 : self.size // 2] if together else place[:0]
            asked.around.append(
                Candidates(
                    query_id=asked.query_id,
                    doc=docs,
                    score=score,
                    kind=self.scores.kind,
                    rank=ranks,
                    allowed=allowed & (np.arange(len(docs)) != positive),
                    positive=int(positive),
                    origin=self.origin,
                    documents=len(self.corpus) - len(self.empty),
                    outside=outside,
                    barred=barred | (np.arange(len(docs)) == positive),
                    distance=self._distances(docs, int(positive)),
                    also=also,
                    resemblance=self._resemblance(docs, np.append(positives, anchors[number])),
                )
            )

    def _anchors(
        self, asked: Asked, docs: np.ndarray, score: np.ndarray, good: np.ndarray
    ) -> np.ndarray:
        """Return the documents to build groups around, best first; none sets the reason."""
        if self.positives == "best":
            known = ~np.isnan(score) & ~np.isin(docs, self.empty) & ~asked.excludes(docs)
            anchors = docs[known][np.argsort(-score[known], kind="stable")][:1]
        else:
            usable = good & ~np.isin(asked.judged, self.empty)
            if not usable.any():
                asked.reason = "no_positive"
                return docs[:0]
            anchors = asked.judged[usable][np.argsort(-asked.grades[usable], kind="stable")]
        anchors = self._scored(asked.query_id, docs, score, anchors)
        if not len(anchors):
            asked.reason = "unscored"
        return anchors

    def _outside(self, docs: np.ndarray, never: np.ndarray) -> int:
        """Return how many documents that are not in the pool may be negatives: not empty, and none
        of `never`, the positives and the excluded. Copies of a positive are looked for in the pool
        only."""
        known = np.union1d(docs, never)
        return len(self.corpus) - len(np.union1d(known, self.empty))

    def _barred(self, docs: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """Say which pool documents can be no negatives, and count them."""
        positive = np.isin(docs, positives)
        empty = np.isin(docs, self.empty) & ~positive
        others, copies = np.flatnonzero(~positive & ~empty), np.zeros(len(docs), dtype=bool)
        copies[others] = self.copies.among(docs[others], positives)
        self.count("excluded:positive", positive.sum())
        self.count("excluded:empty", empty.sum())
        self.count("excluded:copy_of_positive", copies.sum())
        return positive | empty | copies

    def _excluded(self, asked: Asked, docs: np.ndarray) -> np.ndarray:
        """Say which pool documents the judgements exclude or are the query itself; count them."""
        own = np.isin(docs, asked.itself)
        excluded = asked.excludes(docs)
        self.count(COUNT, own.sum())
        self.count("excluded:by_judgement", (excluded & ~own).sum())
        return excluded

    def _scored(
        self, query_id: str, docs: np.ndarray, score: np.ndarray, anchors: np.ndarray
    ) -> np.ndarray:
        """Return the positives to build groups around, none where the policy drops the query.

        Raises BadInput where a score is missing and the policy is `error`.
        """
        place = np.minimum(np.searchsorted(docs, anchors), max(0, len(docs) - 1))
        known = docs[place] == anchors if len(docs) else np.zeros(len(anchors), dtype=bool)
        known[known] = ~np.isnan(score[place[known]])
        wanted = {"all": len(anchors), "together": self.size // 2}.get(self.positives, 1)
        if self.missing == "drop_doc":
            return anchors[known][:wanted]
        holes = np.concatenate([anchors[:wanted][~known[:wanted]], docs[np.isnan(score)]])
        if not len(holes):
            return anchors[:wanted]
        if self.missing == "drop_query":
            return anchors[:0]
        raise BadInput(
            f"query {query_id!r}: document {self.corpus.doc_id(int(holes[0]))!r} "
            "has no teacher score",
            where=self.scores.artifact.path,
            do="pool with positives and score that pool, or choose missing=drop_doc or drop_query",
        )

    def _distances(self, docs: np.ndarray, positive: int) -> Callable[[], np.ndarray] | None:
        """Return a function that gives the distance of every document from the positive."""
        vectors = self.vectors
        if vectors is None:
            return None

        @cache
        def distance() -> np.ndarray:
            points = vectors.rows(docs).astype(np.float64)
            norm = np.sqrt((points * points).sum(axis=1, keepdims=True))
            unit = np.divide(points, norm, out=np.full_like(points, np.nan), where=norm > 0)
            return np.sqrt(((unit - unit[positive]) ** 2).sum(axis=1))

        return distance

    def _resemblance(
        self, docs: np.ndarray, positives: np.ndarray
    ) -> Callable[[float], np.ndarray]:
        """Return a function that gives the largest text overlap of every document with a positive,
        0 where it is below its argument; a positive with itself counts 0."""

        def overlap(least: float) -> np.ndarray:
            originals = np.unique(positives)
            sets = self.shingles.of(np.concatenate([docs, originals]))
            left = np.repeat(np.arange(len(docs)), len(originals))
            right = np.tile(np.arange(len(originals)), len(docs))
            shared = sets.overlap(left, right + len(docs), least)
            shared[docs[left] == originals[right]] = 0.0
            return shared.reshape(len(docs), -1).max(axis=1, initial=0.0)

        return overlap


def paths_of(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Return the folders of artifacts by role, as a worker's options want them."""
    return {role: str(artifact.path) for role, artifact in artifacts.items()}
