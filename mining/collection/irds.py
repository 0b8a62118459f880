"""Any data set of ir_datasets, read through that library's own interface."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..names import nearest
from ..store.files import sha256_of
from .base import Document, Judgement
from .lines import checked_text, grade_of

_BODIES = ("text", "body", "abstract")
# What the library's readers raise on damaged files, missing files and failed downloads.
_READING_ERRORS = (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError)


class IrDatasetsReader:
    """Reads one id, or several that share their documents, joined by `+`.

    Each id with judgements is a split, named by what its id adds to the id of the documents
    (`ir:beir/nfcorpus/train+beir/nfcorpus/test` has `train` and `test`), or `all` where it adds
    nothing. An id with queries but no judgements (`ir:beir/nfcorpus`) gives the splits below it.
    Title and text are kept apart where a document has both; else its text is the library's default.
    """

    def __init__(self, spec: str):
        ids = spec.split("+")
        first = _load(ids[0])
        if not first.has_docs():
            raise _refused(ids[0], "has no documents", "choose an id that provides documents")
        if len(ids) == 1 and first.has_queries() and not first.has_qrels():
            ids += _judged_below(ids[0])
        with _explained(ids[0]):
            import ir_datasets

            self.parent: str = ir_datasets.docs_parent_id(ids[0])
        self.ids = ids
        self.sets = {name: _load(name) for name in ids}
        self.splits: dict[str, str] = {}
        for name, data in self.sets.items():
            if not data.has_docs() or data.docs_handler() != first.docs_handler():
                raise _refused(
                    name, f"does not have the documents of {ids[0]!r}", "collect it by itself"
                )
            if data.has_qrels() and data.has_queries():
                below = name.removeprefix(self.parent).strip("/")
                self.splits[below.replace("/", "-") or "all"] = name

    def facts(self) -> dict[str, Any]:
        """Return library version, id and file hash where told, else content hashes.

        The library pins its own downloads by hash; what a user registers is known by content only.
        """
        asked = [name for name, data in self.sets.items() if data.has_queries()]
        return {
            "corpus": self._fact("docs", [self.parent], self.documents),
            "queries": self._fact("queries", asked, self.queries) if asked else None,
            "qrels": {
                split: self._fact("qrels", [name], partial(self.judgements, split))
                for split, name in self.splits.items()
            },
        }

    def documents(self) -> Iterator[Document]:
        """Yield every document."""
        fields: tuple[str, ...] | None = None
        body: str | None = None
        place = f"ir_datasets {self.parent}"
        for number, doc in enumerate(self._stream(self.ids[0], "docs_iter"), 1):
            if fields is None:
                fields = tuple(getattr(doc, "_fields", ()))
                body = next((name for name in _BODIES if name in fields), None)
            if body is not None and "title" in fields:
                title, text = doc.title or "", getattr(doc, body) or ""
            else:
                title, text = "", doc.default_text()
            yield (
                checked_text(str(doc.doc_id), place, number),
                checked_text(title, place, number),
                checked_text(text, place, number),
            )

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield the queries of all ids, each query_id once, in the order of the ids."""
        seen: dict[str, str] = {}
        for name, data in self.sets.items():
            place = f"ir_datasets {name}"
            rows = self._stream(name, "queries_iter") if data.has_queries() else ()
            for number, query in enumerate(rows, 1):
                query_id = checked_text(str(query.query_id), place, number)
                text = checked_text(query.default_text(), place, number)
                if len(self.sets) == 1:
                    yield query_id, text  # not remembered: a query twice is for the survey to find
                elif query_id not in seen:
                    seen[query_id] = text
                    yield query_id, text
                elif seen[query_id] != text:
                    raise _refused(
                        name,
                        f"has another text for query {query_id!r} than the ids before it",
                        "collect the ids one by one",
                    )

    def judgements(self, split: str) -> Iterator[Judgement]:
        """Yield the judgements of one split."""
        name = self.splits[split]
        for qrel in self._stream(name, "qrels_iter"):
            place = f"ir_datasets {name}, query {qrel.query_id!r}, document {qrel.doc_id!r}"
            yield str(qrel.query_id), str(qrel.doc_id), grade_of(qrel.relevance, place)

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the id that the data come from."""
        name = self.splits[split] if role == "qrels" else "+".join(self.ids)
        return f"ir_datasets {name}"

    def _stream(self, name: str, method: str) -> Iterator[Any]:
        with _explained(name):
            yield from getattr(self.sets[name], method)()

    def _fact(self, role: str, names: list[str], rows: Callable[[], Iterable[Any]]) -> Any:
        if set(names) <= _own_ids():
            import ir_datasets

            hashes = [self._file_hash(name, role) for name in names]
            if None not in hashes:
                return {"ids": names, "library": ir_datasets.__version__, "files": hashes}
        digest = hashlib.sha256()
        for row in rows():
            digest.update(json.dumps(row).encode() + b"\n")
        return digest.hexdigest()

    def _file_hash(self, name: str, role: str) -> str | None:
        """Return the hash of the file behind a handler, where it shows one."""
        data = self.sets.get(name) or _load(name)
        path_of = getattr(getattr(data, f"{role}_handler")(), f"{role}_path", None)
        if path_of is None:
            return None
        with _explained(name):
            path = Path(path_of())
            return sha256_of(path) if path.is_file() else None


def _load(name: str) -> Any:
    import ir_datasets

    try:
        return ir_datasets.load(name)
    except KeyError as error:
        raise BadInput(
            f"ir_datasets has no data set {name!r}",
            where=f"ir_datasets {ir_datasets.__version__}",
            do=nearest(name, sorted(ir_datasets.registry)),
        ) from error


def _judged_below(name: str) -> list[str]:
    """Return the ids one level below that have judgements over the same documents."""
    import ir_datasets

    handler = ir_datasets.load(name).docs_handler()
    ids = []
    for other in sorted(ir_datasets.registry):
        if other.rpartition("/")[0] == name:
            data = ir_datasets.load(other)
            if data.has_qrels() and data.has_docs() and data.docs_handler() == handler:
                ids.append(other)
    return ids


@cache
def _own_ids() -> frozenset[str]:
    """Return the ids that the library itself ships, in contrast to those registered by a user."""
    text = (resources.files("ir_datasets") / "etc" / "metadata.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text))


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except _READING_ERRORS as error:
        raise _refused(
            name,
            f"cannot be read: {type(error).__name__}: {str(error)[:300]}",
            "ir_datasets says this; check its files below ~/.ir_datasets and the network",
        ) from error


def _refused(name: str, what: str, do: str) -> BadInput:
    return BadInput(f"the data set {name!r} {what}", where="ir_datasets", do=do)
