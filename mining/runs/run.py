"""Runs: how sources write them, and how they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..errors import BadInput
from ..foreign import is_foreign
from ..store import Artifact, Output, Shard, Stage, Workspace
from ..store.tables import DRAWN_RUN, RUN, list_values

if TYPE_CHECKING:
    from ..store import Worker

WITHOUT_CANDIDATES = "queries_without_candidates"


def build_run(
    workspace: Workspace,
    label: str,
    collection: Collection,
    split: str,
    *,
    depth: int | None,
    worker: Callable[..., Worker],
    options: Mapping[str, Any],
    shards: Callable[[], list[Shard]],
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Artifact] | None = None,
    metadata: Mapping[str, str] | None = None,
    drawn: bool = False,
    gpus: int = 0,
    unit: str = "pairs",
    check: Callable[[], object] | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Build a run over the queries of a split: the one way in which sources write runs.

    `label`: the source's canonical text, with content tags in place of paths and names; it becomes
    the pool's column names. Shards are ranges of `collection.split_queries(split)`, so that the
    worker answers for query `split_queries[start:stop]`. `parameters` and `inputs` are what else
    can change the result (an index, an encoder's vectors, a seed). The run's own inputs are the
    corpus, the queries and the split's qrels, so that another split's judgements do not change its
    fingerprint. `check` is called before anything is written, and only when there is work to do.
    Queries with an empty list are counted in the manifest (`queries_without_candidates`).
    """
    own = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    if split != EVERY_QUERY:
        own["qrels"] = collection.qrels_artifact(split)
    stage = Stage(
        kind="run",
        parameters={"source": label, "split": split, "depth": depth, **(parameters or {})},
        inputs={**own, **(inputs or {})},
        schema=DRAWN_RUN if drawn else RUN,
        shards=shards,
        worker=worker if is_foreign(worker) else Counted(worker),
        options=options,
        metadata={"source": label, "split": split, **(metadata or {})},
        unit=unit,
        items="queries",
        gpus=gpus,
        check=check,
    )
    return workspace.build(stage, executor)


class Counted:
    """The constructor of a worker whose runs say how many of their lists are empty."""

    def __init__(self, worker: Callable[..., Worker]):
        self.worker = worker

    def __call__(self, **options: Any) -> Worker:
        """Make the worker."""
        return _Counting(self.worker(**options))


class _Counting:
    def __init__(self, worker: Worker):
        self.worker = worker

    def __call__(self, shard: Shard) -> Output:
        output = self.worker(shard)
        lengths = np.diff(list_values(output.table["doc"])[0])
        return dataclasses.replace(
            output, counts={**output.counts, **unanswered(int((lengths == 0).sum()))}
        )


def unanswered(queries: int) -> dict[str, int]:
    """Return the count of queries that got nothing, as manifests have it; none where all did."""
    return {WITHOUT_CANDIDATES: queries} if queries else {}


def run_table(
    queries: np.ndarray,
    offsets: np.ndarray,
    docs: np.ndarray,
    scores: np.ndarray,
    inclusion: np.ndarray | None = None,
) -> pa.Table:
    """Return the table of a run, zero copy where dtypes fit.

    `queries` uint32 [n] ascending; `offsets` int [n+1] into the flat `docs` uint32, `scores`
    float32 and, for a drawn run, `inclusion` float32. Lists are best first, ties by document
    ordinal.
    """
    bounds = pa.array(np.ascontiguousarray(offsets, dtype=np.int32))

    def lists(values: np.ndarray, dtype: type) -> pa.ListArray:
        flat = pa.array(np.ascontiguousarray(values, dtype=dtype))
        return pa.ListArray.from_arrays(bounds, flat)

    columns: list[pa.Array] = [
        pa.array(np.ascontiguousarray(queries, dtype=np.uint32)),
        lists(docs, np.uint32),
        lists(scores, np.float32),
    ]
    if inclusion is None:
        return pa.Table.from_arrays(columns, schema=RUN)
    return pa.Table.from_arrays([*columns, lists(inclusion, np.float32)], schema=DRAWN_RUN)


