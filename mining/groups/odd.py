"""What is odd about the groups of a file: a small table of kinds, what may be done with each, and
who counts them with the first ten (docs/data.md §4).

The default refuses only where going on in silence would change what a student learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..collection.policies import Kind, Oddities, Policies, option
from ..errors import BadInput
from ..inputs.row_shapes import shown
from ..pair_keys import pair_keys
from .format import GroupArrays
from .rows import GroupRow

UNKNOWN, REPEATED, SHORT, NO_POSITIVE = (
    "unknown_id",
    "duplicate_document",
    "too_few_documents",
    "no_positive",
)
EXCLUDED, AGAIN, CLASH = "excluded_document", "duplicate_group", "conflicting_score"

GROUP_KINDS = {
    UNKNOWN: Kind("a query or document that the collection lacks", ("refuse", "drop")),
    REPEATED: Kind("a document a second time in its group", ("refuse", "keep_first", "drop")),
    SHORT: Kind("a group of fewer documents than --size", ("drop", "refuse")),
    NO_POSITIVE: Kind("a group that names no positive", ("drop", "refuse")),
    EXCLUDED: Kind(
        "a document that the file or the collection excludes from the query, by its grade",
        ("refuse", "drop", "keep"),
    ),
    AGAIN: Kind(
        "a group a second time: the same query, documents, scores and grades",
        ("keep", "keep_first", "refuse"),
    ),
    CLASH: Kind("a query and document with several scores, in several groups", ("keep", "refuse")),
}
"""Kind of odd group → what may be done with it, the default first."""

DROPPED = "groups_"  # begins the counts of what was left out


@dataclass(slots=True)
class OddGroups:
    """Refuses what is to be refused, and counts the rest by kind; `reasons`: of each row why it is
    left out, "" where it is not; `files`: the number of each file that rows are from."""

    on: Policies
    rows: list[GroupRow] = field(default_factory=list)
    reasons: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    files: dict[Path | str, int] = field(default_factory=dict)
    oddities: Oddities = field(default_factory=Oddities)

    @classmethod
    def of(cls, rows: Iterable[GroupRow], on: Policies) -> OddGroups:
        """Look at every row by itself: documents twice, where they are not simply refused."""
        odd, repeated = cls(on), list[int]()
        for row in rows:
            odd.files.setdefault(row.place.file, len(odd.files) + 1)
            again = set(_places_again(row.docs)) if len(set(row.docs)) < len(row.docs) else set()
            if again and on[REPEATED] == "drop":
                repeated.append(len(odd.rows))
            elif again and on[REPEATED] == "keep_first":
                told = (f"{odd.said(row)}, document {shown(row.docs[at])}" for at in sorted(again))
                odd.oddities.add(REPEATED, len(again), told)
                row = _without(row, again)
            odd.rows.append(row)
        odd.reasons = np.full(len(odd.rows), "", object)
        odd.leave_out(repeated, REPEATED)
        return odd

    @property
    def kept(self) -> np.ndarray:
        """The numbers of the rows that are kept: int64, ascending."""
        return np.flatnonzero(self.reasons == "")

    def leave_out(self, rows: Iterable[int], kind: str) -> None:
        """Leave rows out for a reason that was not there yet, and count them."""
        mine = [int(at) for at in rows if self.reasons[at] == ""]
        self.reasons[mine] = kind
        self.oddities.add(DROPPED + kind, len(mine), (self.said(self.rows[at]) for at in mine))

    def judge(self, rows: Iterable[int], kind: str) -> None:
        """Do with odd rows what is to be done with their kind: refuse the first of them, leave
        them out, or only count them."""
        mine = [int(at) for at in rows if self.reasons[at] == ""]
        action = self.on[kind]
        if action == "refuse" and mine:
            others = [a for a in GROUP_KINDS[kind].actions if a != "refuse"]
            more = f" ({len(mine):,} such groups)" if len(mine) > 1 else ""
            row = self.rows[mine[0]]
            raise BadInput(
                f"{GROUP_KINDS[kind].help}: the group of query {shown(row.query)}{more}",
                where=str(row.place),
                do="mend the file, or say " + " or ".join(option(kind, a) for a in others),
            )
        if action in ("drop", "keep_first"):
            self.leave_out(mine, kind)
        else:
            self.oddities.add(kind, len(mine), (self.said(self.rows[at]) for at in mine))

    def said(self, row: GroupRow) -> str:
        """Say where a group stands, whatever the files are called: number of the file where it is
        not the first, line, query."""
        number, place = self.files[row.place.file], row.place
        file = f"file {number}, " if number > 1 else ""
        return f"{file}{place.unit} {place.number}: query {shown(row.query)}"

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return dict(sorted(self.oddities.counts.items()))

    @property
    def examples(self) -> dict[str, list[str]]:
        """The first ten of each kind."""
        return dict(sorted(self.oddities.first.items()))


def _places_again(docs: list[str]) -> Iterator[int]:
    seen: set[str] = set()
    for at, doc in enumerate(docs):
        if doc in seen:
            yield at
        seen.add(doc)


def _without(row: GroupRow, out: set[int]) -> GroupRow:
    keep = [at for at in range(len(row.docs)) if at not in out]
    return replace(
        row,
        docs=[row.docs[at] for at in keep],
        scores=[row.scores[at] for at in keep],
        positives=sum(at < row.positives for at in keep),
        grades=None if row.grades is None else [row.grades[at] for at in keep],
    )


def twice(groups: GroupArrays) -> np.ndarray:
    """Return the rows that say what a row before them says: int64, ascending; `groups` by
    ascending query."""
    several = _shared_queries(groups.query)
    if not len(several):
        return several
    some = groups[several]
    said = [some.query[:, None], some.doc, some.score.view(np.uint32), some.grade.view(np.uint8)]
    whole = np.ascontiguousarray(np.hstack(said), np.uint32)
    rows = whole.view([("row", np.void, whole.shape[1] * 4)]).ravel()
    first = np.unique(rows, return_index=True)[1]
    return np.delete(several, first)


def of_two_scores(groups: GroupArrays) -> np.ndarray:
    """Return the rows that give a pair another score than a row before them: int64, ascending."""
    several = _shared_queries(groups.query)
    if not len(several):
        return several
    keys = pair_keys(groups.query[several, None], groups.doc[several]).ravel()
    scores = groups.score[several].ravel()
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.append(True, keys[order][1:] != keys[order][:-1]))
    first = np.repeat(scores[order[starts]], np.diff(np.append(starts, len(keys))))
    other = order[scores[order] != first]
    return np.unique(several[other // groups.size])


def _shared_queries(query: np.ndarray) -> np.ndarray:
    """Return the rows whose query has several: int64, ascending."""
    _, inverse, counts = np.unique(query, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)
