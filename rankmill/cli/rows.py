"""Rows of any artifact with ordinals resolved to ids and texts, for people and for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankmill.mining.errors import UsageError
from rankmill.mining.exports.rows import aligned, cell, first_rows, resolved, write_parquet
from rankmill.mining.store import files

__all__ = ["FORMATS", "first_rows", "for_people", "lines", "resolved", "write", "write_parquet"]

FORMATS = ("table", "csv", "jsonl", "parquet")


def write(table: pa.Table, form: str, target: Path) -> None:
    """Write rows as csv, jsonl or parquet; the file appears whole or not at all."""
    if form == "parquet":
        import pyarrow.parquet as pq

        with files.replacing(target, text=False) as stream:
            pq.write_table(table, stream)
        return
    with files.replacing(target) as stream:
        for line in lines(table, form):
            stream.write(line)


def lines(table: pa.Table, form: str) -> Iterator[str]:
    """Yield csv or jsonl text, one row at a time; lists in csv are JSON."""
    import csv
    import io
    import json

    if form not in ("csv", "jsonl"):
        raise UsageError(f"unknown format {form!r}", do=f"choose one of {', '.join(FORMATS)}")
    if form == "csv":
        yield _csv_line(csv, io, table.column_names)
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            if form == "jsonl":
                yield json.dumps(_finite(row), ensure_ascii=False) + "\n"
            else:
                values = (
                    json.dumps(_finite(v), ensure_ascii=False) if isinstance(v, list) else v
                    for v in row.values()
                )
                yield _csv_line(csv, io, values)


def for_people(table: pa.Table) -> Any:
    """Return a rich table: long texts and lists cut with an ellipsis, numbers below one another."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(show_edge=False, header_style="bold", pad_edge=False)
    columns: list[list[str]] = []
    for field in table.schema:
        number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        justify: Any = "right" if number else "left"
        shown.add_column(Text(field.name), overflow="fold", justify=justify)
        values = table[field.name].to_pylist()
        columns.append(aligned(values) if number else [cell(one) for one in values])
    for row in zip(*columns, strict=True):
        shown.add_row(*map(Text, row))
    return shown


def _csv_line(csv: Any, io: Any, values: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _finite(value: Any) -> Any:
    """NaN means "this source did not find it"; JSON says that with null."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return value
