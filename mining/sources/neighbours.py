"""The neighbours source: documents nearest to the query's positive, not to the query.

Candidates that lie close to what the query wants are hard in another way than those that match its
words; pooled beside other sources, the column of ranks says which documents came this way.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.rows import Qrels, check_min_grade
from ..errors import UsageError
from ..models.folder import ModelFolder, resolve
from ..models.precision import settle_compute
from ..models.prompts import written_out
from ..models.vectors import Vectors
from ..names import neutral
from ..parts.costs import ENCODER
from ..parts.parameters import MIN_GRADE
from ..runs.run import build_run, run_table
from ..search.dense import DenseWorker, query_blocks
from ..store import Artifact, Output, Shard, Workspace, open_artifact
from ..store.tables import list_values
from .base import SOURCES, mines
from .dense import Dense, vectors_by


@SOURCES.register("neighbours", ENCODER)
@dataclass(frozen=True, slots=True)
class Neighbours(Dense):
    """Documents nearest to the query's best positive by inner product, the positive left out.

    The best positive has the highest grade, at least `min_grade` (1), then the lowest ordinal.
    Queries without a positive have empty lists. Parameters as those of `dense`, without its index:
    the search is exact.
    """

    min_grade: Annotated[int, MIN_GRADE] = neutral(1)

    def __post_init__(self) -> None:
        Dense.__post_init__(self)
        check_min_grade(self.min_grade)
        if self.index is not None:
            raise UsageError("neighbours are searched exactly", do="leave index and probe out")
        if self.query_prompt is not None:
            raise UsageError(
                f"query_prompt={self.query_prompt!r}: neighbours encode no queries, the vectors of "
                "their positives are searched with",
                do="leave query_prompt out; prompt= stands before documents",
            )


@mines(Neighbours)
def mine_neighbours(
    workspace: Workspace,
    source: Neighbours,
    collection: Collection,
    split: str,
    depth: int,
    seed: int = 0,
    executor: Execution = INLINE,
) -> Artifact:
    """Mine the `depth` nearest documents of each query's positive; returns a run artifact.

    Raises UsageError for the split of every query, which has no positives.
    """
    if split == EVERY_QUERY:
        raise UsageError("neighbours of positives need judgements", do="name a judged split")
    source = replace(source, compute=settle_compute(source.compute, executor.progress))
    model = resolve(source.model)
    source = _documents_alone(source, model)
    vectors = vectors_by(workspace, source, model, collection.corpus.artifact, executor)
    queries = collection.split_queries(split)
    return build_run(
        workspace,
        SOURCES.text(replace(source, model=model.tag)),
        collection,
        split,
        depth=depth,
        worker=NeighbourWorker,
        options={
            "docs": str(vectors.path),
            "corpus": str(collection.corpus.artifact.path),
            "qrels": str(collection.qrels_artifact(split).path),
            "split_queries": queries,
            "depth": depth,
            "min_grade": source.min_grade,
        },
        shards=lambda: query_blocks(len(queries)),
        inputs={"doc_vectors": vectors},
        metadata={"model": model.tag},
        unit="queries",
        executor=executor,
    )


def _documents_alone(source: Neighbours, model: ModelFolder) -> Neighbours:
    """Return the plain value of a preset, of which the documents' half counts here."""
    said = {field.name: getattr(source, field.name) for field in fields(Dense)}
    plain = written_out(Dense(**said), model)
    names = ("preset", "prompt", "pooling", "normalise")
    return replace(source, **{name: getattr(plain, name) for name in names})


class _Anchors:
    """The vector of a query's positive in place of the query's own."""

    def __init__(self, docs: Vectors, anchor: dict[int, int]):
        self.docs, self.anchor, self.width = docs, anchor, docs.width
        self.artifact = docs.artifact

    def rows(self, queries: np.ndarray) -> np.ndarray:
        """Return float32 [n, width]."""
        return self.docs.rows(np.array([self.anchor[int(q)] for q in queries], np.int64))


class NeighbourWorker:
    """Searches blocks of queries by the vectors of their positives."""

    def __init__(
        self,
        docs: str,
        corpus: str,
        qrels: str,
        split_queries: np.ndarray,
        depth: int,
        min_grade: int = 1,
    ):
        self.dense = DenseWorker(docs, docs, corpus, split_queries, depth + 1)
        self.anchor = best_positives(Qrels(open_artifact(qrels)), self.dense.empty, min_grade)
        self.dense.queries = _Anchors(self.dense.docs, self.anchor)  # type: ignore[assignment]
        self.split_queries, self.depth = split_queries, depth

    def __call__(self, shard: Shard) -> Output:
        """Return the ranked lists of split queries start…stop−1."""
        queries = self.split_queries[shard.start : shard.stop]
        known = np.array([int(q) in self.anchor for q in queries], dtype=bool)
        self.dense.split_queries = queries[known]
        mined = self.dense(Shard(0, 0, int(known.sum())))
        offsets, docs = list_values(mined.table["doc"])
        scores = list_values(mined.table["score"])[1]
        anchors = np.array([self.anchor[int(q)] for q in queries[known]], np.int64)
        kept = docs != np.repeat(anchors, np.diff(offsets))  # itself, by id
        owner = np.repeat(np.flatnonzero(known), np.diff(offsets))[kept]
        docs, scores = docs[kept], scores[kept]
        counts = np.bincount(owner, minlength=len(queries))
        place = np.arange(len(docs)) - np.repeat(np.cumsum(counts) - counts, counts)
        docs, scores = docs[place < self.depth], scores[place < self.depth]
        bounds = np.concatenate([[0], np.cumsum(np.minimum(counts, self.depth))])
        return Output(run_table(queries, bounds, docs, scores), usage=mined.usage)


def best_positives(qrels: Qrels, empty: np.ndarray, min_grade: int = 1) -> dict[int, int]:
    """Return the document of the highest grade of every query, ties to the lowest ordinal."""
    good = (qrels.grade >= min_grade) & ~np.isin(qrels.doc, empty)
    query, doc, grade = qrels.query[good], qrels.doc[good], qrels.grade[good]
    order = np.lexsort((doc, -grade.astype(np.int64), query))
    first = np.unique(query[order], return_index=True)[1]
    return dict(zip(query[order][first].tolist(), doc[order][first].tolist(), strict=True))
