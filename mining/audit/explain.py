"""Why a query's group is what it is: every candidate, who found it, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ..errors import BadInput
from ..groups.format import Groups
from ..inputs.row_shapes import one_id
from ..parts.told import Told, aligned_rows, shortly
from ..runs.pool import Pool
from ..score_kinds import as_shown
from ..selection.base import Candidates
from ..selection.reader import Asked
from ..selection.selector import Chooser
from ..statistics.density_ratio import Selection
from ..store import Artifact, Workspace

_MORE = 5  # candidates that are not in the group, in a repr


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """One candidate. `found` maps a source's label to its (rank, score); `why` says its fate.

    `teacher` is its score, or its rank where the teacher gives ranks. `kept` means that it stands
    in the group; `inclusion` is the probability with which it could have, None for positives and
    where the strategy has no closed form.
    """

    doc_id: str
    text: str
    grade: int
    teacher: float | None
    found: dict[str, tuple[int, float]]
    kept: bool
    why: str
    inclusion: float | None

    def __repr__(self) -> str:
        return f"<Found {self.doc_id}, teacher {shortly(self.teacher)}: {self.why}>"


@dataclass(frozen=True, slots=True, repr=False)
class Explained:
    """One group of a query, or the reason why there is none: candidates by falling teacher score.

    `statistics` maps a column's name to its value, None for undefined.
    """

    positive_id: str | None
    candidates: list[Found]
    dropped: str | None = None
    statistics: dict[str, float | None] = field(default_factory=dict)

    def __repr__(self) -> str:
        of = "no group" if self.dropped is not None else f"group of {self.positive_id}"
        return f"<Explained {of}, {len(self.candidates)} candidates>"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Told):
    """A query with all its groups; `score_kind` says what the teacher's numbers are."""

    query_id: str
    text: str
    strategy: str
    score_kind: str
    groups: list[Explained]

    def lines(self) -> Iterator[str]:
        """Yield the query, and of each group the candidates that stand in it and the first that do
        not, best by the teacher."""
        yield f"{shortly(self.query_id)}: {shortly(self.text)}"
        yield f"strategy {self.strategy}"
        for group in self.groups:
            kept = [one for one in group.candidates if one.kept]
            shown = [*kept, *(one for one in group.candidates if not one.kept)][: len(kept) + _MORE]
            said = f"group of {group.positive_id}" if group.dropped is None else "no group"
            yield f"{said}: {group.dropped or f'{len(kept)} of {len(group.candidates)} candidates'}"
            rows = [["document", self.score_kind, "grade", "why", "text"]]
            for one in shown:
                numbers = (shortly(one.teacher), str(one.grade))
                rows.append([shortly(one.doc_id), *numbers, one.why, shortly(one.text)])
            yield from (f"  {line}" for line in aligned_rows(rows))
            if (more := len(group.candidates) - len(shown)) > 0:
                yield f"  … {more:,} more in groups[…].candidates"


def explain_query(workspace: Workspace, groups: Artifact | str, query_id: str) -> Explanation:
    """Replay the selection of one query. Only parts that hold something of it are read.

    `groups` may be cut or re-labelled ones; then what the first selection chose is explained, and a
    cut that dropped the query is named. Raises BadInput for a query that was never in the pool.
    """
    artifact = workspace.find(groups, "groups")
    selection = Selection(artifact)
    query = int(selection.reader.queries.ordinals([one_id(query_id, "id", "query_id")])[0])
    at = selection.reader.pool.row_of(query)
    if at is None:
        raise BadInput(
            f"query {query_id!r} is not in the pool",
            where=selection.made.input("pool").path,
            do="its queries are those of one split: see the pool with `rankmill show`",
        )
    asked = next(iter(selection.reader.rows(at, at + 1)))
    rows = [(row, docs) for row, docs in _rows_of(artifact, query)]
    table = _Candidates(selection, at)
    explained = [
        table.explained(asked, around, selection.chooser, rows, _reason(artifact, query))
        for around in asked.around
    ]
    if not explained:
        reason = asked.reason or _reason(artifact, query)
        explained = [Explained(None, table.unused(asked, f"no group: {reason}"), reason)]
    known = _statistics(workspace, artifact)
    for one in explained:
        for row, docs in rows:
            if one.positive_id == table.id_of(int(docs[0])):
                one.statistics.update({name: v[row].as_py() for name, v in known.items()})
    return Explanation(
        query_id,
        selection.reader.queries.text(query),
        str(selection.chooser.strategy),
        selection.made.metadata["kind"],
        explained,
    )


def _rows_of(groups: Artifact, query: int) -> list[tuple[int, np.ndarray]]:
    """Return (row, documents) of every group of a query."""
    groups_of_query, start = [], 0
    for part in Groups(groups).parts():
        groups_of_query += [
            (start + int(row), part.doc[row]) for row in np.flatnonzero(part.query == query)
        ]
        start += len(part)
    return groups_of_query


