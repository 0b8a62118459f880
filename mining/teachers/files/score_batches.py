"""Files of scores in blocks of columns: what is plain is read by Arrow and by kernels.

A block with anything odd in it (a null, a text for a number, a field too many) goes to the reader
of `score_files` row by row, which takes it or says what is wrong with it, and where.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from ...collection.survey import blocks
from ...errors import BadInput
from ...inputs.arrow_columns import has_empty, id_texts, is_list, lengths_of, whole
from ...inputs.blocks import Block, read_blocks
from ...inputs.column_names import DOC_ID, QUERY_ID, canonical, first_named, named, score_names
from ...inputs.fields import Fields
from ...inputs.parquet_rows import batches_of, opened, refuse_doubled
from ...inputs.row_shapes import Place, shown
from ...inputs.spelled_numbers import spelled_number
from ...inputs.strict_json import object_of
from ...runs.trec_lines import columns_of, plain_lines
from ...score_kinds import RANK
from .ranks import rank_of
from .score_files import (
    UNITS,
    ScoreRow,
    chosen_score,
    header_order,
    json_scores,
    rows_of_cells,
    rows_of_object,
)

_ROWS = 65_536
_TEXT_BYTES = 8 << 20
_OPEN, _CLOSE = b"{}"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
Unread = Iterator[Callable[[], Iterator["Batch"]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Scores of a stretch of a file. `query`: an id a row; `lengths` (int64): the pairs of each
    row, None where it is one; `doc`, `score` (float64, finite) a pair; `line` (int64) a row."""

    query: pa.Array
    lengths: np.ndarray | None
    doc: pa.Array
    score: np.ndarray
    line: np.ndarray

    def lines(self) -> np.ndarray:
        """Return the line, or row, of every pair."""
        return self.line if self.lengths is None else np.repeat(self.line, self.lengths)


def read_batches(path: Path, form: str, kind: str) -> Iterator[Batch]:
    """Yield all scores of a file, or all ranks; raises BadInput with the line."""
    for read in unread_batches(path, form, kind):
        yield from read()


def unread_batches(path: Path, form: str, kind: str) -> Unread:
    """Yield functions that read the stretches of a file; any thread may call them, in any order."""
    readers = {"tsv": _tsv, "trec": _trec, "jsonl": _jsonl, "parquet": _parquet}
    if form in readers:
        yield from readers[form](path, kind)
        return
    for batch in _from_rows(json_scores(path, kind), path, kind, UNITS[form]):
        yield partial(iter, [batch])


def _from_rows(
    rows: Iterable[ScoreRow], path: Path, kind: str, unit: str = "line"
) -> Iterator[Batch]:
    number = rank_of if kind == RANK else _number
    for block in blocks(rows, _ROWS):
        lines, query_ids, doc_ids, values = zip(*block, strict=True)
        yield Batch(
            pa.array(query_ids, pa.string()),
            None,
            pa.array(doc_ids, pa.string()),
            np.array([float(number(v, path, n, unit)) for v, n in zip(values, lines, strict=True)]),
            np.array(lines, dtype=np.int64),
        )


def _number(value: Any, path: Path, line: int, unit: str) -> float:
    """Return a score as a number; texts of numbers are what TSV has."""
    try:
        if isinstance(value, str):
            score = spelled_number(value.strip())
        else:
            score = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = float("nan")
    if math.isfinite(score) and abs(score) > _FLOAT32_MAX:
        raise BadInput(
            f"the score {shown(value)} lies beyond ±3.4e+38, all that scores store",
            where=f"{path}, {unit} {line}",
            do="scale the scores before they are imported",
        )
    if not math.isfinite(score):
        raise BadInput(
            f"the score {shown(value)} is not a finite number",
            where=f"{path}, {unit} {line}",
            do="leave pairs without a score out; nothing is written in their place",
        )
    return score


def _checked(values: np.ndarray, kind: str) -> bool:
    """Say whether all values are what they should be: finite in float32, or whole ranks."""
    if not (np.abs(values) <= _FLOAT32_MAX).all():
        return False
    return kind != RANK or bool(((values >= 0) & (values < 1 << 24) & (values % 1 == 0)).all())


# ---- text ------------------------------------------------------------------------------------


def _tsv(path: Path, kind: str) -> Unread:
    order: list[int] | None = None
    for block in read_blocks(path, size=_TEXT_BYTES):
        skip = 0
        if order is None:
            fields = Fields(block, 1)
            if not len(fields):
                continue
            first = fields.rest(0, np.array([0]))[0].as_py().split("\t")
            order = header_order(first, kind, fields.where(0))
            skip, order = int(order is not None), order or [0, 1, 2]
        yield partial(_tab_block, block, order, skip, kind)


