"""Files of negatives without scores, as runs: the order of the file is the order of the list.

hard negatives         JSON lines of sentence-transformers, `hard_negatives`; `system`: the miner
triples                lines of query, positive and negative id, with tabs: `qidpidtriples`
negative_passages      JSON lines of passages with a docid, as Tevatron and rlhn have them
negative_document_ids  JSON lines of lists of ids, Tevatron's other rows

Where lines of JSON are read, so are the rows of a Parquet file.

A query's own positives in the file are never among its negatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..collection.lines import read_lines, read_rows
from ..errors import BadInput
from ..inputs.column_names import QUERY_ID, first_named
from ..inputs.row_shapes import Place, field, ids, list_of, one_id
from . import hard_negatives
from .hard_negatives import Row

TRIPLES = "triples"
_SIDES = {
    "negative_passages": "positive_passages",
    "negative_document_ids": "positive_document_ids",
}
_DO = "rows with query_id and lists of positives and negatives"

Sides = tuple[int, str, list[str], list[str]]
"""(line, query id, positives, negatives)"""


def rows_of(path: Path, system: str) -> Iterator[Row]:
    """Yield (line, query id, document id, rank, score) of a system's negatives, best first."""
    if system == TRIPLES:
        return _listed(_triples(path))
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


def _sides(path: Path, system: str) -> Iterator[Sides]:
    for place, row in read_rows(path):
        name = first_named(row, QUERY_ID) or QUERY_ID[0]
        query = one_id(field(row, name, place, _DO), name, place)
        good, bad = (_ids(row, side, place) for side in (_SIDES[system], system))
        yield place.number, query, good, bad


def _ids(row: dict[str, object], side: str, place: Place) -> list[str]:
    value = field(row, side, place, _DO)
    if side.endswith("_ids"):
        return ids(value, side, place)
    passages = list_of(value, side, place, "passages")
    return [one_id(field(one, "docid", place, _DO), "docid", place) for one in passages]


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
