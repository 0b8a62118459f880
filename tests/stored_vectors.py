"""Vectors of the reader's choice, as a search finds them stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from rankmill.mining.models.vectors import Vectors
from rankmill.mining.store import Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import vectors_schema


class Stored:
    """Gives rows of an array as shards."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __call__(self, shard: Shard) -> Output:
        flat = pa.array(self.rows[shard.start : shard.stop].ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, self.rows.shape[1])
        schema = vectors_schema(self.rows.shape[1], str(self.rows.dtype))
        return Output(pa.Table.from_arrays([column], schema=schema))


def vectors_of(workspace: Workspace, rows: np.ndarray, seed: int, cuts: int = 2) -> Vectors:
    edges = np.linspace(0, len(rows), cuts + 1).astype(int).tolist()
    shards = [Shard(i, edges[i], edges[i + 1], 1) for i in range(cuts)]
    stage = Stage(
        kind="vectors",
        parameters={"width": rows.shape[1], "dtype": str(rows.dtype), "seed": seed},
        inputs={},
        schema=vectors_schema(rows.shape[1], str(rows.dtype)),
        shards=lambda: shards,
        worker=Stored,
        options={"rows": rows},
    )
    return Vectors(workspace.build(stage))
