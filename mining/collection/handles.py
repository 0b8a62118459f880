"""Read-only handles over the artifacts of a collection: corpus, queries, judgements, and the whole.

Everything is memory-mapped; text stays on disk until it is asked for. Finding ordinals of ids reads
the id column once and holds only the ids that were asked for, never a map of the whole corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..ahead import in_turn
from ..errors import BadInput, UsageError
from ..names import nearest
from ..pair_keys import distinct, pair_keys
from ..parts.told import counted
from ..store import Artifact, Workspace, open_artifact

_NOUNS = {"documents": ("document", "documents"), "queries": ("query", "queries")}
EVERY_QUERY = "*"
"""The split that holds every query, judged or not: for mining a collection without judgements."""


EXCLUDED = -100
"""The grade of a document that is excluded from its query (ir-datasets' BRIGHT): neither a positive
nor a negative. Other negative grades are judged and not relevant."""


def check_min_grade(min_grade: int) -> None:
    """Refuse what is no grade of positives: groups hold grades in 8 bits."""
    if not 1 <= min_grade <= 127:
        raise UsageError(f"min_grade={min_grade} is no grade of positives", do="choose 1 to 127")


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


NO_SPLITS = (
    "it has no judgements: collect it with qrels; split '*' takes every query as it is, and "
    "docs/howto/unlabelled.md takes a teacher's best document for the positive"
)
"""What to do where a collection without judgements is asked for those of a split."""


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


class Collection:
    """A corpus with its queries and one set of judgements per split."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.self_rule = "exclude"
        self._qrels: dict[str, Qrels] = {}

    def under(self, self_rule: str) -> Collection:
        """Return the collection with another rule for documents that are the query itself, see
        `mining.runs.itself`; sources mine by it."""
        held = Collection(self.artifact)
        held.self_rule = self_rule
        return held

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact | Collection) -> Collection:
        """Open a collection by name, fingerprint or artifact."""
        if isinstance(name, Collection):
            return name
        return cls(workspace.find(name, "collection"))

    @classmethod
    def at(cls, path: str) -> Collection:
        """Open a collection by the folder of its artifact; what workers do."""
        return cls(open_artifact(path))

    def __repr__(self) -> str:
        splits = ", ".join(self.splits) or "no judgements"
        bare = " and ".join(
            counted(number, *_NOUNS[what]) for what, number in self.without_text.items() if number
        )
        documents, queries = (
            counted(len(one), *_NOUNS[what])
            for what, one in (("documents", self.corpus), ("queries", self.queries))
        )
        return f"<Collection {documents}, {queries}, {splits}{bare and f'; without text: {bare}'}>"

    @property
    def without_text(self) -> dict[str, int]:
        """How many documents and queries hold no visible text, counted when they were read: such
        documents are never mined, and a search by terms finds nothing for such queries."""
        roles = {"documents": "corpus", "queries": "queries"}
        return {
            what: self.artifact.input(role).counts.get("empty", 0)
            for what, role in roles.items()
            if role in self.artifact.inputs
        }

    @cached_property
    def corpus(self) -> Corpus:
        """The documents."""
        return Corpus(self.artifact.input("corpus"))

    @property
    def excluded_grade(self) -> int:
        """The grade of documents that are excluded from their query, as declared."""
        return int(self.artifact.metadata.get("excluded_grade", EXCLUDED))

    @cached_property
    def queries(self) -> Queries:
        """The queries of all splits; raises BadInput for a collection of documents only."""
        if "queries" not in self.artifact.inputs:
            raise BadInput(
                "this collection holds documents only, no queries",
                where=self.artifact.path,
                do="put a queries file beside the documents and collect again",
            )
        return Queries(self.artifact.input("queries"))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The names of the judged splits, sorted."""
        roles = (role for role in self.artifact.inputs if role.startswith("qrels["))
        return tuple(sorted(role[len("qrels[") : -1] for role in roles))

    def qrels_artifact(self, split: str) -> Artifact:
        """Return the judgements' artifact; raises BadInput with the nearest split names."""
        if split == EVERY_QUERY:
            raise BadInput(
                "there are no judgements of every query (split '*')",
                where=self.artifact.path,
                do=f"name the split whose judgements count: {', '.join(self.splits)}"
                if self.splits
                else NO_SPLITS,
            )
        if split not in self.splits:
            raise BadInput(
                f"the collection has no split {split!r}",
                where=self.artifact.path,
                do=nearest(split, self.splits) if self.splits else NO_SPLITS,
            )
        return self.artifact.input(f"qrels[{split}]")

    def qrels(self, split: str) -> Qrels:
        """Return the judgements of one split."""
        if split not in self._qrels:
            self._qrels[split] = Qrels(self.qrels_artifact(split))
        return self._qrels[split]

    def split_queries(self, split: str) -> np.ndarray:
        """Return the queries judged in a split (uint32, ascending); `*` gives every query."""
        if split == EVERY_QUERY:
            return np.arange(len(self.queries), dtype=np.uint32)
        return self.qrels(split).queries


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


def shared_queries(one: Collection, split: str, other: Collection, name: str) -> int:
    """Return how many judged queries of a split are judged in another one too, of the same
    collection or of one with the same queries; of copies of them elsewhere nothing is known."""
    if one.queries.artifact.fingerprint != other.queries.artifact.fingerprint:
        return 0
    return len(np.intersect1d(one.qrels(split).queries, other.qrels(name).queries))
