"""Small artifacts of kinds groups, scores and vectors, built through the store for tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rankmill.mining.groups.format import GroupArrays, groups_table
from rankmill.mining.store import Output, Shard, Stage
from rankmill.mining.store.tables import SCORES, groups_schema, vectors_schema


class Given:
    """A worker that hands out rows of a table made beforehand."""

    def __init__(self, table):
        self.table = table

    def __call__(self, shard):
        return Output(self.table.slice(shard.start, shard.stop - shard.start))


def given(workspace, kind, table, schema, parameters, parts=1, metadata=None, keys=None):
    """Publish a table as an artifact of `kind` in about equal parts."""
    n = len(table) if keys is None else keys
    cuts = np.linspace(0, n, parts + 1).astype(int)
    shards = [
        Shard(i, int(a), int(b)) for i, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]
    stage = Stage(
        kind=kind,
        parameters={"test": len(table), **parameters},
        inputs={},
        schema=schema,
        shards=lambda: shards,
        worker=Given,
        options={"table": table},
        metadata=metadata or {},
    )
    return workspace.build(stage)


def make_groups(workspace, scores, *, queries=None, grade=None, parts=1, kind="logit"):
    """Groups whose documents are 0, 1, 2, …, the first of each group its positive."""
    scores = np.asarray(scores, np.float32)
    n, size = scores.shape
    if grade is None:
        grade = np.tile(np.arange(size) == 0, (n, 1)).astype(np.int8)
    arrays = GroupArrays(
        np.arange(n, dtype=np.uint32) if queries is None else np.array(queries, np.uint32),
        np.arange(n * size, dtype=np.uint32).reshape(n, size),
        scores,
        np.asarray(grade, np.int8),
        np.ones((n, size), np.float32),
    )
    parameters = {"size": size, "sum": float(scores.sum()), "parts": parts, "kind": kind}
    table = groups_table(arrays)
    if queries is not None:
        return _by_query(workspace, table, groups_schema(size), parameters, kind, queries, parts)
    return given(workspace, "groups", table, groups_schema(size), parameters, parts, {"kind": kind})


class ByQuery(Given):
    """The same where a query has several rows: keys are distinct queries."""

    def __init__(self, table, queries):
        super().__init__(table)
        self.first = np.concatenate([[0], np.flatnonzero(np.diff(queries)) + 1, [len(queries)]])

    def __call__(self, shard):
        low, high = int(self.first[shard.start]), int(self.first[shard.stop])
        return Output(self.table.slice(low, high - low))


def _by_query(workspace, table, schema, parameters, kind, queries, parts):
    cuts = np.linspace(0, len(set(queries)), parts + 1).astype(int)
    shards = [
        Shard(i, int(a), int(b)) for i, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]
    stage = Stage(
        kind="groups",
        parameters=parameters,
        inputs={},
        schema=schema,
        shards=lambda: shards,
        worker=ByQuery,
        options={"table": table, "queries": list(queries)},
        metadata={"kind": kind},
    )
    return workspace.build(stage)


def make_scores(workspace, lists, *, docs=None, parts=1, kind="logit"):
    """Scores of queries 0, 1, …, their documents 0, 1, … unless given."""
    docs = [list(range(len(row))) for row in lists] if docs is None else docs
    columns = [np.arange(len(lists), dtype=np.uint32), docs, lists]
    table = pa.Table.from_arrays(
        [pa.array(c, type=f.type) for c, f in zip(columns, SCORES, strict=True)], schema=SCORES
    )
    return given(
        workspace,
        "scores",
        table,
        SCORES,
        {"lists": str(lists), "kind": kind},
        parts,
        {"kind": kind},
    )


def make_vectors(workspace, matrix, *, parts=1):
    """Vectors of documents (or queries) 0, 1, …."""
    matrix = np.asarray(matrix)
    schema = vectors_schema(matrix.shape[1], str(matrix.dtype))
    flat = pa.array(matrix.reshape(-1), type=schema.field("vector").type.value_type)
    column = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    parameters = {"width": matrix.shape[1], "dtype": str(matrix.dtype), "parts": parts}
    parameters["sum"] = str(matrix.astype(np.float64).sum())
    table = pa.Table.from_arrays([column], schema=schema)
    return given(workspace, "vectors", table, schema, parameters, parts)
