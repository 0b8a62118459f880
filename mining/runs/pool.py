"""The pool: one row per query with every candidate of every run, and who found it at which rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.rows import check_min_grade
from ..errors import BadInput, UsageError
from ..names import unless_neutral
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import list_values, pool_schema
from .itself import COUNT, pairs_of_split, without
from .run import Run, check_same_queries, unanswered
from .union import Lists, union_of

_SHARD_PAIRS = 4_000_000


def pool_runs(
    workspace: Workspace,
    runs: Sequence[Artifact | str],
    *,
    collection: Collection,
    split: str,
    positives: bool = True,
    min_grade: int = 1,
    depth: int | None = None,
    self_rule: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Join runs into a pool artifact: per query the union of documents, ascending.

    `runs`: artifacts or names, all over this collection and split. Each gives two columns,
    `rank[<label>]` (1-based, 0 = not found) and `score[<label>]` (NaN = not found), where the label
    is the run's source. `positives` adds the judged positives of the split, graded `min_grade` or
    more, that no run found (rank 0 everywhere), except empty documents. `depth` takes only the
    first `depth` of each list. `self_rule`: documents that are the query itself are taken out of
    the lists and counted, see `mining.runs.itself`; by default that of the collection.

    Raises BadInput for runs of another collection or split and for two runs with one label.
    """
    opened = [Run(workspace.find(run, "run")) for run in runs]
    _check_request(opened, depth, min_grade)
    for run in opened:
        check_same_queries(run, collection, split)
    labels = _distinct_labels(opened)
    inputs = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    if split != EVERY_QUERY:
        inputs["qrels"] = collection.qrels_artifact(split)
    positives = positives and split != EVERY_QUERY
    inputs |= {f"run[{number}]": run.artifact for number, run in enumerate(opened)}
    rule = collection.self_rule if self_rule is None else self_rule
    pairs = pairs_of_split(collection, split, rule)
    stage = Stage(
        kind="pool",
        parameters={"split": split, "positives": positives, "depth": depth}
        | unless_neutral(min_grade=(min_grade, 1))
        | ({"self_rule": rule} if len(pairs) else {}),
        inputs=inputs,
        schema=pool_schema(labels),
        shards=lambda: _plan(opened),
        unit="pairs",
        worker=Pooler,
        options={
            "runs": [str(run.artifact.path) for run in opened],
            "judged": str(collection.artifact.path) if positives else None,
            "split": split,
            "depth": depth,
            "min_grade": min_grade,
            "pairs": pairs,
        },
        metadata={"split": split},
    )
    return workspace.build(stage, executor)


def _plan(runs: list[Run]) -> list[Shard]:
    lengths = [np.diff(part.offsets) for run in runs for part in run.parts()]
    work = np.concatenate(lengths).reshape(len(runs), -1).sum(axis=0)
    return split_by_work(work + 1, _SHARD_PAIRS)


def _check_request(runs: list[Run], depth: int | None, min_grade: int) -> None:
    if not runs:
        raise UsageError("a pool needs at least one run", do="name one or more runs")
    if depth is not None and depth < 1:
        raise UsageError(f"depth={depth} must be at least 1")
    check_min_grade(min_grade)


def _distinct_labels(runs: list[Run]) -> list[str]:
    labels: dict[str, Run] = {}
    for run in runs:
        if run.label in labels:
            first = labels[run.label].artifact
            if first.fingerprint == run.artifact.fingerprint:
                raise BadInput(
                    f"the run {run.label!r} is given twice ({first.fingerprint[:12]})",
                    where=first.path,
                    do="name it once",
                )
            raise BadInput(
                f"two runs are called {run.label!r}: a pool column must have one meaning",
                where=f"{first.path} and {run.artifact.path}",
                do="pool one of them; for an imported run choose another tag",
            )
        labels[run.label] = run
    return list(labels)


