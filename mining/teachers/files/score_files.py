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

This says what a row of a file means; `score_batches` reads what is plain in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from ...collection.lines import missing as missing_file
from ...collection.lines import whole_text
from ...errors import BadInput, UsageError
from ...inputs.column_names import (
    DOC_ID,
    QUERY_ID,
    Names,
    first_named,
    looks_like_names,
    named,
    names_of_kind,
    score_names,
)
from ...inputs.row_shapes import Place, list_of, one_id, shown
from ...inputs.shards import shards_in, table_folder, tables_in, unpacked_name
from ...inputs.spelled_numbers import spelled_number
from ...inputs.strict_json import parse_json
from ...score_kinds import RANK

_ENDINGS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".run": "trec",
    ".trec": "trec",
    ".txt": "trec",
}
UNITS = {"json": "pair", "jsonl": "line", "tsv": "line", "parquet": "row", "trec": "line"}
"""Format → what is counted in it, for errors."""
FORMATS = tuple(UNITS)

ScoreRow = tuple[int, str, str, Any]
"""(line or row from 1, query id, document id, score as written)"""


def format_of(path: Path, said: str | None = None) -> str:
    """Return the format of a file: as said, else by its ending; raises UsageError."""
    if said is not None:
        if said not in FORMATS:
            raise UsageError(f"format={said} is not known", do=f"one of {', '.join(FORMATS)}")
        return said
    if path.name.endswith((".pkl", ".pkl.gz", ".pickle")):
        raise BadInput(
            "this is a pickle, which can run code when it is read",
            where=path,
            do="turn it into JSON Lines first: rankmill unsafe-convert-pickle FILE --to OUT.jsonl",
        )
    if path.is_dir():
        forms = sorted({str(_form(file)) for file in tables_in(path)})
        if len(forms) == 1:
            return forms[0]
        raise UsageError(
            f"the folder {path.name} holds files of {len(forms)} formats",
            do=f"say --format: {', '.join(FORMATS)}",
        )
    form = _form(path)
    if form is None and not path.is_file():
        raise missing_file(path)
    if form is None:
        raise UsageError(
            f"the ending of {path.name} says no format", do=f"say --format: {', '.join(FORMATS)}"
        )
    return form


def _form(path: Path) -> str | None:
    """Return the format that a file's ending says."""
    return _ENDINGS.get(Path(unpacked_name(path.name)).suffix.lower())


def files_of(path: Path, form: str) -> list[Path]:
    """Return the files to read: the file, or the shards of a folder in the order of their names.

    Raises BadInput where there is none, where a shard is missing, and for tables in the folder that
    would not be read.
    """
    if not path.is_dir():
        if not path.is_file():
            raise missing_file(path)
        return [path]
    ours, do = lambda file: _form(file) == form, "name the file, or --format"
    return shards_in(table_folder(path), form, ours, do)


def json_scores(path: Path, kind: str) -> Iterator[ScoreRow]:
    """Yield every score of a JSON object, or every rank, as written; they are counted in place of
    lines."""
    text = whole_text(path)
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
    many = f"{name.removesuffix('s')}s"
    if len(list_of(scores, name, place, many)) != len(docs):
        raise BadInput(
            f"{len(docs)} documents and {len(scores)} {many}",
            where=str(place),
            do=f"write one {many.removesuffix('s')} for each document of the list",
        )
    for doc_id, score in zip(docs, scores, strict=True):
        yield place.number, query_id, one_id(doc_id, doc_name, place), score


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
        names = looks_like_names(cells, QUERY_ID, DOC_ID, score_names(kind))
        if names and not any(isfinite(spelled_number(cell.strip())) for cell in cells):
            raise BadInput(
                f"the first line looks like a header, and its columns are not all known: "
                f"{', '.join(map(repr, cells))}",
                where=where,
                do=f"call them query_id, doc_id and {'rank' if kind == RANK else 'score'}; a file "
                "without a header starts with its first pair",
            )
        return None
    value = chosen_score(cells, kind, where)
    return [cells.index(str(name)) for name in (*ids, value)]


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
