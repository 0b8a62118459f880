"""Documents and queries in JSON Lines, TSV or Parquet: one file as blocks of Arrow columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import BadInput
from .. import columns
from ..base import Texts, texts_of
from ..lines import field, object_of, read_lines
from .quoting import MARK, unquoted, written_by_csv

Row = tuple[int, str, str | None, str]
"""(line, id, title or None, text)"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which fields are read: the names of the id and of the text, and whether there are titles."""

    ids: columns.Names
    texts: columns.Names
    title: bool
    shown: str


DOCUMENTS = Layout(columns.DOC_ID, columns.TEXT, True, "doc_id")
QUERIES = Layout(columns.QUERY_ID, columns.QUERY_TEXT, False, "query_id")
BEIR_DOCUMENTS = Layout(columns.DOC_ID, columns.TEXT, True, "_id")
BEIR_QUERIES = Layout(columns.QUERY_ID, columns.QUERY_TEXT, False, "_id")


def jsonl_texts(path: Path, layout: Layout) -> Iterator[Texts]:
    """Yield the rows of a JSON Lines file."""
    return texts_of(_objects(path, layout), str(path))


def _objects(path: Path, layout: Layout) -> Iterator[Row]:
    matters = frozenset((*layout.ids, *layout.texts, *columns.TITLE))
    for number, line in read_lines(path):
        if line.isspace():
            continue
        row = object_of(line, path, number, matters)
        row_id = field(row, layout.ids, path, number, shown=layout.shown)
        title = None
        if layout.title:
            heading = columns.has_value(row, columns.TITLE)
            empty = heading is None or not row[heading]
            title = "" if empty else field(row, columns.TITLE, path, number)
        yield number, row_id, title, field(row, layout.texts, path, number, shown="text")


def tsv_texts(path: Path, layout: Layout, unquote: bool) -> Iterator[Texts]:
    """Yield the rows of a tab-separated file; `unquote`: csv's quotation marks are taken away."""
    return texts_of(_lines(path, layout, unquote), str(path))


def _lines(path: Path, layout: Layout, unquote: bool) -> Iterator[Row]:
    table = table_of(path, layout)
    ids, title, text = table.order
    for number, line in read_lines(path):
        if number == table.header:
            continue
        cells = line.split("\t")
        if len(cells) != table.width:
            raise BadInput(
                f"{len(cells)} columns, expected {table.width}: {', '.join(table.names)}",
                where=f"{path}, line {number}",
                do="one row per line, columns separated by single tabs; no tab or line end in a text",
            )
        if unquote:
            cells = [unquoted(cell) for cell in cells]
        heading = None if not layout.title else "" if title is None else cells[title]
        yield number, cells[ids], heading, cells[text]


@dataclass(frozen=True, slots=True)
class Table:
    """How a tab-separated file is laid out.

    `order`: the columns of id, title (None) and text. `header`: its line, 0 for none. `plain`: as it
    would be read without looking at more than the lower-case name of the first column.
    """

    names: list[str]
    order: tuple[int, int | None, int]
    header: int
    plain: bool

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.names)


def table_of(path: Path, layout: Layout) -> Table:
    """Return how a file is laid out, by its first line."""
    number, line = next(read_lines(path), (0, ""))
    cells = line.split("\t")
    clean = [unquoted(cell) for cell in cells]
    where = f"{path}, line {number}"
    try:
        order = columns.header(clean, layout.ids, layout.texts, columns.TITLE)
    except ValueError as error:
        raise BadInput(str(error), where=where, do="give each column a name of its own") from error
    if order is not None:
        ids, text, title = order
        if ids is None or text is None:
            raise BadInput(
                f"the field 'text' is missing; this line has {', '.join(map(repr, clean))}",
                where=where,
                do=f"name it one of: {', '.join(layout.texts)}",
            )
        known = _as_ever(cells, layout, order)
        return Table(clean, (ids, title if layout.title else None, text), number, known)
    if len(cells) == 4 and layout.title and cells[1].startswith("http"):  # MS MARCO's documents
        return Table(["doc_id", "url", "title", "text"], (0, 2, 3), 0, True)
    _refuse_unread_header(clean, layout, where)
    if len(cells) == 3 and layout.title:
        return Table(["doc_id", "title", "text"], (0, 1, 2), 0, True)
    return Table([layout.shown, "text"], (0, None, 1), 0, True)


def _as_ever(cells: list[str], layout: Layout, order: list[int | None]) -> bool:
    """Say whether a header was always read like this: by lower-case names, the id's first.

    Other headers were taken for rows, or for other columns: what is read by them has an identity of
    its own.
    """
    ids = ("doc_id", "_id", "id", "docid", "docno", "pid")
    if not layout.title:
        ids = ("query_id", "_id", "id", "qid")
    texts = ("text", "contents", "body", "passage", "query")
    before = [
        next((cells.index(name) for name in names if name in cells), None)
        for names in (ids, texts, ("title",))
    ]
    return cells[0] in ids and before == order


def _refuse_unread_header(cells: list[str], layout: Layout, where: str) -> None:
    """Refuse a first line that holds names of columns, and none of an id."""
    first = columns.canonical(cells[0])
    named = columns.looks_like_names(cells[1:], layout.texts, columns.TITLE)
    if (named and not first[:1].isdigit() and len(first) <= 30) or first in layout.ids:
        raise BadInput(
            f"the first line looks like a header, and its columns are not all known: "
            f"{', '.join(map(repr, cells))}",
            where=where,
            do=f"name the id one of: {', '.join(layout.ids)}; the text one of: "
            f"{', '.join(layout.texts)}; a file without a header starts with its first row",
        )


@cache
def _quoted(path: Path, header: int, size: int, changed: int) -> int:
    lines = (line for number, line in read_lines(path) if number != header)
    if not written_by_csv(lines):
        return 0
    marked = (line for number, line in read_lines(path) if number != header)
    return sum(cell.startswith(MARK) for line in marked for cell in line.split("\t"))


def quoted_fields(path: Path, header: int) -> int:
    """Return how many fields of a file stand in csv's quotation marks; 0 if it is not written so."""
    about = path.stat()
    return _quoted(path, header, about.st_size, about.st_mtime_ns)
