"""The memory-mapped group format: one query, k documents with teacher scores, the positive first.

Fixed-size lists have no offsets, so a column of n groups of k is one contiguous array: the reader
hands it out as an [n, k] view of the mapped file, without a copy and without parsing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import BadInput, BadPair
from ..store import Artifact, Workspace
from ..store.tables import groups_schema, list_values

_COLUMNS = {"doc": np.uint32, "score": np.float32, "grade": np.int8, "inclusion": np.float32}


@dataclass(frozen=True, slots=True)
class GroupArrays:
    """Groups as arrays: query uint32 [n]; doc uint32, score float32, grade int8, inclusion float32
    [n, k].
    """

    query: np.ndarray
    doc: np.ndarray
    score: np.ndarray
    grade: np.ndarray
    inclusion: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    @property
    def size(self) -> int:
        """Documents per group."""
        return self.doc.shape[1]

    def __getitem__(self, rows: slice | np.ndarray) -> GroupArrays:
        """Return some of the groups: views for a slice, copies for an index array."""
        return GroupArrays(
            self.query[rows],
            self.doc[rows],
            self.score[rows],
            self.grade[rows],
            self.inclusion[rows],
        )


def groups_table(groups: GroupArrays, min_grade: int = 1) -> pa.Table:
    """Return the Arrow table of groups whose positives are those graded `min_grade` or more.

    Raises BadInput for what a group cannot be: a score that is not finite, an item 0 that is no
    positive while the group has one, a document twice.
    """
    _refuse(groups, min_grade)
    columns: list[pa.Array] = [pa.array(np.ascontiguousarray(groups.query, np.uint32))]
    for name, dtype in _COLUMNS.items():
        flat = pa.array(np.ascontiguousarray(getattr(groups, name), dtype).reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, groups.size))
    return pa.Table.from_arrays(columns, schema=groups_schema(groups.size))


def _refuse(groups: GroupArrays, min_grade: int) -> None:
    broken = np.flatnonzero(~np.isfinite(groups.score).all(axis=1))
    for row in broken[:1]:
        at = int(np.flatnonzero(~np.isfinite(groups.score[row]))[0])
        raise BadPair(
            f"the teacher score of {{doc}} is {groups.score[row, at]}",
            query=groups.query[row],
            doc=groups.doc[row, at],
            do="score this pair again; a group cannot hold a missing score",
        )
    ordered = np.sort(groups.doc, axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))[:1]:
        again = ordered[row, 1:][ordered[row, 1:] == ordered[row, :-1]]
        what = "a group holds a document twice: {doc}"
        raise BadPair(what, query=groups.query[row], doc=again[0])
    positive = groups.grade >= min_grade
    late = positive.any(axis=1) & ~positive[:, 0]
    for row in np.flatnonzero(late)[:1]:
        raise BadPair("the positive is not first", query=groups.query[row])


class Groups:
    """A groups artifact, read: views of the mapped parts, and access by global row."""

    def __init__(self, artifact: Artifact, level: int = 2):
        if artifact.kind != "groups":
            raise BadInput(f"a {artifact.kind} is not groups", where=artifact.path)
        self.artifact, self.level = artifact, level
        self.kind: str = artifact.metadata["kind"]
        self.size = int(artifact.parameters["size"])
        # Who selected them decides; what is made from groups keeps their positives.
        self.min_grade = int(_selected_with(artifact, "min_grade", 1))
        self.positives = str(_selected_with(artifact, "positives", "first"))
        self._starts = np.array([p.start for p in artifact.parts] + [artifact.rows], np.int64)
        self._parts: dict[int, GroupArrays] = {}
        self._most = artifact.workspace.most_mapped

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact, level: int = 2) -> Groups:
        """Open groups by name, fingerprint or artifact; a part is checked when touched."""
        return cls(workspace.find(name, "groups"), level)

    def __len__(self) -> int:
        return self.artifact.rows

    def __repr__(self) -> str:
        return f"<Groups {len(self):,} of {self.size}, {self.artifact.fingerprint[:12]}>"

    def part(self, number: int) -> GroupArrays:
        """Return the arrays of one part: read-only views, zero copy."""
        if number not in self._parts:
            self._let_go(self.artifact.parts[number].bytes)
            table = self.artifact.table(self.artifact.parts[number].number, self.level)
            lists = [list_values(table[name])[1].reshape(-1, self.size) for name in _COLUMNS]
            self._parts[number] = GroupArrays(table["query"].to_numpy(), *lists)
        return self._parts[number]

    def _let_go(self, coming: int) -> None:
        """Unmap the parts that were mapped first where a cache of an object store is bounded: what
        is mapped takes room on the disk, whether it still has a name or not."""
        if self._most is None:
            return
        mapped = sum(self.artifact.parts[number].bytes for number in self._parts)
        for number in list(self._parts):
            if mapped + coming <= self._most:
                return
            mapped -= self.artifact.parts[number].bytes
            del self._parts[number]

    def parts(self) -> list[GroupArrays]:
        """Return the arrays of every part in order."""
        return [self.part(number) for number in range(len(self.artifact.parts))]

    def locate(self, row: int) -> tuple[int, int]:
        """Return (part number, row within it) of a global row."""
        if not 0 <= row < len(self):
            raise IndexError(f"group {row} of {len(self)}")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, row - int(self._starts[number])

    def positive(self, groups: GroupArrays) -> np.ndarray:
        """Say which documents are positives: bool [n, k], grade ≥ `min_grade`.

        The one definition that statistics, audit and exports read.
        """
        return groups.grade >= self.min_grade

    def least_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the least grade of a positive in each of these groups: int64 [n]."""
        return np.full(len(rows), self.min_grade, np.int64)

    def __getitem__(self, row: int) -> GroupArrays:
        """Return one group as arrays of length 1: views."""
        number, at = self.locate(row)
        return self.part(number)[at : at + 1]

    def take(self, rows: np.ndarray) -> GroupArrays:
        """Return groups by global rows, in the order asked for: a copy of those rows only."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not (0 <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"groups {rows.min()}…{rows.max()} of {len(self)}")
        if len(self._starts) == 2:
            return self.part(0)[rows]
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        shape = (len(rows), self.size)
        query = np.empty(len(rows), np.uint32)
        lists = {name: np.empty(shape, dtype) for name, dtype in _COLUMNS.items()}
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            part = self.part(int(number))[rows[mine] - self._starts[number]]
            query[mine] = part.query
            for name, into in lists.items():
                into[mine] = getattr(part, name)
        return GroupArrays(query, **lists)

    def rows(self, start: int, stop: int) -> GroupArrays:
        """Return the groups start…stop−1: views when they lie in one part."""
        if start < stop:
            number, at = self.locate(start)
            if stop <= self._starts[number + 1]:
                return self.part(number)[at : at + stop - start]
        return self.take(np.arange(start, stop))


def _selected_with(groups: Artifact, name: str, default: Any) -> Any:
    """Return a parameter of the selection behind groups, through all that was made from them."""
    while name not in groups.parameters:
        if "groups" not in groups.inputs:
            return default
        groups = groups.input("groups")
    return groups.parameters[name]
