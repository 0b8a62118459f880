"""What a source may return for each query: how deep, from which rank on, without which documents.

Files are plain text, plain or gzipped, fields separated by tabs, without a header line:

    exclude   query_id  doc_id     documents that a query must not get
    only      doc_id               the documents that may be returned at all
    depths    query_id  depth      the depth of a query, where it is not that of the run
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..collection.handles import EVERY_QUERY, Collection
from ..collection.lines import read_lines
from ..errors import BadInput, RankmillError, UsageError
from ..inputs.given_paths import path_given
from ..pair_keys import distinct, pair_keys, queries_of
from ..store.files import sha256_of

JUDGED = ("positives", "positives(min_grade=N)", "judged")
_FILES = ("exclude", "only", "depths")


_DIGITS = 18  # of a number that 64 bits hold; Python refuses to read thousands


@dataclass(frozen=True, slots=True)
class WrittenLimits:
    """Limits as a request writes them: names of judgements, paths of files, or None."""

    first_rank: int | None = None
    exclude: str | None = None
    only: str | None = None
    depths: str | None = None

    def __post_init__(self) -> None:
        if self.first_rank is not None and self.first_rank < 1:
            raise UsageError(f"first_rank={self.first_rank} must be at least 1: ranks start at 1")

    def path(self, role: str) -> Path | None:
        """Return the file of a role, None where none is given or it names judgements."""
        text = getattr(self, role)
        if text is None or (role == "exclude" and _least_grade(text) is not None):
            return None
        path = path_given(text).absolute()
        if not os.path.isfile(path):  # False also for a name that is too long for any file
            known = f"one of {', '.join(JUDGED)} or " if role == "exclude" else ""
            raise UsageError(f"{role}={text} is not a file", do=f"give {known}the path of a file")
        return path

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file by its role: what the files add to a fingerprint."""
        paths = {role: self.path(role) for role in _FILES}
        return {role: sha256_of(path) for role, path in paths.items() if path is not None}

    def tags(self) -> dict[str, Any]:
        """Return each file's name with the first digits of its hash: what labels show of it."""
        return {
            role: f"{Path(getattr(self, role)).name}@{digest[:8]}"
            for role, digest in self.digests().items()
        }


