"""Counts that must be zero, and those that are worth knowing, per group (quantities.md §6, 17)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...native import scales
from ..collection.handles import Corpus, Qrels
from ..errors import UsageError
from ..names import nearest
from ..store import Artifact
from .base import STATISTICS, Column, Rows

_COUNTS = ("positives_among_negatives", "duplicate_texts", "empty_texts", "positives")


class GroupTexts:
    """Texts and judgements of the documents of groups."""

    def __init__(self, groups: Artifact):
        from ..selection.candidates import TextCopies

        self.corpus = Corpus(groups.input("corpus"))
        self.copies = TextCopies(self.corpus)
        qrels = Qrels(groups.input("qrels")) if "qrels" in groups.inputs else None
        self.positives = np.empty(0, np.uint64)
        if qrels is not None:
            good = qrels.grade > 0
            keys = qrels.query[good].astype(np.uint64) << np.uint64(32)
            self.positives = keys | qrels.doc[good]


@STATISTICS.register("hygiene")
@dataclass(frozen=True, slots=True)
class Hygiene:
    """A count of what should not be in a group.

    `of`: `positives_among_negatives`, documents judged positive that stand as negatives, by id;
    `duplicate_texts`, documents with the same text as an earlier one of the group; `empty_texts`;
    `positives`, of which more than one make a multi-positive group. The first three are 0 in groups
    that rankmill selects, but for copies among negatives.
    """

    of: str = "positives_among_negatives"

    def __post_init__(self) -> None:
        if self.of not in _COUNTS:
            raise UsageError(f"of={self.of} is unknown", do=nearest(self.of, _COUNTS))

    @property
    def unit(self) -> str:
        """Documents."""
        return "count"

    @property
    def needs(self) -> frozenset[str]:
        """The texts of the groups' collection."""
        return frozenset({"texts"})

    def measure(self, rows: Rows) -> Column:
        """Count in every row."""
        out = np.zeros(len(rows))
        for row in range(len(rows)):
            items = slice(int(rows.offsets[row]), int(rows.offsets[row + 1]))
            out[row] = self._count(rows, rows.query[row], rows.doc[items], rows.positive[items])
        return out, np.full(len(rows), scales.DEFINED, np.uint8)

    def _count(self, rows: Rows, query: int, docs: np.ndarray, positive: np.ndarray) -> int:
        known: GroupTexts = rows.texts
        if self.of == "positives":
            return int(positive.sum())
        if self.of == "empty_texts":
            return int(np.isin(docs, known.corpus.empty).sum())
        if self.of == "duplicate_texts":
            return sum(
                bool(known.copies.among(docs[i : i + 1], docs[:i]).any())
                for i in range(1, len(docs))
            )
        keys = (np.uint64(query) << np.uint64(32)) | docs.astype(np.uint64)
        negative = positive == 0
        negative[0] = False
        return int((np.isin(keys, known.positives) & negative).sum())
