"""Files of training groups that others wrote, or that we exported: one reader per layout.

triple          folder with train.parquet (query_id, document_ids, scores), or that file
colbert         JSON lines [qid,[pid,score],…]; the document before its score
tevatron        JSON lines with positive_passages and negative_passages, each {docid, score, …}
flag-embedding  JSON lines with query, pos, neg, pos_scores, neg_scores: texts, not ids
trove           JSON lines {"qid", "docid": […], "score": […]}
rankers         folder with train.jsonl (query_id, doc_id_a, doc_id_b) and teacher.json
flat            JSON lines or Parquet with qid, pos, neg, pos.score, neg.score: ids and scores

An `id_map.parquet` beside numbered ids leads back to the ids they stand for. ColBERT's own scorer
prints the reverse order, `[qid, [[score, pid], …]]`; that is another nesting, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..collection.lines import read_lines, read_objects
from ..errors import BadInput, UsageError

ID_MAP = "id_map.parquet"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as it stands in a file: ids (or texts), `positives` of them first."""

    line: int
    query: str
    docs: list[str]
    scores: list[float]
    positives: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How a layout is read; `by_text`: queries and documents are texts, not ids."""

    file: str
    read: Callable[[Path], Iterator[GroupRow]]
    by_text: bool = False


def layout_of(name: str) -> Layout:
    """Return the layout called `name`; raises UsageError with those that are there."""
    if name not in LAYOUTS:
        raise UsageError(f"format={name} holds no groups", do=f"one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def group_rows(path: Path, name: str) -> Iterator[GroupRow]:
    """Yield the groups of a file, or of an export's folder; numbers resolved through the id map."""
    layout = layout_of(name)
    file = path / layout.file if path.is_dir() else path
    ours = _id_map(file.parent / ID_MAP)
    for row in layout.read(file):
        if not (len(row.docs) == len(row.scores) and row.docs):
            raise BadInput(
                f"{len(row.docs)} documents with {len(row.scores)} scores",
                where=f"{file}, line {row.line}",
                do="every document of a group needs its score",
            )
        yield _led_back(row, ours, file) if ours else row


def _led_back(row: GroupRow, ours: dict[str, dict[str, str]], file: Path) -> GroupRow:
    try:
        query, docs = ours["query"][row.query], [ours["document"][doc] for doc in row.docs]
    except KeyError as error:
        raise BadInput(
            f"the number {error.args[0]} is not in {ID_MAP}",
            where=f"{file}, line {row.line}",
            do="is the map the one that was written with this file?",
        ) from error
    return GroupRow(row.line, query, docs, row.scores, row.positives)


def _id_map(path: Path) -> dict[str, dict[str, str]]:
    """Return {"query": {number: id}, "document": {number: id}}; empty without a map."""
    if not path.is_file():
        return {}
    import pyarrow.parquet as pq

    ids: dict[str, dict[str, str]] = {"query": {}, "document": {}}
    for batch in pq.ParquetFile(path).iter_batches():
        columns = (batch[name].to_pylist() for name in ("of", "ours", "theirs"))
        for of, ours, theirs in zip(*columns, strict=True):
            ids[of][str(theirs)] = ours
    return ids


def _triple(path: Path) -> Iterator[GroupRow]:
    import pyarrow.parquet as pq

    if not path.is_file():
        raise BadInput("there is no such file", where=path, do="give the export's folder")
    file, line = pq.ParquetFile(path), 0
    lost = [n for n in ("query_id", "document_ids", "scores") if n not in file.schema_arrow.names]
    if lost:
        raise BadInput(
            f"the column {lost[0]!r} is missing; there are {', '.join(file.schema_arrow.names)}",
            where=path,
            do="columns are query_id, document_ids, scores",
        )
    for batch in file.iter_batches(batch_size=4096):
        columns = (batch[name].to_pylist() for name in ("query_id", "document_ids", "scores"))
        for query, docs, scores in zip(*columns, strict=True):
            line += 1
            yield GroupRow(line, str(query), [str(d) for d in docs], scores)


