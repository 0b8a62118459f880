"""TREC: a run `query_id Q0 doc_id rank score tag` and the qrels of its positives.

trec_eval orders by score and equal scores by document id; which document led its group is in the
qrels only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import pyarrow as pa

from ..errors import BadInput
from .base import EXPORTS, Format
from .columns import numbers, series, text
from .folder import ExportFolder, write_lines
from .lightning_ir import best_first
from .source import GroupSource


@EXPORTS.register("trec")
@dataclass(frozen=True, slots=True)
class Trec(Format):
    """`run.trec` and `qrels.txt`; `tag`: the last column of the run."""

    tag: str = "rankmill"
    texts: ClassVar[bool] = False

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write run and judgements; raises BadInput for an id with a blank."""
        with out.stream("run.trec") as run, out.stream("qrels.txt") as qrels:
            for batch in source.by_query():
                ranked, rank = best_first(batch)
                query = without_blanks(source.query_ids(batch.query[batch.rows]), source)
                doc = without_blanks(source.doc_ids(batch.doc), source)
                score = numbers(batch.score[ranked])
                ids = query.gather(ranked), doc.gather(ranked)
                write_lines(
                    run,
                    text(ids[0], " Q0 ", ids[1], " ", numbers(rank), " ", score, " ", self.tag),
                )
                grade = np.maximum(batch.grade, batch.lead)
                kept = np.flatnonzero(grade > 0)
                judged = text(
                    query.gather(kept), " 0 ", doc.gather(kept), " ", numbers(grade[kept])
                )
                write_lines(qrels, judged)
        return {"order": "score, descending"}


def without_blanks(ids: pa.Array, source: GroupSource) -> pl.Series:
    """Return ids; raise BadInput for one that holds a blank."""
    found = series(ids)
    blanks = found.str.contains(r"\s").arg_true()
    if len(blanks):
        raise BadInput(
            f"the id {found[int(blanks[0])]!r} holds a blank; TREC separates columns by blanks",
            where=source.groups.artifact.path,
            do="choose another format, such as sentence-transformers",
        )
    return found
