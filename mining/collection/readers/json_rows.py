"""JSON Lines: whole blocks are parsed into Arrow columns; a block with anything odd, line by line.

The parser of Arrow reads what JSON's own grammar allows, as Python's does. What it cannot tell, or
tells differently (numbers as ids, half a character, two objects on a line, a name in another
spelling), is read by Python, so that values and messages are those of one reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ...ahead import in_turn
from ...inputs import column_names as columns
from ...inputs.blocks import Block, read_blocks
from ...inputs.row_shapes import Place
from ...inputs.strict_json import object_of
from ..base import BLOCK_BYTES, Texts, texts_of
from ..lines import checked_text, field
from .chosen_fields import TITLE, joined_columns, places_of, text_of
from .layouts import Layout, Row

_PROBED = 100  # first rows, in which other spellings of the names are looked for
_PIECE = 4 << 20


def jsonl_texts(path: Path, layout: Layout) -> Iterator[Texts]:
    """Yield the documents or queries of a file."""
    blocks = read_blocks(path, size=BLOCK_BYTES)
    first = next(blocks, None)
    if first is None:
        return
    read = partial(_read, _Parser(first, layout), layout)
    yield from chain.from_iterable(in_turn(read, chain([first], blocks)))


def _read(parser: _Parser, layout: Layout, block: Block) -> list[Texts]:
    rows = parser.parsed(block)
    return (
        [rows] if rows is not None else list(texts_of(exact_rows(block, layout), str(block.path)))
    )


def exact_rows(block: Block, layout: Layout) -> Iterator[Row]:
    """Yield the rows of a block line by line; raises BadInput with the line."""
    path = block.path
    matters = frozenset((*layout.ids, *layout.texts, *columns.TITLE, *layout.fields))
    for number, line in _lines(block):
        if not line or line.isspace():
            continue
        row = object_of(line, Place(path, number), matters)
        row_id = field(row, layout.ids, path, number, shown=layout.shown)
        title = None
        if layout.fields:
            yield number, row_id, *_made_of(row, layout.fields, f"{path}, line {number}")
            continue
        if layout.title:
            heading = columns.has_value(row, columns.TITLE)
            title = "" if heading is None else field(row, columns.TITLE, path, number)
        yield number, row_id, title, field(row, layout.texts, path, number, shown="text")


def _made_of(row: dict[str, Any], fields: Sequence[str], where: str) -> tuple[str, str]:
    """Return title and text of a row, made of the fields that were named."""
    held = {
        field: text_of(row, columns.first_named(row, (columns.canonical(field),)) or field, where)
        for field in fields
    }
    title = held.pop(TITLE, "")
    made = title, " ".join(text for text in held.values() if text)
    for text in made:
        checked_text(text, where.rpartition(",")[0], int(where.rpartition(" ")[2]))
    return made


def _lines(block: Block) -> Iterator[tuple[int, str]]:
    starts, stops = block.bounds()
    for row, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        line = block.data[start:stop].tobytes().removesuffix(b"\r")
        yield block.first_line + row, line.decode()


class _Parser:
    """Parses blocks into the columns of the table of names, and spellings that the first rows have.

    A spelling of its own that only later rows have is found where a row lacks id or text otherwise.
    """

    def __init__(self, first: Block, layout: Layout):
        self.layout = layout
        seen: dict[str, None] = {}
        for number, line in islice(_lines(first), _PROBED):
            if line and not line.isspace():
                seen |= dict.fromkeys(object_of(line, Place(first.path, number), ()))
        fields = places_of(first.path, list(seen), layout.fields)
        for name in (*layout.ids, *layout.texts, *columns.TITLE):  # which later rows may have
            seen |= dict.fromkeys((name, name.replace("_", "-") if name[0] != "_" else name))
        self.ids = columns.named(seen, layout.ids)
        self.texts = columns.named(seen, layout.texts)
        self.titles = columns.named(seen, columns.TITLE) if layout.title else []
        self.fields = fields
        if fields:
            self.texts, self.titles = fields, []
        self.id_types = [pa.string(), pa.int64()]

    def parsed(self, block: Block) -> Texts | None:
        """Return the rows of a block; None if it has to be read line by line."""
        starts, stops = block.bounds()
        if not (self.ids and self.texts and _an_object_a_line(block, starts, stops)):
            return None
        for kind in list(self.id_types):
            table = self._table(block, kind)
            if table is not None:
                if kind != self.id_types[0]:
                    self.id_types = self.id_types[::-1]  # the next block is alike
                return self._rows(block, table, len(starts))
        return None

    def _table(self, block: Block, id_type: pa.DataType) -> pa.Table | None:
        schema = dict.fromkeys((*self.texts, *self.titles), pa.string())
        schema |= dict.fromkeys(self.ids, id_type)
        options = pj.ParseOptions(
            explicit_schema=pa.schema(list(schema.items())),
            newlines_in_values=False,
            unexpected_field_behavior="ignore",
        )
        try:
            source = pa.BufferReader(pa.py_buffer(block.data))
            return pj.read_json(source, pj.ReadOptions(block_size=_PIECE), options)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None

    def _rows(self, block: Block, table: pa.Table, lines: int) -> Texts | None:
        if table.num_rows != lines:
            return None
        ids = _first_of(table, self.ids)
        if self.fields:
            return None if ids.null_count else self._made_of(block, table, ids)
        texts = _first_of(table, self.texts)
        if ids.null_count or texts.null_count:
            return None
        titles = None
        if self.layout.title:
            column = _first_of(table, self.titles) if self.titles else pa.repeat("", lines)
            titles = pc.fill_null(column, "").cast(pa.large_string())
        numbers = block.first_line + np.arange(lines, dtype=np.int64)
        return Texts(
            ids.cast(pa.string()), titles, texts.cast(pa.large_string()), str(block.path), numbers
        )

    def _made_of(self, block: Block, table: pa.Table, ids: pa.Array) -> Texts:
        """Return the rows where the text is made of fields that were named."""
        held = {
            field: pc.fill_null(table[name].combine_chunks().cast(pa.large_string()), "")
            for field, name in zip(self.layout.fields, self.fields, strict=True)
        }
        empty = pa.repeat("", len(ids)).cast(pa.large_string())
        titles = held.pop(TITLE, empty)
        texts = joined_columns(list(held.values())) if held else empty
        numbers = block.first_line + np.arange(len(ids), dtype=np.int64)
        return Texts(ids.cast(pa.string()), titles, texts, str(block.path), numbers)


def _an_object_a_line(block: Block, starts: np.ndarray, stops: np.ndarray) -> bool:
    """Say whether every line begins with a brace and ends with one; one object each, if the parser
    finds as many objects as lines."""
    if not len(starts) or (stops - starts < 2).any():
        return False
    ends = stops - 1 - (block.data[stops - 1] == 13)
    return bool((block.data[starts] == ord("{")).all() and (block.data[ends] == ord("}")).all())


def _first_of(table: pa.Table, names: list[str]) -> pa.Array:
    """Return per row the first value that is not null."""
    held = [name for name in names if table[name].null_count < table.num_rows] or names[:1]
    arrays = [table[name].combine_chunks() for name in held]
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)
