"""Runs in Parquet: rows of a query, a document, its rank and its score, or lists of the last three.

Columns go by the names that files of scores have. Of several columns of scores `score` counts. A
table without scores is read by its ranks, lists without either as they stand, best first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..errors import BadInput
from ..inputs.arrow_columns import has_empty, id_texts, is_list, lengths_of, whole
from ..inputs.column_names import (
    DOC_ID,
    QUERY_ID,
    RANKS,
    SCORES,
    Names,
    first_named,
    named,
    score_names,
)
from ..inputs.parquet_rows import batches_of, opened, refuse_doubled
from ..inputs.row_shapes import Place, list_of, one_id, one_number, shown
from ..inputs.shards import shards_in, table_folder
from .trec_lines import NO_RANK, Lines

_MAGIC = b"PAR1"
_SCORES = score_names(SCORES[0])  # of any kind: a run has none


class Columns(NamedTuple):
    """What the columns of a run are called; a rank or a score that is not there is None."""

    query: str
    doc: str
    rank: str | None
    score: str | None

    def there(self) -> list[str]:
        """Return those that are there."""
        return [name for name in self if name is not None]


def is_table(path: Path) -> bool:
    """Say whether a path is a Parquet file, by its ending or by how it begins, or a folder."""
    if path.is_dir() or path.name.lower().endswith(".parquet"):
        return True
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def files_of_table(path: Path) -> list[Path]:
    """Return the file, or the shards of a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    there = ", ".join(sorted(file.name for file in path.iterdir())[:10])
    do = f"a folder is read as the shards of one table, a TREC run is one file; there are {there}"
    folder = table_folder(path)
    return shards_in(folder, "Parquet", lambda file: file.suffix.lower() == ".parquet", do)


def columns_of(sources: list[Path]) -> list[Columns]:
    """Return the columns of each file; raises BadInput where one is missing, or may be another, and
    where the files do not have the same of rank and score."""
    columns = [_columns_of(path, opened(path).schema_arrow.names) for path in sources]
    for path, one in zip(sources, columns, strict=True):
        for role in ("rank", "score"):
            if (getattr(one, role) is None) != (getattr(columns[0], role) is None):
                raise BadInput(
                    f"the files of one run have the same columns; {path.name} and "
                    f"{sources[0].name} differ in the {role}",
                    where=path.parent,
                    do="import them one by one, or write them alike",
                )
    return columns


def _columns_of(path: Path, there: list[str]) -> Columns:
    refuse_doubled(path, there, named(there, (*QUERY_ID, *DOC_ID, *RANKS, *_SCORES)))
    query, doc = (_called(path, there, names) for names in (QUERY_ID, DOC_ID))
    return Columns(query, doc, first_named(there, RANKS), _score_of(path, there))


def _called(path: Path, there: list[str], names: Names) -> str:
    name = first_named(there, names)
    if name is None:
        raise BadInput(
            f"the column {names[0]!r} is missing; there are {', '.join(map(repr, there))}",
            where=path,
            do=f"name it one of: {', '.join(names)}",
        )
    return name


def _score_of(path: Path, there: list[str]) -> str | None:
    own, others = named(there, SCORES), named(there, _SCORES)
    if len(own) == 1 or not others:
        return own[0] if own else None
    if len(others) > 1:
        raise BadInput(
            f"several columns may be the scores: {', '.join(map(repr, others))}",
            where=path,
            do=f"keep one of them, or call the one to read {SCORES[0]!r}",
        )
    return others[0]


def unread_tables(sources: list[Path], by_rank: bool) -> Iterator[Callable[[], list[Lines]]]:
    """Yield functions that read the batches of the files, whose rows are numbered as one table.

    `by_rank`: the ranks are needed. Raises BadInput where neither a score nor a rank says how a
    query's documents are ordered.
    """
    before = 0
    for path, columns in zip(sources, columns_of(sources), strict=True):
        file = opened(path)
        first = 1
        for part in batches_of(path, file, columns.there()):
            yield partial(_Batch(path, first, before, columns, by_rank).read, part)
            first += part.num_rows
        before += first - 1


