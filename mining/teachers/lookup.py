"""Pairs and their stored scores: rows of a pool or a run, and lookups by (query, document)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..pair_keys import pair_keys
from ..store import Artifact
from ..store.parts.begun import Begun
from ..store.tables import list_values


class PairLists:
    """The (query, documents) rows of a pool or a run, documents ascending."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self._sorted = artifact.kind == "pool"

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (queries uint32 [n], offsets int64 [n+1], docs uint32) of rows start…stop−1."""
        queries, lengths, docs = [], [], []
        for part in self.artifact.parts:
            low, high = max(start, part.start), min(stop, part.start + part.rows)
            if low >= high:
                continue
            table = self.artifact.table(part.number)
            offsets, values = list_values(table["doc"])
            low, high = low - part.start, high - part.start
            queries.append(table["query"].to_numpy()[low:high])
            lengths.append(np.diff(offsets[low : high + 1]))
            docs.append(values[offsets[low] : offsets[high]])
        query = np.concatenate(queries) if queries else np.empty(0, np.uint32)
        each = np.concatenate(lengths) if lengths else np.empty(0, np.int64)
        doc = np.concatenate(docs) if docs else np.empty(0, np.uint32)
        if not self._sorted:
            doc = doc[np.lexsort((doc, np.repeat(np.arange(len(query)), each)))]
        return query, np.concatenate([[0], np.cumsum(each)]), doc


class PairScores:
    """Finished scores, or parts of unfinished ones, as a lookup from (query, doc) to score."""

    def __init__(self, artifact: Artifact | Begun):
        self.artifact = artifact

    def fill(
        self, query: np.ndarray, doc: np.ndarray, scores: np.ndarray, missing: np.ndarray
    ) -> None:
        """Write the scores found for pairs still `missing` and clear their mark.

        `query`, `doc`: uint32 [n], ascending as pairs; `scores` float32 and `missing` bool [n].
        """
        wanted = pair_keys(query, doc)
        for keys, values in self._overlapping(int(query[0]), int(query[-1])):
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            hit = missing & (keys[at] == wanted)
            scores[hit] = values[at[hit]]
            missing &= ~hit

    def _overlapping(self, first: int, last: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (keys, scores) of the rows of queries first…last, part by part."""
        for part in self.artifact.parts:
            table = self.artifact.table(part.number)
            queries = table["query"].to_numpy()
            low, high = np.searchsorted(queries, [first, last + 1])
            if low == high:
                continue
            offsets, docs = list_values(table["doc"])
            _, values = list_values(table["logit"])
            piece = slice(offsets[low], offsets[high])
            query = np.repeat(queries[low:high], np.diff(offsets[low : high + 1]))
            if len(query):
                yield pair_keys(query, docs[piece]), values[piece]
