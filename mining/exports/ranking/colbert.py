"""ColBERT: JSON lines `[qid,[pid,score],…]`, positive first, with `queries.tsv`, `collection.tsv`.

The document comes before its score; ColBERT's own scorer prints the reverse. Ids are integers and a
pid is the number of its line in the collection, so documents are renumbered and the map is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..base import EXPORTS, Format
from ..columns import joined, numbers, one_line, text
from ..folder import ExportFolder, write_rows, write_tabbed
from ..numbering import Renumbering
from ..source import GroupSource


@EXPORTS.register("colbert")
@dataclass(frozen=True, slots=True)
class ColBert(Format):
    """ColBERT: lists of document and score, with tables of texts.

    `train.json`, `queries.tsv`, `collection.tsv`, `id_map.parquet`.
    """

    breaks: ClassVar[str] = "space"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups by number, texts by number, and the map."""
        number = Renumbering(source)
        with out.stream("train.json") as stream:
            for batch in source.batches():
                pid, score = numbers(number.docs[batch.doc]), numbers(batch.score)
                items = joined(text("[", pid, ",", score, "]"), batch.offsets)
                write_rows(stream, "[", numbers(number.queries[batch.query]), ",", items, "]")
        write_numbered_texts(source, out, "queries.tsv", "queries", number.queries)
        write_numbered_texts(source, out, "collection.tsv", "docs", number.docs)
        return number.write_map(out)


def write_numbered_texts(
    source: GroupSource, out: ExportFolder, name: str, of: str, numbering: np.ndarray
) -> None:
    """Write `number⇥text` of the queries or docs that the groups name."""
    with out.stream(name) as stream:
        for rows, table in source.texts_of(of):
            texts = one_line(table["text"].combine_chunks())
            write_tabbed(stream, numbers(numbering[rows]), texts)
