"""Selection, 16 of 400 candidates: processor time a query, kernels against query by query.

    python bench/selection.py [--quick] [--data DIR]

A pool of two sources over synthetic texts, with teacher scores, made on disk first. The peer is
rankmill's own way for strategies that no kernel knows, the oracle of the kernels: on its queries
both choose the same groups, bytes compared, before anything is timed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from _report import figure, finish

from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.selection.reader import paths_of
from rankmill.mining.selection.selector import Selector
from rankmill.mining.store import Output, Shard, Stage, Workspace, split_by_work
from rankmill.mining.store.tables import CORPUS, QRELS, QUERIES, SCORES, pool_schema

SIZE, CANDIDATES, DEPTH, WORDS = 16, 400, 200, 90
SOURCES = ("bm25", "dense")
GOAL_US, GOAL_RATIO = 12.0, 20.0
ASKED = (
    ("uniform", "uniform(source=bm25,last=200)", ()),
    ("uniform, margin", "uniform(source=bm25,last=200)", ("margin(gap=0.5)",)),
    ("top", "top", ("margin(gap=0.5)",)),
    ("stratified", "stratified(bins=8)", ("margin(gap=0.5)",)),
    ("softmax", "softmax(T=2)", ("margin(gap=0.5)",)),
    ("quotas", "quotas(sources=[bm25,dense])", ("margin(gap=0.5)",)),
    ("anchors", "anchors(top=5,count=10)", ("margin(gap=0.5)",)),
    ("bands", "bands([1-32],[100-200])", ("margin(gap=0.5)",)),
    ("uniform, near copies", "uniform(source=bm25,last=200)", ("near_copies",)),
)


# ---- data ----------------------------------------------------------------------------------------


class Texts:
    """Rows of random words; ids as MS MARCO has them."""

    def __init__(self, words: int, schema: pa.Schema):
        self.words, self.schema = words, schema
        letters = np.random.Generator(np.random.Philox(1)).integers(97, 123, (5_000, 6))
        self.known = np.array([bytes(row.astype(np.uint8)).decode() for row in letters], object)

    def __call__(self, shard):
        random = np.random.Generator(np.random.Philox(shard.start))
        n = shard.stop - shard.start
        drawn = self.known[random.integers(0, len(self.known), (n, self.words))]
        length = random.integers(self.words // 2, self.words + 1, n)
        ids = [str(7 * i + 1) for i in range(shard.start, shard.stop)]
        names = self.schema.names
        return Output(
            pa.table(
                [ids, [" ".join(r[:k]) for r, k in zip(drawn, length, strict=True)]], names=names
            ).cast(self.schema)
        )


def candidates(queries: np.ndarray, docs: int) -> np.ndarray:
    """Return `CANDIDATES` ascending documents of every query: uint32 [queries, CANDIDATES]."""
    step = docs // CANDIDATES
    random = np.random.Generator(np.random.Philox(queries[0] if len(queries) else 0))
    return (np.arange(CANDIDATES) * step + random.integers(0, step, (len(queries), CANDIDATES))
            ).astype(np.uint32)  # fmt: skip


class Lists:
    """Pool, scores or judgements of a range of queries."""

    def __init__(self, kind: str, docs: int):
        self.kind, self.docs = kind, docs

    def __call__(self, shard):
        query = np.arange(shard.start, shard.stop, dtype=np.uint32)
        doc = candidates(query, self.docs)
        n = len(query)
        random = np.random.Generator(np.random.Philox(shard.start + 1))
        if self.kind == "qrels":
            one = doc[np.arange(n), random.integers(0, CANDIDATES, n)]
            grade = np.ones(n, np.int16)
            return Output(pa.Table.from_arrays([query, one, grade], schema=QRELS))
        offsets = pa.array(np.arange(n + 1, dtype=np.int32) * CANDIDATES)
        lists = lambda flat: pa.ListArray.from_arrays(offsets, pa.array(flat.reshape(-1)))  # noqa: E731
        if self.kind == "scores":
            logit = random.normal(0, 4, doc.shape).astype(np.float32)
            return Output(pa.Table.from_arrays([query, lists(doc), lists(logit)], schema=SCORES))
        columns = [pa.array(query), lists(doc)]
        for _ in SOURCES:
            rank = random.permuted(np.tile(np.arange(CANDIDATES), (n, 1)), axis=1) + 1
            rank = np.where(rank <= DEPTH, rank, 0).astype(np.uint16)
            score = np.where(rank > 0, 1000.0 - rank, np.nan).astype(np.float32)
            columns += [lists(rank), lists(score)]
        return Output(pa.Table.from_arrays(columns, schema=pool_schema(SOURCES)))


def make(workspace: Workspace, queries: int, docs: int) -> dict[str, str]:
    """Write everything that a selection reads; returns the folders by role."""
    artifacts = {}
    for role, rows, words, schema in (
        ("corpus", docs, WORDS, CORPUS),
        ("queries", queries, 8, QUERIES),
    ):
        artifacts[role] = workspace.build(
            Stage(
                kind=role,
                parameters={"bench": "select", "rows": rows},
                inputs={},
                schema=schema,
                shards=partial(split_by_work, np.ones(rows), 200_000),
                worker=Texts,
                options={"words": words, "schema": schema},
            )
        )
    schemas = {"qrels": QRELS, "pool": pool_schema(SOURCES), "scores": SCORES}
    for role, schema in schemas.items():
        artifacts[role] = workspace.build(
            Stage(
                kind=role,
                parameters={"bench": "select", "queries": queries, "docs": docs},
                inputs={k: artifacts[k] for k in ("corpus", "queries")},
                schema=schema,
                shards=partial(split_by_work, np.full(queries, CANDIDATES), 4_000_000),
                worker=Lists,
                options={"kind": role, "docs": docs},
                metadata={"kind": "logit", "split": "train"},
            )
        )
    return paths_of(artifacts)


# ---- measuring -----------------------------------------------------------------------------------


def selector(paths: dict[str, str], strategy: str, filters: tuple[str, ...]) -> Selector:
    """Return the worker of a selection."""
    bound = STRATEGIES.parse(strategy).bind(SOURCES)
    texts: list[str] = [FILTERS.text(FILTERS.parse(one)) for one in filters]
    return Selector(
        paths, str(bound), texts, size=SIZE, seed=0, when_short="drop_query",
        min_grade=1, positives="first", missing="error",
    )  # fmt: skip


def seconds(worker: Selector, stop: int) -> tuple[float, pa.Table]:
    """Return the processor seconds of choosing for the first queries, and the groups."""
    began = time.process_time()
    made = worker(Shard(0, 0, stop))
    return time.process_time() - began, made.table


def measure(paths: dict[str, str], queries: int, sample: int) -> dict[str, dict]:
    """Compare, then time, every strategy; prints the table."""
    print(f"{'16 of 400':24} {'kernels':>12} {'one by one':>12} {'ratio':>7}   µs a query")
    figures = {}
    for name, strategy, filters in ASKED:
        worker = selector(paths, strategy, filters)
        kernels = worker.kernels
        assert kernels is not None, f"no kernel knows {strategy}"
        _, ours = seconds(worker, sample)  # compiles, and reads what it will read
        worker.kernels = None
        slow, theirs = seconds(worker, sample)
        assert ours.equals(theirs), f"{strategy}: kernels choose other groups"
        worker.kernels = kernels
        fast, made = seconds(worker, queries)
        fast, slow = 1e6 * fast / queries, 1e6 * slow / sample
        print(f"{name:24} {fast:12.1f} {slow:12.1f} {slow / fast:7.1f}   {made.num_rows:,} groups")
        peers = {"query by query": slow}
        figures[name.replace(", ", "_").replace(" ", "_") + "_us"] = figure(
            fast, peers, slow / fast, GOAL_RATIO, "µs of processor time a query"
        )
    return figures


def main() -> None:
    """Make, compare, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    queries, docs = (6_000, 60_000) if given.quick else (100_000, 1_000_000)
    folder = given.data or Path(tempfile.mkdtemp(prefix="rankmill-select-"))
    try:
        paths = make(Workspace(folder), queries, docs)
        print(f"{queries:,} queries of {CANDIDATES} candidates over {docs:,} documents")
        finish("selection", measure(paths, queries, 150 if given.quick else 500))
    finally:
        if given.data is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