def _colbert(path: Path) -> Iterator[GroupRow]:
    for number, text in read_lines(path):
        where = f"{path}, line {number}"
        try:
            query, *items = json.loads(text)
            docs, scores = [str(doc) for doc, _ in items], [score for _, score in items]
        except (ValueError, TypeError) as error:
            raise BadInput(
                "the line is not [qid,[pid,score],…]",
                where=where,
                do="for plain triples of ids there are no scores to import",
            ) from error
        if not all(isinstance(doc, int) for doc, _ in items):
            raise BadInput(
                f"the first of a pair is {items[0][0]!r}, not a document's number",
                where=where,
                do="ColBERT's own scorer writes the score first: turn the pairs round",
            )
        yield GroupRow(number, str(query), docs, scores)


def _tevatron(path: Path) -> Iterator[GroupRow]:
    for number, row in read_objects(path):
        sides = [_get(row, f"{side}_passages", path, number) for side in ("positive", "negative")]
        passages = [*sides[0], *sides[1]]
        docs = [str(_get(passage, "docid", path, number)) for passage in passages]
        scores = [_get(passage, "score", path, number) for passage in passages]
        query = str(_get(row, "query_id", path, number))
        yield GroupRow(number, query, docs, scores, len(sides[0]))


def _flag_embedding(path: Path) -> Iterator[GroupRow]:
    for number, row in read_objects(path):
        sides = [_get(row, name, path, number) for name in ("pos", "neg")]
        scores = [_get(row, name, path, number) for name in ("pos_scores", "neg_scores")]
        query = _get(row, "query", path, number)
        yield GroupRow(number, query, sum(sides, []), sum(scores, []), len(sides[0]))


def _trove(path: Path) -> Iterator[GroupRow]:
    for number, row in read_objects(path):
        query, docs, scores = (_get(row, name, path, number) for name in ("qid", "docid", "score"))
        yield GroupRow(number, str(query), [str(d) for d in docs], scores)


def _rankers(path: Path) -> Iterator[GroupRow]:
    teacher = path.parent / "teacher.json"
    scores = json.loads("\n".join(line for _, line in read_lines(teacher)))
    for number, row in read_objects(path):
        query, first, others = (
            _get(row, name, path, number) for name in ("query_id", "doc_id_a", "doc_id_b")
        )
        docs = [str(d) for d in (first, *(others if isinstance(others, list) else [others]))]
        given = _get(scores, str(query), teacher, number)
        yield GroupRow(
            number, str(query), docs, [_get(given, doc, teacher, number) for doc in docs]
        )


def _flat(path: Path) -> Iterator[GroupRow]:
    for number, row in _parquet_rows(path) if path.suffix == ".parquet" else read_objects(path):
        sides = [_several(_get(row, name, path, number)) for name in ("pos", "neg")]
        scores = [_several(_get(row, f"{name}.score", path, number)) for name in ("pos", "neg")]
        docs = [str(doc) for side in sides for doc in side]
        query = str(_get(row, "qid", path, number))
        yield GroupRow(number, query, docs, sum(scores, []), len(sides[0]))


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow.parquet as pq

    number = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=4096):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _get(row: Any, name: str, path: Path, line: int) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise BadInput(
            f"{name!r} is missing",
            where=f"{path}, line {line}",
            do="every document of a group needs its id and its score",
        )
    return row[name]


LAYOUTS = {
    "triple": Layout("train.parquet", _triple),
    "colbert": Layout("train.json", _colbert),
    "tevatron": Layout("train.jsonl", _tevatron),
    "flag-embedding": Layout("train/train.jsonl", _flag_embedding, by_text=True),
    "trove": Layout("train.jsonl", _trove),
    "rankers": Layout("train.jsonl", _rankers),
    "flat": Layout("train.jsonl", _flat),
}
