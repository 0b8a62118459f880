"""Documents and queries in tab-separated files, cut into fields by a kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...ahead import in_turn
from ...errors import BadInput
from ...inputs import column_names as columns
from ...inputs.blocks import Block, read_blocks
from ...inputs.fields import Fields
from ..base import BLOCK_BYTES, Outline, Texts, hashes_of, outlines
from ..lines import read_lines
from .layouts import Layout
from .quoting import MARK, Evidence, unquoted, unquoted_column


def tsv_texts(path: Path, layout: Layout, unquote: bool) -> Iterator[Texts]:
    """Yield the rows of a tab-separated file; `unquote`: csv's quotation marks are taken away."""
    table = table_of(path, layout)

    def read(block: Block) -> Texts:
        fields, rows = _cut(block, table)
        return _texts(fields, rows, table, layout, unquote)

    yield from filter(len, in_turn(read, read_blocks(path, size=BLOCK_BYTES)))


def tsv_outlines(path: Path, layout: Layout, empty: bool) -> Iterator[Outline]:
    """Yield the outlines of a file without quoting: lengths as the kernel found them, no texts.

    `empty`: rows without visible text are looked for.
    """
    table = table_of(path, layout)

    def read(block: Block) -> Outline:
        return _outline(*_cut(block, table), table, layout, empty)

    yield from in_turn(read, read_blocks(path, size=BLOCK_BYTES))


@dataclass(slots=True)
class Look:
    """What one pass over a file tells.

    `sha256`: of the file as it lies. `quoted`: how many fields stand in csv's quotation marks.
    `outlines`: of its rows as they are without quoting, up to the line that `failed` refuses.
    """

    sha256: str = ""
    quoted: int = 0
    outlines: list[Outline] = field(default_factory=list)
    failed: BadInput | None = None


def look(path: Path, layout: Layout, quoting: bool, empty: bool) -> Look:
    """Read a file once; `quoting`: marks are looked for. Raises BadInput for what is no text; a
    line with another number of columns is told, for others may have to be told first."""
    table, seen, digest = table_of(path, layout), Look(), hashlib.sha256()
    marks = _Marks(path, table) if quoting else None

    def read(block: Block) -> tuple[Fields, Outline | BadInput]:
        fields = Fields(block, table.width)
        try:
            return fields, _outline(fields, _checked(fields, table), table, layout, empty)
        except BadInput as error:
            return fields, error

    blocks = read_blocks(path, digest=digest, size=BLOCK_BYTES)
    for fields, outline in in_turn(read, blocks):
        if marks is not None:
            marks.add(fields.block, fields)
        if isinstance(outline, BadInput):
            seen.failed = seen.failed or outline
        elif seen.failed is None:
            seen.outlines.append(outline)
    seen.sha256 = digest.hexdigest()
    if marks is not None:
        seen.quoted = marks.keep()
    return seen


def _outline(
    fields: Fields, rows: np.ndarray, table: Table, layout: Layout, empty: bool
) -> Outline:
    ids = fields.text(table.order[0], rows)
    places = [i for i in table.order if i is not None]
    sizes = sum((fields.sizes(i, rows) for i in places), np.zeros(len(rows), np.int64))
    if empty:
        (whole,) = outlines([_texts(fields, rows, table, layout, False)], empty)
        return whole
    odd = np.flatnonzero(fields.sizes(table.order[0], rows) == 0)
    shown = _texts(fields, rows[odd], table, layout, False)
    return Outline(hashes_of(ids), sizes, odd, shown)


def _cut(block: Block, table: Table) -> tuple[Fields, np.ndarray]:
    """Return the fields of a block, and its rows: all lines but the header and blank ones."""
    fields = Fields(block, table.width)
    return fields, _checked(fields, table)


def _texts(fields: Fields, rows: np.ndarray, table: Table, layout: Layout, unquote: bool) -> Texts:
    ids, title, text = table.order
    cells = {i: fields.text(i, rows) for i in (ids, title, text) if i is not None}
    if unquote:
        cells = {i: unquoted_column(column) for i, column in cells.items()}
    titles = None
    if layout.title:
        titles = pa.repeat("", len(rows)) if title is None else cells[title]
        titles = titles.cast(pa.large_string())
    body, where = cells[text].cast(pa.large_string()), str(fields.block.path)
    return Texts(cells[ids], titles, body, where, fields.lines[rows])


