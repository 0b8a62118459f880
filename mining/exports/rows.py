"""Rows of any artifact with ordinals resolved to ids and texts: for people and for other tools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..collection.rows import Corpus, Queries
from ..errors import BadInput
from ..score_kinds import as_shown, name_of
from ..store import Artifact, files
from ..store.tables import flat_lists, list_values

_BLOCK_ROWS = 20_000
_WIDEST = 60  # characters of one cell in a table for people
_LONGEST = 8  # items of one list in a table for people
_DIGITS = 4  # of the largest number of a column
_MOST = 6  # decimals


def resolved(artifact: Artifact, table: pa.Table) -> pa.Table:
    """Return the table with `query` and `doc` ordinals replaced by `query_id`, `doc_id`.

    Of an evaluation, of statistics and of others they are those of what it was made of: a run,
    groups, scores, a pool. Flat columns also gain the text.
    Lists stay lists, item by item. A teacher's scores are named by their kind.
    """
    return Resolver(artifact)(table)


class Resolver:
    """Names the ordinals of an artifact's tables; the id columns are read once.

    `texts`: lists of documents gain their texts too, as flat columns always do.
    """

    def __init__(self, artifact: Artifact, *, texts: bool = False):
        self.artifact, self.texts = artifact, texts
        about = _about(artifact)
        known = {"query": ("queries", Queries), "doc": ("corpus", Corpus)}
        self.rows: dict[str, Any] = {
            name: handle(about.input(role))
            for name, (role, handle) in known.items()
            if role in about.inputs
        }
        self._ids: dict[str, pa.Array] = {}

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the table, resolved."""
        columns: dict[str, pa.Array] = {}
        for name in table.column_names:
            column = table[name]
            if self.artifact.kind == "scores" and name == "logit":
                columns |= _scores(column.combine_chunks(), self.artifact.metadata["kind"])
            elif name not in self.rows:
                columns[name] = self._within(column)
            elif pa.types.is_nested(column.type):
                columns |= self._lists(name, column.combine_chunks())
            else:
                ordinals = column.to_numpy()
                columns[f"{name}_id"] = self.ids(name, ordinals)
                columns[f"{name}_text"] = pa.array(self.rows[name].texts(ordinals))
        return pa.table(columns)

    def _within(self, column: pa.ChunkedArray) -> Any:
        """Return a column with the documents of its records under their ids: postings are lists of
        a document and how often a term stands in it."""
        if not _of_documents(column.type) or "doc" not in self.rows:
            return column
        offsets, values = flat_lists(column)
        parts = {one.name: values.field(one.name) for one in values.type}
        ids = self.ids("doc", parts.pop("doc").to_numpy(zero_copy_only=False))
        made = pa.StructArray.from_arrays([ids, *parts.values()], ["doc_id", *parts])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), made)

    def ids(self, name: str, ordinals: np.ndarray) -> pa.Array:
        """Return the ids of many ordinals, as a column: the few of small tables one by one."""
        rows = self.rows[name]
        if name not in self._ids and len(ordinals) < len(rows) // 100:
            return pa.array(rows.ids(ordinals), pa.string())
        if name not in self._ids:
            parts = [table[rows.id_column] for _, table in rows.parts()]
            whole = pa.chunked_array([c for part in parts for c in part.chunks], pa.string())
            self._ids[name] = whole.cast(pa.large_string()).combine_chunks()
        return self._ids[name].take(pa.array(ordinals)).cast(pa.string())

    def _lists(self, name: str, column: Any) -> dict[str, pa.Array]:
        offsets, values = list_values(column)
        bounds = pa.array(offsets.astype("int32"))
        lists = {f"{name}_id": pa.ListArray.from_arrays(bounds, self.ids(name, values))}
        if self.texts:
            texts = pa.array(self.rows[name].texts(values), pa.string())
            lists[f"{name}_text"] = pa.ListArray.from_arrays(bounds, texts)
        return lists


def _of_documents(kind: pa.DataType) -> bool:
    """Say whether a column holds lists of records of documents."""
    records = kind.value_type if pa.types.is_list(kind) else pa.null()
    return pa.types.is_struct(records) and "doc" in {field.name for field in records}


def _from(table: pa.Table, start: int) -> pa.Table:
    """Return a part whose records count documents from the part's first one, counted from the
    first one of all."""
    for place, one in enumerate(table.schema):
        if not _of_documents(one.type):
            continue
        offsets, values = flat_lists(table[one.name])
        parts = {field.name: values.field(field.name) for field in values.type}
        parts["doc"] = pc.add(parts["doc"].cast(pa.uint32()), pa.scalar(start, pa.uint32()))
        counted = pa.StructArray.from_arrays([*parts.values()], [*parts])
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), counted)
        table = table.set_column(place, one.name, lists)
    return table


def _scores(column: Any, kind: str) -> dict[str, pa.Array]:
    """Return lists of scores under the name of their kind, ranks as ranks."""
    offsets, values = list_values(pa.chunked_array([column]))
    shown = pa.array(as_shown(values, kind))
    return {name_of(kind): pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), shown)}


_MADE_OF = ("run", "groups", "scores", "pool")  # whose queries an artifact without any speaks of


def _about(artifact: Artifact) -> Artifact:
    """Return the artifact that names the queries and documents of another's ordinals."""
    while "queries" not in artifact.inputs:
        role = next((one for one in _MADE_OF if one in artifact.inputs), None)
        if role is None:
            return artifact
        artifact = artifact.input(role)
    return artifact


