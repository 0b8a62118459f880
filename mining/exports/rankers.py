"""rankers: groups by id as JSON lines, the teacher's scores in one JSON object, texts beside.

    train.jsonl     {"query_id": "10", "doc_id_a": "0", "doc_id_b": ["1", "2"]}
    teacher.json    {"10": {"0": 9.25, "1": 3.5, "2": -1.25}}
    documents.json, queries.json    {id: text}, for Corpus(documents=…, queries=…)

`train.jsonl` is memory-mapped, so it stays uncompressed. The loader holds the other files in RAM;
they hold only what the groups name.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from .base import EXPORTS, Format
from .columns import joined, lists, numbers, quoted, text
from .folder import ExportFolder, write_json_lines
from .json_object import JsonObject
from .source import GroupSource


@EXPORTS.register("rankers")
@dataclass(frozen=True, slots=True)
class Rankers(Format):
    """Groups of one size; every listed document has a score."""

    @property
    def single_positive(self) -> bool:
        """There is one `doc_id_a`."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups, scores, documents and queries."""
        with out.stream("train.jsonl") as stream:
            for batch in source.batches():
                ids = source.doc_ids(batch.doc)
                negative = ids.take(pa.array(batch.negative))
                rows = {
                    "query_id": source.query_ids(batch.query),
                    "doc_id_a": ids.take(pa.array(batch.positive)),
                    "doc_id_b": lists(negative, batch.negative_offsets),
                }
                write_json_lines(stream, pa.table(rows))
        write_score_object(source, out, "teacher.json")
        for of, name in (("queries", "queries.json"), ("docs", "documents.json")):
            with JsonObject(out, name) as found:
                for _, table in source.texts_of(of):
                    ids, texts = (c.combine_chunks() for c in table.columns)
                    found.add(quoted(ids), quoted(texts))
        return {"corpus": "documents.json, queries.json"}


def write_score_object(source: GroupSource, out: ExportFolder, name: str) -> None:
    """Write `{query_id: {doc_id: score}}`, the groups of a query joined."""
    with JsonObject(out, name) as scores:
        for batch in source.by_query():
            items = text(quoted(source.doc_ids(batch.doc)), ":", numbers(batch.score))
            rows = text("{", joined(items, batch.offsets), "}")
            scores.add(quoted(source.query_ids(batch.query)), rows)
