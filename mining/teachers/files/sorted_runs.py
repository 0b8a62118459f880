"""Scores sorted by (query, document) in as much memory as one run takes, whatever their number.

Pairs are collected until a run is full, sorted, and written as a table of scores; a range of
queries is then merged from the runs when its part is written. What stands in a run is 8 bytes a
pair. A pair may occur again with the same score, in one run or in several.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ....native.pair_sort import DIGIT_BITS, rising, sort_round
from ...errors import Corrupt
from ...pair_keys import docs_of, packed, pair_keys, queries_of, unpacked
from ...store import files
from ...store.tables import SCORES, list_values

RUN_PAIRS = 1 << 24
_FREED = "freed"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scores of pairs, ascending by key, each pair once: uint64 [n] and float32 [n]."""

    keys: np.ndarray
    scores: np.ndarray

    @property
    def offsets(self) -> np.ndarray:
        """Where the list of each query begins, and the end: int64 [queries+1]."""
        query = queries_of(self.keys)
        starts = np.flatnonzero(query[1:] != query[:-1]) + 1
        return np.concatenate([[0] if len(query) else [], starts, [len(query)]]).astype(np.int64)

    def table(self) -> pa.Table:
        """Return them as a table of scores: one row a query."""
        offsets = self.offsets
        lists = [
            pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))
            for values in (docs_of(self.keys), self.scores)
        ]
        query = queries_of(self.keys)[offsets[:-1]]
        return pa.Table.from_arrays([pa.array(query), *lists], schema=SCORES)


class Clash(Exception):
    """Pairs with two scores: the first of them, its scores, and how many there are."""

    def __init__(self, key: int, scores: tuple[float, float], pairs: int):
        super().__init__(key, scores, pairs)
        self.key, self.scores, self.pairs = key, scores, pairs


def in_order(keys: np.ndarray, scores: np.ndarray) -> Pairs:
    """Return pairs in ascending order, one of equal ones; raises Clash for two scores of a pair.

    `keys`: query·2³² + document, uint64 [n]; `scores` float32 [n].
    """
    if not rising(keys):
        keys, scores = _sorted(keys, scores)
    again = np.flatnonzero(keys[1:] == keys[:-1]) if len(keys) else keys
    if not len(again):
        return Pairs(keys, scores)
    clash = again[scores[again + 1] != scores[again]]
    if len(clash):
        two = float(scores[clash[0]]), float(scores[clash[0] + 1])
        raise Clash(int(keys[clash[0]]), two, len(clash))
    single = np.ones(len(keys), dtype=bool)
    single[again + 1] = False
    return Pairs(keys[single], scores[single])


