"""Exact search in bfloat16 against every product in float64."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from rounding import stored_twice

from rankmill.mining.models.vectors import Vectors
from rankmill.mining.search import tiles as narrow_search
from rankmill.mining.search.tiles import NarrowSearch
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


def check(docs: Vectors, queries: np.ndarray, allowed: np.ndarray, depth: int, least: int) -> None:
    """Compare every list that was found with the oracle's; at least so many must be found."""
    found, scores, done = NarrowSearch(docs, allowed, depth).nearest(queries)
    every = docs.rows(np.arange(len(docs))).astype(np.float64)
    for q in np.flatnonzero(done):
        asked = queries[q].astype(np.float64)
        exact = (every @ asked).astype(np.float32)
        off = stored_twice(every.shape[1], np.abs(every) @ np.abs(asked), exact)
        ranked = sorted((-float(exact[d]), int(d)) for d in np.flatnonzero(allowed))[:depth]
        if [d for _, d in ranked] != found[q].tolist():  # sums in another order: the last bit
            near = np.asarray([-s for s, _ in ranked])
            assert (np.abs(exact[found[q]] - near) <= off[found[q]]).all()
        assert (np.abs(scores[q] - exact[found[q]]) <= off[found[q]]).all()
        assert (np.diff(scores[q]) <= 0).all()
    assert done.sum() >= least


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("width", "depth"), [(1, 3), (48, 10), (384, 100)])
def test_lists_are_those_of_an_exhaustive_search(
    workspace: Workspace, dtype: str, width: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow_search, "_BLOCK", 700)
    monkeypatch.setattr(narrow_search, "_DOCS", 190)
    monkeypatch.setattr(narrow_search, "_QUERIES", 9)
    rng = np.random.Generator(np.random.Philox(width))
    rows = rng.normal(size=(2500, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5:9] = rows[4]  # equal ones
    rows[2490] = 0.0
    queries = rng.normal(size=(20, width)).astype(np.float32)
    queries[3], queries[4] = rows[4], 0.0
    allowed = (rng.random(2500) < 0.95).astype(np.uint8)
    docs = vectors_of(workspace, rows.astype(dtype), seed=width)
    # Of one component there are only two directions: nothing but crowds.
    check(docs, queries, allowed, depth, least=0 if width == 1 else 19)


def test_lengths_of_many_magnitudes(workspace: Workspace) -> None:
    rng = np.random.Generator(np.random.Philox(8))
    rows = rng.normal(size=(3000, 32)) * 10.0 ** rng.integers(-3, 3, (3000, 1))
    queries = (rng.normal(size=(30, 32)) * 10.0 ** rng.integers(-9, 9, (30, 1))).astype(np.float32)
    docs = vectors_of(workspace, rows.astype(np.float32), seed=8)
    check(docs, queries, np.ones(3000, dtype=np.uint8), 25, least=30)


def test_products_beyond_float32_are_left_to_others(workspace: Workspace) -> None:
    rows = np.full((40, 4), 1e30, dtype=np.float32)
    queries = np.array([[1e30] * 4, [1.0] * 4], np.float32)
    docs = vectors_of(workspace, rows, seed=9)
    _, _, done = NarrowSearch(docs, np.ones(40, dtype=np.uint8), 5).nearest(queries)
    assert done.tolist() == [False, True]
