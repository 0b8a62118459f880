"""A small collection, and pools over it with given lists, for teachers behind an endpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import pool_schema

Rows = Sequence[tuple[int, Mapping[str, Sequence[int]]]]
"""(query, {source: its documents, best first})"""


def small_collection(place: Path) -> Path:
    """Make a workspace that holds a collection of 60 documents and 12 queries; returns its
    folder."""
    collect(Workspace(place / "work"), f"beir:{tiny_beir(place / 'beir', docs=60, queries=12)}")
    return place / "work"


def copy_of(made: Path, place: Path) -> Collection:
    """Copy a workspace with a collection, and open that: sooner than making it again."""
    shutil.copytree(made, place)
    return Collection(next(Workspace(place).artifacts("collection")))


class _Lists:
    def __init__(self, rows: Rows, sources: Sequence[str]):
        self.rows, self.sources = rows, sources

    def __call__(self, shard: Shard) -> Output:
        schema = pool_schema(self.sources)
        columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        for query, lists in self.rows[shard.start : shard.stop]:
            docs = sorted({doc for docs in lists.values() for doc in docs})
            columns["query"].append(query)
            columns["doc"].append(docs)
            for source in self.sources:
                ranks = {doc: at + 1 for at, doc in enumerate(lists.get(source, ()))}
                columns[f"rank[{source}]"].append([ranks.get(d, 0) for d in docs])
                scores = [1.0 / ranks[d] if d in ranks else float("nan") for d in docs]
                columns[f"score[{source}]"].append(scores)
        arrays = [pa.array(columns[f.name], f.type) for f in schema]
        return Output(pa.Table.from_arrays(arrays, schema=schema))


def pool_of(
    collection: Collection, rows: Rows, sources: Sequence[str] = ("bm25(k1=1)",)
) -> Artifact:
    """Build a pool of two parts."""
    middle = len(rows) // 2
    shards = [Shard(0, 0, middle), Shard(1, middle, len(rows))]
    stage = Stage(
        kind="pool",
        parameters={"rows": repr(rows)},
        inputs={"corpus": collection.corpus.artifact, "queries": collection.queries.artifact},
        schema=pool_schema(sources),
        shards=lambda: shards,
        worker=_Lists,
        options={"rows": rows, "sources": sources},
        metadata={"split": "train"},
    )
    return collection.artifact.workspace.build(stage)


def even_pool(collection: Collection, queries: int = 6, depth: int = 10) -> Artifact:
    """Build a pool of `queries` lists of `depth` documents each, ranked as they were drawn."""
    source = "bm25(k1=1)"
    rows = [(q, {source: [(7 * q + 13 * at) % 55 for at in range(depth)]}) for q in range(queries)]
    return pool_of(collection, rows, (source,))


def texts_of(collection: Collection, pool: Artifact) -> list[tuple[str, str]]:
    """Return the texts of every pair of a pool."""
    return [
        (collection.queries.text(row["query"]), collection.corpus.text(doc))
        for table in pool.tables()
        for row in table.to_pylist()
        for doc in row["doc"]
    ]


def scored_pairs(scores: Artifact) -> dict[tuple[int, int], float]:
    """Return the scores by (query, doc)."""
    return {
        (row["query"], doc): score
        for table in scores.tables(level=3)
        for row in table.to_pylist()
        for doc, score in zip(row["doc"], row["logit"], strict=True)
    }
