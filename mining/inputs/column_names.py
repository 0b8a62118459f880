"""What people call the columns and fields of their files: one table, read by every door.

Names are compared without regard to case, and `-`, `_` and blanks are one: `Query-ID`, `query_id`
and `query id` are the same name. Where a row has several of the names, the first of the table
counts. A name may stand for several things: `_id` is the document's in a file of documents and the
query's in a file of pairs, so the table has a line for each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..score_kinds import RANK, SCORE_KINDS

Names = Sequence[str]

_QUERY_ID: Names = ("query_id", "qid", "queryid", "topic_id", "topic", "question_id")
_DOC_ID: Names = (
    "doc_id", "pid", "docid", "docno", "document_id", "corpus_id", "passage_id", "did",
)  # fmt: skip

# ---- documents and queries, each in a file of its own --------------------------------------------
CORPUS_ID: Names = ("doc_id", "_id", "id", *_DOC_ID[1:])
TOPIC_ID: Names = ("query_id", "_id", "id", *_QUERY_ID[1:], "query")
TITLE: Names = ("title",)
TEXT: Names = ("text", "contents", "body", "passage", "query", "document", "segment", "content")
QUERY_TEXT: Names = (*TEXT, "question")

# ---- pairs and lists: judgements, scores, groups -------------------------------------------------
QUERY_ID: Names = (*_QUERY_ID, "_id")
DOC_ID: Names = (*_DOC_ID, "doc_ids", "docids", "pids", "document_ids", "passage_ids")
JUDGED_QUERY_ID: Names = (*_QUERY_ID, "query")
JUDGED_DOC_ID: Names = _DOC_ID
# In rows of JSON and Parquet `id` is the row's own where another name says query or document.
JUDGED_ROW_QUERY_ID: Names = (*JUDGED_QUERY_ID, "_id", "id")
JUDGED_ROW_DOC_ID: Names = (*JUDGED_DOC_ID, "_id", "id")
GRADE: Names = (
    "grade", "score", "relevance", "label", "rel", "relevance_score", "relevance_label", "rating",
    "judgment", "judgement",
)  # fmt: skip
RANKS: Names = ("rank", "ranks")
SCORES: Names = ("score", "scores")
LABELS: Names = ("label", "labels")
GRADES: Names = ("grades", "grade", "relevance")
POSITIVE_IDS: Names = ("positive_ids", "positive_document_ids", "pos_ids")

# ---- groups of texts -----------------------------------------------------------------------------
QUERY: Names = ("query", "query_text", "anchor", "question")
POSITIVE: Names = ("positive", "pos", "document", "positive_passage")
NEGATIVES: Names = ("negatives", "neg", "negative")
DOCUMENTS: Names = ("documents", "docs", "passages")

_SPELLED = {"log-prob": ("log_prob", "log_probability")}


def names_of_kind(kind: str) -> Names:
    """Return the columns that are called by a kind of score: `log-prob` has two names."""
    return RANKS if kind == RANK else _SPELLED.get(kind, (kind,))


def score_names(kind: str) -> Names:
    """Return the columns that may hold scores of a kind: those called by it, then any score's."""
    if kind == RANK:
        return RANKS
    others = [name for one in SCORE_KINDS if one not in (kind, RANK) for name in names_of_kind(one)]
    return (*names_of_kind(kind), *SCORES, *others)


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """Return a name as the table has it."""
    return name.strip().strip('"').lower().replace("-", "_").replace(" ", "_")


def named(columns: Iterable[str], names: Names) -> list[str]:
    """Return the columns, as they are written, that have one of the names: best first, and of those
    that are one name the one that is written as the table has it."""
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(canonical(column), []).append(column)
    return [column for name in names for column in sorted(by_name.get(name, ()), key=name.__ne__)]


def first_named(columns: Iterable[str], names: Names) -> str | None:
    """Return the best of the columns that have one of the names, as it is written."""
    return next(iter(named(columns, names)), None)


def has_value(row: Mapping[str, Any], names: Names) -> str | None:
    """Return the first name of a row's fields with a value; None where there is none."""
    if row.get(names[0]) is not None:  # no other spelling can be better
        return names[0]
    return next((one for one in named(row, names) if row[one] is not None), None)


def judged_names(columns: Sequence[str]) -> tuple[str | None, str | None]:
    """Return which of a judgement's fields are the ids of query and document."""
    query = first_named(columns, JUDGED_ROW_QUERY_ID)
    return query, first_named((name for name in columns if name != query), JUDGED_ROW_DOC_ID)


def header(cells: Sequence[str], *roles: Names) -> list[int | None] | None:
    """Return for each role the number of its column, or None if the cells are no header.

    Cells are a header where the first role (an id) and one more are among them by name. Raises
    ValueError for a name that stands twice.
    """
    names = [canonical(cell) for cell in cells]
    columns: list[int | None] = []
    for role in roles:
        taken = set(columns)
        places = [i for name in role for i, cell in enumerate(names) if cell == name]
        columns.append(next((i for i in places if i not in taken), None))
    if columns[0] is None or sum(place is not None for place in columns) < min(2, len(roles)):
        return None
    doubled = [cells[i] for i in columns if i is not None and names.count(names[i]) > 1]
    if doubled:
        raise ValueError(f"the column {doubled[0]!r} stands twice in the header")
    return columns


def looks_like_names(cells: Sequence[str], *roles: Names) -> bool:
    """Say whether a first line that is no header holds the name of a column all the same."""
    known = {name for role in roles for name in role}
    return any(canonical(cell) in known for cell in cells)
