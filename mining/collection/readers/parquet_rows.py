"""Parquet files: batches of rows as Arrow columns, whatever types of text and numbers they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import BadInput
from ...inputs import column_names as columns
from ...inputs.parquet_rows import parquet_file
from ..base import BLOCK, Judged, Texts
from ..lines import grade_of
from .chosen_fields import TITLE, flat, joined_columns, places_of


def parquet_texts(
    path: Path,
    id_names: columns.Names,
    title: bool,
    texts: columns.Names,
    fields: Sequence[str] = (),
) -> Iterator[Texts]:
    """Yield the documents (with titles) or queries; `fields`: what the text is made of."""
    with _opened(path) as file:
        names = file.schema_arrow.names
        if fields:
            yield from _made_of(path, file, wanted(path, names, id_names), fields)
            return
        ids = wanted(path, names, id_names)
        text = wanted(path, names, texts, but=ids)
        titled = title and columns.first_named(names, columns.TITLE) is not None
        heading = wanted(path, names, columns.TITLE) if titled else None
        number = 0
        for batch in file.iter_batches(BLOCK, columns=[n for n in (ids, text, heading) if n]):
            rows = np.arange(number + 1, number + 1 + len(batch), dtype=np.int64)
            titles = None
            if title:
                titles = texts_of(path, batch, heading, number, nulls=True)
            yield Texts(
                ids_of(path, batch, ids, number),
                titles,
                texts_of(path, batch, text, number),
                str(path),
                rows,
                "row",
            )
            number += len(batch)


def _made_of(path: Path, file: pq.ParquetFile, ids: str, fields: Sequence[str]) -> Iterator[Texts]:
    names = places_of(path, file.schema_arrow.names, fields)
    number = 0
    for batch in file.iter_batches(BLOCK, columns=list(dict.fromkeys((ids, *names)))):
        held = {
            field: texts_of(path, _flat_batch(batch, name), name, number, nulls=True)
            for field, name in zip(fields, names, strict=True)
        }
        empty = pa.repeat("", len(batch)).cast(pa.large_string())
        yield Texts(
            ids_of(path, batch, ids, number),
            held.pop(TITLE, empty),
            joined_columns(list(held.values())) if held else empty,
            str(path),
            np.arange(number + 1, number + 1 + len(batch), dtype=np.int64),
            "row",
        )
        number += len(batch)


def _flat_batch(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return pa.record_batch({name: flat(batch[name])})


def parquet_judgements(path: Path) -> Judged:
    """Return the judgements of one file."""
    with _opened(path) as file:
        names = file.schema_arrow.names
        query, doc, grade = judged_columns(path, names)
        table = file.read(columns=[query, doc, grade]).combine_chunks()
    batch = (table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)])[0]
    return Judged(
        ids_of(path, batch, query, 0),
        ids_of(path, batch, doc, 0),
        grades_of(path, batch[grade]),
        str(path),
        np.arange(1, len(batch) + 1, dtype=np.int64),
        "row",
    )


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns of one file."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with parquet_file(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise BadInput(
            f"this is not a readable Parquet file: {error}",
            where=path,
            do="the file is damaged or truncated: write or fetch it again",
        ) from error


def judged_columns(path: Path | str, names: list[str]) -> tuple[str, str, str]:
    """Return the columns of query, document and grade; raises BadInput where one is missing."""
    query = wanted(path, names, columns.JUDGED_ROW_QUERY_ID)
    doc = wanted(path, names, columns.JUDGED_ROW_DOC_ID, but=query)
    return query, doc, wanted(path, names, columns.GRADE)


def wanted(path: Path | str, names: list[str], known: columns.Names, but: str = "") -> str:
    """Return the column with one of the names; raises BadInput with those that the file has."""
    matching = [name for name in columns.named(names, known) if name != but]
    if not matching:
        raise BadInput(
            f"there is no column {known[0]!r}; the file has "
            f"{', '.join(map(repr, names)) or 'none'}",
            where=path,
            do=f"call it one of: {', '.join(known)}",
        )
    if names.count(matching[0]) > 1:
        raise BadInput(
            f"the column {matching[0]!r} stands twice",
            where=path,
            do="keep one of the two, or give each a name of its own",
        )
    return matching[0]


def ids_of(path: Path | str, batch: pa.RecordBatch, name: str, before: int) -> pa.StringArray:
    """Return a column of ids, whole numbers as texts; raises BadInput for other types, nulls."""
    column = _plain(batch[name])
    _refuse_nulls(path, column, name, before, "give every row an id, or leave the row out")
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if not _is_text(column.type):
        raise _no_text(path, name, column.type)
    return _valid(path, column.cast(pa.string()), name, before)


def texts_of(
    path: Path | str, batch: pa.RecordBatch, name: str | None, before: int, nulls: bool = False
) -> pa.LargeStringArray:
    """Return a column of texts; with `nulls` those are empty, and a column that is not there is."""
    if name is None:
        return pa.repeat("", len(batch)).cast(pa.large_string())
    column = _plain(batch[name])
    if nulls:
        column = column.cast(pa.large_string()) if pa.types.is_null(column.type) else column
    else:
        _refuse_nulls(path, column, name, before, "leave such rows out, or write an empty text")
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not _is_text(column.type):
        raise _no_text(path, name, column.type)
    return _valid(path, pc.fill_null(column.cast(pa.large_string()), ""), name, before)


def grades_of(path: Path | str, column: pa.Array) -> np.ndarray:
    """Return grades as int32; floats and texts are read where they stand for whole numbers."""
    column = _plain(column)
    _refuse_nulls(path, column, "grade", 0, "leave out what was not judged")
    numbers = column
    if _is_text(column.type):
        return np.array(
            [grade_of(v, f"{path}, row {i}") for i, v in enumerate(column.to_pylist(), 1)], np.int32
        )
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = numbers.to_numpy(zero_copy_only=False)
        bad = np.flatnonzero(
            ~((values == np.floor(values)) & (np.abs(values.astype(float)) < 1 << 15))
        )
        for row in bad[:1].tolist():
            grade_of(values[row].item(), f"{path}, row {row + 1}")
        return values.astype(np.int32)
    raise BadInput(
        f"the grades are of type {column.type}, not whole numbers", where=path, do="write integers"
    )


def _plain(column: pa.Array) -> pa.Array:
    """Return dictionary, view and extension columns as what they stand for."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _plain(column.storage)
    if pa.types.is_dictionary(kind):
        values = _plain(column.dictionary)  # polars has views there, which cannot be taken from
        return _plain(pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode())
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    return column


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _no_text(path: Path | str, name: str, kind: pa.DataType) -> BadInput:
    return BadInput(
        f"the column {name!r} is of type {kind}, not text",
        where=path,
        do="write it as a column of strings (ids may be integers)",
    )


def _refuse_nulls(path: Path | str, column: pa.Array, name: str, before: int, do: str) -> None:
    if not column.null_count:
        return
    row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
    raise BadInput(
        f"the column {name!r} is null here ({column.null_count:,} nulls nearby)",
        where=f"{path}, row {before + row + 1}",
        do=do,
    )


def _valid(path: Path | str, column: pa.Array, name: str, before: int) -> pa.Array:
    """Refuse bytes that are no UTF-8, which Parquet's writers do not look for."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise BadInput(
            f"the column {name!r} is not valid UTF-8: {error}",
            where=f"{path}, rows {before + 1} to {before + len(column)}",
            do="write it as text in UTF-8",
        ) from error
    return column
