"""Judgements that stand as lists beside the queries, as BRIGHT has them: `gold_ids`,
`excluded_ids`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import BadInput
from ..base import Judged
from ..rows import EXCLUDED
from .layouts import QUERIES
from .parquet_rows import ids_of, parquet_names, wanted

GOLD, BARRED = "gold_ids", "excluded_ids"
_NONE = "N/A"  # what BRIGHT writes where nothing is excluded


def has_lists(path: Path) -> bool:
    """Say whether a Parquet file of queries holds lists of relevant documents."""
    return GOLD in parquet_names(path)


def list_judgements(path: Path) -> Judged:
    """Return grade 1 for the documents of `gold_ids`, the excluded grade for `excluded_ids`."""
    names = parquet_names(path)
    query = wanted(path, names, QUERIES.ids)
    lists = [(name, grade) for name, grade in ((GOLD, 1), (BARRED, EXCLUDED)) if name in names]
    table = pq.read_table(path, columns=[query, *(name for name, _ in lists)]).combine_chunks()
    batch = (table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)])[0]
    asked = ids_of(path, batch, query, 0)
    parts = []
    for name, grade in lists:
        rows, docs = _pairs(path, batch[name], name)
        parts.append((rows, docs, np.full(len(rows), grade, np.int32)))
    rows = np.concatenate([part[0] for part in parts])
    return Judged(
        asked.take(pa.array(rows)),
        pa.concat_arrays([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        str(path),
        rows + 1,
        "row",
    )


def _pairs(path: Path, column: pa.Array, name: str) -> tuple[np.ndarray, pa.StringArray]:
    """Return of each document in the lists its row (int64, from 0) and its id."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise BadInput(
            f"the column {name!r} is of type {column.type}, not a list of ids",
            where=path,
            do="write it as lists of strings, or the judgements into a folder qrels/",
        )
    rows = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
    flat = pa.RecordBatch.from_arrays([pc.list_flatten(column)], [name])
    docs = ids_of(path, flat, name, 0)
    real = np.asarray(pc.not_equal(docs, _NONE))
    return rows[real], docs.filter(pa.array(real))
