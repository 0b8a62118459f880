"""ms-swift, embedding and reranker tasks: chat messages, lists of message lists, no scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ..base import EXPORTS, Format
from ..columns import lists, structs
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource


@EXPORTS.register("ms-swift")
@dataclass(frozen=True, slots=True)
class MsSwift(Format):
    """ms-swift: chat messages for its embedding and reranker tasks, without scores.

    `train.jsonl`: messages, positive_messages, negative_messages.
    """

    scores: ClassVar[str] = "dropped"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the one file."""
        with out.stream("train.jsonl") as stream:
            for batch in source.batches(texts=True):
                write_json_lines(stream, _rows(source, batch))
        return {}


def _rows(source: GroupSource, batch: Batch) -> pa.Table:
    texts = _messages("assistant", source.doc_texts(batch.doc))
    positive, negative = (texts.take(pa.array(i)) for i in (batch.positive, batch.negative))
    return pa.table(
        {
            "messages": _messages("user", source.query_texts(batch.query)),
            "positive_messages": lists(positive, batch.positive_offsets),
            "negative_messages": lists(negative, batch.negative_offsets),
        }
    )


def _messages(role: str, texts: pa.Array) -> pa.Array:
    """Return each text as a conversation of one message."""
    roles = pa.array([role] * len(texts), pa.large_string())
    return lists(structs(role=roles, content=texts), np.arange(len(texts) + 1))
