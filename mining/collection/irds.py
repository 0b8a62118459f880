"""Any data set of ir_datasets, read through that library's own interface."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..inputs.column_names import QUERY_TEXT
from ..inputs.row_shapes import one_id, one_text
from ..names import nearest
from ..store.files import sha256_of
from .base import Document, Judged, Outline, Texts, judged_of, outlines, texts_of
from .lines import grade_of
from .policies import Oddities, Policies
from .readers.arrow_tables import plain_number

_BODIES = ("text", "body", "abstract")
Judgement = tuple[str, str, int]
"""(query_id, doc_id, grade)."""
# What the library's readers raise on damaged files, missing files and failed downloads.
_READING_ERRORS = (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError)


class IrDatasetsReader:
    """Reads one id, or several that share their documents, joined by `+`.

    Each id with judgements is a split, named by what its id adds to the id of the documents
    (`ir:beir/nfcorpus/train+beir/nfcorpus/test` has `train` and `test`), or `all` where it adds
    nothing. An id with queries but no judgements (`ir:beir/nfcorpus`) gives the splits below it.
    Title and text are kept apart where a document has both; else its text is the library's default.
    """

    def __init__(self, spec: str, fields: Sequence[str] = ()):
        self.on, self.fields = Policies(), tuple(fields)
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
                split = below.replace("/", "-") or "all"
                if self.splits.setdefault(split, name) != name:
                    raise _refused(
                        name,
                        f"would be the split {split!r}, and so would {self.splits[split]!r}",
                        "collect them one by one",
                    )

    def facts(self) -> dict[str, Any]:
        """Return library version, id and file hash where told, else content hashes.

        The library pins its own downloads by hash; what a user registers is known by content only.
        """
        asked = [name for name, data in self.sets.items() if data.has_queries()]
        return {
            "corpus": self._fact("docs", [self.parent], self._documents),
            "queries": self._fact("queries", asked, self._queries) if asked else None,
            "qrels": {
                split: self._fact("qrels", [name], partial(self._judgements, split))
                for split, name in self.splits.items()
            },
        }

    def documents(self) -> Iterator[Texts]:
        """Yield every document."""
        rows = ((n, *row) for n, row in enumerate(self._documents(), 1))
        return texts_of(rows, f"ir_datasets {self.parent}", "document")

    def queries(self) -> Iterator[Texts]:
        """Yield the queries of all ids, each query_id once, in the order of the ids."""
        rows = ((n, query_id, None, text) for n, (query_id, text) in enumerate(self._queries(), 1))
        return texts_of(rows, f"ir_datasets {'+'.join(self.ids)}", "query")

    def judgements(self, split: str) -> Judged:
        """Return the judgements of one split."""
        rows = ((n, *row) for n, row in enumerate(self._judgements(split), 1))
        return judged_of(rows, self.place("qrels", split), "judgement")

    def outline(self, role: str) -> Iterator[Outline]:
        """Yield the outlines of the documents or queries."""
        blocks = self.documents() if role == "corpus" else self.queries()
        return outlines(blocks, self.on.looks_for_empty(role))

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return nothing: what is odd is refused."""
        return Oddities()

    def _documents(self) -> Iterator[Document]:
        parts: DocumentFields | None = None
        with _explained(self.parent):
            for number, doc in enumerate(self.sets[self.ids[0]].docs_iter(), 1):
                if parts is None:
                    parts = DocumentFields(self.parent, doc, self.fields)
                title, text = parts.of(doc, number)
                place = f"ir_datasets {self.parent}, document {number}"
                yield (
                    _id_of(doc, "doc_id", place),
                    one_text(title, "title", place),
                    one_text(text, "text", place),
                )

    def _queries(self) -> Iterator[tuple[str, str]]:
        seen: dict[str, str] = {}
        for name in self.sets:
            for query_id, text in self._queries_of(name):
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

    def _queries_of(self, name: str) -> Iterator[tuple[str, str]]:
        data = self.sets[name]
        with _explained(name):
            for number, query in enumerate(data.queries_iter() if data.has_queries() else (), 1):
                place = f"ir_datasets {name}, query {number}"
                query_id = _id_of(query, "query_id", place)
                yield query_id, one_text(query_text(name, query), "text", place)

    def _judgements(self, split: str) -> Iterator[Judgement]:
        name = self.splits[split]
        with _explained(name):
            for number, qrel in enumerate(self.sets[name].qrels_iter(), 1):
                at = f"ir_datasets {name}, judgement {number}"
                query_id, doc_id = (_id_of(qrel, of, at) for of in ("query_id", "doc_id"))
                place = f"{at}, query {query_id!r}, document {doc_id!r}"
                yield query_id, doc_id, grade_of(plain_number(qrel.relevance), place)

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the id that the data come from."""
        name = self.splits[split] if role == "qrels" else "+".join(self.ids)
        return f"ir_datasets {name}"

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


class DocumentFields:
    """What the text of a data set's documents is made of, by the type of its documents.

    With `fields`: the title if it is among them, and the others joined by a blank. Without: title
    and text (or body, or abstract) where a document has both, else the library's default text.
    """

    def __init__(self, name: str, doc: Any, fields: Sequence[str]):
        self.name = name
        known = self.known = tuple(getattr(doc, "_fields", ()))
        for one in fields:
            if one not in known:
                raise BadInput(
                    f"the documents of {name!r} have no field {one!r}",
                    where="ir_datasets",
                    do=nearest(one, known),
                )
        body = next((one for one in _BODIES if one in known), None)
        self.parts: tuple[str, ...] | None = tuple(one for one in fields if one != "title")
        self.title = "title" in fields
        if not fields:
            self.title = body is not None and "title" in known
            self.parts = (body,) if body is not None and self.title else None
        if self.parts is None and not hasattr(doc, "default_text"):
            if body is None:
                raise _refused(
                    name,
                    f"has documents without a known text: their fields are {', '.join(known)}",
                    f"name those that make up the text: --fields {','.join(known[1:]) or 'NAME'}",
                )
            self.parts = (body,)

    def of(self, doc: Any, number: int) -> tuple[str, str]:
        """Return title and text of one document."""
        title = self._text(doc.title, "title", number) if self.title else ""
        if self.parts is None:
            return title, self._text(doc.default_text(), "default_text()", number)
        texts = [self._text(getattr(doc, part), part, number) for part in self.parts]
        return title, " ".join(text for text in texts if text)

    def _text(self, value: Any, field: str, number: int) -> str:
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        texts = _texts_in(value)
        if texts is not None:
            return " ".join(text for text in texts if text)
        raise BadInput(
            f"the field {field!r} is a {type(value).__name__}, not text",
            where=f"ir_datasets {self.name}, document {number}",
            do=f"name other fields for the text by --fields; there are {', '.join(self.known)}",
        )


def _id_of(row: Any, name: str, place: str) -> str:
    """Return an id of a document, a query or a judgement; raises BadInput for what is none, be it
    None, which would pass for a text as "None"."""
    value = plain_number(getattr(row, name))
    return "" if value == "" else one_id(value, name, place)  # empty ones are the survey's to tell


def _texts_in(value: Any) -> list[str] | None:
    """Return the texts of a list, of a section with a title, or of lists of them; None where
    something else stands among them."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple):
        return None
    inner = [_texts_in(one) for one in value]
    return None if None in inner else [text for one in inner if one for text in one]