def _tab_block(block: Block, order: list[int], skip: int, kind: str) -> Iterator[Batch]:
    fields, path = Fields(block, max(5, max(order) + 1)), block.path
    rows = np.arange(skip, len(fields))
    if not len(rows):
        return
    plain, widths = order == [0, 1, 2], fields.widths[skip:]
    columns: list[tuple[int, int, int]] = []
    if (widths == 3).all() if plain else (widths > max(order)).all():
        columns = [(order[0], order[1], order[2])]
    elif plain and kind != RANK and (widths == 5).all():
        columns = [(2, 3, 0), (2, 4, 1)]
    values = [_floats(fields.text(column[2], rows), kind) for column in columns]
    ids = [fields.text(c, rows) for column in columns for c in column[:2]]
    if not columns or any(v is None for v in values) or any(map(has_empty, ids)):
        texts = fields.rest(0, rows).to_pylist()
        cells = zip(fields.lines[skip:].tolist(), texts, strict=True)
        exact = (
            row
            for line, text in cells
            for row in rows_of_cells(text.split("\t"), order, Place(path, line), kind)
        )
        yield from _from_rows(exact, path, kind)
        return
    if len(columns) == 1:
        yield Batch(ids[0], None, ids[1], values[0], fields.lines[rows])  # type: ignore[arg-type]
        return
    # Both pairs of a triple, one after the other, as the lines have them.
    order_of = np.arange(2 * len(rows)).reshape(2, -1).T.reshape(-1)
    docs = pa.concat_arrays([ids[1], ids[3]]).take(pa.array(order_of))
    both = np.stack(values, axis=1).reshape(-1)  # type: ignore[arg-type]
    yield Batch(ids[0], np.full(len(rows), 2), docs, both, fields.lines[rows])


def _all_numbers(texts: pa.Array) -> bool:
    return not pl.Series(pl.from_arrow(texts)).cast(pl.Float64, strict=False).null_count()


def _floats(texts: pa.Array, kind: str) -> np.ndarray | None:
    """Return texts as float64; None where one of them is no plain number."""
    numbers = pl.Series(pl.from_arrow(texts)).cast(pl.Float64, strict=False)
    values = numbers.to_numpy()
    return values if not numbers.null_count() and _checked(values, kind) else None


def _trec(path: Path, kind: str) -> Unread:
    for block in read_blocks(path, size=_TEXT_BYTES):
        yield partial(_trec_block, block, kind)


def _trec_block(block: Block, kind: str) -> Iterator[Batch]:
    fields = Fields(block, 6, at_blanks=True)
    if not len(fields):
        return
    at = 3 if kind == RANK else 4
    wide = np.flatnonzero(fields.widths > 6)  # a tag of several words, or an id with a blank
    if plain_lines(fields).all() and _all_numbers(fields.text(3, wide)):
        values = _floats(fields.text(at), kind)
        if values is not None:
            yield Batch(fields.text(0), None, fields.text(2), values, fields.lines)
            return
    texts = zip(fields.lines.tolist(), fields.rest(0).to_pylist(), strict=True)
    rows = ((line, columns_of(text, f"{block.path}, line {line}", tag="")) for line, text in texts)
    exact = ((line, cells[0], cells[2], cells[at]) for line, cells in rows)
    yield from _from_rows(exact, block.path, kind)


# ---- JSON Lines ------------------------------------------------------------------------------


def _jsonl(path: Path, kind: str) -> Unread:
    schema: pa.Schema | None = None
    for block in read_blocks(path, size=_TEXT_BYTES):
        if schema is None:
            begins, ends = _objects(block)
            if not len(begins):
                continue
            schema = _json_schema(block.data[begins[0] : ends[0]].tobytes(), kind)
        yield partial(_json_block, block, schema, kind)


def _json_block(block: Block, schema: pa.Schema | None, kind: str) -> Iterator[Batch]:
    begins, ends = _objects(block)
    if not len(begins):
        return
    batch = _arrow_objects(block, begins, ends, schema, kind) if schema else None
    if batch is not None:
        yield batch
    else:
        yield from _from_rows(_exact_objects(block, kind), block.path, kind)


