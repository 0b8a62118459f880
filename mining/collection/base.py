"""What a reader of collections offers, and how the text `beir:PATH` finds its reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UsageError
from ..names import nearest
from .policies import Oddities, Policies
from .rows import blank

Document = tuple[str, str, str]
"""(doc_id, title, text), exactly as the source has them."""

BLOCK = 8192
BLOCK_BYTES = 8 << 20  # of text: larger ones are slower, as fresh memory costs more than lines


@dataclass(frozen=True, slots=True)
class Texts:
    """A block of documents or queries in file order, as Arrow columns of equal length.

    `ids`: string; `titles`, `texts`: large_string, without nulls; queries have no titles (None).
    `where`: the file or data set; `numbers`: of each row its line or row in it, from 1, int64.
    """

    ids: pa.StringArray
    titles: pa.LargeStringArray | None
    texts: pa.LargeStringArray
    where: str
    numbers: np.ndarray
    word: str = "line"

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, row: int) -> str:
        """Say where a row of the block stands."""
        return f"{self.where}, {self.word} {int(self.numbers[row])}"

    def short(self, row: int) -> str:
        """Say where a row stands without naming the file, which is no part of the content."""
        return f"{self.word} {int(self.numbers[row])}"

    def filter(self, keep: np.ndarray) -> Texts:
        """Return the rows for which `keep` (bool [rows]) is true."""
        mask = pa.array(keep)
        titles = None if self.titles is None else self.titles.filter(mask)
        texts, numbers = self.texts.filter(mask), self.numbers[keep]
        return Texts(self.ids.filter(mask), titles, texts, self.where, numbers, self.word)

    def slice(self, start: int, length: int) -> Texts:
        """Return some of the rows, without a copy."""
        titles = None if self.titles is None else self.titles.slice(start, length)
        ids, texts = self.ids.slice(start, length), self.texts.slice(start, length)
        numbers = self.numbers[start : start + length]
        return Texts(ids, titles, texts, self.where, numbers, self.word)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a first look needs of a block: 16 bytes a row, and the few rows that need a closer one.

    `hashes`: of the ids, uint64; `sizes`: the bytes of each row, int64 (id, title, text). `odd`:
    int64, rows that have no id, or that were looked for because they hold no visible text; `shown`:
    those rows.
    """

    hashes: np.ndarray
    sizes: np.ndarray
    odd: np.ndarray
    shown: Texts

    def __len__(self) -> int:
        return len(self.hashes)


def hashes_of(ids: pa.Array) -> np.ndarray:
    """Return a 64-bit hash of each id: uint64 [ids]."""
    import polars as pl

    series: pl.Series = pl.from_arrow(ids)  # type: ignore[assignment]
    return series.hash(seed=0).to_numpy()


def outlines(blocks: Iterable[Texts], empty: bool) -> Iterator[Outline]:
    """Yield the outlines of blocks; `empty`: rows without visible text are looked for."""
    for block in blocks:
        columns = (block.ids, block.texts, *([] if block.titles is None else [block.titles]))
        sizes = np.zeros(len(block), dtype=np.int64)
        for column in columns:
            sizes += np.asarray(pc.binary_length(column), dtype=np.int64)
        odd = np.asarray(pc.binary_length(block.ids)) == 0
        if empty:
            odd |= without_text(block)
        yield Outline(hashes_of(block.ids), sizes, np.flatnonzero(odd), block.filter(odd))


def without_text(block: Texts) -> np.ndarray:
    """Say which rows have no visible text, neither as title nor as text: bool [rows]."""
    empty = np.asarray(blank(block.texts))
    return empty if block.titles is None else empty & np.asarray(blank(block.titles))


@dataclass(frozen=True, slots=True)
class Judged:
    """Judgements in file order: ids as string columns, grades int32, and where each stands.

    `numbers`: int64, the line or row of each in `where`, from 1.
    """

    query_ids: pa.StringArray
    doc_ids: pa.StringArray
    grades: np.ndarray
    where: str
    numbers: np.ndarray
    word: str = "line"

    def __len__(self) -> int:
        return len(self.grades)

    def place(self, row: int) -> str:
        """Say where a row stands."""
        return f"{self.where}, {self.word} {int(self.numbers[row])}"

    def told(self, row: int) -> str:
        """Say what a row holds and where it stands."""
        return f"{self._ids(row)} ({self.place(row)})"

    def short(self, row: int) -> str:
        """Say the same without naming the file, which is no part of the content."""
        return f"{self._ids(row)} ({self.word} {int(self.numbers[row])})"

    def _ids(self, row: int) -> str:
        return f"{self.query_ids[row].as_py()} {self.doc_ids[row].as_py()} {int(self.grades[row])}"

    def filter(self, keep: np.ndarray) -> Judged:
        """Return the rows for which `keep` (bool [rows]) is true."""
        mask = pa.array(keep)
        return Judged(
            self.query_ids.filter(mask),
            self.doc_ids.filter(mask),
            self.grades[keep],
            self.where,
            self.numbers[keep],
            self.word,
        )


