"""Rows of any artifact with ordinals resolved to ids and texts, for people and for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import files

if TYPE_CHECKING:
    import numpy as np

    from rankmill.mining.store import Artifact

FORMATS = ("table", "csv", "jsonl", "parquet")
_WIDEST = 60  # characters of one cell in a table for people
_LONGEST = 8  # items of one list in a table for people


def resolved(artifact: Artifact, table: pa.Table) -> pa.Table:
    """Return the table with `query` and `doc` ordinals replaced by `query_id`, `doc_id`.

    An evaluation's queries are those of the run that it judges. Flat columns also gain the text.
    Lists stay lists, item by item. A teacher's scores are named by their kind.
    """
    from rankmill.mining.collection.handles import Corpus, Queries

    makers: dict[str, tuple[str, Callable[..., Any]]] = {
        "query": ("queries", Queries),
        "doc": ("corpus", Corpus),
    }
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name]
        about = artifact if "run" not in artifact.inputs else artifact.input("run")
        if artifact.kind == "scores" and name == "logit":
            columns |= _scores(column.combine_chunks(), artifact.metadata["kind"])
            continue
        if name not in makers or makers[name][0] not in about.inputs:
            columns[name] = column
            continue
        role, handle = makers[name]
        rows = handle(about.input(role))
        if pa.types.is_nested(column.type):
            columns[f"{name}_id"] = _resolve_lists(column.combine_chunks(), rows.ids)
        else:
            ordinals = column.to_numpy()
            columns[f"{name}_id"] = pa.array(rows.ids(ordinals))
            columns[f"{name}_text"] = pa.array(rows.texts(ordinals))
    return pa.table(columns)


def _scores(column: Any, kind: str) -> dict[str, pa.Array]:
    """Return lists of scores under the name of their kind, ranks as ranks."""
    from rankmill.mining.score_kinds import as_shown, name_of
    from rankmill.mining.store.tables import list_values

    offsets, values = list_values(pa.chunked_array([column]))
    shown = pa.array(as_shown(values, kind))
    return {name_of(kind): pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), shown)}


def first_rows(artifact: Artifact, count: int | None) -> pa.Table:
    """Return the first `count` rows (all when None), resolved."""
    tables: list[pa.Table] = []
    missing = count
    for part in artifact.parts:
        if not part.file.endswith(".arrow"):
            raise BadInput(
                f"a {artifact.kind} is a folder of files, not a table",
                where=artifact.path,
                do="look at the folder: " + ", ".join(p.file for p in artifact.parts[:8]),
            )
        table = artifact.table(part.number)
        if tables and table.schema != tables[0].schema:
            break  # an index: parts of other shapes follow
        tables.append(table if missing is None else table.slice(0, missing))
        if missing is not None:
            missing -= tables[-1].num_rows
            if missing <= 0:
                break
    return resolved(artifact, pa.concat_tables(tables)) if tables else pa.table({})


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
    """Return a rich table: long texts and lists cut with an ellipsis."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(show_edge=False, header_style="bold", pad_edge=False)
    for name in table.column_names:
        shown.add_column(Text(name), overflow="fold")
    for row in table.to_pylist():
        shown.add_row(*(Text(_cell(v)) for v in row.values()))
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        body = " ".join(_cell(v) for v in value[:_LONGEST])
        return body + (f" … {len(value)}" if len(value) > _LONGEST else "")
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value).replace("\n", "⏎").replace("\t", "⇥")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


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


def _resolve_lists(column: Any, ids: Callable[[np.ndarray], list[str]]) -> pa.Array:
    from rankmill.mining.store.tables import list_values

    offsets, values = list_values(column)
    flat = pa.array(ids(values), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets.astype("int32")), flat)