def query_text(name: str, query: Any) -> str:
    """Return the text of a query: the library's default, else the field that is called one.

    Raises BadInput where it has none.
    """
    fields = getattr(query, "_fields", ())
    known, called = ", ".join(fields), next((one for one in QUERY_TEXT if one in fields), None)
    if hasattr(query, "default_text"):
        text = query.default_text()
    elif called is not None:
        text = getattr(query, called)
    else:
        raise _refused(name, f"has queries without a text: their fields are {known}", _NO_TEXT)
    if not isinstance(text, str):
        raise _refused(
            name,
            f"has no text for query {query.query_id!r} (it is {text!r}; fields: {known})",
            _NO_TEXT,
        )
    return text


_NO_TEXT = "write the queries into a file of your own and collect that (jsonl:, tsv:)"


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


def known_ids() -> frozenset[str]:
    """Return the ids of all data sets that the installed library knows; none is fetched."""
    return _own_ids()


def is_here(spec: str) -> bool:
    """Say whether this machine holds files of the data sets that a spec names: False where reading
    them downloads them first. Raises BadInput for an id that the library does not know.

    Each data set keeps its files in a folder of its own below the library's home, the many of BEIR
    in folders below one; what a user has registered is anywhere.
    """
    for name in spec.split("+"):
        _load(name)
    own = [name for name in spec.split("+") if name in _own_ids()]
    return all(_holds_files(name) for name in own)


def _holds_files(name: str) -> bool:
    from ir_datasets.util import home_path

    first, *below = name.split("/")
    places: Iterable[Path] = [home_path() / first]
    if first == "beir" and below:
        places = (home_path() / first).glob(f"{below[0]}*")
    files = (one for place in places for one in [place, *place.rglob("*")] if one.is_file())
    return any(one.name != "irds_version.txt" for one in files)


@cache
def _own_ids() -> frozenset[str]:
    """Return the ids that the library itself ships, in contrast to those registered by a user."""
    text = (resources.files("ir_datasets") / "etc" / "metadata.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text))


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except (*_READING_ERRORS, AttributeError) as error:
        raise _refused(
            name,
            f"cannot be read: {type(error).__name__}: {str(error)[:300]}",
            "ir_datasets says this; check its files below ~/.ir_datasets and the network",
        ) from error


def _refused(name: str, what: str, do: str) -> BadInput:
    return BadInput(f"the data set {name!r} {what}", where="ir_datasets", do=do)
