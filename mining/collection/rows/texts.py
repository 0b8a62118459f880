"""Documents and queries: rows of (id, text), whose row numbers are the ordinals.

Text stays on disk until it is asked for. Finding ordinals of ids reads the id column once and holds
only the ids that were asked for, never a map of the whole corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...ahead import in_turn
from ...errors import BadInput
from ...parts.told import counted
from ...store import Artifact
from ...store.showing import shown


class Rows:
    """What shows the rows of one artifact, ids and texts resolved."""

    artifact: Artifact

    def to_arrow(self) -> pa.Table:
        """Return all rows as one Arrow table."""
        return self.artifact.to_arrow()

    def to_polars(self) -> Any:
        """Return all rows as a polars frame."""
        return self.artifact.to_polars()

    def to_pandas(self) -> Any:
        """Return all rows as a pandas frame; pandas must be installed."""
        return self.artifact.to_pandas()

    def head(self, rows: int = 5) -> Any:
        """Return the first rows as a polars frame."""
        return self.artifact.head(rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary, part by part."""
        return iter(self.artifact)

    def _repr_html_(self) -> str:
        return shown().html(self.artifact, title=repr(self)[1:-1])


class TextTable(Rows):
    """Rows of (id, text) over the parts of one artifact; row numbers are the ordinals."""

    id_column = "id"
    noun = "row"
    plural = "rows"

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        starts = [part.start for part in artifact.parts]
        self._starts = np.asarray([*starts, artifact.rows], dtype=np.int64)
        self._parts: dict[int, pa.Table] = {}

    def __len__(self) -> int:
        return self.artifact.rows

    def __repr__(self) -> str:
        rows = counted(len(self), "row")
        return f"<{type(self).__name__} {rows}, {self.artifact.fingerprint[:12]}>"

    def part(self, number: int) -> pa.Table:
        """Return part `number`, mapped and checked once."""
        if number not in self._parts:
            self._parts[number] = self.artifact.table(number)
        return self._parts[number]

    def parts(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (ordinal of the first row, table) of every part in order; the content of the next
        ones is checked meanwhile."""
        parts = self.artifact.parts
        tables = in_turn(self.part, (part.number for part in parts))
        yield from zip((part.start for part in parts), tables, strict=True)

    def text(self, row: int) -> str:
        """Return the text of one ordinal."""
        return self._one("text", row)

    def texts(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Return the texts of many ordinals, in the order asked for."""
        return self._many("text", rows)

    def ids(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Return the external ids of many ordinals, in the order asked for."""
        return self._many(self.id_column, rows)

    def ordinals(self, ids: Sequence[str]) -> np.ndarray:
        """Return the uint32 ordinal of each id, in the order asked for.

        Memory is proportional to the number of ids asked for; the id column is read once. Raises
        BadInput with the first ten unknown ids.
        """
        return self.ordinals_of(pa.array(ids, type=pa.string()))

    def ordinals_of(self, ids: pa.StringArray) -> np.ndarray:
        """Return the uint32 ordinal of each id of an Arrow column; else as `ordinals`."""
        rows = resolve(ids, (table[self.id_column] for _, table in self.parts()))
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            known = self.ids(range(min(3, len(self))))
            told = first_ten([ids[int(i)].as_py() for i in missing[:11]])
            raise BadInput(
                f"{len(missing):,} {self.noun} ids are not in the collection: {told}"
                if len(missing) > 1
                else f"the {self.noun} id {told} is not in the collection",
                where=self.artifact.path,
                do=f"ids are compared byte for byte; they look like: {', '.join(known) or 'none'}",
            )
        return rows.astype(np.uint32)

    def _one(self, column: str, row: int) -> str:
        if not 0 <= row < len(self):
            raise IndexError(f"{self.noun} {row} of {len(self)}")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        table = self.part(self.artifact.parts[number].number)
        return table[column][int(row - self._starts[number])].as_py()

    def _many(self, column: str, rows: Sequence[int] | np.ndarray) -> list[str]:
        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and not (0 <= wanted.min() and wanted.max() < len(self)):
            raise IndexError(f"{self.noun} ordinals {wanted.min()}…{wanted.max()} of {len(self)}")
        owner = np.searchsorted(self._starts, wanted, side="right") - 1
        values = np.empty(len(wanted), dtype=object)
        for number in np.unique(owner):
            mine = owner == number
            table = self.part(self.artifact.parts[number].number)
            # One part is one chunk, so this take copies the chosen rows only (arrow#37766).
            taken = table[column].take(pa.array(wanted[mine] - self._starts[number]))
            values[mine] = taken.to_pylist()
        return values.tolist()


class Corpus(TextTable):
    """The documents: `doc_id` and `text` by ordinal."""

    id_column = "doc_id"
    noun = "document"
    plural = "documents"

    def doc_id(self, doc: int) -> str:
        """Return the external id of one document."""
        return self._one("doc_id", doc)

    def doc_ids(self, docs: Sequence[int] | np.ndarray) -> list[str]:
        """Return the external ids of many documents, in the order asked for."""
        return self.ids(docs)

    @cached_property
    def empty(self) -> np.ndarray:
        """Ordinals (uint32, ascending) of documents without visible text; they are never mined."""
        if not self.artifact.counts.get("empty"):
            return np.empty(0, dtype=np.uint32)
        parts = [
            start + np.flatnonzero(blank(table["text"]).to_numpy()) for start, table in self.parts()
        ]
        return np.concatenate(parts).astype(np.uint32)


class Queries(TextTable):
    """The queries of all splits, in file order: `query_id` and `text` by ordinal."""

    id_column = "query_id"
    noun = "query"
    plural = "queries"

    def query_id(self, query: int) -> str:
        """Return the external id of one query."""
        return self._one("query_id", query)

    def query_ids(self, queries: Sequence[int] | np.ndarray) -> list[str]:
        """Return the external ids of many queries, in the order asked for."""
        return self.ids(queries)


def resolve(wanted: pa.Array, columns: Iterable[pa.ChunkedArray]) -> np.ndarray:
    """Return the row of each wanted id in the concatenated columns (int64, −1 = not there)."""
    distinct = wanted.unique()
    rows = np.full(len(distinct) + 1, -1, dtype=np.int64)  # the last entry takes the misses
    start = 0
    for column in columns:
        place = pc.fill_null(pc.index_in(column, value_set=distinct), len(distinct)).to_numpy()
        hits = np.flatnonzero(place < len(distinct))
        rows[place[hits]] = start + hits
        start += len(column)
    return rows[pc.index_in(wanted, value_set=distinct).to_numpy()]


def blank(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Say for each text whether it is empty or holds nothing but white space."""
    return pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))