def _objects(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lines begin and end that hold something."""
    starts, stops = block.bounds()
    returns = (stops > starts) & (block.data[np.maximum(stops - 1, 0)] == 13)
    held = stops - returns > starts
    return starts[held], (stops - returns)[held]


def _exact_objects(block: Block, kind: str) -> Iterator[ScoreRow]:
    for line, text in enumerate(block.data.tobytes().split(b"\n"), block.first_line):
        text = text.removesuffix(b"\r")
        if text:
            place = Place(block.path, line)
            yield from rows_of_object(object_of(text.decode(), place), place, kind)


def _json_schema(line: bytes, kind: str) -> pa.Schema | None:
    """Return the types of the columns as the first line has them; None where they are not plain."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    types = {name: _json_type(row[name]) for name in named(row, _known(kind))}
    if not types or None in types.values():
        return None
    fields = [_ids_whole(pa.field(name, kind_of)) for name, kind_of in types.items()]
    return pa.schema(fields)


def _known(kind: str) -> tuple[str, ...]:
    return (*QUERY_ID, *DOC_ID, *score_names(kind))


def _json_type(value: Any) -> pa.DataType | None:
    if isinstance(value, list):
        inner = _json_type(value[0]) if value and not isinstance(value[0], list) else None
        return inner and pa.list_(inner)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return pa.string() if isinstance(value, str) else pa.float64()


def _arrow_objects(
    block: Block, begins: np.ndarray, ends: np.ndarray, schema: pa.Schema, kind: str
) -> Batch | None:
    """Return the columns of a block of objects; None where one of them is odd, and where a line is
    not one object from brace to brace.

    Fields that only later rows have become columns too, so that no name of a score is missed.
    """
    import pyarrow.json as pj

    text = block.data.tobytes()
    if not ((block.data[begins] == _OPEN).all() and (block.data[ends - 1] == _CLOSE).all()):
        return None
    try:
        table = pj.read_json(
            io.BytesIO(text),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=pj.ParseOptions(schema, unexpected_field_behavior="infer"),
        )
        table.validate(full=True)
    except pa.ArrowInvalid:
        return None  # the exact reader says what is wrong, and where
    if table.num_rows != len(begins):
        return None
    lines = _lines_at(block, begins)
    return _columns(table.combine_chunks(), lines, kind)


def _lines_at(block: Block, begins: np.ndarray) -> np.ndarray:
    """Return the line of each of the places, int64."""
    starts, _ = block.bounds()
    return np.searchsorted(starts, begins) + block.first_line


def _ids_whole(field: pa.Field) -> pa.Field:
    """Return the field of an id that is a number as whole: 1.0 is not the id 1."""
    if canonical(field.name) not in (*QUERY_ID, *DOC_ID):
        return field
    whole = {pa.float64(): pa.int64(), pa.list_(pa.float64()): pa.list_(pa.int64())}
    return field.with_type(whole.get(field.type, field.type))


def _columns(table: pa.Table, lines: np.ndarray, kind: str) -> Batch | None:
    """Return a batch of a table with columns of ids and scores; None where a row is odd."""
    full = [name for name in table.column_names if table[name].null_count < table.num_rows]
    names = [first_named(full, known) for known in (QUERY_ID, DOC_ID)]
    scores = named(full, score_names(kind))
    if None in names or not scores or "candidates" in full:
        return None
    if len(scores) > 1:
        try:
            scores = [chosen_score(scores, kind, "")]
        except BadInput:
            return None
    chosen = [table[str(name)] for name in (*names, *scores[:1])]
    batch = None if any(c.null_count for c in chosen) else _batch(chosen, lines)
    return batch if batch is not None and _checked(batch.score, kind) else None


def _batch(chosen: list[pa.ChunkedArray], lines: np.ndarray) -> Batch | None:
    query, doc, score = (whole(column) for column in chosen)
    lengths = None
    listed = [is_list(column) for column in (query, doc, score)]
    if listed == [False, True, True]:
        lengths, other = lengths_of(doc), lengths_of(score)
        if not np.array_equal(lengths, other):
            return None
        doc, score = doc.flatten(), score.flatten()
    elif any(listed):
        return None
    ids = [id_texts(column) for column in (query, doc)]
    if any(each is None or has_empty(each) for each in ids) or score.null_count:
        return None
    if not (pa.types.is_floating(score.type) or pa.types.is_integer(score.type)):
        return None
    values = score.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Batch(ids[0], lengths, ids[1], values, lines)


# ---- Parquet ---------------------------------------------------------------------------------


def _parquet(path: Path, kind: str) -> Unread:
    file = opened(path)
    names = _parquet_names(path, file.schema_arrow.names, kind)
    before = 0
    for part in batches_of(path, file, names):
        yield partial(_parquet_rows, part, before + 1, path, kind)
        before += part.num_rows


def _parquet_rows(part: pa.RecordBatch, first: int, path: Path, kind: str) -> Iterator[Batch]:
    lines = np.arange(first, first + part.num_rows)
    batch = _columns(pa.Table.from_batches([part]), lines, kind) if part.num_rows else None
    if batch is not None:
        yield batch
        return
    exact = (
        scored
        for line, row in zip(lines.tolist(), part.to_pylist(), strict=True)
        for scored in rows_of_object(row, Place(path, line, "row"), kind)
    )
    yield from _from_rows(exact, path, kind, "row")


def _parquet_names(path: Path, there: list[str], kind: str) -> list[str]:
    """Return the columns to read; raises BadInput, with all there are, where one is missing."""
    names = named(there, (*_known(kind), "query", "candidates"))
    refuse_doubled(path, there, names)
    ids_only = kind == RANK or "candidates" in names
    needed = [] if "candidates" in names else [QUERY_ID, DOC_ID]
    for wanted in needed if ids_only else [*needed, ("score", *score_names(kind))]:
        if not named(there, wanted):
            raise BadInput(
                f"the column {wanted[0]!r} is missing; there are {', '.join(map(repr, there))}",
                where=path,
                do=f"name it one of: {', '.join(dict.fromkeys(wanted))}",
            )
    return names