def _checked(fields: Fields, table: Table) -> np.ndarray:
    """Return the rows of a block without the header; refuses another number of columns."""
    rows = np.flatnonzero(fields.lines != table.header)
    wrong = rows[fields.widths[rows] != table.width]
    if len(wrong):
        raise BadInput(
            f"{fields.widths[wrong[0]]} columns, expected {table.width}: {', '.join(table.names)}",
            where=fields.where(int(wrong[0])),
            do="one row per line, columns separated by single tabs; no tab or line end in a text",
        )
    return rows


@dataclass(frozen=True, slots=True)
class Table:
    """How a tab-separated file is laid out.

    `order`: the columns of id, title (None) and text. `header`: its line, 0 for none. `plain`: as
    it would be read without looking at more than the lower-case name of the first column.
    `marked`: the header stands in csv's quotation marks.
    """

    names: list[str]
    order: tuple[int, int | None, int]
    header: int
    plain: bool
    marked: bool = False

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
        order_of = (ids, title if layout.title else None, text)
        return Table(clean, order_of, number, known, MARK in line)
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
    ids: columns.Names = ("doc_id", "_id", "id", "docid", "docno", "pid")
    if not layout.title:
        ids = ("query_id", "_id", "id", "qid")
    known: list[columns.Names] = [ids, ("text", "contents", "body", "passage", "query"), ("title",)]
    before = [next((cells.index(name) for name in names if name in cells), None) for names in known]
    return cells[0] in ids and before == order


def _refuse_unread_header(cells: list[str], layout: Layout, where: str) -> None:
    """Refuse a first line that holds names of columns, and none of an id."""
    first = columns.canonical(cells[0])
    named = columns.looks_like_names(cells[1:], layout.texts, columns.TITLE)
    known = {*layout.ids, *layout.texts, *columns.TITLE}
    if (named and not first[:1].isdigit() and len(first) <= 30) or first in known:
        raise BadInput(
            f"the first line looks like a header, and its columns are not all known: "
            f"{', '.join(map(repr, cells))}",
            where=where,
            do=f"name the id one of: {', '.join(layout.ids)}; the text one of: "
            f"{', '.join(layout.texts)}; a file without a header starts with its first row",
        )


def quoted_fields(path: Path, table: Table) -> int:
    """Return how many fields stand in csv's quotation marks; 0 if the file is not written so."""
    marks = _Marks(path, table)
    if marks.known is not None:
        return marks.known
    for block in read_blocks(path, size=BLOCK_BYTES):
        if not marks.add(block):
            break
    return marks.keep()


_quoted: dict[tuple[Path, int, int, int, int], int] = {}  # of files as they were when looked at


class _Marks:
    """The evidence of a file's quotation marks, block by block; `known`: what was found before."""

    def __init__(self, path: Path, table: Table):
        about = path.stat()
        self._key = (path, table.header, table.width, about.st_size, about.st_mtime_ns)
        self._table, self._refuted = table, False
        self._evidence = Evidence(table.width, table.marked)
        self.known = _quoted.get(self._key)

    def add(self, block: Block, fields: Fields | None = None) -> bool:
        """Take in a block, and its fields if they are cut; False once csv did not write the
        file."""
        if self._refuted:
            return False
        table = self._table
        if block.first_line > max(table.header, 1) and not (block.data == ord(MARK)).any():
            if (block.data > ord(" ")).any():
                self._evidence.add_unmarked()
            return True
        cut = Fields(block, table.width) if fields is None else fields
        rows = np.flatnonzero((cut.lines != table.header) & (cut.widths == table.width))
        columns = [cut.text(i, rows) for i in range(table.width)]
        self._refuted = not self._evidence.add(columns)
        return not self._refuted

    def keep(self) -> int:
        """Return how many fields stand in marks, and keep it for who asks for the same file."""
        counted = self._evidence.found and not self._refuted
        return _quoted.setdefault(self._key, self._evidence.fields if counted else 0)
