"""What people call the columns of scores and groups: one table, read by every door.

The first name that a row has is taken; the order is that of the table.
"""

from __future__ import annotations

from ..score_kinds import RANK, SCORE_KINDS

Names = tuple[str, ...]

QUERY_ID: Names = ("query_id", "qid", "query-id", "queryid", "question_id", "_id", "QUERY_ID")
DOC_ID: Names = (
    "doc_id", "docno", "docid", "pid", "corpus-id", "doc-id", "document_id", "passage_id",
    "doc_ids", "docids", "pids", "document_ids", "passage_ids", "DOCUMENT_ID",
)  # fmt: skip
RANKS: Names = ("rank", "ranks")
SCORES: Names = ("score", "scores", "SCORE")
LABELS: Names = ("label", "labels")
GRADES: Names = ("grades", "grade", "relevance")
QUERY: Names = ("query", "query_text", "anchor", "question")
POSITIVE: Names = ("positive", "pos", "document", "positive_passage")
NEGATIVES: Names = ("negatives", "neg", "negative")
DOCUMENTS: Names = ("documents", "docs", "passages")
_SPELLED = {"log-prob": ("log-prob", "log_prob", "log_probability")}
POSITIVE_IDS: Names = ("positive_ids", "positive_document_ids", "pos_ids")


def names_of_kind(kind: str) -> Names:
    """Return the columns that are called by a kind of score: `log-prob` has three spellings."""
    return RANKS if kind == RANK else _SPELLED.get(kind, (kind,))


def score_names(kind: str) -> Names:
    """Return the columns that may hold scores of a kind: those called by it, then any score's."""
    if kind == RANK:
        return RANKS
    others = [name for one in SCORE_KINDS if one not in (kind, RANK) for name in names_of_kind(one)]
    return (*names_of_kind(kind), *SCORES, *others)


def present(row: object, names: Names) -> list[str]:
    """Return which of the names a row (anything with `in`) has, in the order of the table."""
    return [name for name in names if name in row]  # type: ignore[operator]
