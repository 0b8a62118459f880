"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`, each plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..store.files import sha256_of
from .base import Document, Judgement
from .lines import existing, field, missing, read_objects
from .tsv_qrels import qrels_files, read_qrels

_ID, _TEXT, _TITLE = ("_id",), ("text",), ("title",)


class BeirReader:
    """Reads one folder; queries and judgements may be missing, the corpus may not."""

    def __init__(self, path: str):
        self.folder = Path(path).expanduser().absolute()
        if not self.folder.is_dir():
            raise BadInput(
                "there is no such folder",
                where=self.folder,
                do="give the folder that holds corpus.jsonl, queries.jsonl and qrels/",
            )
        corpus = existing(self.folder, "corpus.jsonl")
        if corpus is None:
            raise missing(self.folder / "corpus.jsonl")
        self.corpus = corpus
        self.query_file = existing(self.folder, "queries.jsonl")
        self.qrels = qrels_files(self.folder / "qrels", (".tsv",))
        if self.qrels and self.query_file is None:
            raise missing(self.folder / "queries.jsonl")

    def facts(self) -> dict[str, Any]:
        """Return the SHA-256 of every file."""
        return {
            "corpus": sha256_of(self.corpus),
            "queries": sha256_of(self.query_file) if self.query_file else None,
            "qrels": {split: sha256_of(path) for split, path in self.qrels.items()},
        }

    def documents(self) -> Iterator[Document]:
        """Yield every document; a missing title is empty."""
        for number, row in read_objects(self.corpus):
            doc_id = field(row, _ID, self.corpus, number)
            title = field(row, _TITLE, self.corpus, number) if row.get("title") else ""
            yield doc_id, title, field(row, _TEXT, self.corpus, number)

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield every query."""
        if self.query_file:
            for number, row in read_objects(self.query_file):
                query_id = field(row, _ID, self.query_file, number)
                yield query_id, field(row, _TEXT, self.query_file, number)

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Yield the judgements of `qrels/<split>.tsv`."""
        return read_qrels(self.qrels[split])

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the path of the file."""
        if role == "qrels":
            return str(self.qrels[split])
        return str(self.corpus if role == "corpus" else self.query_file)
