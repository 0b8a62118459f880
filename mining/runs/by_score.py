"""Stored scores as ranked lists: the documents of each query by falling score."""

from __future__ import annotations

import numpy as np

from ...native.ranked import rank_lists
from ..store import Artifact, Output, Shard, open_artifact, split_by_work
from ..store.tables import list_values
from .run import run_table

_SHARD_PAIRS = 1 << 20


def shards_of(scores: Artifact, queries: np.ndarray) -> list[Shard]:
    """Return ranges of `queries` (uint32 [n], ascending), balanced by how much each has scored."""
    held, lengths = _lists(scores)
    row = _rows_of(queries, held)
    return split_by_work(np.where(row < 0, 0, lengths[row]), _SHARD_PAIRS)


class ByScore:
    """Puts the lists of a scores artifact in the order (−score, document) and cuts them."""

    def __init__(self, scores: str, queries: np.ndarray, depth: int):
        self.scores, self.depth = open_artifact(scores), depth
        self.queries = queries
        self.rows = _rows_of(queries, _lists(self.scores)[0])

    def __call__(self, shard: Shard) -> Output:
        """Return the lists of queries start…stop−1; empty ones where nothing was scored."""
        wanted = self.rows[shard.start : shard.stop]
        lengths, docs, values = np.zeros(len(wanted), np.int64), [], []
        for part in self.scores.parts:  # both ascend by query, so its rows stand side by side
            here = np.flatnonzero((wanted >= part.start) & (wanted < part.start + part.rows))
            if not len(here):
                continue
            table = self.scores.table(part.number)
            offsets, doc = list_values(table["doc"])
            _, score = list_values(table["logit"])
            rows = wanted[here] - part.start
            lengths[here] = np.minimum(np.diff(offsets)[rows], self.depth)
            bounds = np.concatenate([[0], np.cumsum(lengths[here])])
            out = np.empty(bounds[-1], np.uint32), np.empty(bounds[-1], np.uint32)
            rank_lists(offsets, doc, score.view(np.uint32), rows, bounds, *out)
            docs.append(out[0])
            values.append(out[1].view(np.float32))
        doc = np.concatenate(docs) if docs else np.empty(0, np.uint32)
        value = np.concatenate(values) if values else np.empty(0, np.float32)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        return Output(run_table(self.queries[shard.start : shard.stop], bounds, doc, value))


def _lists(scores: Artifact) -> tuple[np.ndarray, np.ndarray]:
    """Return (queries uint32 ascending, list lengths int64) of all rows."""
    queries, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for table in scores.tables():
        queries.append(table["query"].to_numpy())
        lengths.append(np.diff(list_values(table["doc"])[0]))
    return np.concatenate(queries), np.concatenate(lengths)


def _rows_of(queries: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the row of each query among those held, int64; −1 where it is not."""
    row = np.searchsorted(held, queries)
    known = row < len(held)
    known[known] = held[row[known]] == queries[known]
    return np.where(known, row, -1)
