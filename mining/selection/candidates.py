"""Reading what a selection needs for one query: pool row, teacher scores, judgements, texts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ..collection.rows import Corpus
from ..errors import BadInput
from ..runs.pool import Pool
from ..store import Artifact
from ..store.tables import list_values
from ..text.copies import FoldedCopies
from .drawn import origins_of


class QueryRows:
    """Finds the row of a query in an artifact whose queries ascend, as they do in pools and scores.

    By bisection over the parts: only those that are looked into are read, and each is compared with
    its hash first.
    """

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self._parts = [part for part in artifact.parts if part.rows]
        self._queries: dict[int, np.ndarray] = {}

    def find(self, query: int) -> tuple[int, int] | None:
        """Return (number of the part, row within it); None for a query that is not there."""
        number = next(self.parts_between(query, query), None)
        if number is None:
            return None
        row = int(np.searchsorted(self.queries(number), query))
        return (number, row) if self.queries(number)[row] == query else None

    def parts_between(self, first: int, last: int) -> Iterator[int]:
        """Yield the numbers of the parts that can hold a query from first to last."""
        at = bisect_left(self._parts, first, key=lambda part: int(self.queries(part.number)[-1]))
        for part in self._parts[at:]:
            if self.queries(part.number)[0] > last:
                return
            yield part.number

    def queries(self, number: int) -> np.ndarray:
        """Return the queries (uint32, ascending) of one part."""
        if number not in self._queries:
            self._queries[number] = self.artifact.table(number)["query"].to_numpy()
        return self._queries[number]


class PoolRows:
    """Rows of a pool by global row number."""

    def __init__(self, artifact: Artifact):
        self.pool, self._by_query = Pool(artifact), QueryRows(artifact)
        self.labels = self.pool.labels
        self._starts = np.array([part.start for part in artifact.parts], dtype=np.int64)
        self.origin = origins_of(artifact)

    def lengths(self, start: int, stop: int) -> np.ndarray:
        """Return how many documents each of the rows start…stop−1 has."""
        counts = [np.empty(0, np.int64)]
        for part in self.pool.artifact.parts:
            first, last = max(start - part.start, 0), min(stop - part.start, part.rows)
            if first < last:
                counts.append(np.diff(self.pool.part(part.number).offsets[first : last + 1]))
        return np.concatenate(counts)

    def row_of(self, query: int) -> int | None:
        """Return the row of a query; None for one that is not in the pool."""
        place = self._by_query.find(query)
        return None if place is None else int(self._starts[place[0]]) + place[1]

    def rows_of(self, queries: np.ndarray) -> np.ndarray:
        """Return the row (int64) of each of many queries; −1 for one that is not in the pool."""
        rows = np.full(len(queries), -1, np.int64)
        if len(queries):
            for number in self._by_query.parts_between(int(queries.min()), int(queries.max())):
                known = self._by_query.queries(number)
                place = np.minimum(np.searchsorted(known, queries), len(known) - 1)
                there = known[place] == queries
                rows[there] = self._starts[number] + place[there]
        return rows

    def row(self, row: int) -> tuple[int, np.ndarray, dict[str, np.ndarray]]:
        """Return (query, docs ascending, rank of each in every source)."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        part = self.pool.part(self.pool.artifact.parts[number].number)
        at = row - int(self._starts[number])
        items = slice(int(part.offsets[at]), int(part.offsets[at + 1]))
        ranks = {label: part.rank[label][items] for label in self.labels}
        return int(part.query[at]), part.doc[items], ranks


