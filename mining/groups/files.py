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
Every field is checked for its shape (`row_shapes`), every refusal names the file and the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..collection.lines import existing, read_lines, read_objects
from ..errors import BadInput, UsageError
from ..inputs.parquet_rows import parquet_rows
from ..inputs.row_shapes import (
    Place,
    field,
    ids,
    list_of,
    numbers,
    one_id,
    one_number,
    one_text,
    texts,
)
from ..inputs.strict_json import parse_json

ID_MAP = "id_map.parquet"
_DO = "every document of a group needs its id and its score"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as it stands in a file: ids (or texts), `positives` of them first."""

    place: Place
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
        if len(row.docs) != len(row.scores):
            raise BadInput(
                f"{len(row.docs)} documents with {len(row.scores)} scores",
                where=str(row.place),
                do="every document of a group needs its score",
            )
        yield _led_back(row, ours) if ours else row


def _led_back(row: GroupRow, ours: dict[str, dict[str, str]]) -> GroupRow:
    try:
        query, docs = ours["query"][row.query], [ours["document"][doc] for doc in row.docs]
    except KeyError as error:
        raise BadInput(
            f"the number {error.args[0]} is not in {ID_MAP}",
            where=str(row.place),
            do="is the map the one that was written with this file?",
        ) from error
    return replace(row, query=query, docs=docs)


def _id_map(path: Path) -> dict[str, dict[str, str]]:
    """Return {"query": {number: id}, "document": {number: id}}; empty without a map."""
    if not path.is_file():
        return {}
    made: dict[str, dict[str, str]] = {"query": {}, "document": {}}
    do = "write the map again, or remove it where ids are no numbers"
    for place, row in parquet_rows(path):
        of, ours, theirs = (
            one_id(field(row, name, place, do), name, place) for name in ("of", "ours", "theirs")
        )
        if of not in made:
            raise BadInput(f"{of!r} is neither query nor document", where=str(place), do=do)
        made[of][theirs] = ours
    return made


def _triple(path: Path) -> Iterator[GroupRow]:
    wanted = ("query_id", "document_ids", "scores")
    for place, row in parquet_rows(path, wanted):
        docs = ids(row["document_ids"], "document_ids", place)
        scores = numbers(row["scores"], "scores", place, docs)
        yield GroupRow(place, one_id(row["query_id"], "query_id", place), docs, scores)


def _colbert(path: Path) -> Iterator[GroupRow]:
    do = "for plain triples of ids there are no scores to import"
    for number, text in read_lines(path):
        place = Place(path, number)
        line = parse_json(text, place, "write lines of [qid,[pid,score],…]")
        pairs = line[1:] if isinstance(line, list) else []
        if not pairs or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise BadInput("the line is not [qid,[pid,score],…]", where=str(place), do=do)
        for doc, _ in pairs:
            if not isinstance(doc, int) or isinstance(doc, bool):
                raise BadInput(
                    f"the first of a pair is {doc!r}, not a document's number",
                    where=str(place),
                    do="ColBERT's own scorer writes the score first: turn the pairs round",
                )
        scores = [one_number(score, "score", place, str(doc)) for doc, score in pairs]
        query = one_id(line[0], "qid", place)
        yield GroupRow(place, query, [str(doc) for doc, _ in pairs], scores)


def _tevatron(path: Path) -> Iterator[GroupRow]:
    for place, row in _objects(path):
        docs, scores = [], []
        for name in ("positive_passages", "negative_passages"):
            for passage in list_of(field(row, name, place, _DO), name, place, "passages"):
                docs.append(one_id(field(passage, "docid", place, _DO), "docid", place))
                scores.append(_scored(passage, docs[-1], place))
        query = one_id(field(row, "query_id", place, _DO), "query_id", place)
        yield GroupRow(place, query, docs, scores, len(row["positive_passages"]))


def _scored(passage: Any, doc: str, place: Place) -> float:
    return one_number(field(passage, "score", place, _DO), "score", place, doc)


def _flag_embedding(path: Path) -> Iterator[GroupRow]:
    for place, row in _objects(path):
        sides = [texts(field(row, name, place, _DO), name, place) for name in ("pos", "neg")]
        scores: list[float] = []
        for name, docs in zip(("pos_scores", "neg_scores"), sides, strict=True):
            given = numbers(field(row, name, place, _DO), name, place, docs)
            _as_many(docs, given, name, place)
            scores += given
        query = one_text(field(row, "query", place, _DO), "query", place)
        yield GroupRow(place, query, [*sides[0], *sides[1]], scores, len(sides[0]))


def _trove(path: Path) -> Iterator[GroupRow]:
    for place, row in _objects(path):
        query, docs, scores = (field(row, name, place, _DO) for name in ("qid", "docid", "score"))
        docs = ids(docs, "docid", place)
        scores = numbers(scores, "score", place, docs)
        yield GroupRow(place, one_id(query, "qid", place), docs, scores)


def _rankers(path: Path) -> Iterator[GroupRow]:
    teacher = existing(path.parent, "teacher.json") or path.parent / "teacher.json"
    do = 'write {"query id": {"document id": 1.5}}'
    whole = "\n".join(line for _, line in read_lines(teacher))
    scores = parse_json(whole, teacher, "the file may be truncated", whole=True)
    for place, row in _objects(path):
        query = one_id(field(row, "query_id", place, _DO), "query_id", place)
        first, others = (field(row, name, place, _DO) for name in ("doc_id_a", "doc_id_b"))
        docs = [one_id(first, "doc_id_a", place), *_several(others, "doc_id_b", place)]
        at = f"{teacher}, query {query} of {place}"
        given = field(scores, query, at, do)
        found = [one_number(field(given, doc, at, do), doc, at) for doc in docs]
        yield GroupRow(place, query, docs, found)


def _flat(path: Path) -> Iterator[GroupRow]:
    for place, row in parquet_rows(path) if path.suffix == ".parquet" else _objects(path):
        sides = [_several(field(row, name, place, _DO), name, place) for name in ("pos", "neg")]
        scores = []
        for name, docs in zip(("pos.score", "neg.score"), sides, strict=True):
            value = field(row, name, place, _DO)
            given = numbers(value if isinstance(value, list) else [value], name, place, docs)
            _as_many(docs, given, name, place)
            scores += given
        query = one_id(field(row, "qid", place, _DO), "qid", place)
        yield GroupRow(place, query, [*sides[0], *sides[1]], scores, len(sides[0]))


def _several(value: Any, name: str, place: Place) -> list[str]:
    """Return one id, or a list of them, as a list."""
    return ids(value if isinstance(value, list) else [value], name, place)


def _as_many(docs: list[str], scores: list[float], name: str, place: Place) -> None:
    """Refuse scores of the one side that would slip to documents of the other."""
    if len(docs) != len(scores):
        raise BadInput(
            f"{len(docs)} documents with {len(scores)} numbers in {name!r}",
            where=str(place),
            do="every document of a group needs its score",
        )


def _objects(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    return ((Place(path, number), row) for number, row in read_objects(path))


LAYOUTS = {
    "triple": Layout("train.parquet", _triple),
    "colbert": Layout("train.json", _colbert),
    "tevatron": Layout("train.jsonl", _tevatron),
    "flag-embedding": Layout("train/train.jsonl", _flag_embedding, by_text=True),
    "trove": Layout("train.jsonl", _trove),
    "rankers": Layout("train.jsonl", _rankers),
    "flat": Layout("train.jsonl", _flat),
}
