"""Rows of any artifact with ordinals resolved to ids and texts: for people and for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from ..collection.handles import Corpus, Queries
from ..errors import BadInput
from ..score_kinds import as_shown, name_of
from ..store import Artifact
from ..store.tables import list_values

_WIDEST = 60  # characters of one cell in a table for people
_LONGEST = 8  # items of one list in a table for people


def resolved(artifact: Artifact, table: pa.Table) -> pa.Table:
    """Return the table with `query` and `doc` ordinals replaced by `query_id`, `doc_id`.

    An evaluation's queries are those of the run that it judges. Flat columns also gain the text.
    Lists stay lists, item by item. A teacher's scores are named by their kind.
    """
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


def all_rows(artifact: Artifact) -> Iterator[dict[str, Any]]:
    """Yield every row, resolved, part by part."""
    first_rows(artifact, 1)  # refuses what is no table
    for table in artifact.tables():
        for batch in table.to_batches(max_chunksize=4096):
            yield from resolved(artifact, pa.Table.from_batches([batch])).to_pylist()


def html(artifact: Artifact, rows: int = 5) -> str:
    """Return a short table for notebooks: what it is, and its first rows."""
    title = f"{artifact.kind} {artifact.fingerprint[:12]}, {artifact.rows:,} rows"
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
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value).replace("\n", "⏎").replace("\t", "⇥")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _resolve_lists(column: Any, ids: Callable[[np.ndarray], list[str]]) -> pa.Array:
    offsets, values = list_values(column)
    flat = pa.array(ids(values), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets.astype("int32")), flat)
