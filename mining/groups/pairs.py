"""The documents of groups as a pool without sources: each (query, document) once, to be scored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..pair_keys import distinct, docs_of, pair_keys, queries_of
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import pool_schema
from .derived import first_rows
from .format import Groups

_SHARD_PAIRS = 4_000_000


def pairs_of_groups(
    workspace: Workspace, groups: Artifact, executor: Execution = INLINE
) -> Artifact:
    """Return a "pool" of the documents of groups, a row per query, documents ascending.

    It has no columns of ranks: nothing is known of who found a document. Raises BadInput for groups
    that do not name their texts.
    """
    texts = {role: groups.input(role) for role in ("corpus", "queries")}
    bounds = first_rows(groups)
    stage = Stage(
        kind="pool",
        parameters={"of": "groups"},
        inputs={**texts, "groups": groups},
        schema=pool_schema([]),
        shards=lambda: split_by_work(np.diff(bounds) * Groups(groups).size, _SHARD_PAIRS),
        unit="pairs",
        worker=_Distinct,
        options={"groups": str(groups.path)},
        metadata={"split": groups.metadata.get("split", "")},
    )
    return workspace.build(stage, executor)


class _Distinct:
    """Gathers the distinct documents of a range of queries."""

    def __init__(self, groups: str):
        self.groups = Groups(open_artifact(groups), level=2)
        self.bounds = first_rows(self.groups.artifact)

    def __call__(self, shard: Shard) -> Output:
        """Return the documents of queries number start…stop−1."""
        groups = self.groups.rows(int(self.bounds[shard.start]), int(self.bounds[shard.stop]))
        keys = distinct(pair_keys(groups.query[:, None], groups.doc))
        query, doc = queries_of(keys), docs_of(keys)
        queries, starts = np.unique(query, return_index=True)
        bounds = pa.array(np.append(starts, len(query)).astype(np.int32))
        lists = pa.ListArray.from_arrays(bounds, pa.array(doc))
        table = pa.Table.from_arrays([pa.array(queries), lists], schema=pool_schema([]))
        return Output(table, counts={"pairs": len(doc)})
