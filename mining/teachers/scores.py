"""Scoring the pairs of a pool, and the shared score store: a pair is scored once per teacher.

Before a shard is scored, its pairs are looked up in every finished scores artifact of the same
teacher over the same texts. Because a score is a pure function of the pair, a looked-up score has
the bits that scoring again would give, and the artifact is the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import Collection, Corpus, Queries
from ..errors import BadInput
from ..models import resolve
from ..names import Call, parse
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import SCORES, list_values
from .base import PREPARERS, TEACHERS, Prepared, Scored, Scorer
from .bi_encoder import BiEncoder
from .causal_lm import CausalLm
from .cross_encoder import CrossEncoder
from .seq2seq import Seq2Seq

_SHARD_WORK = 1 << 19  # tokens: about a minute of a small cross-encoder on two cores
_SHOWN = 3
_KINDS: dict[str, Callable[[str], Any]] = {  # by the architecture that the config names
    "ForSequenceClassification": CrossEncoder,
    "ForCausalLM": CausalLm,
    "ForConditionalGeneration": Seq2Seq,
}


def teacher_of(text: Any) -> Any:
    """Return a teacher value from its canonical text, or from a model's path alone.

    A checkpoint with a classification head becomes a cross-encoder, a language model one that is
    asked for yes or no, an encoder-decoder one for true or false, any other a bi-encoder.
    """
    if type(text) in PREPARERS:
        return text
    parsed = parse(text) if isinstance(text, str) and not Path(text).exists() else str(text)
    if isinstance(parsed, Call) or parsed in TEACHERS.names():
        return TEACHERS.parse(parsed)
    model = resolve(str(parsed))
    for ending, kind in _KINDS.items():
        if any(head.endswith(ending) for head in model.heads):
            return kind(str(parsed))
    return BiEncoder(str(parsed))


def score_pool(
    workspace: Workspace,
    teacher: Any,
    pool: Artifact,
    *,
    collection: Collection | None = None,
    how: Execution = INLINE,
) -> Artifact:
    """Score every (query, document) pair of a pool, or of a run, with a teacher.

    `teacher`: a value, its canonical text, or a model's path. Returns a "scores" artifact whose
    rows are those of the pool, documents ascending; the score kind is in `metadata["kind"]`.
    The ledger counts `pairs_asked`, `pairs_scored` and `pairs_reused`.

    Raises BadInput for an unusable model, a pool of another collection, and pairs whose score is
    not finite even in float32.
    """
    value = teacher_of(teacher)
    corpus, queries = pool.input("corpus"), pool.input("queries")
    if collection is not None and collection.corpus.artifact.fingerprint != corpus.fingerprint:
        raise BadInput(
            "the pool was made from another collection",
            where=pool.path,
            do="name the collection that the pool was mined from",
        )
    prepared = PREPARERS[type(value)](workspace, value, corpus, queries, how)
    stage = Stage(
        kind="scores",
        parameters={"teacher": prepared.label, "kind": prepared.kind, **prepared.parameters},
        inputs={"pool": pool, "corpus": corpus, "queries": queries, **prepared.inputs},
        schema=SCORES,
        shards=lambda: split_by_work(_work_per_row(pool, prepared.pair_work), _SHARD_WORK),
        worker=ScoreWorker,
        options={
            "pool": str(pool.path),
            "make": prepared.make,
            "scorer": dict(prepared.options),
            "earlier": [str(a.path) for a in earlier_scores(workspace, prepared, pool)],
        },
        metadata={
            "teacher": prepared.label,
            "kind": prepared.kind,
            "revision": str(prepared.parameters["model"]),
            **prepared.metadata,
        },
        gpus=prepared.gpus,
    )
    return workspace.build(stage, how)


def earlier_scores(workspace: Workspace, prepared: Prepared, pool: Artifact) -> list[Artifact]:
    """Return the finished scores of the same teacher over the same corpus and queries."""
    wanted = {"teacher": prepared.label, "kind": prepared.kind, **prepared.parameters}
    texts = {role: pool.inputs[role] for role in ("corpus", "queries")}
    return [
        artifact
        for artifact in workspace.artifacts("scores")
        if artifact.parameters == wanted
        and {role: artifact.inputs.get(role) for role in texts} == texts
    ]


class ScoreWorker:
    """Scores rows of a pool; loads the teacher only when a pair is not in the store yet."""

    def __init__(
        self,
        pool: str,
        make: Callable[..., Scorer],
        scorer: Mapping[str, Any],
        earlier: list[str],
    ):
        self.pool = PairLists(open_artifact(pool))
        self.make, self.options = make, scorer
        self.earlier = [PairScores(open_artifact(path)) for path in earlier]
        self._scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """The teacher, loaded at first use."""
        if self._scorer is None:
            self._scorer = self.make(**self.options)
        return self._scorer

    def __call__(self, shard: Shard) -> Output:
        """Return the scores of pool rows start…stop−1."""
        queries, offsets, doc = self.pool.rows(shard.start, shard.stop)
        query = np.repeat(queries, np.diff(offsets))
        scores, missing = self._known(query, doc)
        usage: dict[str, float] = {"pairs_asked": len(doc), "pairs_scored": int(missing.sum())}
        usage["pairs_reused"] = len(doc) - usage["pairs_scored"]
        if missing.any():
            scored = self._finite(query[missing], doc[missing])
            scores[missing] = scored.scores
            usage |= scored.usage
        cut = self.scorer.truncated(query, doc) if len(doc) else 0
        bounds = pa.array(offsets.astype(np.int32))
        lists = [pa.ListArray.from_arrays(bounds, pa.array(v)) for v in (doc, scores)]
        return Output(
            pa.Table.from_arrays([pa.array(queries), *lists], schema=SCORES),
            counts={"pairs": len(doc), "truncated": cut},
            usage=usage,
        )

    def _known(self, query: np.ndarray, doc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, missing) after looking into the earlier artifacts."""
        scores = np.full(len(doc), np.nan, dtype=np.float32)
        missing = np.ones(len(doc), dtype=bool)
        for store in self.earlier:
            if not missing.any():
                break
            store.fill(query, doc, scores, missing)
        return scores, missing

    def _finite(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Score pairs; what is not finite is scored once more in float32, then refused."""
        scored = self.scorer.score(query, doc)
        bad = ~np.isfinite(scored.scores)
        if not bad.any():
            return scored
        again = self.scorer.score_again(query[bad], doc[bad])
        scores = scored.scores.copy()
        scores[bad] = again.scores
        usage = {
            key: scored.usage.get(key, 0) + again.usage.get(key, 0)
            for key in {*scored.usage, *again.usage}
        }
        usage["pairs_again"] = int(bad.sum())
        still = np.flatnonzero(~np.isfinite(scores))
        if len(still):
            raise self._refusal(query[still], doc[still], scores[still])
        return Scored(scores, usage)

    def _refusal(self, query: np.ndarray, doc: np.ndarray, scores: np.ndarray) -> BadInput:
        artifact = self.pool.artifact
        query_ids = Queries(artifact.input("queries")).query_ids(query[:_SHOWN])
        doc_ids = Corpus(artifact.input("corpus")).doc_ids(doc[:_SHOWN])
        pairs = ", ".join(
            f"query {q!r} with document {d!r}: {s}"
            for q, d, s in zip(query_ids, doc_ids, scores, strict=False)
        )
        return BadInput(
            f"the teacher gives {len(query)} scores that are not finite, also in float32: {pairs}",
            where=artifact.path,
            do="look at these texts; use another teacher or leave these queries out",
        )


class PairLists:
    """The (query, documents) rows of a pool or a run, documents ascending."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self._sorted = artifact.kind == "pool"

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (queries uint32 [n], offsets int64 [n+1], docs uint32) of rows start…stop−1."""
        queries, lengths, docs = [], [], []
        for part in self.artifact.parts:
            low, high = max(start, part.start), min(stop, part.start + part.rows)
            if low >= high:
                continue
            table = self.artifact.table(part.number)
            offsets, values = list_values(table["doc"])
            low, high = low - part.start, high - part.start
            queries.append(table["query"].to_numpy()[low:high])
            lengths.append(np.diff(offsets[low : high + 1]))
            docs.append(values[offsets[low] : offsets[high]])
        query = np.concatenate(queries) if queries else np.empty(0, np.uint32)
        each = np.concatenate(lengths) if lengths else np.empty(0, np.int64)
        doc = np.concatenate(docs) if docs else np.empty(0, np.uint32)
        if not self._sorted:
            doc = doc[np.lexsort((doc, np.repeat(np.arange(len(query)), each)))]
        return query, np.concatenate([[0], np.cumsum(each)]), doc


class PairScores:
    """Finished scores as a lookup from (query, doc) to score."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact

    def fill(
        self, query: np.ndarray, doc: np.ndarray, scores: np.ndarray, missing: np.ndarray
    ) -> None:
        """Write the scores found for pairs still `missing` and clear their mark.

        `query`, `doc`: uint32 [n], ascending as pairs; `scores` float32 and `missing` bool [n].
        """
        wanted = pair_keys(query, doc)
        for keys, values in self._overlapping(int(query[0]), int(query[-1])):
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found = missing & (keys[at] == wanted)
            scores[found] = values[at[found]]
            missing &= ~found

    def _overlapping(self, first: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (keys, scores) of the rows of queries first…last, part by part."""
        for part in self.artifact.parts:
            table = self.artifact.table(part.number)
            queries = table["query"].to_numpy()
            low, high = np.searchsorted(queries, [first, last + 1])
            if low == high:
                continue
            offsets, docs = list_values(table["doc"])
            _, values = list_values(table["logit"])
            piece = slice(offsets[low], offsets[high])
            query = np.repeat(queries[low:high], np.diff(offsets[low : high + 1]))
            if len(query):
                yield pair_keys(query, docs[piece]), values[piece]


def pair_keys(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
    """Return one uint64 per pair that sorts as (query, doc) does."""
    return (query.astype(np.uint64) << np.uint64(32)) | doc.astype(np.uint64)


def _work_per_row(
    pool: Artifact, pair_work: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return what scoring each row of the pool costs: int64 [rows]."""
    lists, work = PairLists(pool), []
    for part in pool.parts:
        queries, offsets, doc = lists.rows(part.start, part.start + part.rows)
        each = pair_work(np.repeat(queries, np.diff(offsets)), doc).astype(np.int64)
        total = np.concatenate([[0], np.cumsum(each)])
        work.append(np.diff(total[offsets]))
    return np.concatenate(work) if work else np.zeros(0, np.int64)