def texts_of(
    rows: Iterable[tuple[int, str, str | None, str]], where: str, word: str = "line"
) -> Iterator[Texts]:
    """Yield blocks of rows of (number, id, title or None, text)."""
    stream = iter(rows)
    while block := list(islice(stream, BLOCK)):
        numbers, ids, titles, texts = zip(*block, strict=True)
        yield Texts(
            pa.array(ids, pa.string()),
            None if titles[0] is None else pa.array(titles, pa.large_string()),
            pa.array(texts, pa.large_string()),
            where,
            np.array(numbers, dtype=np.int64),
            word,
        )


def judged_of(rows: Iterable[tuple[int, str, str, int]], where: str, word: str = "line") -> Judged:
    """Return judgements given as rows of (number, query_id, doc_id, grade)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    numbers, query_ids, doc_ids, grades = columns
    return Judged(
        pa.array(query_ids, pa.string()),
        pa.array(doc_ids, pa.string()),
        np.array(grades, dtype=np.int32),
        where,
        np.array(numbers, dtype=np.int64),
        word,
    )


class Reader(Protocol):
    """Streams one source of a collection; every iterator may be asked for more than once.

    `on` says what is done with odd rows; `odd` gathers what the reader itself found odd, by role
    ("corpus", "queries", "qrels[SPLIT]").

    Readers raise BadInput with file and line for what cannot be read. They do not look for
    duplicate or unknown ids: that is done once for all of them (survey.py).
    """

    on: Policies

    def facts(self) -> dict[str, Any]:
        """Return what identifies the content: {"corpus": …, "queries": … or None, "qrels": {split:
        …}}.

        Values are JSON: hashes of files, names with versions; never a path or a time.
        """
        ...

    def documents(self) -> Iterator[Texts]:
        """Yield every document in file order, with its title."""
        ...

    def queries(self) -> Iterator[Texts]:
        """Yield every query in file order; nothing where there are none."""
        ...

    def outline(self, role: str) -> Iterator[Outline]:
        """Yield the outlines of "corpus" or "queries", in file order."""
        ...

    def judgements(self, split: str) -> Judged:
        """Return the judgements of one split in file order."""
        ...

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return what the reader itself found odd while it read "corpus", "queries" or "qrels"."""
        ...

    def counts(self) -> dict[str, int]:
        """Return what the reader left out, by reason; empty for most."""
        ...

    def place(self, role: str, split: str = "") -> str:
        """Say where "corpus", "queries" or "qrels" come from, for errors."""
        ...


_READERS = {  # prefix → (module, class); imported when asked for
    "beir": ("tabular", "BeirReader"),
    "hf": ("hub", "HubReader"),
    "ir": ("irds", "IrDatasetsReader"),
    "tsv": ("tabular", "TsvReader"),
    "jsonl": ("tabular", "JsonlReader"),
    "parquet": ("tabular", "ParquetReader"),
    "python-docs": ("python_docs", "PythonDocsReader"),
}


def check_spec(spec: str) -> None:
    """Raise UsageError for a text that says no known way to read a collection, or nothing to
    read."""
    kind, _, rest = spec.partition(":")
    if kind not in _READERS:
        near = nearest(kind, list(_READERS))
        if ":" in spec:
            raise UsageError(
                f"{spec!r} does not say how to read the collection: there is no way {kind!r}",
                do=f"{near}; for a folder in the layout of BEIR, beir:{rest or 'PATH'}",
            )
        raise UsageError(
            f"{spec!r} does not say how to read the collection",
            do=f"write KIND:PATH, for example beir:{spec}; {near}",
        )
    if not rest and kind != "python-docs":
        raise UsageError(f"{spec!r} names nothing to read", do=f"write {kind}:PATH")


def open_reader(spec: str, on: Policies | None = None, fields: Sequence[str] = ()) -> Reader:
    """Return the reader that `beir:PATH`, `ir:ID`, … names; raises UsageError if unknown.

    `on`: what is done with odd rows. `fields`: the fields that a document's text is made of, for
    sources where documents have others than title and text.
    """
    check_spec(spec)
    kind, _, rest = spec.partition(":")
    module, name = _READERS[kind]
    maker = getattr(import_module(f".{module}", __package__), name)
    if fields and kind == "python-docs":
        raise UsageError("fields: docstrings have no fields to choose from", do="leave it out")
    reader: Reader = maker(rest, tuple(fields)) if fields else maker(rest)
    reader.on = on or Policies()
    return reader


def reader_kind(spec: str) -> str:
    """Return the part of a collection's text that says which reader it needs."""
    return spec.partition(":")[0]
