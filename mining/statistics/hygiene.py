"""Counts of what should not be in a group (docs/quantities.md §6, 17)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...native import scales
from ..collection.handles import Corpus, Qrels
from ..errors import UsageError
from ..groups.format import Groups
from ..names import nearest
from ..pair_keys import pair_keys
from ..store import Artifact
from .base import STATISTICS, Column, Rows

_COUNTS = ("positives_among_negatives", "duplicate_texts", "empty_texts", "positives")


class GroupTexts:
    """Texts and judgements of the documents of groups."""

    def __init__(self, groups: Artifact):
        from ..selection.candidates import TextCopies

        self.corpus = Corpus(groups.input("corpus"))
        self.copies = TextCopies(self.corpus)
        self.positives = np.empty(0, np.uint64)
        if "qrels" in groups.inputs:
            qrels = Qrels(groups.input("qrels"))
            self.positives = qrels.positive_keys(Groups(groups).min_grade)


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
        owner = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
        out = np.bincount(owner, weights=self._counted(rows, owner), minlength=len(rows))
        return out, np.full(len(rows), scales.DEFINED, np.uint8)

    def _counted(self, rows: Rows, owner: np.ndarray) -> np.ndarray:
        """Say of every item of all rows whether it counts: one search for all, not one a row."""
        known: GroupTexts = rows.texts
        if self.of == "positives":
            return rows.positive > 0
        if self.of == "empty_texts":
            return np.isin(rows.doc, known.corpus.empty)
        if self.of == "duplicate_texts":
            return known.copies.repeated(rows.doc, owner)
        keys = pair_keys(rows.query[owner], rows.doc)
        negative = rows.positive == 0
        negative[rows.offsets[:-1][np.diff(rows.offsets) > 0]] = False
        return np.isin(keys, known.positives) & negative
