"""GPL: `hard-negatives.jsonl`, `gpl-training-data.tsv` with margins, texts and qrels as BEIR.

hard-negatives.jsonl   {"qid": "10", "pos": ["0"], "neg": {"rankmill": ["1", "2"]}}
gpl-training-data.tsv  qid⇥pos⇥neg⇥margin; the margin is the difference of the raw scores
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ...errors import BadInput
from ..base import EXPORTS, Format
from ..columns import lists, numbers, structs
from ..folder import ExportFolder, write_json_lines, write_tabbed
from ..ranking.trec import without_blanks
from ..source import Batch, GroupSource
from .beir import write_train_qrels
from .trove import write_text_lines


@EXPORTS.register("gpl")
@dataclass(frozen=True, slots=True)
class Gpl(Format):
    """GPL: hard negatives, margins and texts as BEIR.

    One line of the training data for each negative; raw scores are lost.
    """

    scores: ClassVar[str] = "margins"

    @property
    def single_positive(self) -> bool:
        """A margin has two sides."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write negatives, margins, documents, queries and the qrels of the positives."""
        with out.stream("hard-negatives.jsonl") as stream:
            for batch in source.by_query():
                write_json_lines(stream, _negatives(source, batch))
        with out.stream("gpl-training-data.tsv") as stream:
            for batch in source.batches():
                rows = batch.rows[batch.negative]
                margin = _margins(batch, rows, source)
                ids = (
                    source.query_ids(batch.query[rows]),
                    source.doc_ids(batch.doc[batch.positive][rows]),
                    source.doc_ids(batch.doc[batch.negative]),
                )
                plain = [without_blanks(column, source) for column in ids]
                write_tabbed(stream, *plain, numbers(margin))
        write_text_lines(source, out, "corpus.jsonl", "docs", title=True)
        write_text_lines(source, out, "queries.jsonl", "queries")
        write_train_qrels(source, out)
        return {}


def _margins(batch: Batch, rows: np.ndarray, source: GroupSource) -> np.ndarray:
    """Return score of the positive minus that of the negative, float32; raises BadInput where that
    is more than float32 holds."""
    with np.errstate(over="ignore"):
        margin: np.ndarray = batch.score[batch.positive][rows] - batch.score[batch.negative]
    beyond = np.flatnonzero(~np.isfinite(margin))
    if len(beyond):
        at = beyond[:1]
        query, doc = (
            ids[0].as_py()
            for ids in (
                source.query_ids(batch.query[rows[at]]),
                source.doc_ids(batch.doc[batch.negative][at]),
            )
        )
        raise BadInput(
            f"the margin of query {query!r} and document {doc!r} lies beyond ±3.4e+38, all that "
            f"float32 holds ({len(beyond):,} such margins)",
            where=source.groups.artifact.path,
            do="scale the scores before they are imported, or export the scores themselves",
        )
    return margin


def _negatives(source: GroupSource, batch: Batch) -> pa.Table:
    ids = source.doc_ids(batch.doc)
    positive, negative = (ids.take(pa.array(i)) for i in (batch.positive, batch.negative))
    return pa.table(
        {
            "qid": source.query_ids(batch.query),
            "pos": lists(positive, batch.positive_offsets),
            "neg": structs(rankmill=lists(negative, batch.negative_offsets)),
        }
    )
