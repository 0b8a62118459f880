"""The stage that chooses: a pool and its teacher scores in, groups of fixed size out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..draws import generator
from ..errors import BadInput, UsageError
from ..groups import GroupArrays, groups_table
from ..names import nearest
from ..pool import Pool
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import groups_schema
from .base import FILTERS, STRATEGIES, Candidates, Filter, Strategy
from .candidates import NotFinite, PoolRows, ScoreRows, TextCopies

_SHARD_PAIRS = 4_000_000
_CHOICES = {
    "positives": ("first", "all"),
    "when_short": ("drop_query", "error"),
    "missing": ("error", "drop_doc", "drop_query"),
}


def select_groups(
    workspace: Workspace,
    strategy: str | Strategy,
    pool: Artifact | str,
    scores: Artifact | str,
    *,
    collection: Collection,
    split: str,
    size: int,
    seed: int = 0,
    filters: Sequence[str | Filter] = (),
    positives: str = "first",
    min_grade: int = 1,
    when_short: str = "drop_query",
    missing: str = "error",
    how: Execution = INLINE,
) -> Artifact:
    """Choose groups of `size` documents, the positive first, from a scored pool.

    One group per query, around its highest-graded positive (the lowest ordinal among equals);
    `positives="all"` makes one group for each. Documents graded `min_grade` or more, exact copies
    of their text, and empty documents never become negatives. `filters` remove candidates before
    the strategy chooses. A query with too few candidates is dropped with the reason
    `too_few_candidates`, or refused (`when_short="error"`). `missing` says what happens to a pool
    document without a teacher score: `error`, `drop_doc`, `drop_query`. A query without a usable
    positive is dropped as `no_positive`. Draws are keyed by (seed, query_id).

    Raises UsageError for a malformed request, BadInput for scores that are missing or not finite,
    and for a pool of another collection.
    """
    pool, scores = workspace.find(pool, "pool"), workspace.find(scores, "scores")
    given = {"positives": positives, "when_short": when_short, "missing": missing}
    _check_request(size, min_grade, given)
    _check_same_collection(pool, collection, split)
    bound = STRATEGIES.parse(strategy).bind(Pool(pool).labels)
    parameters = {
        "strategy": str(bound),
        "filters": [FILTERS.text(FILTERS.parse(f)) for f in filters],
        "split": split,
        "size": size,
        "seed": seed,
        "min_grade": min_grade,
        **given,
    }
    own = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    own["qrels"] = collection.qrels_artifact(split)
    paths = {"pool": pool, "scores": scores, "collection": collection.artifact}
    stage = Stage(
        kind="groups",
        parameters=parameters,
        inputs={**own, "pool": pool, "scores": scores},
        schema=groups_schema(size),
        shards=lambda: split_by_work(_candidates_per_query(pool), _SHARD_PAIRS),
        worker=Selector,
        options={role: str(artifact.path) for role, artifact in paths.items()} | parameters,
        metadata={
            "kind": scores.metadata["kind"],
            "teacher": scores.metadata.get("teacher", ""),
            "strategy": str(bound),
            "split": split,
        },
    )
    return workspace.build(stage, how)


def _check_request(size: int, min_grade: int, given: dict[str, str]) -> None:
    if not 2 <= size <= 1024:
        raise UsageError(f"size={size} is not a group size", do="choose 2 to 1024")
    if min_grade < 1:
        raise UsageError(
            f"min_grade={min_grade} is not a grade of positives", do="choose 1 or more"
        )
    for name, value in given.items():
        if value not in _CHOICES[name]:
            raise UsageError(f"{name}={value!r} is unknown", do=nearest(value, _CHOICES[name]))


def _check_same_collection(pool: Artifact, collection: Collection, split: str) -> None:
    same = all(
        pool.inputs.get(role) == artifact.fingerprint
        for role, artifact in (
            ("corpus", collection.corpus.artifact),
            ("queries", collection.queries.artifact),
        )
    )
    if not same:
        raise BadInput(
            "the pool was made from another collection",
            where=pool.path,
            do="name the collection that the pool was mined from",
        )
    if pool.metadata["split"] not in (split, EVERY_QUERY):
        raise BadInput(
            f"the pool holds the split {pool.metadata['split']!r}, not {split!r}",
            where=pool.path,
            do=f"select with the split {pool.metadata['split']!r}, or mine {split!r}",
        )


def _candidates_per_query(pool: Artifact) -> np.ndarray:
    lengths = [np.diff(part.offsets) for part in Pool(pool).parts()]
    return np.concatenate(lengths) + 1 if lengths else np.empty(0, np.int64)


@dataclass(slots=True)
class _Books:
    """Groups made and queries dropped by one shard."""

    size: int
    rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=list
    )
    dropped: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def drop(self, query: int, reason: str) -> None:
        self.dropped.setdefault(reason, []).append(query)

    def count(self, name: str, number: int) -> None:
        if number:
            self.counts[name] = self.counts.get(name, 0) + int(number)

    def output(self) -> Output:
        def stack(column: int, dtype: Any) -> np.ndarray:
            lists = [row[column] for row in self.rows]
            return np.array(lists, dtype=dtype).reshape(len(lists), self.size)

        query = np.array([row[0] for row in self.rows], dtype=np.uint32)
        arrays = GroupArrays(
            query,
            stack(1, np.uint32),
            stack(2, np.float32),
            stack(3, np.int8),
            stack(4, np.float32),
        )
        self.counts["pairs"] = arrays.doc.size
        return Output(groups_table(arrays), dropped=self.dropped, counts=self.counts)


class Selector:
    """The worker: chooses the groups of a range of queries."""

    def __init__(
        self,
        pool: str,
        scores: str,
        collection: str,
        split: str,
        strategy: str,
        filters: list[str],
        size: int,
        seed: int,
        **policy: Any,
    ):
        self.pool, self.scores = PoolRows(open_artifact(pool)), ScoreRows(open_artifact(scores))
        self.collection = Collection.at(collection)
        self.qrels = self.collection.qrels(split)
        self.empty = self.collection.corpus.empty
        self.copies = TextCopies(self.collection.corpus)
        self.strategy: Strategy = STRATEGIES.parse(strategy)
        self.filters: dict[str, Filter] = {text: FILTERS.parse(text) for text in filters}
        self.size, self.seed, self.policy = size, seed, policy

    def __call__(self, shard: Shard) -> Output:
        """Return the groups of pool rows start…stop−1."""
        books = _Books(self.size)
        rows = [self.pool.row(row) for row in range(shard.start, shard.stop)]
        query_ids = self.collection.queries.query_ids([query for query, _, _ in rows])
        for row, (query, docs, ranks), query_id in zip(
            range(shard.start, shard.stop), rows, query_ids, strict=True
        ):
            try:
                self._groups_of(row, query, query_id, docs, ranks, books)
            except NotFinite as found:
                raise found.refusal(self.collection, query_id, self.scores.artifact) from None
        return books.output()

    def _groups_of(
        self,
        row: int,
        query: int,
        query_id: str,
        docs: np.ndarray,
        ranks: dict[str, np.ndarray],
        books: _Books,
    ) -> None:
        """Add the groups of one query, or the reason why it has none."""
        judged, grades = self.qrels.of(query)
        good = (grades >= self.policy["min_grade"]) & ~np.isin(judged, self.empty)
        if not good.any():
            books.drop(query, "no_positive")
            return
        positives = judged[grades >= self.policy["min_grade"]]
        anchors = judged[good][np.argsort(-grades[good], kind="stable")]
        score = self.scores.of(query, docs)
        anchors = self._scored(query_id, docs, score, anchors)
        if not len(anchors):
            books.drop(query, "unscored")
            return
        allowed = self._allowed(docs, score, positives, books)
        made = 0
        for number, anchor in enumerate(anchors):
            candidates = Candidates(
                query_id=query_id,
                doc=docs,
                score=score,
                kind=self.scores.kind,
                rank=ranks,
                allowed=allowed.copy(),
                positive=int(np.searchsorted(docs, anchor)),
                reached=self.pool.reached(row, docs),
            )
            made += self._group(query, number, candidates, judged, grades, books)
        books.count("groups_short", len(anchors) - made)
        if not made:
            books.drop(query, "too_few_candidates")

    def _allowed(
        self, docs: np.ndarray, score: np.ndarray, positives: np.ndarray, books: _Books
    ) -> np.ndarray:
        """Say which pool documents may be negatives, and count those that may not."""
        positive = np.isin(docs, positives)
        empty = np.isin(docs, self.empty) & ~positive
        copies = self.copies.among(docs, positives) & ~positive & ~empty
        books.count("excluded:positive", positive.sum())
        books.count("excluded:empty", empty.sum())
        books.count("excluded:copy_of_positive", copies.sum())
        return ~(positive | empty | copies) & ~np.isnan(score)

    def _scored(
        self, query_id: str, docs: np.ndarray, score: np.ndarray, anchors: np.ndarray
    ) -> np.ndarray:
        """Return the positives to build groups around; none of them where the policy drops the
        query.

        Raises BadInput where a score is missing and the policy is `error`.
        """
        place = np.minimum(np.searchsorted(docs, anchors), max(0, len(docs) - 1))
        known = docs[place] == anchors if len(docs) else np.zeros(len(anchors), dtype=bool)
        known[known] = ~np.isnan(score[place[known]])
        wanted = len(anchors) if self.policy["positives"] == "all" else 1
        if self.policy["missing"] == "drop_doc":
            return anchors[known][:wanted]
        holes = np.concatenate([anchors[:wanted][~known[:wanted]], docs[np.isnan(score)]])
        if not len(holes):
            return anchors[:wanted]
        if self.policy["missing"] == "drop_query":
            return anchors[:0]
        doc_id = self.collection.corpus.doc_id(int(holes[0]))
        raise BadInput(
            f"query {query_id!r}: document {doc_id!r} has no teacher score",
            where=self.scores.artifact.path,
            do="pool with positives and score that pool, or choose missing=drop_doc or drop_query",
        )

    def _group(
        self,
        query: int,
        number: int,
        candidates: Candidates,
        judged: np.ndarray,
        grades: np.ndarray,
        books: _Books,
    ) -> int:
        """Add one group; returns how many were added, 0 or 1."""
        for text, one in self.filters.items():
            kept = one.keeps(candidates)
            books.count(f"filtered:{text}", (candidates.allowed & ~kept).sum())
            candidates.allowed &= kept
        reach = self.strategy.reach(candidates)
        wanted = self.size - 1
        if len(reach) < wanted:
            if self.policy["when_short"] == "error":
                raise BadInput(
                    f"query {candidates.query_id!r} has {len(reach)} candidates, "
                    f"a group of {self.size} needs {wanted}",
                    where=str(self.strategy),
                    do="mine deeper, filter less, choose smaller groups or when_short=drop_query",
                )
            return 0
        key = candidates.query_id if number == 0 else f"{candidates.query_id}\x00{number}"
        draws = generator(self.seed, "select", key)
        chosen, inclusion = self.strategy.choose(candidates, reach, wanted, draws)
        items = np.concatenate([[candidates.positive], chosen]).astype(np.int64)
        doc = candidates.doc[items]
        place = np.minimum(np.searchsorted(judged, doc), len(judged) - 1)
        grade = np.where(judged[place] == doc, grades[place], 0).clip(-128, 127)
        books.rows.append(
            (query, doc, candidates.score[items], grade, np.concatenate([[1.0], inclusion]))
        )
        return 1
