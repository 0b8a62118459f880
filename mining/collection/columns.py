"""What columns and fields are called: one table of names for every reader.

Names are compared without regard to case, and `-`, `_` and blanks are one: `Query-ID`, `query_id`
and `query id` are the same name. Where a row has several of the names, the first of the table
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DOC_ID = (
    "doc_id",
    "_id",
    "id",
    "pid",
    "docid",
    "docno",
    "document_id",
    "corpus_id",
    "passage_id",
    "did",
)
QUERY_ID = ("query_id", "_id", "id", "qid", "queryid", "topic_id", "topic", "query")
TITLE = ("title",)
TEXT = ("text", "contents", "body", "passage", "query", "document", "segment", "content")
QUERY_TEXT = (*TEXT, "question")
GRADE = (
    "grade",
    "score",
    "relevance",
    "label",
    "rel",
    "relevance_score",
    "relevance_label",
    "rating",
    "judgment",
    "judgement",
)
Names = Sequence[str]


def canonical(name: str) -> str:
    """Return a name as the table has it."""
    return name.strip().strip('"').lower().replace("-", "_").replace(" ", "_")


def named(columns: Iterable[str], names: Names) -> list[str]:
    """Return the columns, as they are written, that have one of the names: best first."""
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(canonical(column), []).append(column)
    return [column for name in names for column in by_name.get(name, ())]


def has_value(row: Mapping[str, Any], names: Names) -> str | None:
    """Return the first name of a row's fields with a value; None where there is none."""
    for name in names:  # nearly all rows spell it as the table does
        if row.get(name) is not None:
            return name
    return next((one for one in named(row, names) if row[one] is not None), None)


def header(cells: Sequence[str], *roles: Names) -> list[int | None] | None:
    """Return for each role the number of its column, or None if the cells are no header.

    Cells are a header where the first role (an id) and one more are among them by name. Raises
    ValueError for a name that stands twice.
    """
    names = [canonical(cell) for cell in cells]
    found: list[int | None] = []
    for role in roles:
        taken = set(found)
        places = [i for name in role for i, cell in enumerate(names) if cell == name]
        found.append(next((i for i in places if i not in taken), None))
    if found[0] is None or sum(place is not None for place in found) < min(2, len(roles)):
        return None
    doubled = [cells[i] for i in found if i is not None and names.count(names[i]) > 1]
    if doubled:
        raise ValueError(f"the column {doubled[0]!r} stands twice in the header")
    return found


def looks_like_names(cells: Sequence[str], *roles: Names) -> bool:
    """Say whether a first line that is no header holds the name of a column all the same."""
    known = {name for role in roles for name in role}
    return any(canonical(cell) in known for cell in cells)
