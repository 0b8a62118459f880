"""rank_llm: one request a line, `{"query": {"text", "qid"}, "candidates": [{"docid", "score",
"doc"}]}`.

Candidates stand best score first; `doc` is an object with the text under `contents`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ..base import EXPORTS, Format
from ..columns import lists, structs
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource
from .lightning_ir import best_first


@EXPORTS.register("rank-llm")
@dataclass(frozen=True, slots=True)
class RankLlm(Format):
    """rank_llm: a request in each line, with candidates and scores.

    `requests.jsonl`; the groups of a query are joined.
    """

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the one file."""
        with out.stream("requests.jsonl") as stream:
            for batch in source.by_query(texts=True):
                write_json_lines(stream, _rows(source, batch))
        return {"order": "score, descending"}


def _rows(source: GroupSource, batch: Batch) -> pa.Table:
    ranked, _ = best_first(batch)
    docs = batch.doc[ranked]
    doc = structs(contents=source.doc_texts(docs))
    candidates = structs(docid=source.doc_ids(docs), score=batch.score[ranked], doc=doc)
    query = structs(text=source.query_texts(batch.query), qid=source.query_ids(batch.query))
    return pa.table({"query": query, "candidates": lists(candidates, batch.offsets)})
