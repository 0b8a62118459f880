"""Files of teacher scores that others wrote: one reader per format, rows of ids and a score.

json     {"query id": {"document id": score}}
jsonl    rows with query_id, doc_id, score; one row per query with lists of doc_id and score; or
         rank_llm's rows of `query` and `candidates`
tsv      query, document, score; a header may name the columns; or Hofstätter's triples: score of
         the positive, score of the negative, query, positive, negative
parquet  columns query_id, doc_id, score; Rank-DistiLLM calls them qid, docno, score; or lists of
         documents and scores, as LightOn has them: query_id, document_ids, scores
trec     query Q0 document rank score tag; what Rank-DistiLLM and others publish as runs

Of ranks the same formats, `rank` in place of `score`; and documents listed best first without any
number: {"query id": ["document id", …]}, rows with a list of doc_id, and rank_llm's rows of
`query` and `candidates`. Where a row has several columns that may be scores, the one that is called
by the kind is read (`column_names`).

These readers say what a file means, row by row; `score_batches` reads what is plain in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...collection.lines import missing as missing_file
from ...collection.lines import read_lines
from ...errors import BadInput, UsageError
from ...inputs.blocks import COMPRESSED
from ...inputs.column_names import (
    DOC_ID,
    QUERY_ID,
    Names,
    first_named,
    named,
    names_of_kind,
    score_names,
)
from ...inputs.parquet_rows import parquet_rows
from ...inputs.row_shapes import Place, list_of, one_id, shown
from ...inputs.strict_json import objects, parse_json
from ...score_kinds import RANK

_ENDINGS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".run": "trec",
    ".trec": "trec",
    ".txt": "trec",
}

ScoreRow = tuple[int, str, str, Any]
"""(line or row from 1, query id, document id, score as written)"""


def format_of(path: Path, said: str | None = None) -> str:
    """Return the format of a file: as said, else by its ending; raises UsageError."""
    if said is not None:
        if said not in READERS:
            raise UsageError(f"format={said} is not known", do=f"one of {', '.join(READERS)}")
        return said
    endings = [ending for ending in path.suffixes if ending not in COMPRESSED]
    if path.name.endswith((".pkl", ".pkl.gz", ".pickle")):
        raise BadInput(
            "this is a pickle, which can run code when it is read",
            where=path,
            do="turn it into JSON Lines first: rankmill unsafe-convert-pickle FILE --to OUT.jsonl",
        )
    form = _ENDINGS.get(endings[-1]) if endings else None
    if path.is_dir():
        form = "parquet" if any(path.glob("*.parquet")) else None
    if form is None:
        raise UsageError(
            f"the ending of {path.name} says no format", do=f"say --format: {', '.join(READERS)}"
        )
    return form


def files_of(path: Path, form: str) -> list[Path]:
    """Return the files to read: the file, or the shards of a folder in the order of their names.

    Raises BadInput where there is none.
    """
    if not path.is_dir():
        if not path.is_file():
            raise missing_file(path)
        return [path]
    endings = [ending for ending, each in _ENDINGS.items() if each == form]
    shards = sorted(
        file
        for file in path.iterdir()
        if file.is_file()
        and any(file.name.endswith((e, *(e + c for c in COMPRESSED))) for e in endings)
    )
    if not shards:
        raise BadInput(
            f"the folder holds no {form} file", where=path, do="name the file, or --format"
        )
    return shards


def read_scores(path: Path, form: str, kind: str) -> Iterator[ScoreRow]:
    """Yield every score of a file, or every rank, as written; raises BadInput with the line."""
    return READERS[form](path, kind)


def _json(path: Path, kind: str) -> Iterator[ScoreRow]:
    text = "\n".join(line for _, line in read_lines(path))
    do = "the file may be truncated; JSON Lines need the ending .jsonl"
    whole = parse_json(text, path, do, whole=True)
    do = 'write {"query id": {"document id": 1.5}}'
    if not isinstance(whole, dict):
        raise BadInput("the file is not an object of objects", where=path, do=do)
    number = 0
    for query_id, docs in whole.items():
        where = f"{path}, query {query_id!r}"
        if kind == RANK and isinstance(docs, list):
            docs = _placed(docs, where)
        if not isinstance(docs, dict):
            raise BadInput(
                f"the file is not an object of objects: there is {shown(docs)}", where=where, do=do
            )
        for doc_id, score in docs.items():
            number += 1
            yield number, one_id(query_id, "query id", where), one_id(doc_id, "id", where), score


def _jsonl(path: Path, kind: str) -> Iterator[ScoreRow]:
    for place, row in objects(path, read_lines(path)):
        yield from rows_of_object(row, place, kind)


def rows_of_object(row: dict[str, Any], place: Place, kind: str) -> Iterator[ScoreRow]:
    """Yield the scores of one row: of one pair, or of lists of documents and scores."""
    if kind == RANK or "candidates" in row:
        row = _flat(row)
    name, query_id = _named(row, QUERY_ID, place)
    doc_name, docs = _named(row, DOC_ID, place)
    query_id = one_id(query_id, name, place)
    if kind == RANK and isinstance(docs, list) and not named(row, score_names(kind)):
        name, scores = "rank", list(range(1, len(docs) + 1))  # the list itself is the order
    else:
        name, scores = _value(row, kind, place)
    if not isinstance(docs, list):
        yield place.number, query_id, one_id(docs, doc_name, place), scores
        return
    if len(list_of(scores, name, place, f"{name}s")) != len(docs):
        raise BadInput(
            f"{len(docs)} documents and {len(scores)} {name.removesuffix('s')}s",
            where=str(place),
            do=f"write one {name} for each document of the list",
        )
    for doc_id, score in zip(docs, scores, strict=True):
        yield place.number, query_id, one_id(doc_id, doc_name, place), score


def _tsv(path: Path, kind: str) -> Iterator[ScoreRow]:
    order: list[int] | None = None
    for number, line in read_lines(path):
        cells = line.split("\t")
        if order is None:
            order = header_order(cells, kind, f"{path}, line {number}")
            if order is not None:
                continue
            order = [0, 1, 2]
        yield from rows_of_cells(cells, order, Place(path, number), kind)


def rows_of_cells(
    cells: list[str], order: list[int], place: Place, kind: str
) -> Iterator[ScoreRow]:
    """Yield the score of one line, or the two of a triple."""
    plain = order == [0, 1, 2]
    if len(cells) == 5 and plain and kind != RANK:
        yield place.number, cells[2], cells[3], cells[0]
        yield place.number, cells[2], cells[4], cells[1]
        return
    if len(cells) <= max(order) or (plain and len(cells) != 3):
        value = "rank" if kind == RANK else "score"
        raise BadInput(
            f"{len(cells)} columns, expected 3: query id, document id, {value}",
            where=str(place),
            do="one pair per line, columns separated by single tabs",
        )
    query_id, doc_id, score = (cells[at] for at in order)
    yield place.number, query_id, doc_id, score


def header_order(cells: list[str], kind: str, where: str) -> list[int] | None:
    """Return the places of query, document and value when the cells are names of columns."""
    ids = [first_named(cells, known) for known in (QUERY_ID, DOC_ID)]
    if None in ids or not named(cells, score_names(kind)):
        return None
    value = chosen_score(cells, kind, where)
    return [cells.index(str(name)) for name in (*ids, value)]


def _parquet(path: Path, kind: str) -> Iterator[ScoreRow]:
    for place, row in parquet_rows(path):
        yield from rows_of_object(row, place, kind)


def _trec(path: Path, kind: str) -> Iterator[ScoreRow]:
    for number, line in read_lines(path):
        cells = line.split()
        if len(cells) < 6:
            raise BadInput(
                f"{len(cells)} columns, a TREC run has 6: query Q0 document rank score tag",
                where=f"{path}, line {number}",
                do="write one pair per line, or say --format",
            )
        yield number, cells[0], cells[2], cells[3 if kind == RANK else 4]


READERS: dict[str, Callable[[Path, str], Iterator[ScoreRow]]] = {
    "json": _json,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "parquet": _parquet,
    "trec": _trec,
}


def _named(row: dict[str, Any], names: Names, place: Place) -> tuple[str, Any]:
    """Return the first of the named fields that is there and not null, with its name."""
    there = named(row, names)
    for name in there:
        if row[name] is not None:
            return name, row[name]
    if there:
        raise BadInput(f"{there[0]!r} is null", where=str(place), do="write ids as texts")
    raise _missing(row, names, place)


def _value(row: dict[str, Any], kind: str, place: Place) -> tuple[str, Any]:
    """Return the name and the value of the field that holds scores of the kind."""
    there = [name for name in named(row, score_names(kind)) if row[name] is not None]
    if not there:
        null = named(row, score_names(kind))
        if null:
            return null[0], None  # refused as a score, with its place
        raise _missing(
            row, score_names(kind) if kind == RANK else ("score", *score_names(kind)), place
        )
    name = chosen_score(there, kind, place)
    return name, row[name]


def chosen_score(there: Any, kind: str, where: object) -> str:
    """Return the one column of scores; of several the one that is called by the kind.

    Raises BadInput where several may be meant.
    """
    names = named(there, score_names(kind))
    own = named(there, names_of_kind(kind))
    if len(names) > 1 and len(own) != 1:
        raise BadInput(
            f"several columns may be the scores: {', '.join(map(repr, names))}",
            where=str(where),
            do=f"keep one of them, or call the one to read {names_of_kind(kind)[0]!r}",
        )
    return own[0] if own else names[0]


def _missing(row: dict[str, Any], names: Names, place: Place) -> BadInput:
    return BadInput(
        f"the field {names[0]!r} is missing; this row has {', '.join(map(repr, row)) or 'none'}",
        where=str(place),
        do=f"name it one of: {', '.join(dict.fromkeys(names))}",
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


def _placed(docs: list[Any], where: str) -> dict[str, int]:
    """Return the place of each document of a list, from 1; a document again keeps its first."""
    places: dict[str, int] = {}
    for place, doc in enumerate(docs, 1):
        places.setdefault(one_id(doc, "id", where), place)
    return places
