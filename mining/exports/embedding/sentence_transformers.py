"""sentence-transformers ≥ 6 (`resolve_ids`) and PyLate (`KDProcessing`): ids, queries, documents.

    train.parquet      query_id: string, document_ids: list<string>, scores: list<float>
    queries.parquet    query_id: string, text: string
    documents.parquet  document_id: string, text: string

Both trainers take the first n documents as stored; the positive stands first. Text tables have two
columns only: a third makes the inference of columns fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ..base import EXPORTS, Format
from ..columns import lists
from ..folder import ExportFolder
from ..source import GroupSource

_TRAIN = pa.schema(
    [
        ("query_id", pa.string()),
        ("document_ids", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
    ]
)


class IdTriple(Format):
    """Groups by id beside two tables of texts: the smallest form on disk."""

    __slots__ = ()

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the three tables."""
        with out.parquet("train.parquet", _TRAIN) as writer:
            for batch in source.batches():
                columns = [
                    source.query_ids(batch.query),
                    lists(source.doc_ids(batch.doc), batch.offsets),
                    lists(batch.score, batch.offsets),
                ]
                table = pa.Table.from_arrays(columns, names=_TRAIN.names)
                writer.write_table(table.cast(_TRAIN))
        write_texts(source, out, "queries", "query_id")
        write_texts(source, out, "documents", "document_id")
        return {}


@EXPORTS.register("sentence-transformers")
@dataclass(frozen=True, slots=True)
class SentenceTransformers(IdTriple):
    """sentence-transformers (`resolve_ids`): groups by id beside two tables of texts."""


@EXPORTS.register("pylate")
@dataclass(frozen=True, slots=True)
class PyLate(IdTriple):
    """PyLate (`KDProcessing`): groups by id beside two tables of texts."""


def write_texts(source: GroupSource, out: ExportFolder, name: str, id_column: str) -> None:
    """Write the queries or documents that the groups name: id and text, both strings."""
    schema = pa.schema([(id_column, pa.string()), ("text", pa.string())])
    with out.parquet(f"{name}.parquet", schema) as writer:
        for _, table in source.texts_of("queries" if name == "queries" else "docs"):
            writer.write_table(table.rename_columns(schema.names).cast(schema))
