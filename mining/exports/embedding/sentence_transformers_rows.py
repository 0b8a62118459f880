"""sentence-transformers, texts in the rows. The order of columns carries the meaning.

    tuples    query, positive, negative_1 … negative_n, scores: list<float>, positive first
    triplets  query, positive, negative, scores: [pos, neg]; one row for each negative
    pairs     query, document, score: float; one row for each document
    lists     query, documents: list<string>, scores: list<float>

There is no id column: any further column would be encoded as a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from ...options import Option
from ..base import EXPORTS, Format, refuse_unknown
from ..columns import lists
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource

_FILES = ("parquet", "jsonl")


@EXPORTS.register("sentence-transformers-rows")
@dataclass(frozen=True, slots=True)
class SentenceTransformersRows(Format):
    """sentence-transformers: rows with their texts, for losses that read columns.

    `layout`: tuples, triplets, pairs or lists; `file`: parquet or jsonl.
    """

    layout: Annotated[str, Option("tuples, triplets, pairs or lists.")] = "tuples"
    file: Annotated[str, Option("parquet or jsonl.")] = "parquet"

    def __post_init__(self) -> None:
        refuse_unknown("sentence-transformers-rows", "layout", self.layout, tuple(_LAYOUTS))
        refuse_unknown("sentence-transformers-rows", "file", self.file, _FILES)

    @property
    def single_positive(self) -> bool:
        """Tuples and triplets name one positive."""
        return self.layout in ("tuples", "triplets")

    def tables(self, source: GroupSource) -> Iterator[pa.Table]:
        """Yield the rows, some groups at a time."""
        return (_LAYOUTS[self.layout](source, batch) for batch in source.batches(texts=True))

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write `train.parquet` or `train.jsonl`."""
        tables = self.tables(source)
        if self.file == "jsonl":
            with out.stream("train.jsonl") as stream:
                for table in tables:
                    write_json_lines(stream, table)
            return {}
        first = next(tables)
        with out.parquet("train.parquet", first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        return {}


def _tuples(source: GroupSource, batch: Batch) -> pa.Table:
    docs = batch.doc.reshape(len(batch), -1)
    names = ["positive", *(f"negative_{i}" for i in range(1, docs.shape[1]))]
    columns = {"query": source.query_texts(batch.query)}
    columns |= {name: source.doc_texts(docs[:, i]) for i, name in enumerate(names)}
    return _plain(columns | {"scores": lists(batch.score, batch.offsets)})


def _triplets(source: GroupSource, batch: Batch) -> pa.Table:
    negative = batch.negative
    positive = batch.positive[batch.rows[negative]]
    pair = np.column_stack([batch.score[positive], batch.score[negative]]).reshape(-1)
    return _plain(
        {
            "query": source.query_texts(batch.query[batch.rows[negative]]),
            "positive": source.doc_texts(batch.doc[positive]),
            "negative": source.doc_texts(batch.doc[negative]),
            "scores": lists(pair, np.arange(len(negative) + 1) * 2),
        }
    )


def _pairs(source: GroupSource, batch: Batch) -> pa.Table:
    return _plain(
        {
            "query": source.query_texts(batch.query[batch.rows]),
            "document": source.doc_texts(batch.doc),
            "score": pa.array(batch.score),
        }
    )


def _lists(source: GroupSource, batch: Batch) -> pa.Table:
    return _plain(
        {
            "query": source.query_texts(batch.query),
            "documents": lists(source.doc_texts(batch.doc), batch.offsets),
            "scores": lists(batch.score, batch.offsets),
        }
    )


def _plain(columns: dict[str, pa.Array]) -> pa.Table:
    """Return a table of ordinary strings and lists, which every version of `datasets` reads."""
    table = pa.table(columns)
    plain = {
        pa.large_string(): pa.string(),
        pa.large_list(pa.large_string()): pa.list_(pa.string()),
        pa.large_list(pa.float32()): pa.list_(pa.float32()),
    }
    return table.cast(pa.schema([(f.name, plain.get(f.type, f.type)) for f in table.schema]))


_LAYOUTS: dict[str, Callable[[GroupSource, Batch], pa.Table]] = {
    "tuples": _tuples,
    "triplets": _triplets,
    "pairs": _pairs,
    "lists": _lists,
}