def compared(unknown: Sequence[str]) -> str:
    """Say how ids are compared, and of those in quotation marks that csv wrote them."""
    quoted = bool(unknown) and all(len(i) > 1 and i[0] == i[-1] == '"' for i in unknown)
    marks = "these stand in csv's quotation marks: write the file without; " if quoted else ""
    return f"{marks}ids are compared byte for byte"


def first_ten(ids: Sequence[str]) -> str:
    """Print up to ten ids for an error message."""
    shown = ", ".join(repr(i) for i in ids[:10])
    return shown + (", …" if len(ids) > 10 else "")


def strings_of(rows: TextTable, column: str, ordinals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the texts or ids of ascending ordinals: data uint8, bounds int64 [ordinals+1]."""
    pieces, lengths = [np.empty(0, np.uint8)], [np.empty(0, np.int64)]
    for start, table in rows.parts():
        first, last = np.searchsorted(ordinals, [start, start + len(table)])
        if first == last:
            continue
        taken = table[column].take(pa.array(ordinals[first:last].astype(np.int64) - start))
        text = pa.concat_arrays(taken.chunks).cast(pa.large_string())
        _, raw, data = text.buffers()
        bounds = np.frombuffer(raw, np.int64)[text.offset :][: len(text) + 1]
        if data is not None:
            pieces.append(np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]])
        lengths.append(np.diff(bounds))
    return np.concatenate(pieces), np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
