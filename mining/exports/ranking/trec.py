"""TREC: a run `query_id Q0 doc_id rank score tag` and the qrels of its positives.

trec_eval orders by score and equal scores by document id; which document led its group is in the
qrels only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import BadInput, UsageError
from ...options import Option
from ..base import EXPORTS, Format
from ..columns import bytes_of, numbers
from ..folder import ExportFolder, write_rows
from ..source import GroupSource
from .lightning_ir import best_first


@EXPORTS.register("trec")
@dataclass(frozen=True, slots=True)
class Trec(Format):
    """TREC: a run and the qrels of its positives.

    `run.trec` and `qrels.txt`; `tag`: the last column of the run.
    """

    tag: Annotated[str, Option("Last column of the run.")] = "rankmill"
    texts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.tag.split() != [self.tag]:
            raise UsageError(
                f"tag={self.tag!r} is no word: blanks separate the columns of a run",
                where="trec",
                do="write one word, such as rankmill",
            )

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write run and judgements; raises BadInput for an id with a blank."""
        with out.stream("run.trec") as run, out.stream("qrels.txt") as qrels:
            for batch in source.by_query():
                query = without_blanks(source.query_ids(batch.query), source)
                doc = without_blanks(source.doc_ids(batch.doc), source)
                places, rank = best_first(batch)
                ids = query.take(pa.array(batch.rows)), doc.take(pa.array(places))
                score = numbers(batch.score[places])
                line = ids[0], " Q0 ", ids[1], " ", numbers(rank), " ", score, " ", self.tag
                write_rows(run, *line)
                grade = source.labels(batch)
                kept = np.flatnonzero(grade > 0)
                ids = query.take(pa.array(batch.rows[kept])), doc.take(pa.array(kept))
                write_rows(qrels, ids[0], " 0 ", ids[1], " ", numbers(grade[kept]))
        return {"order": "score, descending"}


_BLANKS = (code for code in range(0x3001) if chr(code).isspace())
_BLANK = "[" + "".join(rf"\x{{{code:x}}}" for code in _BLANKS) + "]"


def without_blanks(ids: pa.Array, source: GroupSource) -> pa.Array:
    """Return ids; raise BadInput for one that holds a blank, of any script: Python's readers split
    at every one that Unicode knows."""
    data = bytes_of(ids)[1]
    if not ((data <= ord(" ")) | (data >= 0x80)).any():
        return ids
    place = pc.index(pc.match_substring_regex(ids, _BLANK), True).as_py()
    if place >= 0:
        raise BadInput(
            f"the id {ids[place].as_py()!r} holds a blank, which would separate columns",
            where=source.groups.artifact.path,
            do="choose another format, such as sentence-transformers",
        )
    return ids
