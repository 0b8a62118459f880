"""Counts of what should not be in a group (docs/quantities.md §6, 17)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native import scales
from ..collection.rows import Corpus, Qrels
from ..errors import UsageError
from ..groups.format import Groups
from ..models.specials import STRINGS
from ..names import nearest
from ..options import Option
from ..pair_keys import distinct, pair_keys
from ..store import Artifact
from .base import STATISTICS, Column, Rows

_SPECIAL = "special_strings"
_COUNTS = ("positives_among_negatives", "duplicate_texts", "empty_texts", "positives", _SPECIAL)


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

    def holding(self, docs: np.ndarray, strings: tuple[str, ...]) -> np.ndarray:
        """Say which documents (ordinals, any order) hold one of the strings: bool [docs]."""
        wanted = distinct(docs)
        holds = np.zeros(len(wanted), bool)
        pattern = "|".join(re.escape(string) for string in strings)
        for part in self.corpus.artifact.parts:
            low, high = np.searchsorted(wanted, [part.start, part.start + part.rows])
            if low < high:
                rows = pa.array(wanted[low:high] - part.start)
                texts = self.corpus.part(part.number)["text"].take(rows)
                holds[low:high] = pc.match_substring_regex(texts, pattern).to_numpy()
        return holds[np.searchsorted(wanted, docs)]


@STATISTICS.register("hygiene")
@dataclass(frozen=True, slots=True)
class Hygiene:
    """A count of what should not be in a group.

    `of`: `positives_among_negatives`, documents judged positive that stand as negatives, by id;
    `duplicate_texts`, documents with the same text as an earlier one of the group; `empty_texts`;
    `positives`, of which more than one make a multi-positive group; `special_strings`, documents
    that hold what a model may read as a special token, `[SEP]` or `<|im_end|>`: one of `strings`,
    without which they are those of `models.specials`. The first three are 0 in groups that rankmill
    selects, but for copies among negatives.
    """

    of: Annotated[
        str,
        Option(
            "What is counted: positives_among_negatives, duplicate_texts, empty_texts, positives, "
            "special_strings."
        ),
    ] = "positives_among_negatives"
    strings: Annotated[
        tuple[str, ...] | None,
        Option("Of special_strings: what is looked for; default: those of common models."),
    ] = None

    def __post_init__(self) -> None:
        if self.of not in _COUNTS:
            raise UsageError(f"of={self.of} is unknown", do=nearest(self.of, _COUNTS))
        if self.strings is None:
            return
        if self.of != _SPECIAL:
            raise UsageError(f"strings are not of={self.of}", do=f"write of={_SPECIAL}")
        if not all(self.strings) or not self.strings:
            raise UsageError(
                f"strings={list(self.strings)} holds nothing to look for",
                do=f'write hygiene(of={_SPECIAL},strings=["<|im_end|>"]), or leave strings out',
            )

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
        if self.of == _SPECIAL:
            return known.holding(rows.doc, self.strings or STRINGS)
        keys = pair_keys(rows.query[owner], rows.doc)
        negative = rows.positive == 0
        negative[rows.offsets[:-1][np.diff(rows.offsets) > 0]] = False
        return np.isin(keys, known.positives) & negative