class ScoreRows:
    """Teacher scores by query, joined to any list of documents by ordinal, never by position."""

    def __init__(self, artifact: Artifact):
        self.artifact, self.kind = artifact, artifact.metadata["kind"]
        self._rows = QueryRows(artifact)
        self._lists: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def of(self, query: int, docs: np.ndarray) -> np.ndarray:
        """Return the score (float64) of each document, NaN where there is none.

        Raises BadInput for a stored score that is not finite, naming the document.
        """
        out = np.full(len(docs), np.nan)
        stored = self._rows.find(query)
        if stored is None:
            return out
        number, at = stored
        offsets, doc, score = self._part(number)
        items = slice(int(offsets[at]), int(offsets[at + 1]))
        known, scores = doc[items], score[items]
        if not np.isfinite(scores).all():
            bad = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise NotFinite(int(known[bad]), float(scores[bad]))
        if len(known) == len(docs) and (known == docs).all():
            return scores.astype(np.float64)
        if len(known):
            place = np.minimum(np.searchsorted(known, docs), len(known) - 1)
            hit = known[place] == docs
            out[hit] = scores[place[hit]]
        return out

    def between(
        self, queries: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (query, offsets, doc, logit) of the parts that can hold any of ascending
        queries."""
        if len(queries):
            for number in self._rows.parts_between(int(queries[0]), int(queries[-1])):
                yield self._rows.queries(number), *self._part(number)

    def _part(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if number not in self._lists:
            table = self.artifact.table(number)
            offsets, doc = list_values(table["doc"])
            self._lists[number] = offsets, doc, list_values(table["logit"])[1]
        return self._lists[number]


class NotFinite(Exception):
    """A stored teacher score that is NaN or infinite, before its ids are looked up."""

    def __init__(self, doc: int, score: float):
        super().__init__(doc, score)
        self.doc, self.score = doc, score

    def refusal(self, query_id: str, doc_id: str, scores: Artifact) -> BadInput:
        """Return the user's error."""
        return BadInput(
            f"query {query_id!r}, document {doc_id!r}: the teacher score is {self.score}",
            where=scores.path,
            do="score this pair again; a missing score must not be written as a number",
        )


EXACT = "exact"
COPIES = ("folded", EXACT, "allowed")
"""What is a copy of a positive, and no negative: a text that differs only in white space, case,
Unicode form or punctuation; the same text byte for byte; nothing is."""


class Copies(Protocol):
    """Says which documents copy another."""

    def among(self, docs: np.ndarray, originals: np.ndarray) -> np.ndarray:
        """Return bool [docs]: is a copy of one of the originals (itself included)."""
        ...


def finder_of(copies: str, artifacts: Mapping[str, Artifact]) -> Copies:
    """Return what finds copies; `folded` reads the artifact in the role `copy_keys`."""
    if copies == "allowed":
        return _NoCopies()
    if copies == EXACT:
        return TextCopies(Corpus(artifacts["corpus"]))
    return FoldedCopies(artifacts["copy_keys"])


class _NoCopies:
    def among(self, docs: np.ndarray, originals: np.ndarray) -> np.ndarray:
        return np.zeros(len(docs), dtype=bool)


class TextCopies:
    """Finds exact copies of a text among other documents, byte for byte.

    Only documents of the same length are compared, so hardly any text is read.
    """

    def __init__(self, corpus: Corpus):
        self._starts: list[int] = []
        self._buffers: list[tuple[np.ndarray, Any]] = []
        for start, table in corpus.parts():
            column = table["text"]
            array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
            width = np.int64 if pa.types.is_large_string(array.type) else np.int32
            _, bounds, data = array.buffers()
            offsets = np.frombuffer(bounds, dtype=width)[array.offset :][: len(array) + 1]
            self._starts.append(start)
            self._buffers.append((offsets, memoryview(data) if data is not None else b""))

    def buffers(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (first document, data uint8, bounds [documents+1]) of every part's texts."""
        for start, (bounds, data) in zip(self._starts, self._buffers, strict=True):
            yield start, np.frombuffer(data, np.uint8), bounds

    def among(self, docs: np.ndarray, originals: np.ndarray) -> np.ndarray:
        """Return bool [docs]: has the same text as one of the originals (itself included)."""
        lengths = self._lengths(docs)
        same = np.zeros(len(docs), dtype=bool)
        for original in originals[np.isin(self._lengths(originals), lengths)]:
            text = self._text(int(original))
            for index in np.flatnonzero((lengths == len(text)) & ~same):
                same[index] = self._text(int(docs[index])) == text
        return same

    def repeated(self, docs: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Return bool [docs]: has the text of an earlier document of the same owner.

        `owner` int [docs] ascends. Only texts of equal length are read.
        """
        copies = np.zeros(len(docs), dtype=bool)
        if not len(docs):
            return copies
        lengths = self._lengths(docs)
        order = np.lexsort((np.arange(len(docs)), lengths, owner))
        follows = (np.diff(owner[order]) == 0) & (np.diff(lengths[order]) == 0)
        alone = ~(np.append(follows, False) | np.append(False, follows))
        starts = np.append(True, ~follows)[~alone]
        for items in np.split(order[~alone], np.flatnonzero(starts)[1:]):
            seen: set[bytes] = set()
            for item in items:
                text = bytes(self._text(int(docs[item])))
                copies[item] = text in seen
                seen.add(text)
        return copies

    def _lengths(self, docs: np.ndarray) -> np.ndarray:
        docs = docs.astype(np.int64)
        owner = np.searchsorted(self._starts, docs, side="right") - 1
        out = np.empty(len(docs), dtype=np.int64)
        for number in np.unique(owner):
            offsets, mine = self._buffers[number][0], owner == number
            local = docs[mine] - self._starts[number]
            out[mine] = offsets[local + 1] - offsets[local]
        return out

    def _text(self, doc: int) -> Any:
        number = int(np.searchsorted(self._starts, doc, side="right")) - 1
        offsets, data = self._buffers[number]
        local = doc - self._starts[number]
        return data[int(offsets[local]) : int(offsets[local + 1])]
