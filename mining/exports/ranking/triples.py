"""Tab-separated triples of a query, a positive and a negative with both scores.

Two families order the columns the other way round, so that no reader may guess by position:

    texts_first   query⇥d+⇥d−⇥s+⇥s−   SPLADE raw, LSR
    scores_first  s+⇥s−⇥query⇥d+⇥d−   matchmaker
"""

from __future__ import annotations

import pyarrow as pa

from ..columns import numbers, one_line
from ..folder import ExportFolder, write_tabbed
from ..source import Batch, GroupSource
from .trec import without_blanks


def write_text_triples(source: GroupSource, out: ExportFolder, name: str, order: str) -> None:
    """Write one line of texts for each negative of each group."""
    with out.stream(name) as stream:
        for batch in source.batches(texts=True):
            rows = batch.rows[batch.negative]
            docs = batch.doc[batch.positive][rows], batch.doc[batch.negative]
            columns = [source.query_texts(batch.query[rows]), *map(source.doc_texts, docs)]
            write_tabbed(stream, *_ordered([one_line(t) for t in columns], batch, order))


def write_id_triples(source: GroupSource, out: ExportFolder, name: str, order: str) -> None:
    """Write one line of ids for each negative of each group; raises BadInput for a blank in one."""
    with out.stream(name) as stream:
        for batch in source.batches():
            rows = batch.rows[batch.negative]
            docs = batch.doc[batch.positive][rows], batch.doc[batch.negative]
            columns = [source.query_ids(batch.query[rows]), *map(source.doc_ids, docs)]
            columns = [without_blanks(ids, source) for ids in columns]  # readers split at any blank
            write_tabbed(stream, *_ordered(columns, batch, order))


def _ordered(columns: list[pa.Array], batch: Batch, order: str) -> list[pa.Array]:
    positive = batch.score[batch.positive][batch.rows[batch.negative]]
    scores = [numbers(positive), numbers(batch.score[batch.negative])]
    return scores + columns if order == "scores_first" else columns + scores
