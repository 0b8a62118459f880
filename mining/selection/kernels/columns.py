"""Many pool rows at once, as columns: what `reader.CandidateReader` reads for one query.

Rows that only the reader can answer, since they end in an error of its own, are DECLINED.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ....native import candidates as native
from ....native import kept
from ...collection.rows import strings_of
from ...draws import key_of, keys_of
from ...processors import in_threads
from ...runs.itself import counts_of
from ...text.copies import FoldedCopies
from ..base import DRAWN, FIXED
from ..candidates import TextCopies
from ..reader import UNSCORED, CandidateReader

POSITIVES = {
    "first": native.FIRST,
    "all": native.ALL,
    "together": native.TOGETHER,
    "best": native.BEST,
}
MISSING = {
    "error": native.ERROR,
    "drop_doc": native.DROP_DOC,
    "drop_query": native.DROP_QUERY,
}
EXCLUSIONS = {
    "excluded:positive": native.POSITIVE,
    "excluded:empty": native.EMPTY,
    "excluded:copy_of_positive": native.COPY,
    "excluded:by_judgement": native.EXCLUDED,
}


@dataclass(slots=True)
class Around:
    """Groups to be made: row int64 [n] in the range, number int64 (of the row's groups), positive
    int64 (its place in the row); `also` int64 [n, most], −1 where there is none; wanted int64, the
    negatives; key uint64, of the draws; and the flags that filters narrow."""

    row: np.ndarray
    number: np.ndarray
    positive: np.ndarray
    also: np.ndarray
    wanted: np.ndarray
    key: np.ndarray
    flags: kept.Groups

    def __len__(self) -> int:
        return len(self.row)


class PoolColumns:
    """Pool rows start…stop−1: documents, ranks, and the teacher's scores when they are joined.

    Arrays by pair are flat, row r at rows.offsets[r]…rows.offsets[r+1]−1.
    """

    def __init__(self, reader: CandidateReader, start: int, stop: int):
        self.reader, self.start = reader, start
        pieces = list(_pieces(reader, start, stop))
        self.rows = native.Lists(
            _joined([part.query[rows] for part, rows, _ in pieces], np.uint32),
            _offsets([np.diff(part.offsets)[rows] for part, rows, _ in pieces]),
            _joined([part.doc[items] for part, _, items in pieces], np.uint32),
        )
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self.rows.query)

    def rank(self, label: str) -> np.ndarray:
        """Return the rank (uint16) of every pair in a source's list."""
        return _joined([part.rank[label][items] for part, _, items in self._pieces], np.uint16)

    def source_score(self, label: str) -> np.ndarray:
        """Return the score (float32) of every pair in a source's list, NaN where it is not in."""
        return _joined([part.score[label][items] for part, _, items in self._pieces], np.float32)

    def joined_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the score (float64) of every pair, NaN where there is none, and a status (uint8):
        DECLINED for a row with a score that is not finite."""
        score, status = np.full(len(self.rows.doc), np.nan), np.zeros(len(self), np.uint8)
        for query, offsets, doc, value in self.reader.scores.between(self.rows.query):
            stored = native.Lists(query, offsets, doc)

            def work(start: int, stop: int, stored=stored, value=value) -> None:
                native.join_scores(self.rows, stored, value, start, stop, score, status)

            in_threads(work, self.rows.offsets)
        return score, status


class CandidateColumns(PoolColumns):
    """Pool rows start…stop−1 with scores, marks, and the groups to be made around positives."""

    def __init__(self, reader: CandidateReader, start: int, stop: int):
        super().__init__(reader, start, stop)
        pairs, n = len(self.rows.doc), len(self)
        self.score, status = self.joined_scores()
        first, last = (
            np.searchsorted(reader.qrels.query, self.rows.query, side).astype(np.int64)
            for side in ("left", "right")
        )
        of_rows = slice(first[0], last[-1]) if len(first) else slice(0)
        before = first[:1].sum()
        self.judged = native.Judged(
            first - before,
            last - before,
            reader.qrels.doc[of_rows].copy(),
            reader.qrels.grade[of_rows].copy(),
        )
        places = np.cumsum(np.append(0, np.maximum(1, last - first)))
        self.marked = native.Marked(
            marks=np.zeros(pairs, np.uint8),
            grade=np.zeros(pairs, np.int16),
            status=status,
            outside=np.zeros(n, np.int64),
            anchors=np.zeros(n, np.int64),
            place=places[:-1],
            anchor=np.zeros(places[-1], np.int64),
        )
        own = counts_of(reader.itself, self.rows.query)
        status[own > 0] = native.DECLINED  # a document that is the query itself: few have one
        self._mark()
        self._mark_copies()

    def unscored(self, rows: np.ndarray) -> dict[str, int]:
        """Count the candidates of some rows (bool [n]) that go for want of a score, where they
        may."""
        if self.reader.missing != "drop_doc":
            return {}
        lost = np.flatnonzero(np.isnan(self.score))
        owner = np.searchsorted(self.rows.offsets, lost, side="right") - 1
        barred = self.marked.marks[lost] & sum(EXCLUSIONS.values()) > 0
        return {UNSCORED: int((rows[owner] & ~barred).sum())}

    @cached_property
    def alone(self) -> np.ndarray:
        """Say (uint8) which pairs are in a drawn list and in no fixed one."""
        drawn, fixed = (np.zeros(len(self.rows.doc), bool) for _ in range(2))
        for label, origin in self.reader.origin.items():
            if origin in (FIXED, DRAWN):
                listed = self.rank(label) > 0
                if origin == FIXED:
                    fixed |= listed
                else:
                    drawn |= listed
        return (drawn & ~fixed).astype(np.uint8)

    def _mark(self) -> None:
        reader = self.reader
        rules = native.Rules(
            reader.min_grade,
            reader.qrels.excluded_grade,
            len(reader.corpus),
            POSITIVES[reader.positives],
            MISSING[reader.missing],
            reader.size,
        )

        def work(start: int, stop: int) -> None:
            native.mark(
                self.rows, self.score, self.judged, reader.empty, rules, start, stop, self.marked
            )

        in_threads(work, self.rows.offsets)

    @cached_property
    def positives(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The judged positives of every row, in the pool or not: (first, last int64 [n], doc)."""
        good = self.judged.grade >= self.reader.min_grade
        before = np.concatenate([[0], np.cumsum(good)])
        return before[self.judged.first], before[self.judged.last], self.judged.doc[good]

    def _mark_copies(self) -> None:
        """Mark copies of positives: the notions are those of `finder_of`, the oracles too."""
        first, last, doc = self.positives
        ready = self.marked.status == native.READY
        last = np.where(ready, last, first)  # the others have no groups
        copies = self.reader.copies
        if isinstance(copies, FoldedCopies):
            originals = first, last, doc

            def work(start: int, stop: int) -> None:
                native.mark_keys(
                    self.rows, self.marked.marks, copies.keys, copies.digest, originals, start, stop
                )

            in_threads(work, self.rows.offsets)
        elif isinstance(copies, TextCopies):
            self._mark_texts(copies, first, last, doc)

    def _mark_texts(
        self, copies: TextCopies, first: np.ndarray, last: np.ndarray, doc: np.ndarray
    ) -> None:
        """Mark what has the very text of a positive, doc[first[r]:last[r]] for row r."""
        known, number = np.unique(doc, return_inverse=True)
        inside = np.zeros(len(doc) + 1, np.int64)  # rows ask for ranges that do not overlap
        np.add.at(inside, first, 1)
        np.add.at(inside, last, -1)
        asked = np.bincount(number, np.cumsum(inside)[:-1], minlength=len(known)) > 0
        chosen = np.flatnonzero(asked)
        data, bounds = strings_of(self.reader.corpus, "text", known[chosen])
        lengths = np.zeros(len(known), np.int64)
        lengths[chosen] = np.diff(bounds)
        texts = data, np.concatenate([[0], np.cumsum(lengths)])
        originals = first, last, number.astype(np.int64)
        for base, data, bounds in copies.buffers():

            def work(start: int, stop: int, base=base, data=data, bounds=bounds) -> None:
                native.mark_copies(
                    self.rows, self.marked.marks, data, bounds, base, texts, originals, start, stop
                )

            in_threads(work, self.rows.offsets)

    def _keys(self, seed: int, row: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Return the key (uint64) of the draws of each group: of its query's id, and its number."""
        data, bounds = strings_of(self.reader.queries, "query_id", self.rows.query)
        keys = keys_of(seed, "select", data, bounds)[row]
        for at in np.flatnonzero(number).tolist():
            query_id = data[bounds[row[at]] : bounds[row[at] + 1]].tobytes().decode()
            keys[at] = key_of(seed, "select", f"{query_id}\x00{number[at]}")
        return keys

    def around(self, seed: int) -> Around:
        """Return the groups to be made, in order, with what may become a negative."""
        made = np.where(self.marked.status == native.READY, self.marked.anchors, 0)
        together = self.reader.positives == "together"
        each = np.minimum(made, 1) if together else made
        row = np.repeat(np.arange(len(self)), each)
        number = np.arange(len(row)) - np.repeat(np.cumsum(each) - each, each)
        place = self.marked.place[row]
        most = max(0, self.reader.size // 2 - 1) if together else 0
        step = 1 + np.arange(most)
        inside = step[None, :] < made[row][:, None]
        at = np.minimum(place[:, None] + step, max(0, len(self.marked.anchor) - 1))
        also = np.where(inside, self.marked.anchor[at], -1)
        lengths = np.diff(self.rows.offsets)[row]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        flags = kept.Groups(
            self.rows.offsets[row],
            offsets,
            self.marked.anchor[place + number],
            np.zeros(offsets[-1], np.uint8),
        )

        def work(start: int, stop: int) -> None:
            kept.begin(flags, self.score, self.marked.marks, start, stop)

        in_threads(work, offsets)
        wanted = self.reader.size - 1 - inside.sum(axis=1)
        keys = self._keys(seed, row, number)
        return Around(row, number, flags.positive, also, wanted, keys, flags)


def _pieces(reader: CandidateReader, start: int, stop: int):
    """Yield (part of the pool, its rows, their pairs) of a range of pool rows, as slices."""
    for part in reader.pool.pool.artifact.parts:
        first, last = max(start - part.start, 0), min(stop - part.start, part.rows)
        if first < last:
            opened = reader.pool.pool.part(part.number)
            items = slice(int(opened.offsets[first]), int(opened.offsets[last]))
            yield opened, slice(first, last), items


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    """Join by copying, a single array too: read-only views are another type to a kernel."""
    return np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype, copy=False)


def _offsets(lengths: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]))])
