"""Arctic Embed (ArcticTraining): the stage tables, Parquet with upper-case columns.

    queries    QUERY_ID uint64, QUERY_TEXT
    documents  DOCUMENT_ID uint64, DOCUMENT_TEXT
    labels     QUERY_ID, DOCUMENT_ID
    retrieval  QUERY_ID, DOCUMENT_ID, SCORE float32
    mined      QUERY_ID, DOCUMENT_ID, RELEVANCE int8: 1 or −1

The trainer's own last stage makes batches from these tables; `arctic-embed-batches` makes them at
once. Teacher scores reach `retrieval` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ..base import EXPORTS, Format
from ..folder import ExportFolder
from ..numbering import Renumbering
from ..source import GroupSource

_PAIR = pa.schema([("QUERY_ID", pa.uint64()), ("DOCUMENT_ID", pa.uint64())])


@EXPORTS.register("arctic-embed")
@dataclass(frozen=True, slots=True)
class ArcticEmbed(Format):
    """Arctic Embed (ArcticTraining): the tables of its stages.

    `queries`, `documents`, `labels`, `retrieval` and `mined`, each a Parquet file.
    """

    scores: ClassVar[str] = "dropped"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the five tables and the map of ids."""
        number = Renumbering(source, keep_docs=True)
        for of, noun, numbers in (
            ("queries", "QUERY", number.queries),
            ("docs", "DOCUMENT", number.docs),
        ):
            schema = pa.schema([(f"{noun}_ID", pa.uint64()), (f"{noun}_TEXT", pa.string())])
            with out.parquet(
                f"{'queries' if of == 'queries' else 'documents'}.parquet", schema
            ) as w:
                for rows, table in source.texts_of(of):
                    columns = [numbers[rows].astype(np.uint64), table["text"].combine_chunks()]
                    w.write_table(pa.Table.from_arrays(columns, names=schema.names).cast(schema))
        _write_pairs(source, out, number, "labels", _PAIR)
        scored = _PAIR.append(pa.field("SCORE", pa.float32()))
        _write_pairs(source, out, number, "retrieval", scored)
        mined = _PAIR.append(pa.field("RELEVANCE", pa.int8()))
        _write_pairs(source, out, number, "mined", mined)
        return number.write_map(out)


def _write_pairs(
    source: GroupSource, out: ExportFolder, number: Renumbering, name: str, schema: pa.Schema
) -> None:
    with out.parquet(f"{name}.parquet", schema) as writer:
        for batch in source.by_query():
            chosen = batch.positive if name == "labels" else np.arange(len(batch.doc))
            columns: list[np.ndarray] = [
                number.queries[batch.query[batch.rows[chosen]]].astype(np.uint64),
                number.docs[batch.doc[chosen]].astype(np.uint64),
            ]
            if "SCORE" in schema.names:
                columns.append(batch.score[chosen])
            if "RELEVANCE" in schema.names:
                columns.append(np.where(batch.lead[chosen], 1, -1).astype(np.int8))
            writer.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], schema=schema))