def stored_rows(artifact: Artifact, count: int | None) -> Iterator[pa.Table]:
    """Yield the first `count` rows (all when None) as stored, ordinals and all, part by part."""
    yield from _tables(artifact, count)


def first_rows(artifact: Artifact, count: int | None) -> pa.Table:
    """Return the first `count` rows (all when None), resolved."""
    tables = list(_tables(artifact, count))
    return resolved(artifact, pa.concat_tables(tables)) if tables else pa.table({})


def _tables(artifact: Artifact, count: int | None) -> Iterator[pa.Table]:
    """Yield the first rows as stored, part by part."""
    schema, missing, before = None, count, 0
    for part in artifact.parts:
        if not part.file.endswith(".arrow"):
            raise BadInput(
                f"a {artifact.kind} is a folder of files, not a table",
                where=artifact.path,
                do="look at the folder: " + ", ".join(p.file for p in artifact.parts[:8]),
            )
        table = artifact.table(part.number)
        if schema is not None and table.schema != schema:
            return  # an index: parts of other shapes follow
        schema = table.schema
        shown = table if missing is None else table.slice(0, missing)
        yield _from(shown, before)
        before += part.counts.get("documents", 0)
        if missing is not None:
            missing -= table.num_rows
            if missing <= 0:
                return


def write_parquet(artifact: Artifact, count: int | None, target: Path) -> int:
    """Write the first `count` rows as Parquet, column by column, and return how many there are.

    A block of rows at a time is in memory, never the artifact.
    """
    # Ranks are whole or means by what all rows hold, so only these are read whole.
    ranks = artifact.kind == "scores" and artifact.metadata["kind"] == "rank"
    tables = [pa.concat_tables(_tables(artifact, count))] if ranks else _tables(artifact, count)
    named, written, writer = Resolver(artifact), 0, None
    with files.replacing(target, text=False) as stream:
        for table in tables:
            for start in range(0, max(table.num_rows, 1), _BLOCK_ROWS):
                rows = named(table.slice(start, _BLOCK_ROWS))
                writer = writer or pq.ParquetWriter(stream, rows.schema)
                writer.write_table(rows)
                written += rows.num_rows
        if writer is not None:
            writer.close()
        else:
            pq.write_table(pa.table({}), stream)
    return written


def all_rows(artifact: Artifact, *, texts: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every row, resolved, part by part; `texts`: those of lists of documents too."""
    named = Resolver(artifact, texts=texts)
    for table in _tables(artifact, None):
        for batch in table.to_batches(max_chunksize=_rows_at_a_time(table) if texts else 4096):
            yield from named(pa.Table.from_batches([batch])).to_pylist()


def _rows_at_a_time(table: pa.Table) -> int:
    """Return of how many rows the texts are in memory together: of some thousand documents."""
    if not ("doc" in table.column_names and pa.types.is_nested(table["doc"].type)):
        return 4096
    items = len(list_values(table["doc"])[1])
    return max(1, 4096 * table.num_rows // max(1, items))


def html(artifact: Artifact, rows: int = 5, title: str | None = None) -> str:
    """Return a short table for notebooks: what it is, and its first rows."""
    title = title or f"{artifact.kind} {artifact.fingerprint[:12]}, {artifact.rows:,} rows"
    if not all(part.file.endswith(".arrow") for part in artifact.parts):
        files = ", ".join(part.file for part in artifact.parts[:8])
        return f"<div><b>{escape(title)}</b>: {escape(files)}</div>"
    table = first_rows(artifact, rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in table.column_names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(v))}</td>" for v in row.values()) + "</tr>"
        for row in table.to_pylist()
    )
    return (
        f"<table><caption>{escape(title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def cell(value: Any) -> str:
    """Return a value on one line, cut where it is long."""
    if value is None:
        return "–"
    if isinstance(value, list):
        body = " ".join(cell(v) for v in value[:_LONGEST])
        return body + (f" … {len(value)}" if len(value) > _LONGEST else "")
    if isinstance(value, dict):
        text = ", ".join(f"{key} {cell(one)}" for key, one in value.items())
        return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    if isinstance(value, float):  # NaN: not found, not known; + 0: no minus zero
        return "–" if math.isnan(value) else f"{value + 0.0:.4g}"
    text = str(value).replace("\n", "⏎").replace("\t", "⇥")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def aligned(values: Sequence[Any]) -> list[str]:
    """Return the values of a column with equally many decimals and widths, so that their points
    stand below one another: the largest has four digits.

    What is no column of floats is written value by value, and so is one of sizes too different to
    show the small ones.
    """
    floats = [one for one in values if isinstance(one, float) and math.isfinite(one)]
    sizes = [abs(one) for one in floats if one]
    if not sizes or not all(one is None or isinstance(one, float) for one in values):
        return [cell(one) for one in values]
    decimals = _DIGITS - 1 - math.floor(math.log10(max(sizes)))
    decimals = min(max(decimals, 0), _MOST)
    if min(sizes) < 0.5 * 10.0**-decimals:
        return [cell(one) for one in values]
    while decimals and all(round(one, decimals) == round(one, decimals - 1) for one in floats):
        decimals -= 1  # zeros at the end of all of them say nothing
    texts = [
        f"{one + 0.0:.{decimals}f}" if one is not None and math.isfinite(one) else cell(one)
        for one in values
    ]
    wide = max(map(len, texts))
    return [text.rjust(wide) for text in texts]
