"""Which fields of a row are read, for documents and for queries."""

from __future__ import annotations

from dataclasses import dataclass

from ...inputs import column_names as columns

Row = tuple[int, str, str | None, str]
"""(line, id, title or None, text)"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the id and of the text, whether there are titles, and the id's name in errors;
    `fields`: what the text is made of in place of the column that names say."""

    ids: columns.Names
    texts: columns.Names
    title: bool
    shown: str
    fields: tuple[str, ...] = ()


_QUERY_ID = tuple(name for name in columns.TOPIC_ID if name not in columns.QUERY_TEXT)

DOCUMENTS = Layout(columns.CORPUS_ID, columns.TEXT, True, "doc_id")
QUERIES = Layout(_QUERY_ID, columns.QUERY_TEXT, False, "query_id")
BEIR_DOCUMENTS = Layout(columns.CORPUS_ID, columns.TEXT, True, "_id")
BEIR_QUERIES = Layout(_QUERY_ID, columns.QUERY_TEXT, False, "_id")
