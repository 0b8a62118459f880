"""FlagEmbedding: JSON lines with texts, positives and negatives apart, both with scores.

The file lies in a folder of its own: given a folder, the loader reads every `.json` in it, and our
sidecar is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ..base import EXPORTS, Format
from ..columns import lists
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource


@EXPORTS.register("flag-embedding")
@dataclass(frozen=True, slots=True)
class FlagEmbedding(Format):
    """FlagEmbedding (BGE): JSON lines with texts and scores.

    `train/train.jsonl`: query, pos, neg, pos_scores, neg_scores.
    """

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the one file."""
        with out.stream("train/train.jsonl") as stream:
            for batch in source.batches(texts=True):
                write_json_lines(stream, _rows(source, batch))
        return {}


def _rows(source: GroupSource, batch: Batch) -> pa.Table:
    texts, ones = source.doc_texts(batch.doc), batch.positive_offsets
    positive, negative = pa.array(batch.positive), pa.array(batch.negative)
    return pa.table(
        {
            "query": source.query_texts(batch.query),
            "pos": lists(texts.take(positive), ones),
            "neg": lists(texts.take(negative), batch.negative_offsets),
            "pos_scores": lists(batch.score[batch.positive], ones),
            "neg_scores": lists(batch.score[batch.negative], batch.negative_offsets),
        }
    )
