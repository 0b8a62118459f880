"""SPLADE (naver/splade): texts by number, qrels, and scores as JSON, run or raw triples.

    json  scores.json  {"10": {"0": 9.25, "1": 3.5}}
    trec  scores.trec  10 Q0 0 1 9.25 rankmill, single blanks
    raw   raw.tsv      query⇥d+⇥d−⇥s+⇥s−, texts (the older distillation folder)

`pkl_dict` and `saved_pkl` are pickles: opening one runs what it holds, so none is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...errors import UsageError
from ...options import Option
from ..base import EXPORTS, Format, refuse_unknown
from ..columns import joined, numbers, text
from ..folder import ExportFolder, write_rows
from ..json_object import JsonObject
from ..numbering import Renumbering
from ..source import GroupSource
from .colbert import write_numbered_texts
from .lightning_ir import best_first
from .triples import write_text_triples

_KINDS = ("json", "trec", "raw")
_PICKLES = ("pkl_dict", "saved_pkl")


@EXPORTS.register("splade")
@dataclass(frozen=True, slots=True)
class Splade(Format):
    """SPLADE: texts by number, qrels and scores; `kind`: json, trec or raw."""

    kind: Annotated[str, Option("json, trec or raw.")] = "json"
    breaks: ClassVar[str] = "space"

    def __post_init__(self) -> None:
        if self.kind in _PICKLES:
            raise UsageError(
                f"{self.kind} is a pickle, and opening one runs what it holds: none is written",
                where="splade",
                do=f"choose one of {', '.join(_KINDS)}",
            )
        refuse_unknown("splade", "kind", self.kind, _KINDS)

    @property
    def single_positive(self) -> bool:
        """A raw triple has one positive."""
        return self.kind == "raw"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write texts, judgements, scores and the map; or the raw triples."""
        if self.kind == "raw":
            write_text_triples(source, out, "raw.tsv", "texts_first")
            return {}
        number = Renumbering(source, keep_docs=True)
        write_numbered_texts(source, out, "collection.tsv", "docs", number.docs)
        write_numbered_texts(source, out, "queries.tsv", "queries", number.queries)
        write_numbered_qrels(source, out, number)
        if self.kind == "json":
            _write_scores(source, out, number)
        else:
            _write_run(source, out, number)
        return number.write_map(out)


def write_numbered_qrels(source: GroupSource, out: ExportFolder, number: Renumbering) -> None:
    """Write `qrels.json`, `{"10":{"0":1}}`: the first document of every group."""
    with JsonObject(out, "qrels.json") as qrels:
        for batch in source.by_query():
            items = text('"', numbers(number.docs[batch.doc[batch.positive]]), '":1')
            query = numbers(number.queries[batch.query])
            qrels.add('"', query, '":{', joined(items, batch.positive_offsets), "}")


def _write_scores(source: GroupSource, out: ExportFolder, number: Renumbering) -> None:
    with JsonObject(out, "scores.json") as scores:
        for batch in source.by_query():
            doc = numbers(number.docs[batch.doc])
            items = text('"', doc, '":', numbers(batch.score))
            query = numbers(number.queries[batch.query])
            scores.add('"', query, '":{', joined(items, batch.offsets), "}")


def _write_run(source: GroupSource, out: ExportFolder, number: Renumbering) -> None:
    with out.stream("scores.trec") as stream:
        for batch in source.by_query():
            ranked, rank = best_first(batch)
            query = numbers(number.queries[batch.query[batch.rows[ranked]]])
            doc, score = numbers(number.docs[batch.doc[ranked]]), numbers(batch.score[ranked])
            line = query, " Q0 ", doc, " ", numbers(rank), " ", score, " rankmill"
            write_rows(stream, *line)