@dataclass(frozen=True, slots=True)
class Restriction:
    """The limits of a split's queries, by ordinals.

    depth int64 [queries]: the length of each list; skipped: ranks left out before it. excluded
    uint64, ascending: keys of pairs (place of the query in the split, document). allowed: bool
    [documents] or None for all.
    """

    depth: np.ndarray
    skipped: int
    excluded: np.ndarray
    allowed: np.ndarray | None

    @classmethod
    def of(
        cls, limits: WrittenLimits, collection: Collection, split: str, depth: int
    ) -> Restriction:
        """Read the files; raises BadInput with file and line for what is wrong there."""
        queries = collection.split_queries(split)
        depths = np.full(len(queries), depth, dtype=np.int64)
        if path := limits.path("depths"):
            rows = list(_fields(path, 2))
            _refuse_two_depths(path, rows)
            place = _places(collection, queries, [query for _, (query, _) in rows])
            for (number, (_, text)), at in zip(rows, place, strict=True):
                if at >= 0:
                    depths[at] = _depth(text, f"{path}, line {number}", len(collection.corpus))
        allowed = None
        if path := limits.path("only"):
            allowed = np.zeros(len(collection.corpus), dtype=bool)
            allowed[collection.corpus.ordinals([doc for _, (doc,) in _fields(path, 1)])] = True
        excluded = _excluded(limits, collection, split, queries)
        return cls(depths, (limits.first_rank or 1) - 1, excluded, allowed)

    @property
    def plain(self) -> bool:
        """Say that it asks for nothing but one depth."""
        same = not len(self.depth) or bool((self.depth == self.depth[0]).all())
        return same and not self.skipped and not len(self.excluded) and self.allowed is None

    def reach(self, start: int, stop: int) -> np.ndarray:
        """Return how many documents of queries start…stop−1 must be found: int64."""
        low, high = self._of(start, stop)
        excluded = np.bincount(
            queries_of(self.excluded[low:high]).astype(np.int64) - start,
            minlength=stop - start,
        )
        return self.depth[start:stop] + self.skipped + excluded

    def cut(
        self, start: int, stop: int, bounds: np.ndarray, docs: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Leave out of the lists of queries start…stop−1 what must not be there, in order.

        bounds int64 [stop − start + 1] into docs uint32 and scores float32, best first.
        """
        low, high = self._of(start, stop)
        row = np.repeat(np.arange(stop - start), np.diff(bounds))
        keys = pair_keys(row + start, docs)
        kept = ~np.isin(keys, self.excluded[low:high])
        before = np.concatenate([[0], np.cumsum(kept)])
        rank = before[:-1] - before[bounds[:-1]][row] - self.skipped
        kept &= (rank >= 0) & (rank < self.depth[start:stop][row])
        lengths = np.bincount(row[kept], minlength=stop - start)
        return np.concatenate([[0], np.cumsum(lengths)]), docs[kept], scores[kept]

    def _of(self, start: int, stop: int) -> tuple[int, int]:
        low, high = np.searchsorted(self.excluded, pair_keys(np.array([start, stop]), 0))
        return int(low), int(high)


def check_unchanged(limits: WrittenLimits, digests: dict[str, str]) -> None:
    """Raise RankmillError when a file is not the one that the plan was made with."""
    for role, digest in limits.digests().items():
        if digests[role] != digest:
            raise RankmillError(
                f"the file of {role} changed while it was used",
                where=limits.path(role),
                do="run the command again",
            )


def _excluded(
    limits: WrittenLimits, collection: Collection, split: str, queries: np.ndarray
) -> np.ndarray:
    if limits.exclude is None:
        return np.empty(0, dtype=np.uint64)
    if path := limits.path("exclude"):
        rows = [fields for _, fields in _fields(path, 2)]
        place = _places(collection, queries, [query for query, _ in rows])
        docs = collection.corpus.ordinals([doc for _, doc in rows])
    else:
        if split == EVERY_QUERY:
            raise UsageError(
                f"exclude={limits.exclude} needs the judgements of a split, got split {split!r}",
                do=f"choose one of {', '.join(collection.splits)}",
            )
        qrels = collection.qrels(split)
        left_out = qrels.grade >= _least_grade(limits.exclude)
        place, docs = np.searchsorted(queries, qrels.query[left_out]), qrels.doc[left_out]
    inside = place >= 0
    return distinct(pair_keys(place[inside], docs[inside]))


def _least_grade(exclude: str) -> int | None:
    """Return the least grade that `exclude` leaves out, None where it names a file."""
    if exclude == "judged":
        return -(1 << 15)
    match = re.fullmatch(rf"positives(?:\(min_grade=([1-9]\d{{,{_DIGITS}}})\))?", exclude)
    return int(match[1] or 1) if match else None


def _places(collection: Collection, queries: np.ndarray, ids: list[str]) -> np.ndarray:
    """Return the place of each query in the split, −1 for queries of other splits."""
    known = collection.queries.ordinals(ids)
    place = np.minimum(np.searchsorted(queries, known), max(len(queries) - 1, 0))
    return np.where(queries[place] == known, place, -1) if len(queries) else np.full(len(ids), -1)


def _refuse_two_depths(path: Path, rows: list[tuple[int, tuple[str, ...]]]) -> None:
    """Raise BadInput for a query that stands there again, with another depth."""
    first: dict[str, tuple[int, str]] = {}
    for number, (query, text) in rows:
        line, before = first.setdefault(query, (number, text))
        if text != before:
            raise BadInput(
                f"the query {query!r} has two depths, {before!r} and {text!r}",
                where=f"{path}, lines {line} and {number}",
                do="keep one line for each query",
            )


def _depth(text: str, where: str, documents: int) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not (digits and 1 <= int(text) <= documents):
        raise BadInput(
            f"a depth of {text!r}", where=where, do=f"write a number from 1 to {documents:,}"
        )
    return int(text)


def _fields(path: Path, count: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, line in read_lines(path):
        fields = tuple(line.split("\t"))
        if len(fields) != count:
            raise BadInput(
                f"{len(fields)} fields, {count} are needed: {line[:80]!r}",
                where=f"{path}, line {number}",
                do="separate the fields by one tab, without a header line",
            )
        yield number, fields