def place_of(sources: list[Path], number: int) -> str:
    """Name a row by the number that it has in the files as one table, for an error."""
    ends = list(accumulate(opened(path).metadata.num_rows for path in sources))
    at = bisect_right(ends, number - 1)
    return str(Place(sources[at], number - (ends[at - 1] if at else 0), "row"))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of a file from `first` on; `before`: those of the files before it."""

    path: Path
    first: int
    before: int
    columns: Columns
    by_rank: bool

    def read(self, part: pa.RecordBatch) -> list[Lines]:
        """Return the candidates of the rows; none where all lists are empty."""
        names = self.columns
        given = {name: whole(pa.chunked_array([part.column(name)])) for name in names.there()}
        rows, ranks = np.arange(part.num_rows), None
        query = self._ids(given[names.query], names.query, rows)
        if is_list(given[names.doc]):
            lengths = self._flat(given)
            rows = np.repeat(rows, lengths)
            query = query.take(pa.array(rows))
            starts = np.cumsum(lengths) - lengths
            ranks = (np.arange(len(rows)) - np.repeat(starts, lengths) + 1).astype(np.int32)
        doc = self._ids(given[names.doc], names.doc, rows)
        score = np.zeros(len(rows))
        if names.score is not None:
            score = self._scores(given[names.score], names.score, doc, rows)
        if names.rank is not None:
            rank = self._ranks(given[names.rank], names.rank, rows)
        elif self.by_rank or names.score is None:
            rank = self._order(part, ranks)
        else:
            rank = np.full(len(rows), NO_RANK, dtype=np.int32)
        line = rows + self.before + self.first
        return [Lines(query, doc, rank, score, line)] if len(rows) else []

    def _place(self, row: int) -> Place:
        return Place(self.path, self.first + int(row), "row")

    def _flat(self, given: dict[str, Any]) -> np.ndarray:
        """Put the values of all lists in the place of the lists; returns their lengths, int64."""
        names = self.columns
        words = {names.doc: "ids", names.rank: "ranks", names.score: "scores"}
        del given[names.query]
        for name, column in given.items():
            null = column.is_null().to_numpy(zero_copy_only=False)
            if (null.any() or not is_list(column)) and len(column):
                row = int(null.argmax()) if is_list(column) else 0
                list_of(column[row].as_py(), name, self._place(row), words[name])
        lengths = lengths_of(given[names.doc])
        for name, column in given.items():
            other = np.flatnonzero(lengths_of(column) != lengths)
            if len(other):
                row = int(other[0])
                raise BadInput(
                    f"{lengths[row]} documents and {len(column[row])} {words[name]}",
                    where=str(self._place(row)),
                    do=f"write one {words[name][:-1]} for each document of the list",
                )
            given[name] = column.flatten()
        return lengths

    def _ids(self, column: Any, name: str, rows: np.ndarray) -> pa.Array:
        """Return ids as texts; raises BadInput for the first that is none."""
        texts = id_texts(column)
        if texts is not None and not has_empty(texts):
            return texts
        for row, value in zip(rows.tolist(), column.to_pylist(), strict=True):
            one_id(value, name, self._place(row))
        return pa.array([], pa.large_string())  # of a column without rows any type will do

    def _scores(self, column: Any, name: str, doc: pa.Array, rows: np.ndarray) -> np.ndarray:
        """Return float64 scores; raises BadInput for the first that is no finite number."""
        kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
        values = np.full(len(column), np.nan)
        if any(is_kind(column.type) for is_kind in kinds):
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            at = int(wrong[0])
            one_number(column[at].as_py(), name, self._place(rows[at]), doc[at].as_py())
        return values

    def _ranks(self, column: Any, name: str, rows: np.ndarray) -> np.ndarray:
        """Return int32 ranks; what is no whole number of 32 bits is no rank."""
        kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)
        if not any(is_kind(column.type) for is_kind in kinds) and len(column):
            raise BadInput(
                f"{name!r} is {shown(column[0].as_py())}, not a whole number",
                where=str(self._place(rows[0])),
                do="write ranks as numbers, 1 for the best",
            )
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        good = np.isfinite(values) & (values % 1 == 0) & (np.abs(values) < NO_RANK)
        return np.where(good, values, NO_RANK).astype(np.int32)

    def _order(self, part: pa.RecordBatch, ranks: np.ndarray | None) -> np.ndarray:
        """Return the places in the lists; raises BadInput where there are no lists."""
        if ranks is not None:
            return ranks
        names = ", ".join(map(repr, part.schema.names))
        raise BadInput(
            f"the column 'rank' is missing; there are {names}"
            if self.columns.score is not None
            else f"the table has neither a score nor a rank; there are {names}",
            where=self.path,
            do=f"name scores {' or '.join(SCORES)}, ranks {' or '.join(RANKS)}",
        )