class Run:
    """A run, read: documents and scores of each query as views of the mapped parts."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.label: str = artifact.metadata["source"]
        self.split: str = artifact.metadata["split"]
        self.drawn = any("inclusion" in name for name in artifact.manifest["schema"][""])
        self._starts = np.asarray([p.start for p in artifact.parts], dtype=np.int64)
        self._parts: dict[int, RunPart] = {}

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact) -> Run:
        """Open a run by name, fingerprint or artifact."""
        return cls(workspace.find(name, "run"))

    def __len__(self) -> int:
        return self.artifact.rows

    def part(self, number: int) -> RunPart:
        """Return the arrays of one part, mapped and checked once."""
        if number not in self._parts:
            self._parts[number] = RunPart(self.artifact.table(number))
        return self._parts[number]

    def parts(self) -> list[RunPart]:
        """Return the arrays of every part, in order of queries."""
        return [self.part(p.number) for p in self.artifact.parts]

    def row(self, row: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Return (query, docs, scores) of one row, best first."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        part = self.part(self.artifact.parts[number].number)
        at = row - int(self._starts[number])
        low, high = part.offsets[at], part.offsets[at + 1]
        return int(part.query[at]), part.doc[low:high], part.score[low:high]

    @property
    def queries(self) -> np.ndarray:
        """The queries of all rows: uint32, ascending."""
        parts = [part.query for part in self.parts()]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)

    def lists(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (offsets int64 from 0, docs, scores) of rows start…stop−1.

        A view when the rows lie in one part, a copy of those rows otherwise.
        """
        pieces = []
        for part, record in zip(self.parts(), self.artifact.parts, strict=True):
            low, high = max(start, record.start), min(stop, record.start + record.rows)
            if low < high:
                pieces.append(part.slice(low - record.start, high - record.start))
        if len(pieces) == 1:
            return pieces[0]
        if not pieces:
            return np.zeros(1, np.int64), np.empty(0, np.uint32), np.empty(0, np.float32)
        ends = np.cumsum([0, *(len(docs) for _, docs, _ in pieces)])
        offsets = [o[:-1] + e for (o, _, _), e in zip(pieces, ends[:-1], strict=True)]
        return (
            np.concatenate([*offsets, ends[-1:]]),
            np.concatenate([docs for _, docs, _ in pieces]),
            np.concatenate([scores for _, _, scores in pieces]),
        )


class RunPart:
    """One part of a run as arrays: query [n], offsets [n+1], and flat doc, score, inclusion."""

    def __init__(self, table: pa.Table):
        self.query: np.ndarray = table["query"].to_numpy()
        self.offsets, self.doc = list_values(table["doc"])
        _, self.score = list_values(table["score"])
        self.inclusion: np.ndarray | None = None
        if "inclusion" in table.column_names:
            _, self.inclusion = list_values(table["inclusion"])

    def slice(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (offsets from 0, docs, scores) of rows start…stop−1, as views."""
        low, high = int(self.offsets[start]), int(self.offsets[stop])
        return self.offsets[start : stop + 1] - low, self.doc[low:high], self.score[low:high]


def check_same_queries(run: Run, collection: Collection, split: str) -> None:
    """Raise BadInput unless the run was mined from this corpus for the queries of this split."""
    if run.split != split:
        raise BadInput(
            f"the run {run.label} is over split {run.split!r}, {split!r} is needed",
            where=run.artifact.path,
            do=f"mine it with --split {split}",
        )
    same = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    for role, artifact in same.items():
        if run.artifact.inputs[role] != artifact.fingerprint:
            raise BadInput(
                f"the run {run.label} was mined from another collection (its {role} differ)",
                where=run.artifact.path,
                do="mine it from this collection",
            )
