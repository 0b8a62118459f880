"""Files of negatives without scores, as runs: the order of the file is the order of the list.

hard negatives         JSON lines of sentence-transformers, `hard_negatives`; `system`: the miner
triples                lines of query, positive and negative id, with tabs: `qidpidtriples`
negative_passages      JSON lines of passages with a docid, as Tevatron and rlhn have them
negative_document_ids  JSON lines of lists of ids, Tevatron's other rows
neg_doc                NeMo's `train.json`, or its Arrow stream: lists of objects with an id
relations              the folder of Arctic Embed's batches: numbers, led back by `id_map.parquet`

Where lines of JSON are read, so are the rows of a Parquet or Arrow file.

A query's own positives in the file are never among its negatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..collection.lines import read_lines, read_rows, whole_text
from ..errors import BadInput
from ..inputs.column_names import QUERY_ID, first_named
from ..inputs.id_map import ID_MAP, read_id_map
from ..inputs.parquet_rows import parquet_rows
from ..inputs.row_shapes import Place, field, ids, list_of, one_id, one_number
from ..inputs.strict_json import parse_json
from . import hard_negatives
from .hard_negatives import Row

TRIPLES = "triples"
RELATIONS = "relations"
_SIDES = {
    "negative_passages": "positive_passages",
    "negative_document_ids": "positive_document_ids",
    "neg_doc": "pos_doc",
}
_ID = {"negative_passages": "docid", "neg_doc": "id"}
_DO = "rows with query_id and lists of positives and negatives"

Sides = tuple[int, str, list[str], list[str]]
"""(line, query id, positives, negatives)"""


def rows_of(path: Path, system: str) -> Iterator[Row]:
    """Yield (line, query id, document id, rank, score) of a system's negatives, best first."""
    if system == TRIPLES:
        return _listed(_triples(path))
    if system == RELATIONS:
        return _listed(_relations(path))
    return (
        _listed(_sides(path, system)) if system in _SIDES else hard_negatives.rows_of(path, system)
    )


def _triples(path: Path) -> Iterator[Sides]:
    for number, line in read_lines(path):
        cells = line.split("\t")
        if len(cells) != 3 or not all(cells):
            raise BadInput(
                f"{len(cells)} columns, expected 3: query id, positive id, negative id",
                where=f"{path}, line {number}",
                do="columns are separated by single tabs; triples with scores: --as scores",
            )
        yield number, cells[0], [cells[1]], [cells[2]]


def files_of(path: Path, system: str | None) -> list[Path]:
    """Return the files that a run is read from: those of batches in a folder, else the one."""
    if system != RELATIONS:
        return [path]
    relations = sorted(path.glob("data/batch_*/relations.parquet"))
    if not relations or not (path / ID_MAP).is_file():
        raise BadInput(
            f"there are no data/batch_…/relations.parquet beside {ID_MAP}",
            where=path,
            do="give the folder that was exported as arctic-embed-batches",
        )
    return [*relations, path / ID_MAP]


def _relations(path: Path) -> Iterator[Sides]:
    ours = read_id_map(path / ID_MAP)
    names = ("BATCH_QUERY_ID", "BATCH_DOCUMENT_ID", "RELEVANCE")
    for file in files_of(path, RELATIONS)[:-1]:
        for place, row in parquet_rows(file, names):
            query, doc = (one_id(row[name], name, place) for name in names[:2])
            for of, number in (("query", query), ("document", doc)):
                if number not in ours[of]:
                    raise BadInput(
                        f"the {of} {number} is not in {ID_MAP}",
                        where=str(place),
                        do="is the map the one that was written with this folder?",
                    )
            good = one_number(row[names[2]], names[2], place) > 0
            docs = [ours["document"][doc]]
            yield place.number, ours["query"][query], docs if good else [], [] if good else docs


def _nemo(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the rows of `train.json`, one object, or of lines and tables; the second group of a
    query is called `q#2` there."""
    rows: Iterator[tuple[Place, Any]] = read_rows(path)
    if path.name.endswith(".json"):
        text = whole_text(path)
        whole = parse_json(text, path, "the file may be truncated", whole=True)
        data = list_of(field(whole, "data", path, _DO), "data", path, "rows")
        rows = ((Place(path, n, "row of data"), row) for n, row in enumerate(data, 1))
    seen: set[str] = set()
    for place, row in rows:
        query = one_id(field(row, "question_id", place, _DO), "question_id", place)
        first, _, number = query.rpartition("#")
        query = first if number.isdecimal() and first in seen else query
        seen.add(query)
        yield place, {**row, "question_id": query}


def _sides(path: Path, system: str) -> Iterator[Sides]:
    for place, row in _nemo(path) if system == "neg_doc" else read_rows(path):
        name = first_named(row, QUERY_ID) or QUERY_ID[0]
        query = one_id(field(row, name, place, _DO), name, place)
        sides, own = (_SIDES[system], system), _ID.get(system, "")
        good, bad = (_ids(row, side, own, place) for side in sides)
        yield place.number, query, good, bad


def _ids(row: dict[str, object], side: str, name: str, place: Place) -> list[str]:
    """Return the ids of one side: themselves, or those that objects have under a name."""
    value = field(row, side, place, _DO)
    if not name:
        return ids(value, side, place)
    passages = list_of(value, side, place, "passages")
    return [one_id(field(one, name, place, _DO), name, place) for one in passages]


def _listed(rows: Iterator[Sides]) -> Iterator[Row]:
    """Yield each query's negatives in the order of the file, each once, without its positives."""
    lists: dict[str, dict[str, int]] = {}
    positives: dict[str, set[str]] = {}
    for number, query, good, bad in rows:
        positives.setdefault(query, set()).update(good)
        mine = lists.setdefault(query, {})
        for doc in bad:
            mine.setdefault(doc, number)
    for query, docs in lists.items():
        kept = [(doc, number) for doc, number in docs.items() if doc not in positives[query]]
        for place, (doc, number) in enumerate(kept, 1):
            yield number, query, doc, place, float(-place)
