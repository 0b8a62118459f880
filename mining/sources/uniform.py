"""The random source: documents drawn uniformly, with the probability at which each was included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..actors import Execution
from ..collection.handles import Collection
from ..draws import generator
from ..errors import BadInput
from ..parts.costs import DRAWN
from ..runs.run import build_run, run_table
from ..store import Artifact, Output, Shard, Workspace, split_by_work
from .base import SOURCES, mines

_SHARD_PAIRS = 4_000_000


@SOURCES.register("random", DRAWN)
@dataclass(frozen=True, slots=True)
class Random:
    """Draws from all documents that are not empty, without replacement."""


@mines(Random)
def mine_random(
    workspace: Workspace,
    source: Random,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Draw `depth` documents for each query, a pure function of (seed, query_id).

    The score is minus the position of the draw, so that a prefix of a list is itself a uniform
    draw. Inclusion is depth / number of documents that are not empty. Raises BadInput when fewer
    documents than `depth` are not empty.
    """
    corpus = collection.corpus
    available = len(corpus) - len(corpus.empty)
    check_available(depth, available, corpus.artifact.path)
    queries = collection.split_queries(split)
    return build_run(
        workspace,
        str(source),
        collection,
        split,
        depth=depth,
        parameters={"seed": seed},
        worker=Drawer,
        options={
            "collection": str(collection.artifact.path),
            "split": split,
            "depth": depth,
            "seed": seed,
        },
        shards=lambda: split_by_work(np.full(len(queries), depth), _SHARD_PAIRS),
        drawn=True,
        executor=executor,
    )


def check_available(depth: int, available: int, where: str | Path) -> None:
    """Raise BadInput for a draw of more documents than are not empty."""
    if depth > available:
        raise BadInput(
            f"depth {depth:,} is larger than the {available:,} documents that are not empty",
            where=where,
            do=f"choose a depth of at most {available:,}",
        )


class Drawer:
    """Draws the lists of a range of queries."""

    def __init__(self, collection: str, split: str, depth: int, seed: int):
        opened = Collection.at(collection)
        self.queries, self.asked = opened.queries, opened.split_queries(split)
        self.depth, self.seed = depth, seed
        self.urn = Urn(len(opened.corpus), opened.corpus.empty)

    def __call__(self, shard: Shard) -> Output:
        """Return the run of queries `start…stop−1` of the split."""
        asked = self.asked[shard.start : shard.stop]
        docs = np.empty((len(asked), self.depth), dtype=np.int64)
        for row, query_id in enumerate(self.queries.query_ids(asked)):
            draws = generator(self.seed, "source.random", query_id)
            docs[row] = self.urn.draw(draws, self.depth)
        positions = np.arange(self.depth, dtype=np.float32)
        table = run_table(
            asked,
            np.arange(len(asked) + 1) * self.depth,
            docs.ravel(),
            np.tile(-positions, len(asked)),
            np.full(docs.size, self.depth / self.urn.available, dtype=np.float32),
        )
        return Output(table)


class Urn:
    """The documents of a corpus that are not empty, `available` of them, to be drawn from."""

    def __init__(self, documents: int, empty: np.ndarray):
        self.available = documents - len(empty)
        # Empty document number i stands after `before[i]` documents that are not empty.
        self.before = empty.astype(np.int64) - np.arange(len(empty))

    def draw(self, draws: np.random.Generator, size: int) -> np.ndarray:
        """Return `size` different documents (int64) in the order drawn."""
        numbers = draw_distinct(draws, self.available, size)
        return numbers + np.searchsorted(self.before, numbers, side="right")


def draw_distinct(draws: np.random.Generator, population: int, size: int) -> np.ndarray:
    """Return `size` distinct numbers below `population` in the order drawn, uniformly.

    Work and memory are proportional to `size`: repeats are thrown away and drawn again. When more
    than half is asked for, a permutation costs no more than that.
    """
    if 2 * size > population:
        return draws.permutation(population)[:size]
    kept = np.empty(0, dtype=np.int64)
    while len(kept) < size:
        more = draws.integers(0, population, size=size - len(kept))
        drawn = np.concatenate([kept, more])
        _, first = np.unique(drawn, return_index=True)
        kept = drawn[np.sort(first)]
    return kept