def _reason(groups: Artifact, query: int) -> str | None:
    """Return why these groups, or those that they were made from, dropped a query."""
    while True:
        for reason, queries in groups.dropped.items():
            if query in queries:
                cut = groups.parameters.get("cut")
                return f"{reason} {cut}" if cut else reason
        if "groups" not in groups.inputs:
            return None
        groups = groups.input("groups")


def _statistics(workspace: Workspace, groups: Artifact) -> dict[str, pa.ChunkedArray]:
    """Return the columns that were measured on these groups; the same column counts once."""
    columns: dict[str, pa.ChunkedArray] = {}
    for artifact in workspace.artifacts("statistics"):
        if artifact.inputs.get("groups") == groups.fingerprint:
            table = pa.concat_tables(artifact.tables())
            columns |= {name: table[name] for name in table.column_names[1:]}
    return columns


class _Candidates:
    """The pool row of one query with ids, texts, ranks and scores."""

    def __init__(self, selection: Selection, at: int):
        self.corpus = selection.reader.corpus
        pool = Pool(selection.made.input("pool"))
        starts = [part.start for part in pool.artifact.parts]
        number = int(np.searchsorted(starts, at, side="right")) - 1
        part = pool.part(pool.artifact.parts[number].number)
        row = at - starts[number]
        items = slice(int(part.offsets[row]), int(part.offsets[row + 1]))
        self.doc = part.doc[items]
        self.found = [
            {
                label: (int(part.rank[label][items][i]), float(part.score[label][items][i]))
                for label in pool.labels
                if part.rank[label][items][i]
            }
            for i in range(len(self.doc))
        ]
        self.teacher = selection.reader.scores.of(int(part.query[row]), self.doc)
        self.shown = as_shown(self.teacher, selection.made.metadata["kind"])
        self.ids, self.texts = self.corpus.ids(self.doc), self.corpus.texts(self.doc)
        self.empty, self.min_grade = selection.reader.empty, selection.reader.min_grade

    def id_of(self, doc: int) -> str:
        """Return the external id of a document."""
        return self.corpus.doc_id(doc)

    def unused(self, asked: Asked, why: str) -> list[Found]:
        """Return all candidates of a query without a group."""
        return self._listed(asked, [why] * len(self.doc), np.empty(0, np.uint32), None)

    def explained(
        self,
        asked: Asked,
        around: Candidates,
        chooser: Chooser,
        rows: list[tuple[int, np.ndarray]],
        dropped: str | None,
    ) -> Explained:
        """Say of every candidate round one positive what became of it."""
        positive_id = self.ids[around.positive]
        kept = next((d for _, d in rows if d[0] == self.doc[around.positive]), None)
        why = self._excluded(asked, around)
        for text, one in chooser.filters.items():
            gone = around.allowed & ~one.keeps(around)
            around.allowed &= ~gone
            for i in np.flatnonzero(gone):
                why[i] = f"filtered by {text}"
        pi, _ = chooser.probabilities(around)
        for i in np.flatnonzero(around.allowed):
            why[i] = "could have been drawn" if pi[i] > 0 or np.isnan(pi[i]) else "out of reach"
        if kept is None:
            reason = dropped or "too_few_candidates"
            return Explained(positive_id, self._listed(asked, why, self.doc[:0], pi), reason)
        for i in np.flatnonzero(np.isin(self.doc, kept)):
            why[i] = "chosen" if around.allowed[i] else "positive of the group"
        return Explained(positive_id, self._listed(asked, why, kept, pi))

    def _excluded(self, asked: Asked, around: Candidates) -> list[str]:
        """Say why a candidate could not be a negative, before any filter."""
        why = [""] * len(self.doc)
        positive = np.isin(self.doc, asked.judged[asked.grades >= self.min_grade])
        own, excluded = np.isin(self.doc, asked.itself), asked.excludes(self.doc)
        for i in np.flatnonzero(~around.allowed):
            if i == around.positive:
                why[i] = "positive of the group"
            elif positive[i]:
                why[i] = "a positive of the query"
            elif own[i]:
                why[i] = "the query itself"
            elif excluded[i]:
                why[i] = "excluded by its judgement"
            elif self.doc[i] in self.empty:
                why[i] = "empty document"
            elif np.isnan(self.teacher[i]):
                why[i] = "no teacher score"
            else:
                why[i] = "a copy of a positive"
        return why

    def _listed(
        self, asked: Asked, why: list[str], kept: np.ndarray, pi: np.ndarray | None
    ) -> list[Found]:
        grades = asked.grade_of(self.doc) if len(asked.judged) else np.zeros(len(self.doc), int)
        order = np.lexsort((self.doc, -np.nan_to_num(self.teacher, nan=-np.inf)))
        return [
            Found(
                doc_id=self.ids[i],
                text=self.texts[i],
                grade=int(grades[i]),
                teacher=None if np.isnan(self.teacher[i]) else float(self.shown[i]),
                found=self.found[i],
                kept=bool(np.isin(self.doc[i], kept)),
                why=why[i],
                inclusion=_known(pi, i, why[i]),
            )
            for i in order
        ]


def _known(pi: np.ndarray | None, i: int, why: str) -> float | None:
    if pi is None or np.isnan(pi[i]) or "positive" in why:
        return None
    return float(pi[i])
