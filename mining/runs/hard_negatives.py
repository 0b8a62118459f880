"""The public hard-negatives files of sentence-transformers: one list per mining system.

A line is `{"qid": 10, "pos": [0], "neg": {"bm25": [1, 7], "system": [2]}}`, or a row of Parquet
with the same fields, the negatives best first; in newer files a document is an object with `pid`
and scores. These files are known to hold positives among the negatives
(sentence-transformers#1346): they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..collection.lines import read_rows
from ..errors import BadInput
from ..inputs.row_shapes import field, one_id, shown
from ..names import nearest

Row = tuple[int, str, str, int, float]
"""(line, query id, document id, rank, score)"""

_SHAPE = '{"qid": 10, "pos": [0], "neg": {"bm25": [1, 7]}}'
_DO = f"expected {_SHAPE}"


def rows_of(path: Path, system: str) -> Iterator[Row]:
    """Yield the negatives of one system, best first, without the line's own positives.

    The rank is the place in what is left of the list, the score minus that. Raises BadInput with
    the line for another shape: ids stand in lists, and a string is none; and for a query that has a
    line already: which of the two lists comes first, and whose positives count, nothing says.
    """
    seen: set[str] = set()
    lines: dict[str, int] = {}
    for place, row in read_rows(path):
        where, number = str(place), place.number
        query_id = _id_of(field(row, "qid", place, _DO), "query: qid", where)
        if lines.setdefault(query_id, number) != number:
            raise BadInput(
                f"the query {query_id!r} has a {place.unit} already, number {lines[query_id]}",
                where=where,
                do="write the positives and the lists of all systems of a query as one",
            )
        systems = row.get("neg")
        if not isinstance(systems, dict):
            raise _refused("neg", "no object of lists", systems, where)
        if place.unit == "row":  # of Parquet: a struct has a null for what a row lacks
            systems = {name: held for name, held in systems.items() if held is not None}
        seen |= systems.keys()
        positives = set(_ids(field(row, "pos", place, _DO), "pos", where))
        lists = {name: _ids(ids, f"neg of {name!r}", where) for name, ids in systems.items()}
        listed = dict.fromkeys(lists.get(system, []))
        negatives = [one for one in listed if one not in positives]
        for rank, doc_id in enumerate(negatives, 1):
            yield number, query_id, doc_id, rank, float(-rank)
    if system not in seen:
        raise BadInput(
            f"the file has no negatives of system {system!r}",
            where=path,
            do=nearest(system, sorted(seen)),
        )


def _ids(value: Any, name: str, where: str) -> list[str]:
    """Return a list of ids, or of objects that have one."""
    if not isinstance(value, list):
        raise _refused(name, "no list of ids", value, where)
    return [_id_of(one, f"document, in {name}", where) for one in value]


def _id_of(value: Any, of: str, where: str) -> str:
    """Return an id; of an object its `pid` or `doc_id`."""
    identifier = value.get("pid", value.get("doc_id")) if isinstance(value, dict) else value
    if isinstance(identifier, bool) or not isinstance(identifier, str | int) or identifier == "":
        raise BadInput(f"{shown(value)} names no {of}", where=where, do=f"expected {_SHAPE}")
    return one_id(identifier, of, where)


def _refused(name: str, what: str, value: Any, where: str) -> BadInput:
    return BadInput(f"{name} is {what} but {shown(value)}", where=where, do=f"expected {_SHAPE}")
