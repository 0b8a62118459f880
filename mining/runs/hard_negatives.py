"""The public hard-negatives files of sentence-transformers: one list per mining system.

A line is `{"qid": 10, "pos": [0], "neg": {"bm25": [1, 7], "system": [2]}}`, plain or gzip, the
negatives best first; in newer files a document is an object with `pid` and scores. These files are
known to hold positives among the negatives (sentence-transformers#1346): they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..collection.lines import read_objects
from ..errors import BadInput
from ..names import nearest

Row = tuple[int, str, str, float]
"""(line, query id, document id, score)"""


def rows_of(path: Path, system: str) -> Iterator[Row]:
    """Yield the negatives of one system, best first, without the line's own positives."""
    seen: set[str] = set()
    for number, row in read_objects(path):
        where = f"{path}, line {number}"
        negatives = row.get("neg")
        if "qid" not in row or not isinstance(negatives, dict):
            raise BadInput(
                "the line has no qid, or its neg is no object of lists",
                where=where,
                do='expected {"qid": 10, "pos": [0], "neg": {"bm25": [1, 7]}}',
            )
        seen |= negatives.keys()
        positives = {_id(one, where) for one in row.get("pos", ())}
        listed = dict.fromkeys(_id(one, where) for one in negatives.get(system, ()))
        place = 0
        for doc_id in listed:
            if doc_id not in positives:
                place += 1
                yield number, str(row["qid"]), doc_id, float(-place)
    if system not in seen:
        raise BadInput(
            f"the file has no negatives of system {system!r}",
            where=path,
            do=nearest(system, sorted(seen)),
        )


def _id(value: Any, where: str) -> str:
    identifier = value.get("pid", value.get("doc_id")) if isinstance(value, dict) else value
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise BadInput(f"{value!r} names no document", where=where, do="expected an id, or a pid")
    return str(identifier)
