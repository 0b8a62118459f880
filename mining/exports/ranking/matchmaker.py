"""matchmaker, Hofstätter's "T2": scores first, then texts or ids, one line for each negative.

texts  train.tsv  s+⇥s−⇥query⇥d+⇥d−
ids    train.tsv  s+⇥s−⇥qid⇥d+⇥d−, with collection.tsv and queries.tsv
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...options import Option
from ..base import EXPORTS, Format, refuse_unknown
from ..columns import one_line
from ..folder import ExportFolder, write_tabbed
from ..source import GroupSource
from .triples import write_id_triples, write_text_triples


@EXPORTS.register("matchmaker")
@dataclass(frozen=True, slots=True)
class Matchmaker(Format):
    """matchmaker: scores first, then texts or ids, a line for each negative; `kind` says which."""

    kind: Annotated[str, Option("What lines hold: texts or ids.")] = "texts"
    breaks: ClassVar[str] = "space"

    def __post_init__(self) -> None:
        refuse_unknown("matchmaker", "kind", self.kind, ("texts", "ids"))

    @property
    def single_positive(self) -> bool:
        """A triple has one positive."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the triples; for ids also the texts by id."""
        note = "positive score, negative score, query, positive, negative"
        if self.kind == "texts":
            write_text_triples(source, out, "train.tsv", "scores_first")
            return {"columns": note}
        write_id_triples(source, out, "train.tsv", "scores_first")
        for of, name in (("docs", "collection.tsv"), ("queries", "queries.tsv")):
            with out.stream(name) as stream:
                for _, table in source.texts_of(of):
                    ids, texts = (c.combine_chunks() for c in table.columns)
                    write_tabbed(stream, ids, one_line(texts))
        return {"columns": note}