class Pooler:
    """Joins the lists of a range of queries."""

    def __init__(
        self,
        runs: list[str],
        judged: str | None,
        split: str,
        depth: int | None,
        min_grade: int = 1,
        pairs: np.ndarray | None = None,
    ):
        self.pairs = np.empty(0, np.uint64) if pairs is None else pairs
        self.runs = [Run(open_artifact(path)) for path in runs]
        self.depth = depth
        self.positives = _positives_of(Collection.at(judged), split, min_grade) if judged else None
        self.schema = pool_schema([run.label for run in self.runs])

    def __call__(self, shard: Shard) -> Output:
        """Return the pool of queries `start…stop−1` of the split."""
        queries = self.runs[0].queries[shard.start : shard.stop]
        whole = [run.lists(shard.start, shard.stop) for run in self.runs]
        kept = [without(self.pairs, queries, lists) for lists in whole]
        lists = [_cut(one, self.depth) for one in kept]
        gone = sum(len(a[1]) - len(b[1]) for a, b in zip(whole, kept, strict=True))
        union = union_of(lists, self._positives_for(queries))
        bounds = pa.array(union.offsets.astype(np.int32))
        columns = [pa.array(queries), pa.ListArray.from_arrays(bounds, pa.array(union.docs))]
        for ranks, scores in zip(union.ranks, union.scores, strict=True):
            columns.append(pa.ListArray.from_arrays(bounds, pa.array(ranks)))
            columns.append(pa.ListArray.from_arrays(bounds, pa.array(scores)))
        table = pa.Table.from_arrays(columns, schema=self.schema)
        found = union.ranks.max(axis=0, initial=0) > 0
        counts = {"pairs": len(union.docs)}
        if self.positives is not None:  # else nobody has looked
            counts["positives_not_found"] = int((~found).sum())
        per_query = np.diff(np.concatenate([[0], np.cumsum(found)])[union.offsets])
        counts |= {COUNT: gone} if gone else {}
        return Output(table, counts=counts | unanswered(int((per_query == 0).sum())))

    def _positives_for(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if self.positives is None:
            return None
        query, doc = self.positives
        starts = np.searchsorted(query, queries)
        ends = np.searchsorted(query, queries, side="right")
        if not len(queries):
            return np.zeros(1, dtype=np.int64), doc[:0]
        # Both are sorted by query, so a range of the split's queries is a range of judgements.
        offsets = np.concatenate([starts, ends[-1:]]) - starts[0]
        return offsets, doc[starts[0] : ends[-1]]


def _positives_of(
    collection: Collection, split: str, min_grade: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (query, doc) of the split's positives that can be mined, sorted."""
    qrels = collection.qrels(split)
    chosen = (qrels.grade >= min_grade) & ~np.isin(qrels.doc, collection.corpus.empty)
    return qrels.query[chosen], qrels.doc[chosen]


def _cut(lists: Lists, depth: int | None) -> Lists:
    if depth is None:
        return lists
    offsets, docs, scores = lists
    lengths = np.diff(offsets)
    place = np.arange(len(docs)) - np.repeat(offsets[:-1], lengths)
    kept = place < depth
    cut = np.concatenate([[0], np.cumsum(np.minimum(lengths, depth))])
    return cut, docs[kept], scores[kept]


class Pool:
    """A pool, read: arrays of each part as views of the mapped file."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.split: str = artifact.metadata["split"]
        self.min_grade = int(artifact.parameters.get("min_grade", 1))
        self.labels = tuple(
            name.removeprefix("rank[").rpartition("]: ")[0]
            for name in artifact.manifest["schema"][""]
            if name.startswith("rank[")
        )
        self._parts: dict[int, PoolPart] = {}

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact) -> Pool:
        """Open a pool by name, fingerprint or artifact."""
        return cls(workspace.find(name, "pool"))

    @property
    def drawn(self) -> frozenset[str]:
        """Labels of the sources whose lists were drawn, as `random` does, and not ranked."""
        roles = [role for role in self.artifact.inputs if role.startswith("run[")]
        runs = [Run(self.artifact.input(role)) for role in roles]
        return frozenset(run.label for run in runs if run.drawn)

    def __len__(self) -> int:
        return self.artifact.rows

    def part(self, number: int) -> PoolPart:
        """Return the arrays of one part, mapped and checked once."""
        if number not in self._parts:
            self._parts[number] = PoolPart(self.artifact.table(number), self.labels)
        return self._parts[number]

    def parts(self) -> list[PoolPart]:
        """Return the arrays of every part, in order of queries."""
        return [self.part(part.number) for part in self.artifact.parts]


class PoolPart:
    """One part of a pool: query [n], offsets [n+1], doc [pairs], and rank, score by label [pairs].

    `rank[label]` uint16, 0 = not found; `score[label]` float32, NaN = not found.
    """

    def __init__(self, table: pa.Table, labels: Sequence[str]):
        self.query: np.ndarray = table["query"].to_numpy()
        self.offsets, self.doc = list_values(table["doc"])
        self.rank = {label: list_values(table[f"rank[{label}]"])[1] for label in labels}
        self.score = {label: list_values(table[f"score[{label}]"])[1] for label in labels}
