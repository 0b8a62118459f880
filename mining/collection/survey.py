"""One look through everything a reader offers before anything is written.

It finds what is wrong (duplicate ids, judgements of unknown ids, nothing to find) and how long the
parts will be. Memory: 8 bytes per document and the judged ids; no text and no map of the corpus is
kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
import polars as pl

from ..errors import BadInput
from ..store import Shard
from .base import Document, Reader
from .handles import first_ten

PART_ROWS = 262_144
PART_BYTES = 256 << 20
_BLOCK = 8192

Item = TypeVar("Item")


@dataclass(slots=True)
class Survey:
    """What the readers will yield: plans of the corpus and the queries, judgements per split."""

    corpus: list[Shard]
    queries: list[Shard]
    judged: dict[str, int] = field(default_factory=dict)


def look_through(reader: Reader, splits: Iterable[str], has_queries: bool) -> Survey:
    """Check everything; raises BadInput, and nothing has been written by then."""
    wanted_queries: dict[str, str] = {}  # judged id → the split that names it first
    wanted_docs: dict[str, str] = {}
    survey = Survey([], [])
    for split in splits:
        survey.judged[split] = _judgements(reader, split, wanted_queries, wanted_docs)
    if has_queries:
        survey.queries = _rows(reader, "queries", _query_rows(reader), wanted_queries)
    survey.corpus = _rows(reader, "corpus", _doc_rows(reader), wanted_docs)
    return survey


def blocks(items: Iterable[Item], size: int = _BLOCK) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    stream = iter(items)
    while block := list(islice(stream, size)):
        yield block


def _doc_rows(reader: Reader) -> Iterator[tuple[str, int]]:
    return (
        (doc_id, _bytes(doc_id) + _bytes(title) + _bytes(text))
        for doc_id, title, text in reader.documents()
    )


def _query_rows(reader: Reader) -> Iterator[tuple[str, int]]:
    return ((query_id, _bytes(query_id) + _bytes(text)) for query_id, text in reader.queries())


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _judgements(reader: Reader, split: str, queries: dict[str, str], docs: dict[str, str]) -> int:
    """Collect the judged ids of one split; refuses contradictions and a split without positives."""
    grades: dict[tuple[str, str], int] = {}
    positives, contradicting = 0, []
    for query_id, doc_id, grade in reader.judgements(split):
        pair = (query_id, doc_id)
        if grades.setdefault(pair, grade) != grade:
            contradicting.append(f"{query_id} {doc_id}")
        queries.setdefault(query_id, split)
        docs.setdefault(doc_id, split)
        positives += grade >= 1
    if contradicting:
        raise BadInput(
            f"{len(contradicting):,} pairs are judged twice with different grades: "
            f"{first_ten(contradicting)}",
            where=reader.place("qrels", split),
            do="keep one line for each pair of query and document",
        )
    if not positives:
        raise BadInput(
            f"the split {split!r} has no positives: none of its {len(grades):,} judgements has a "
            "grade of at least 1",
            where=reader.place("qrels", split),
            do="columns are query id, document id, grade; remove a file that is not needed",
        )
    return len(grades)


def _rows(
    reader: Reader, role: str, rows: Iterator[tuple[str, int]], judged: dict[str, str]
) -> list[Shard]:
    """Plan the parts of the corpus or the queries; refuses duplicate, unknown and missing ids."""
    plan: list[Shard] = []
    hashes = []
    start = total = size = 0
    unknown = dict(judged)
    for block in blocks(rows):
        ids = [row_id for row_id, _ in block]
        hashes.append(pl.Series(ids, dtype=pl.String).hash(seed=0).to_numpy())
        for row_id in unknown.keys() & set(ids) if unknown else ():
            del unknown[row_id]
        for _, length in block:
            if total > start and (total - start >= PART_ROWS or size + length > PART_BYTES):
                plan.append(Shard(len(plan), start, total, total - start))
                start, size = total, 0
            total, size = total + 1, size + length
    noun = "documents" if role == "corpus" else "queries"
    if not total:
        raise BadInput(
            f"there are no {noun}: empty {role}", where=reader.place(role), do="check the file"
        )
    plan.append(Shard(len(plan), start, total, total - start))
    _refuse_duplicates(reader, role, np.concatenate(hashes))
    if unknown:
        splits = sorted(set(unknown.values()))
        raise BadInput(
            f"the judgements name {len(unknown):,} unknown {noun}: {first_ten(list(unknown))}",
            where=", ".join(reader.place("qrels", split) for split in splits),
            do=f"their ids must stand in {reader.place(role)}, byte for byte",
        )
    return plan


def _refuse_duplicates(reader: Reader, role: str, hashes: np.ndarray) -> None:
    """Find ids that occur twice: by 64-bit hash first, then by the ids of equal hashes only."""
    ordered = np.sort(hashes)
    doubled = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(doubled):
        return
    rows: Iterable[Document | tuple[str, str]]
    rows = reader.documents() if role == "corpus" else reader.queries()
    suspects = np.flatnonzero(np.isin(hashes, doubled))
    seen: dict[str, int] = {}
    at = 0
    for number, row in enumerate(rows):
        if at < len(suspects) and number == suspects[at]:
            seen[row[0]] = seen.get(row[0], 0) + 1
            at += 1
    twice = [row_id for row_id, count in seen.items() if count > 1]
    if twice:
        noun = "document" if role == "corpus" else "query"
        raise BadInput(
            f"{len(twice):,} {noun} ids occur more than once: {first_ten(twice)}",
            where=reader.place(role),
            do="give every row an id of its own; ids are compared byte for byte",
        )
