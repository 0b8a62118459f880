"""Files of teacher scores that others wrote: one reader per format, rows of ids and a score.

json     {"query id": {"document id": score}}
jsonl    rows with query_id, doc_id, score; one row per query with lists of doc_id and score; or
         rank_llm's rows of `query` and `candidates`
tsv      query, document, score; a header may name the columns; or Hofstätter's triples: score of
         the positive, score of the negative, query, positive, negative
parquet  columns query_id, doc_id, score; Rank-DistiLLM calls them qid, docno, score
trec     query Q0 document rank score tag; what Rank-DistiLLM and others publish as runs

Of ranks the same formats, `rank` in place of `score`; and documents listed best first without any
number: {"query id": ["document id", …]}, rows with a list of doc_id, and rank_llm's rows of
`query` and `candidates`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...collection.lines import read_lines, read_objects
from ...collection.tabular import ParquetReader
from ...errors import BadInput, UsageError
from ...score_kinds import RANK

QUERY = ("query_id", "qid", "query-id", "_id")
DOC = ("doc_id", "docno", "docid", "pid", "corpus-id", "doc-id")
SCORE = ("score", "logit", "scores")
RANKS = ("rank", "ranks")
_ENDINGS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".run": "trec",
    ".trec": "trec",
    ".txt": "trec",
}

Names = tuple[str, ...]
ScoreRow = tuple[int, str, str, Any]
"""(line or row from 1, query id, document id, score as written)"""


def format_of(path: Path, said: str | None = None) -> str:
    """Return the format of a file: as said, else by its ending; raises UsageError."""
    if said is not None:
        if said not in READERS:
            raise UsageError(f"format={said} is not known", do=f"one of {', '.join(READERS)}")
        return said
    endings = [ending for ending in path.suffixes if ending != ".gz"]
    if path.name.endswith((".pkl", ".pkl.gz", ".pickle")):
        raise BadInput(
            "this is a pickle, which can run code when it is read",
            where=path,
            do="turn it into JSON Lines first: rankmill unsafe-convert-pickle FILE --to OUT.jsonl",
        )
    form = _ENDINGS.get(endings[-1]) if endings else None
    if form is None:
        raise UsageError(
            f"the ending of {path.name} says no format", do=f"say --format: {', '.join(READERS)}"
        )
    return form


def read_scores(path: Path, form: str, kind: str) -> Iterator[ScoreRow]:
    """Yield every score of a file, or every rank, as written; raises BadInput with the line."""
    return READERS[form](path, RANKS if kind == RANK else SCORE)


def _json(path: Path, value: Names) -> Iterator[ScoreRow]:
    text = "\n".join(line for _, line in read_lines(path))
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"invalid JSON: {error.msg} at line {error.lineno}",
            where=path,
            do="the file may be truncated; JSON Lines need the ending .jsonl",
        ) from error
    if value is RANKS and isinstance(whole, dict):
        whole = {q: _placed(v) if isinstance(v, list) else v for q, v in whole.items()}
    if not isinstance(whole, dict) or not all(isinstance(v, dict) for v in whole.values()):
        raise BadInput(
            "the file is not an object of objects",
            where=path,
            do='write {"query id": {"document id": 1.5}}',
        )
    number = 0
    for query_id, docs in whole.items():
        for doc_id, score in docs.items():
            number += 1
            yield number, query_id, doc_id, score


def _jsonl(path: Path, value: Names) -> Iterator[ScoreRow]:
    for number, row in read_objects(path):
        where = f"{path}, line {number}"
        row = _flat(row)
        query_id, docs = _named(row, QUERY, where), _named(row, DOC, where)
        if value is RANKS and isinstance(docs, list) and not any(n in row for n in RANKS):
            scores: Any = list(range(1, len(docs) + 1))  # the list itself is the order
        else:
            scores = _named(row, value, where)
        if not isinstance(docs, list):
            yield number, _id(query_id, where), _id(docs, where), scores
            continue
        if not isinstance(scores, list) or len(scores) != len(docs):
            raise BadInput(
                f"{len(docs)} documents and {_count(scores)} {value[0]}s",
                where=where,
                do=f"write one {value[0]} for each document of the list",
            )
        for doc_id, score in zip(docs, scores, strict=True):
            yield number, _id(query_id, where), _id(doc_id, where), score


def _tsv(path: Path, value: Names) -> Iterator[ScoreRow]:
    order: list[int] | None = None
    for number, line in read_lines(path):
        cells = line.split("\t")
        where = f"{path}, line {number}"
        if order is None:
            order = _header(cells, value)
            if order is not None:
                continue
            order = [0, 1, 2]
        if len(cells) == 5 and order == [0, 1, 2] and value is SCORE:
            yield number, cells[2], cells[3], cells[0]
            yield number, cells[2], cells[4], cells[1]
            continue
        if len(cells) <= max(order) or (order == [0, 1, 2] and len(cells) != 3):
            raise BadInput(
                f"{len(cells)} columns, expected 3: query id, document id, {value[0]}",
                where=where,
                do="one pair per line, columns separated by single tabs",
            )
        query_id, doc_id, score = (cells[at] for at in order)
        yield number, query_id, doc_id, score


def _header(cells: list[str], value: Names) -> list[int] | None:
    """Return the places of query, document and value when the cells are names of columns."""
    columns = (QUERY, DOC, value)
    places = [next((cells.index(n) for n in names if n in cells), -1) for names in columns]
    return places if min(places) >= 0 else None


def _parquet(path: Path, value: Names) -> Iterator[ScoreRow]:
    for number, row in ParquetReader(str(path)).rows(path, (QUERY, DOC, value)):
        where = f"{path}, row {number}"
        ids = [_id(_named(row, names, where), where) for names in (QUERY, DOC)]
        yield number, ids[0], ids[1], _named(row, value, where)


def _trec(path: Path, value: Names) -> Iterator[ScoreRow]:
    for number, line in read_lines(path):
        cells = line.split()
        if len(cells) != 6:
            raise BadInput(
                f"{len(cells)} columns, a TREC run has 6: query Q0 document rank score tag",
                where=f"{path}, line {number}",
                do="write one pair per line, or say --format",
            )
        yield number, cells[0], cells[2], cells[3 if value is RANKS else 4]


READERS: dict[str, Callable[[Path, Names], Iterator[ScoreRow]]] = {
    "json": _json,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "parquet": _parquet,
    "trec": _trec,
}


def _named(row: dict[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise BadInput(
        f"the field {names[0]!r} is missing; this row has {', '.join(map(repr, row)) or 'none'}",
        where=where,
        do=f"name it one of: {', '.join(names)}",
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of rank_llm, `query` with `qid` and `candidates` with `docid`, as a list row."""
    query, candidates = row.get("query"), row.get("candidates")
    if not isinstance(query, dict) or not isinstance(candidates, list):
        return row
    docs = [c.get("docid") if isinstance(c, dict) else c for c in candidates]
    scores = [c["score"] for c in candidates if isinstance(c, dict) and "score" in c]
    scored = {"score": scores} if len(scores) == len(docs) else {}
    return {"query_id": query.get("qid"), "doc_id": docs} | scored


def _placed(docs: list[Any]) -> dict[Any, int]:
    """Return the place of each document of a list, from 1; a document again keeps its first."""
    places: dict[Any, int] = {}
    for place, doc in enumerate(docs, 1):
        places.setdefault(doc if isinstance(doc, str) else str(doc), place)
    return places


def _id(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadInput(f"the id {value!r} is neither text nor a whole number", where=where)


def _count(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else "no list of"
