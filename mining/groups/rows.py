"""One group as it stands in a file, and the layouts whose queries and documents are texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..collection.lines import read_lines, read_rows
from ..errors import BadInput
from ..inputs.column_names import (
    DOCUMENTS,
    LABELS,
    NEGATIVES,
    POSITIVE,
    QUERY,
    SCORES,
    Names,
    first_named,
    named,
    names_of_kind,
)
from ..inputs.parquet_rows import parquet_rows
from ..inputs.row_shapes import (
    Place,
    field,
    number_of,
    numbers,
    one_number,
    one_text,
    texts,
)

_NUMBERED = re.compile(r"negative_\d+")
_DO = "every document of a group needs its text and its score"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as it stands in a file: ids (or texts), `positives` of them first; `grades` where
    the file has them, 1 for a positive and 0 else where it has not. `column`: that of the scores,
    where it goes by the name of their kind."""

    place: Place
    query: str
    docs: list[str]
    scores: list[float]
    positives: int = 1
    grades: list[int] | None = None
    column: str | None = None


def table_rows(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the rows of a Parquet file, or of JSON Lines by the ending."""
    jsonl = any(ending.lower() in (".jsonl", ".ndjson", ".json") for ending in path.suffixes)
    return read_rows(path) if jsonl else parquet_rows(path)


def called(row: dict[str, Any], names: Names, place: Place) -> str:
    """Return the name of the column that a row has; raises BadInput with those that it has."""
    name = first_named(row, names)
    if name is not None:
        return name
    raise BadInput(
        f"the column {names[0]!r} is missing; there are {', '.join(map(repr, row)) or 'none'}",
        where=str(place),
        do=f"name it one of: {', '.join(names)}",
    )


def scores_called(row: dict[str, Any], kind: str, place: Place) -> tuple[str, str | None]:
    """Return the column of scores, and it again where it goes by the name of the kind: a row may
    have others beside that one."""
    own = named(row, names_of_kind(kind))
    if len(own) == 1:
        return own[0], own[0]
    return called(row, (*SCORES, *LABELS, *names_of_kind(kind)), place), None


def rows_of_texts(path: Path, kind: str) -> Iterator[GroupRow]:
    """Read the rows of sentence-transformers: tuples, lists, and triplets or pairs, whose rows of
    one query follow each other."""
    return joined(_row_of_texts(row, kind, place) for place, row in table_rows(path))


def _row_of_texts(row: dict[str, Any], kind: str, place: Place) -> tuple[GroupRow, bool]:
    """Return one row, and whether it goes on with the group of the row before."""
    query_name = called(row, QUERY, place)
    query = one_text(row[query_name], query_name, place)
    score_name, own = scores_called(row, kind, place)
    made, goes_on = _texts_and_scores(row, query, score_name, place)
    return replace(made, column=own), goes_on


def _texts_and_scores(
    row: dict[str, Any], query: str, score_name: str, place: Place
) -> tuple[GroupRow, bool]:
    given = row[score_name]
    listed = first_named(row, DOCUMENTS)
    if listed is not None:
        docs = texts(row[listed], listed, place)
        return GroupRow(place, query, docs, numbers(given, score_name, place, docs)), False
    name = called(row, POSITIVE, place)
    docs = [one_text(row[name], name, place)]
    for negative in named(row, NEGATIVES) + numbered_negatives(row):
        value = row[negative]
        docs += texts(value if isinstance(value, list) else [value], negative, place)
    if len(docs) == 1:  # a pair
        return GroupRow(place, query, docs, [one_number(given, score_name, place)]), True
    return GroupRow(place, query, docs, numbers(given, score_name, place, docs)), len(docs) == 2


def numbered_negatives(row: dict[str, Any]) -> list[str]:
    """Return the columns negative_1, negative_2, … of a row, in the order of their numbers."""
    return sorted((name for name in row if _NUMBERED.fullmatch(name)), key=_place_in_name)


def _place_in_name(name: str) -> int:
    return int(name.partition("_")[2])


def contrastors(path: Path) -> Iterator[GroupRow]:
    """Read contrastors' lines of texts, one positive and its negatives."""
    for place, row in read_rows(path):
        first = one_text(field(row, "document", place, _DO), "document", place)
        others = texts(field(row, "negatives", place, _DO), "negatives", place)
        best = one_number(field(row, "pos_score", place, _DO), "pos_score", place)
        scores = numbers(field(row, "scores", place, _DO), "scores", place, others)
        query = one_text(field(row, "query", place, _DO), "query", place)
        yield GroupRow(place, query, [first, *others], [best, *scores])


def lsr(path: Path) -> Iterator[GroupRow]:
    """Read lines of query, positive, negative and their two scores; SPLADE's raw.tsv is one."""
    return joined((row, True) for row in _triplets(path, (0, 1, 2, 3, 4)))


def matchmaker(path: Path) -> Iterator[GroupRow]:
    """Read lines of two scores, query, positive and negative."""
    return joined((row, True) for row in _triplets(path, (2, 3, 4, 0, 1)))


def _triplets(path: Path, order: tuple[int, ...]) -> Iterator[GroupRow]:
    for number, line in read_lines(path):
        place, cells = Place(path, number), line.split("\t")
        if len(cells) != len(order):
            raise BadInput(
                f"{len(cells)} columns, expected 5: query, positive, negative and two scores",
                where=str(place),
                do="columns are separated by single tabs; --format lsr has the scores last, "
                "matchmaker first",
            )
        query, first, second, *scores = (cells[at] for at in order)
        read = [
            number_of(score, "score", place, doc)
            for score, doc in zip(scores, (first, second), strict=True)
        ]
        yield GroupRow(place, query, [first, second], read)


def joined(rows: Iterator[tuple[GroupRow, bool]]) -> Iterator[GroupRow]:
    """Yield rows, those that follow each other and go on with one group as that group.

    Triplets of one query and positive share the positive; it must have one score.
    """
    held: GroupRow | None = None
    goes_on = False
    for row, more in rows:
        if held is not None and more and goes_on and row.query == held.query:
            pair = len(row.docs) == 1
            if pair or row.docs[0] == held.docs[0]:
                held = _longer(held, row, 0 if pair else 1)
                continue
        if held is not None:
            yield held
        held, goes_on = row, more
    if held is not None:
        yield held


def _longer(held: GroupRow, row: GroupRow, shared: int) -> GroupRow:
    if shared and row.scores[0] != held.scores[0]:
        raise BadInput(
            f"the positive of this query has two scores, {held.scores[0]:g} and {row.scores[0]:g}",
            where=str(row.place),
            do="keep one score for each pair of query and document",
        )
    docs, scores = [*held.docs, *row.docs[shared:]], [*held.scores, *row.scores[shared:]]
    return replace(held, docs=docs, scores=scores)
