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

from ..base import EXPORTS, Format
from ..columns import joined, numbers, quoted, quoted_list, text
from ..folder import ExportFolder, write_rows
from ..json_object import JsonObject
from ..source import Batch, GroupSource


@EXPORTS.register("rankers")
@dataclass(frozen=True, slots=True)
class Rankers(Format):
    """rankers: groups by id, and the teacher's scores in one JSON object.

    Groups of one size; every listed document has a score.
    """

    @property
    def single_positive(self) -> bool:
        """There is one `doc_id_a`."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups, scores, documents and queries."""
        with out.stream("train.jsonl") as stream, JsonObject(out, "teacher.json") as scores:
            for batch in source.batches():
                ids = source.doc_ids(batch.doc)
                query = quoted(source.query_ids(batch.query))
                first = quoted(ids.take(pa.array(batch.positive)))
                others = quoted_list(ids.take(pa.array(batch.negative)), batch.negative_offsets)
                line = '{"query_id":', *query, ',"doc_id_a":', *first, ',"doc_id_b":', *others
                write_rows(stream, *line, "}")
                if not source.repeated:
                    _add_scores(scores, query, ids, batch)
            for batch in source.by_query() if source.repeated else ():
                query = quoted(source.query_ids(batch.query))
                _add_scores(scores, query, source.doc_ids(batch.doc), batch)
        for of, name in (("queries", "queries.json"), ("docs", "documents.json")):
            with JsonObject(out, name) as file:
                for _, table in source.texts_of(of):
                    ids, texts = (c.combine_chunks() for c in table.columns)
                    file.add(*quoted(ids), ":", *quoted(texts))
        return {"corpus": "documents.json, queries.json"}


def _add_scores(
    scores: JsonObject, query: tuple[str | pa.Array, ...], ids: pa.Array, batch: Batch
) -> None:
    items = text(*quoted(ids), ":", numbers(batch.score))
    scores.add(*query, ":{", joined(items, batch.offsets), "}")
