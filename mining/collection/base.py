"""What a reader of collections offers, and how the text `beir:PATH` finds its reader."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from ..errors import UsageError
from ..names import nearest

Document = tuple[str, str, str]
"""(doc_id, title, text), exactly as the source has them."""

Judgement = tuple[str, str, int]
"""(query_id, doc_id, grade)."""

QREL_HEADERS = frozenset({"query-id", "query_id", "qid", "query"})
"""First column names that mark the first line of a judgement file as a header."""


class Reader(Protocol):
    """Streams one source of a collection; every iterator may be asked for more than once.

    Readers raise BadInput with file and line for what cannot be read. They do not look for
    duplicate or unknown ids: that is done once for all of them (survey.py).
    """

    def facts(self) -> dict[str, Any]:
        """Return what identifies the content: {"corpus": …, "queries": … or None, "qrels": {split:
        …}}.

        Values are JSON: hashes of files, names with versions; never a path or a time.
        """
        ...

    def documents(self) -> Iterator[Document]:
        """Yield every document in file order."""
        ...

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield (query_id, text) of every query in file order; nothing where there are none."""
        ...

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Yield the judgements of one split in file order."""
        ...

    def counts(self) -> dict[str, int]:
        """Return what the reader left out, by reason; empty for most."""
        ...

    def place(self, role: str, split: str = "") -> str:
        """Say where "corpus", "queries" or "qrels" come from, for errors."""
        ...


_READERS = {  # prefix → (module, class); imported when asked for
    "beir": ("beir", "BeirReader"),
    "ir": ("irds", "IrDatasetsReader"),
    "tsv": ("tabular", "TsvReader"),
    "jsonl": ("tabular", "JsonlReader"),
    "parquet": ("tabular", "ParquetReader"),
    "python-docs": ("python_docs", "PythonDocsReader"),
}


def open_reader(spec: str) -> Reader:
    """Return the reader that `beir:PATH`, `ir:ID`, … names; raises UsageError if unknown."""
    kind, _, rest = spec.partition(":")
    if kind not in _READERS:
        raise UsageError(
            f"{spec!r} does not say how to read the collection",
            do=f"write KIND:PATH, for example beir:{spec}; {nearest(kind, list(_READERS))}",
        )
    if not rest and kind != "python-docs":
        raise UsageError(f"{spec!r} names nothing to read", do=f"write {kind}:PATH")
    module, name = _READERS[kind]
    reader: Reader = getattr(import_module(f".{module}", __package__), name)(rest)
    return reader


def reader_kind(spec: str) -> str:
    """Return the part of a collection's text that says which reader it needs."""
    return spec.partition(":")[0]
