"""BEIR: `corpus.jsonl`, `queries.jsonl`, `qrels/train.tsv`. Judgements only, no teacher scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import BadInput
from ..base import EXPORTS, Format
from ..columns import csv_quoted, numbers, one_line
from ..folder import ExportFolder, write_tabbed
from ..source import GroupSource
from .trove import write_text_lines


@EXPORTS.register("beir")
@dataclass(frozen=True, slots=True)
class Beir(Format):
    """BEIR: corpus, queries and qrels of what the groups name; no teacher scores.

    Qrels hold the grades of their positives, at least 1 for the first.
    """

    scores: ClassVar[str] = "dropped"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write documents, queries and judgements."""
        write_text_lines(source, out, "corpus.jsonl", "docs", title=True)
        write_text_lines(source, out, "queries.jsonl", "queries")
        write_train_qrels(source, out)
        return {}


def write_train_qrels(source: GroupSource, out: ExportFolder) -> None:
    """Write `qrels/train.tsv`; raises BadInput for an id that would move its columns.

    BEIR reads and writes it by Python's csv, so an id with a quotation mark stands in marks.
    """
    with out.stream("qrels/train.tsv") as stream:
        stream.write(b"query-id\tcorpus-id\tscore\n")
        for batch in source.by_query():
            grade = source.labels(batch)
            kept = np.flatnonzero(grade > 0)
            ids = (
                source.query_ids(batch.query[batch.rows[kept]]),
                source.doc_ids(batch.doc[kept]),
            )
            columns = [csv_quoted(_unbroken(column, source)) for column in ids]
            write_tabbed(stream, *columns, numbers(grade[kept]))


def _unbroken(ids: pa.Array, source: GroupSource) -> pa.Array:
    """Return ids; refuse one with a tab or line break, which would move the columns."""
    broken = pc.index(pc.not_equal(one_line(ids), ids), True).as_py()
    if broken >= 0:
        raise BadInput(
            f"the id {ids[broken].as_py()!r} holds a tab or a line break",
            where=source.groups.artifact.path,
            do="choose a format without tab-separated files, such as sentence-transformers",
        )
    return ids
