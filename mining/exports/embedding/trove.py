"""Trove: grouped JSON lines `{"qid", "docid", "score"}` with `queries.jsonl` and `corpus.jsonl`.

The TSV variant fails to load under polars 2, so the grouped form is the one written.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ..base import EXPORTS, Format
from ..columns import lists
from ..folder import ExportFolder, write_json_lines
from ..source import GroupSource


@EXPORTS.register("trove")
@dataclass(frozen=True, slots=True)
class Trove(Format):
    """Trove: groups as JSON lines beside queries and corpus.

    All ids are strings; the positive stands first.
    """

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups, queries and documents."""
        with out.stream("train.jsonl") as stream:
            for batch in source.batches():
                rows = {
                    "qid": source.query_ids(batch.query),
                    "docid": lists(source.doc_ids(batch.doc), batch.offsets),
                    "score": lists(batch.score, batch.offsets),
                }
                write_json_lines(stream, pa.table(rows))
        write_text_lines(source, out, "queries.jsonl", "queries")
        write_text_lines(source, out, "corpus.jsonl", "docs")
        return {}


def write_text_lines(
    source: GroupSource, out: ExportFolder, name: str, of: str, *, title: bool = False
) -> None:
    """Write `{"_id", "text"}` of the queries or docs of the groups; `title`: an empty one too."""
    with out.stream(name) as stream:
        for _, table in source.texts_of(of):
            ids, texts = table.columns
            empty = {"title": pa.array([""] * table.num_rows)} if title else {}
            write_json_lines(stream, pa.table({"_id": ids, **empty, "text": texts}))
