"""What a format reads: groups and their texts, batch by batch, from the memory-mapped files.

Nothing here grows with the number of groups. Two arrays follow the corpus: one byte a document that
says whether a group names it, and, for formats that renumber, its new number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...native.gather import draw_columns
from ..collection import Collection
from ..collection.rows import TextTable, blank, first_ten
from ..draws import key_of
from ..errors import BadInput, UsageError
from ..groups.format import GroupArrays, Groups
from ..pair_keys import pair_keys
from ..store import Artifact

_PAIRS = 1 << 20  # of a batch without texts
_TEXT_BYTES = 32 << 20  # of the documents of a batch with texts
_MISSING = ("error", "drop_group")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some groups as arrays: query uint32 [n]; offsets int64 [n+1] into the flat doc uint32, score
    float32, grade int8 and lead bool [m]. `lead` marks the positives: the first of a group, and
    further judged ones right behind it.
    """

    query: np.ndarray
    offsets: np.ndarray
    doc: np.ndarray
    score: np.ndarray
    grade: np.ndarray
    lead: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    @property
    def rows(self) -> np.ndarray:
        """The group of each flat item: int64 [m]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def positive(self) -> np.ndarray:
        """Places of the positives among the flat items: int64."""
        return np.flatnonzero(self.lead)

    @property
    def negative(self) -> np.ndarray:
        """Places of all other items: int64."""
        return np.flatnonzero(~self.lead)

    @property
    def positive_offsets(self) -> np.ndarray:
        """Offsets of the groups into `positive`: int64 [n+1]."""
        return np.concatenate([[0], np.cumsum(self.lead)])[self.offsets]

    @property
    def negative_offsets(self) -> np.ndarray:
        """Offsets of the groups into `negative`: int64 [n+1]."""
        return self.offsets - self.positive_offsets


class GroupSource:
    """Groups cut to `size`, with their collection and what was found wrong or left out.

    `size`: documents per group; the negatives of a smaller group are drawn by (seed, query), the
    same as the first epoch of a stream. `missing`: what a group without a finite score does.
    Raises UsageError for a size that the groups do not have, BadInput for groups of another
    collection and for a score that is missing; `check_texts` for a text that is empty.
    """

    def __init__(
        self,
        groups: Artifact,
        collection: Collection,
        *,
        size: int | None = None,
        seed: int = 0,
        missing: str = "error",
    ):
        for role, mine in (("corpus", collection.corpus), ("queries", collection.queries)):
            if groups.inputs.get(role) != mine.artifact.fingerprint:
                raise BadInput(
                    f"the groups are about another {role} than this collection",
                    where=groups.path,
                    do="give the collection that they were selected from",
                )
        self.groups, self.collection = Groups(groups, level=2), collection
        self.size = self.groups.size if size is None else size
        self.seed, self.missing = seed, missing
        if missing not in _MISSING:
            raise UsageError(f"missing={missing}", do=f"choose one of {', '.join(_MISSING)}")
        if not 2 <= self.size <= self.groups.size:
            raise UsageError(
                f"size={self.size} of groups of {self.groups.size}",
                where=groups.path,
                do=f"give 2 to {self.groups.size}, or select larger groups",
            )
        self.rows, self.unjudged, self.dropped = 0, 0, 0
        self.used_queries = np.zeros(len(collection.queries), bool)
        self.used_docs = np.zeros(len(collection.corpus), bool)
        self.repeated = False  # a query has several groups
        self.several = False  # a group has several positives
        self._survey()

    def batches(self, *, texts: bool = False) -> Iterator[Batch]:
        """Yield every group in its stored order; smaller batches when texts will be looked up."""
        for groups in self._slices(self._pairs(texts) // self.groups.size or 1):
            n, k = groups.doc.shape
            yield Batch(
                query=groups.query,
                offsets=np.arange(n + 1) * k,
                doc=groups.doc.reshape(-1),
                score=groups.score.reshape(-1),
                grade=groups.grade.reshape(-1),
                lead=self._leads(groups).reshape(-1),
            )

    def by_query(self, *, texts: bool = False) -> Iterator[Batch]:
        """Yield one row for each query: its groups joined, a repeated document kept once.

        For formats that are keyed by query. Raises BadInput when the groups of a query do not
        stand together.
        """
        rest: Batch | None = None
        for batch in self.batches(texts=texts):
            joined = batch if rest is None else concat_of(rest, batch)
            if (joined.query[1:] < joined.query[:-1]).any():
                raise BadInput(
                    "the groups are not in the order of their queries",
                    where=self.groups.artifact.path,
                    do="choose a format that keeps groups apart, such as sentence-transformers",
                )
            last = int(np.searchsorted(joined.query, joined.query[-1]))
            if last:
                yield _merged(part_of(joined, 0, last))
            rest = part_of(joined, last, len(joined))
        if rest is not None:
            yield _merged(rest)

    def texts_of(self, of: str) -> Iterator[tuple[np.ndarray, pa.Table]]:
        """Yield (ordinals, rows of id and text) of the `queries` or `docs` that groups name."""
        table, mask = self._table(of)
        for start, part in table.parts():
            stop = start + part.num_rows
            rows = np.flatnonzero(mask[start:stop])
            step = max(1, self._pairs(True))
            for at in range(0, len(rows), step):
                chosen = rows[at : at + step]
                yield chosen + start, part.take(pa.array(chosen))

    def labels(self, batch: Batch) -> np.ndarray:
        """Return what a file of judgements says of each item (int [m]): the grade of a positive, at
        least 1 for whatever leads its group, 0 for a negative, however it was graded.
        """
        good = batch.grade >= self.groups.min_grade
        return np.maximum(np.where(good, batch.grade, 0), batch.lead)

    def query_ids(self, queries: np.ndarray) -> pa.Array:
        """Return the external ids of queries: large_string."""
        return gather(self.collection.queries, "query_id", queries)

    def doc_ids(self, docs: np.ndarray) -> pa.Array:
        """Return the external ids of documents: large_string."""
        return gather(self.collection.corpus, "doc_id", docs)

    def query_texts(self, queries: np.ndarray) -> pa.Array:
        """Return the texts of queries: large_string."""
        return gather(self.collection.queries, "text", queries)

    def doc_texts(self, docs: np.ndarray) -> pa.Array:
        """Return the texts of documents: large_string."""
        return gather(self.collection.corpus, "text", docs)

    def check_texts(self) -> None:
        """Raise BadInput when a query or a document of the groups has no visible text."""
        queries, corpus = self.collection.queries, self.collection.corpus
        empty = [
            start + np.flatnonzero(blank(p["text"]).to_numpy()) for start, p in queries.parts()
        ]
        sides: list[tuple[TextTable, np.ndarray, np.ndarray]] = [
            (queries, np.concatenate(empty), self.used_queries),
            (corpus, corpus.empty, self.used_docs),  # counted when it was read: often none
        ]
        for table, rows, used in sides:
            named = rows[used[rows]]
            if len(named):
                raise BadInput(
                    f"{len(named):,} {table.plural} of the groups are empty: "
                    f"{first_ten(table.ids(named[:11]))}",
                    where=self.groups.artifact.path,
                    do="trainers take an empty text in silence: give these texts, or select "
                    "again without them",
                )

    def _table(self, of: str) -> tuple[TextTable, np.ndarray]:
        if of == "queries":
            return self.collection.queries, self.used_queries
        return self.collection.corpus, self.used_docs

    def _pairs(self, texts: bool) -> int:
        if not texts:
            return _PAIRS
        corpus = self.collection.corpus
        mean = corpus.artifact.bytes / max(1, len(corpus))
        return int(min(_PAIRS, max(1, _TEXT_BYTES // max(1, mean))))

    def _slices(self, step: int) -> Iterator[GroupArrays]:
        for number in range(len(self.groups.artifact.parts)):
            part = self.groups.part(number)
            for at in range(0, len(part), step):
                piece = self._cut(part[at : at + step])
                finite = np.flatnonzero(np.isfinite(piece.score).all(axis=1))
                if len(finite):
                    yield piece if len(finite) == len(piece) else piece[finite]

    def _cut(self, groups: GroupArrays) -> GroupArrays:
        if self.size == groups.size:
            return groups
        key = np.uint64(key_of(self.seed, "negatives", 0))
        keys = (groups.query * np.uint64(0x9E3779B97F4A7C15)) ^ key
        columns = np.zeros((len(groups), self.size), np.int64)
        drawn = np.empty((len(groups), self.size - 1), np.int64)
        draw_columns(keys, groups.size, drawn)
        columns[:, 1:] = drawn
        names = ("doc", "score", "grade", "inclusion")
        lists = [np.take_along_axis(getattr(groups, name), columns, axis=1) for name in names]
        return GroupArrays(groups.query, *lists)

    def _leads(self, groups: GroupArrays) -> np.ndarray:
        """Say which documents are positives: bool [n, k]."""
        lead = np.zeros(groups.doc.shape, bool)
        lead[:, 0] = True
        if self.groups.positives == "together":
            lead |= np.logical_and.accumulate(self.groups.positive(groups), axis=1)
        return lead

    def _survey(self) -> None:
        """Note what the groups name, and refuse scores that are not there."""
        total, last = 0, -1
        for part in self.groups.parts():
            if self.missing == "error":
                self._refuse_missing(part)
            total += len(part)
        for groups in self._slices(max(1, _PAIRS // self.groups.size)):
            again = self.used_queries[groups.query].any() or (np.diff(groups.query) == 0).any()
            self.repeated = self.repeated or bool(again) or int(groups.query[0]) == last
            last = int(groups.query[-1])
            self.used_queries[groups.query] = True
            self.used_docs[groups.doc.reshape(-1)] = True
            self.rows += len(groups)
            self.several = self.several or bool(self._leads(groups)[:, 1:].any())
            self.unjudged += int((~self.groups.positive(groups)[:, 0]).sum())
        self.dropped = total - self.rows
        if not self.rows:
            raise BadInput("there is no group to write", where=self.groups.artifact.path)

    def _refuse_missing(self, part: GroupArrays) -> None:
        for row in np.flatnonzero(~np.isfinite(part.score).all(axis=1))[:1]:
            at = int(np.flatnonzero(~np.isfinite(part.score[row]))[0])
            query = self.collection.queries.query_id(int(part.query[row]))
            doc = self.collection.corpus.doc_id(int(part.doc[row, at]))
            raise BadInput(
                f"the teacher score of query {query!r} with document {doc!r} is "
                f"{part.score[row, at]}",
                where=self.groups.artifact.path,
                do="score this pair and select again, or leave such groups out with "
                "--missing drop_group",
            )


def gather(table: TextTable, column: str, rows: np.ndarray) -> pa.Array:
    """Return one column of many ordinals, in the order asked for: large_string."""
    records = table.artifact.parts
    starts = np.array([part.start for part in records], np.int64)
    rows = np.asarray(rows, np.int64)
    # Sorted by radix, as sixteen bits allow.
    owner = (np.searchsorted(starts, rows, side="right") - 1).astype(np.uint16)
    if not len(rows):
        return pa.array([], pa.large_string())
    pieces, order = [], np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(records) + 1))
    for number, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False)):
        if low < high:
            values = table.part(records[number].number)[column].combine_chunks()
            taken = values.take(pa.array(rows[order[low:high]] - starts[number]))
            pieces.append(taken.cast(pa.large_string()))
    if len(pieces) == 1:
        return pieces[0]
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pa.concat_arrays(pieces).take(pa.array(back))


_FLAT = ("doc", "score", "grade", "lead")


def part_of(batch: Batch, start: int, stop: int) -> Batch:
    """Return the groups start…stop−1 of a batch."""
    low, high = int(batch.offsets[start]), int(batch.offsets[stop])
    flat = (getattr(batch, name)[low:high] for name in _FLAT)
    return Batch(batch.query[start:stop], batch.offsets[start : stop + 1] - low, *flat)


def concat_of(a: Batch, b: Batch) -> Batch:
    """Return the groups of one batch and then of another."""
    offsets = np.concatenate([a.offsets[:-1], b.offsets + a.offsets[-1]])
    flat = (np.concatenate([getattr(a, name), getattr(b, name)]) for name in _FLAT)
    return Batch(np.concatenate([a.query, b.query]), offsets, *flat)


def _merged(batch: Batch) -> Batch:
    """Join the groups of each query; of a document named twice the first stays."""
    queries, first = np.unique(batch.query, return_index=True)
    if len(queries) == len(batch):
        return batch
    query = np.repeat(batch.query, np.diff(batch.offsets))
    pairs, kept, of = np.unique(pair_keys(query, batch.doc), return_index=True, return_inverse=True)
    leads = np.zeros(len(pairs), bool)
    leads[of[batch.lead]] = True
    order = np.argsort(kept)
    kept = kept[order]
    bounds = np.append(batch.offsets[first], len(query))
    offsets = np.searchsorted(kept, bounds)
    flat = batch.doc[kept], batch.score[kept], batch.grade[kept]
    return Batch(queries, offsets, *flat, leads[order])