def _sorted(keys: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort stably by key: by digits, over the bits that documents and queries take."""
    keys, low, width = packed(keys)
    other = np.empty_like(keys)
    scores, others = scores.copy(), np.empty_like(scores)
    for shift in range(0, width, DIGIT_BITS):
        sort_round(keys, scores, shift, other, others)
        keys, other, scores, others = other, keys, others, scores
    return unpacked(keys, low), scores


class RunWriter:
    """Collects pairs and writes a sorted run whenever `limit` of them are there.

    A run is sorted and written by a thread while the next one is collected.
    """

    def __init__(self, folder: Path, name: str, limit: int = RUN_PAIRS):
        self.folder, self.name, self.limit = folder, name, limit
        self.runs, self._held = 0, 0
        self._writing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "sorted-runs")
        self._keys: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def add(self, query: np.ndarray, doc: np.ndarray, score: np.ndarray) -> None:
        """Take pairs of ordinals with float32 scores; raises Clash of a run before."""
        keys = pair_keys(query, doc)
        for start in range(0, len(keys), self.limit):
            self._keys.append(keys[start : start + self.limit])
            self._scores.append(score[start : start + self.limit])
            self._held += len(self._keys[-1])
            if self._held >= self.limit:
                self._hand_over()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._thread.shutdown()  # waits: nothing is written after this

    def finish(self) -> None:
        """Write what is held as a run, and wait for all runs; raises Clash."""
        self._hand_over()
        self._wait()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _hand_over(self) -> None:
        self._wait()
        if self._held:
            path = self.folder / f"run-{self.name}-{self.runs:05d}.arrow"
            self._writing = self._thread.submit(_write_run, self._keys, self._scores, path)
            self._keys, self._scores, self._held = [], [], 0
            self.runs += 1


def _write_run(keys: list[np.ndarray], scores: list[np.ndarray], path: Path) -> None:
    joined = np.concatenate(keys), np.concatenate(scores)
    keys.clear()
    scores.clear()
    files.write_arrow(path, in_order(*joined).table())


@dataclass(slots=True)
class _Run:
    """A run, mapped: its queries, where the pairs of each begin, and its pairs; `places`: where the
    documents and the scores begin in the file; `freed`: how many pairs are gone from the disk."""

    path: Path
    query: np.ndarray
    offsets: np.ndarray
    doc: np.ndarray
    score: np.ndarray
    places: tuple[int, int]
    freed: int = 0

    @classmethod
    def at(cls, path: Path) -> _Run:
        """Map the run of a file."""
        table, begin = files.mapped_arrow(path)
        offsets, doc = list_values(table["doc"])
        _, score = list_values(table["logit"])
        places = tuple(column.__array_interface__["data"][0] - begin for column in (doc, score))
        return cls(path, table["query"].to_numpy(), offsets, doc, score, places)

    def free(self, before: int) -> None:
        """Free the pairs of the queries before one."""
        done = int(self.offsets[np.searchsorted(self.query, before)])
        for place in self.places:
            files.give_back(self.path, place + 4 * self.freed, place + 4 * done)
        self.freed = done


class Runs:
    """All runs of a folder, mapped: what they hold of a range of queries."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._runs = [_Run.at(path) for path in sorted(folder.glob("run-*.arrow"))]
        told = folder / _FREED
        self._first = int(told.read_bytes()) if told.exists() else 0

    def free(self, before: int) -> None:
        """Give the disk back what holds the pairs of queries before one: they are in parts."""
        if before > self._first:
            files.write_bytes(self._folder / _FREED, str(before).encode())
            self._first = before
            for run in self._runs:
                run.free(before)

    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the queries (uint32, ascending), their pairs, and in how many runs they stand.

        A pair that stands in two runs counts twice.
        """
        if not self._runs:
            return np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64)
        query = np.concatenate([run.query for run in self._runs])
        pairs = np.concatenate([np.diff(run.offsets) for run in self._runs])
        distinct, at = np.unique(query, return_inverse=True)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, at, pairs)
        return distinct, total, np.bincount(at, minlength=len(distinct))

    def between(self, first: int, last: int) -> Pairs:
        """Return the pairs of queries first…last (ordinals); raises Clash, and Corrupt for queries
        that were freed."""
        if first < self._first:
            raise Corrupt(
                "the pairs of a part that is gone are gone from the scratch files too",
                where=self._folder,
                do=f"delete {self._folder} and run the command again: the file is read once more",
            )
        keys, scores = [], []
        for run in self._runs:
            low, high = np.searchsorted(run.query, [first, last + 1])
            piece = slice(int(run.offsets[low]), int(run.offsets[high]))
            if piece.start < piece.stop:
                repeated = np.repeat(run.query[low:high], np.diff(run.offsets[low : high + 1]))
                keys.append(pair_keys(repeated, run.doc[piece]))
                scores.append(run.score[piece])
        if not keys:
            return Pairs(np.empty(0, np.uint64), np.empty(0, np.float32))
        return in_order(_one(keys), _one(scores))


def _one(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Join arrays, without a copy where there is one."""
    several = list(arrays)
    return several[0] if len(several) == 1 else np.concatenate(several)
