"""Judgements of one split: which document is relevant to which query, and which are excluded."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from ...errors import UsageError
from ...pair_keys import distinct, pair_keys
from ...parts.told import counted
from ...store import Artifact
from .texts import Rows

EXCLUDED = -100
"""The grade of a document that is excluded from its query (ir-datasets' BRIGHT): neither a positive
nor a negative. Other negative grades are judged and not relevant."""


def check_min_grade(min_grade: int) -> None:
    """Refuse what is no grade of positives: groups hold grades in 8 bits."""
    if not 1 <= min_grade <= 127:
        raise UsageError(f"min_grade={min_grade} is no grade of positives", do="choose 1 to 127")


class Qrels(Rows):
    """Judgements of one split, sorted by (query, doc).

    `query`, `doc` uint32 and `grade` int16 are arrays of equal length.
    """

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        table = pa.concat_tables(artifact.tables())
        self.query: np.ndarray = table["query"].to_numpy()
        self.doc: np.ndarray = table["doc"].to_numpy()
        self.grade: np.ndarray = table["grade"].to_numpy()

    @property
    def excluded_grade(self) -> int:
        """The grade of documents that are excluded from their query: neither positive nor negative,
        and taken out of rankings; as it was declared when the collection was read."""
        return int(self.artifact.metadata.get("excluded_grade", EXCLUDED))

    @property
    def excluded(self) -> np.ndarray:
        """Say which judgements exclude their document: bool [judgements]."""
        return self.grade == self.excluded_grade

    def __len__(self) -> int:
        return len(self.query)

    def __repr__(self) -> str:
        positive = int((self.grade >= 1).sum())
        return (
            f"<Qrels split {self.artifact.metadata.get('split', '')}: "
            f"{counted(len(self), 'judgement')} of "
            f"{counted(len(self.queries), 'query', 'queries')}, {positive:,} positive>"
        )

    @cached_property
    def queries(self) -> np.ndarray:
        """The judged queries: uint32, ascending."""
        return distinct(self.query)

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (docs, grades) judged for one query, by ascending document."""
        start, stop = np.searchsorted(self.query, [query, query + 1])
        return self.doc[start:stop], self.grade[start:stop]

    def positives(self, query: int, min_grade: int = 1) -> np.ndarray:
        """Return the documents judged at least `min_grade` for one query, ascending."""
        docs, grades = self.of(query)
        return docs[grades >= min_grade]

    def positive_keys(self, min_grade: int = 1) -> np.ndarray:
        """Return query·2³² + doc (uint64, ascending) of all that is judged `min_grade` or more."""
        good = self.grade >= min_grade
        return pair_keys(self.query[good], self.doc[good])

    @cached_property
    def excluded_keys(self) -> np.ndarray:
        """query·2³² + doc (uint64, ascending) of all that the judgements exclude."""
        out = self.excluded
        return pair_keys(self.query[out], self.doc[out])
