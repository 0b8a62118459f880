"""TSV, JSON Lines and Parquet: a folder with documents, queries and qrels, or one documents file.

Columns by name: `doc_id`, `title` (optional), `text`; `query_id`, `text`; `query_id`, `doc_id`,
`grade`. TSV without a header line holds them in that order: id, text or id, title, text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..store.files import sha256_of
from .base import Document, Judgement
from .lines import existing, field, grade_of, missing, read_lines, read_objects
from .tsv_qrels import qrels_files, read_qrels

DOC_ID = ("doc_id", "_id", "id", "docid", "docno", "pid")
QUERY_ID = ("query_id", "_id", "id", "qid")
TITLE = ("title",)
TEXT = ("text", "contents", "body", "passage", "query")
GRADE = ("grade", "score", "relevance", "label")

Row = tuple[int, dict[str, Any]]
"""(line or row number from 1, fields by name)."""


class TabularReader:
    """What the three formats share: which files there are and what their columns mean."""

    ending = ""

    def __init__(self, path: str):
        place = Path(path).expanduser().absolute()
        self.query_file: Path | None = None
        self.qrels: dict[str, Path] = {}
        if place.is_file():
            self.corpus = place
            return
        if not place.is_dir():
            raise missing(place)
        documents = existing(place, f"documents{self.ending}")
        if documents is None:
            raise missing(place / f"documents{self.ending}")
        self.corpus = documents
        self.query_file = existing(place, f"queries{self.ending}")
        self.qrels = qrels_files(place / "qrels", (self.ending,))
        alone = existing(place, f"qrels{self.ending}")
        if alone is not None:
            self.qrels.setdefault("all", alone)
        if self.qrels and self.query_file is None:
            raise missing(place / f"queries{self.ending}")

    def rows(self, path: Path, columns: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
        """Yield the rows of one file; `columns` names the fields of a file without a header."""
        raise TypeError(f"{type(self).__name__} does not say how to read {path}")

    def facts(self) -> dict[str, Any]:
        """Return the SHA-256 of every file."""
        return {
            "corpus": sha256_of(self.corpus),
            "queries": sha256_of(self.query_file) if self.query_file else None,
            "qrels": {split: sha256_of(path) for split, path in self.qrels.items()},
        }

    def documents(self) -> Iterator[Document]:
        """Yield every document; a missing title is empty."""
        for number, row in self.rows(self.corpus, (DOC_ID, TITLE, TEXT)):
            doc_id = field(row, DOC_ID, self.corpus, number)
            title = field(row, TITLE, self.corpus, number) if row.get("title") else ""
            yield doc_id, title, field(row, TEXT, self.corpus, number)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield every query."""
        if self.query_file:
            for number, row in self.rows(self.query_file, (QUERY_ID, TEXT)):
                query_id = field(row, QUERY_ID, self.query_file, number)
                yield query_id, field(row, TEXT, self.query_file, number)

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Yield the judgements of one split."""
        path = self.qrels[split]
        for number, row in self.rows(path, (QUERY_ID, DOC_ID, GRADE)):
            name = next((n for n in GRADE if n in row), None)
            if name is None:
                raise BadInput(
                    f"the field 'grade' is missing; this row has {', '.join(map(repr, row))}",
                    where=f"{path}, line {number}",
                    do=f"name it one of: {', '.join(GRADE)}",
                )
            grade = grade_of(row[name], f"{path}, line {number}")
            yield field(row, QUERY_ID, path, number), field(row, DOC_ID, path, number), grade

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the path of the file."""
        if role == "qrels":
            return str(self.qrels[split])
        return str(self.corpus if role == "corpus" else self.query_file)


class JsonlReader(TabularReader):
    """JSON Lines files, plain or gzip."""

    ending = ".jsonl"

    def rows(self, path: Path, columns: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
        """Yield the objects of the file."""
        return read_objects(path)


class TsvReader(TabularReader):
    """Tab-separated files, plain or gzip, without quoting: no tab or line end in a text."""

    ending = ".tsv"

    def rows(self, path: Path, columns: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
        """Yield the lines by column; the first line is a header if it starts with an id's name."""
        names: list[str] | None = None
        for number, line in read_lines(path):
            cells = line.split("\t")
            if number == 1 and cells[0] in columns[0]:
                names = cells
                continue
            if names is None:
                # Without a header the title may be left out: (id, text) beside (id, title, text).
                chosen = columns if len(cells) == len(columns) else (columns[0], columns[-1])
                names = [known[0] for known in chosen]
            if len(cells) != len(names):
                raise BadInput(
                    f"{len(cells)} columns, expected {len(names)}: {', '.join(names)}",
                    where=f"{path}, line {number}",
                    do="one row per line, columns separated by single tabs, no quoting",
                )
            yield number, dict(zip(names, cells, strict=True))

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Yield the judgements of a file in BEIR's or TREC's columns."""
        return read_qrels(self.qrels[split])


class ParquetReader(TabularReader):
    """Parquet files, read in batches of rows."""

    ending = ".parquet"

    def rows(self, path: Path, columns: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
        """Yield the rows by column name; columns that mean nothing here are not read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        wanted = {name for known in columns for name in known}
        try:
            with pq.ParquetFile(path) as file:
                names = [name for name in file.schema_arrow.names if name in wanted]
                number = 0
                for batch in file.iter_batches(8192, columns=names):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, {k: v for k, v in row.items() if v is not None}
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"this is not a readable Parquet file: {error}",
                where=path,
                do="the file is damaged or truncated: write or fetch it again",
            ) from error


__all__ = ["JsonlReader", "ParquetReader", "TsvReader"]
