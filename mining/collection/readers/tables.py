"""Tables in memory as a collection: polars, pandas, Arrow, Hub data sets, dicts and lists of dicts.

Whatever offers Arrow's interface (`__arrow_c_stream__`, or `to_arrow`, or a Hub data set's table)
is taken without a copy where its types allow. Columns go by the names that files have
(`columns.py`). What identifies the collection is a hash of ids, texts and grades, so the same
content in another kind of table is the same collection.
"""

from __future__ import annotations

import hashlib
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Set, ValuesView
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import BadInput, UsageError
from ...inputs import column_names as columns
from ...inputs.row_shapes import one_id, one_text, shown
from ..base import BLOCK, Judged, Outline, Texts, outlines
from ..lines import grade_of
from ..policies import Oddities, Policies
from .arrow_tables import arrow_table, of_rows, plain_number
from .parquet_rows import grades_of, ids_of, judged_columns, texts_of, wanted


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What `collect` is given instead of a text: documents, and queries and judgements if any.

    `documents` and `queries`: a table, rows as dictionaries or as pairs (id, text), a mapping from
    id to text (or to `{"title": …, "text": …}`), or texts, whose ids are "0", "1", …. `qrels`: a
    table of query, document and grade or such triples (the split `all`), a mapping from split to
    these, or `{query_id: {doc_id: grade}}`. Rows and texts may come from a generator, which is read
    once.
    """

    documents: Any
    queries: Any = None
    qrels: Any = None


_SUCH_AS = {
    "documents": 'documents={"d1": "cats sleep"}',
    "queries": 'queries={"q1": "cats"}',
    "qrels": 'qrels={"q1": {"d1": 1}}',
}
"""How each of the tables is written, as small as it can be."""


def _refuse_empty(tables: Tables) -> None:
    """Refuse tables without rows: nothing was read where they came from, most of the time."""
    for what, sample in _SUCH_AS.items():
        given = getattr(tables, what)
        for name, one in [(what, given), *_inside(what, given)]:
            if hasattr(one, "__len__") and not isinstance(one, str | bytes) and not len(one):
                raise BadInput(
                    f"{name}: there are no {_ROWS[what]}, {shown(one)} is empty",
                    where=f"{name}=",
                    do=f"write {sample}" + ("" if what == "documents" else ", or leave it out"),
                )


_ROWS = {"documents": "documents", "queries": "queries", "qrels": "judgements"}


def _inside(what: str, given: Any) -> Iterator[tuple[str, Any]]:
    """Yield the judgements of each split, where there are several."""
    if what == "qrels" and isinstance(given, Mapping) and not _by_query(given):
        yield from ((f"qrels[{split!r}]", one) for split, one in given.items())


class TableReader:
    """Reads tables; `fields` has no meaning for them."""

    def __init__(self, tables: Tables):
        self.on = Policies()
        _refuse_empty(tables)
        self.corpus = _texts_table("documents", tables.documents, "doc_id")
        self.asked: pa.Table | None = None
        if tables.queries is not None:
            self.asked = _texts_table("queries", tables.queries, "query_id")
        self.qrels = {} if tables.qrels is None else _splits(tables.qrels)
        if self.qrels and self.asked is None:
            raise UsageError(
                "qrels without queries: no queries were given",
                do="give queries=… too: ids and texts",
            )

    def facts(self) -> dict[str, Any]:
        """Return hashes of the content."""
        return {
            "corpus": _hash(self.documents()),
            "queries": _hash(self.queries()) if self.asked is not None else None,
            "qrels": {split: _hash([self.judgements(split)]) for split in self.qrels},
        }

    def documents(self) -> Iterator[Texts]:
        """Yield every document; a missing title is empty."""
        return _texts("documents", self.corpus, columns.CORPUS_ID, columns.TEXT, title=True)

    def queries(self) -> Iterator[Texts]:
        """Yield every query."""
        if self.asked is None:
            return iter(())
        return _texts("queries", self.asked, columns.TOPIC_ID, columns.QUERY_TEXT, title=False)

    def outline(self, role: str) -> Iterator[Outline]:
        """Yield the outlines of the documents or queries."""
        blocks = self.documents() if role == "corpus" else self.queries()
        return outlines(blocks, self.on.looks_for_empty(role))

    def judgements(self, split: str) -> Judged:
        """Return the judgements of one split."""
        where, table = self.place("qrels", split), self.qrels[split]
        names = table.column_names
        query, doc, grade = judged_columns(where, names)
        batch = _one_batch(table.select([query, doc, grade]))
        return Judged(
            ids_of(where, batch, query, 0),
            ids_of(where, batch, doc, 0),
            grades_of(where, batch[grade]),
            where,
            np.arange(1, len(batch) + 1, dtype=np.int64),
            "row",
        )

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return nothing: tables have no lines that could be odd."""
        return Oddities()

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the argument's name."""
        name = {"corpus": "documents"}.get(role, role)
        return f"{name}[{split!r}]" if split and split != "all" else f"{name}="


def _texts_table(what: str, given: Any, id_name: str) -> pa.Table:
    """Return documents or queries as a table; a mapping from ids has texts or rows as values, texts
    in a list are called by their places, "0", "1", …"""
    given = _in_order(what, given)
    if isinstance(given, Mapping):
        values = list(given.values())
        if values and all(hasattr(v, "features") for v in values):  # splits of a Hub data set
            if len(values) > 1:
                raise UsageError(
                    f"{what}: a data set of the splits {', '.join(map(str, given))}",
                    do=f"give one of them: {what}=data[{next(iter(given))!r}]",
                )
            return arrow_table(values[0], what)
        if _are_texts(given):
            _refuse_one_row(what, given)
            ids = [_own_id(key, what) for key in given]
            texts = [one_text(text, "text", f"{what}[{key!r}]") for key, text in given.items()]
            return _id_and_text(id_name, ids, texts)
        if all(isinstance(v, Mapping) for v in values):
            return of_rows([_own_row(what, key, row, id_name) for key, row in given.items()], what)
    if isinstance(given, list | tuple) and any(isinstance(t, str) for t in given):
        texts = [one_text(text, "text", f"{what}[{row}]") for row, text in enumerate(given)]
        return _id_and_text(id_name, [str(row) for row in range(len(given))], texts)
    return arrow_table(given, what)


def _are_texts(given: Mapping[Any, Any]) -> bool:
    """Say whether a mapping is from ids to texts, be one of them none; of columns one is called
    like a column."""
    texts = [value is None or isinstance(value, str) for value in given.values()]
    called = columns.named(map(str, given), (*columns.CORPUS_ID, *columns.TOPIC_ID, *columns.TEXT))
    return all(texts) or (any(texts) and not called)


def _in_order(what: str, given: Any) -> Any:
    """Return what is read once, or has a way of its own to hold texts, as a list or a mapping; what
    is a table as it is. Raises BadInput for a set, whose order is another one in every process."""
    if isinstance(given, Set) and not isinstance(given, ItemsView):
        raise BadInput(
            f"{what}: a set has no order, so its texts have no places",
            where=f"{what}=",
            do=f"write {what}=sorted(…), or give each an id: {_SUCH_AS[what]}",
        )
    if hasattr(given, "to_list") and not hasattr(given, "columns"):  # a column of a frame
        named = hasattr(given, "index") and hasattr(given, "items")  # of pandas, with its labels
        return dict(given.items()) if named else given.to_list()
    if isinstance(given, np.ndarray) and given.ndim == 1:
        return given.tolist()
    if isinstance(given, Iterator | ValuesView | ItemsView):
        return list(given)
    return given


def _id_and_text(id_name: str, ids: list[str], texts: list[str]) -> pa.Table:
    return pa.table({id_name: pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())})


def _own_id(key: Any, what: str) -> str:
    """Return the id that a key of a mapping is."""
    return one_id(int(key) if isinstance(key, np.integer) else key, "id", f"{what}[{key!r}]")


def _own_row(what: str, key: Any, row: Mapping[Any, Any], id_name: str) -> dict[str, Any]:
    """Return a row of a mapping with its key as the id; an id of its own has to be the same."""
    own = _own_id(key, what)
    for name in columns.named(map(str, row), columns.CORPUS_ID):
        if str(row[name]) != own:
            raise BadInput(
                f"the row has {name!r}: {shown(row[name])}, and stands under {shown(own)}",
                where=f"{what}[{key!r}]",
                do="the key of the mapping is the id: leave the other out",
            )
    others = {k: v for k, v in row.items() if not columns.named([str(k)], columns.CORPUS_ID)}
    return {id_name: own, **others}


def _refuse_one_row(what: str, given: Mapping[Any, Any]) -> None:
    """Refuse one row where a mapping from ids to texts should stand."""
    names = list(map(str, given))
    ids = columns.TOPIC_ID if what == "queries" else columns.CORPUS_ID
    if columns.named(names, ids) and columns.named(names, columns.QUERY_TEXT):
        raise BadInput(
            f"{', '.join(map(repr, names))} look like the columns of one row, not like ids",
            where=what,
            do="give rows as a list, [{…}], columns as lists, or {id: text}",
        )


def _splits(given: Any) -> dict[str, pa.Table]:
    """Return the judgements by split."""
    if not isinstance(given, Mapping) or columns.named(map(str, given), columns.TOPIC_ID):
        return {"all": arrow_table(given, "qrels")}
    if _by_query(given):
        return {"all": _of_mapping(given, "qrels")}
    _refuse_no_grades("qrels", given)
    return {str(split): _of_split(split, one) for split, one in given.items()}


def _of_split(split: Any, given: Any) -> pa.Table:
    what = f"qrels[{split!r}]"
    if isinstance(given, Mapping) and given and _by_query(given):
        return _of_mapping(given, what)
    if isinstance(given, Mapping) and not columns.named(map(str, given), columns.TOPIC_ID):
        _refuse_no_grades(what, given)
    return arrow_table(given, what)


def _refuse_no_grades(what: str, given: Mapping[Any, Any]) -> None:
    """Refuse `{query_id: [doc_id, …]}`: documents without a grade."""
    for query, docs in given.items():
        alone = isinstance(docs, str | int) or (
            isinstance(docs, list | tuple | Set)
            and bool(docs)
            and not any(isinstance(doc, Mapping | list | tuple) for doc in docs)
        )
        if alone:
            first = docs if isinstance(docs, str | int) else next(iter(docs))
            raise BadInput(
                f"{what}[{query!r}]: {shown(docs)} says no grade of a document",
                where=f"{what}=",
                do=f"write {{{query!r}: {{{first!r}: 1}}}}: the grade of each document, by its id",
            )


def _by_query(given: Mapping[Any, Any]) -> bool:
    """Say whether a mapping is `{query_id: {doc_id: grade}}`: no columns below, and no tables."""
    docs = [one for one in given.values() if isinstance(one, Mapping)]
    grades = [grade for one in docs for grade in one.values()]
    return len(docs) == len(given) and all(
        isinstance(grade, str) or not hasattr(grade, "__len__") for grade in grades
    )


def _of_mapping(given: Mapping[Any, Mapping[Any, Any]], what: str) -> pa.Table:
    """Return the judgements of `{query_id: {doc_id: grade}}`."""
    rows = []
    for query, docs in given.items():
        query_id, where = _own_id(query, what), f"{what}[{query!r}]"
        for doc, grade in docs.items():
            number = grade_of(plain_number(grade), f"{where}[{doc!r}]")
            rows.append((query_id, _own_id(doc, where), number))
    columns_of = zip(*rows, strict=True) if rows else ((), (), ())
    schema = pa.schema({"query_id": pa.string(), "doc_id": pa.string(), "grade": pa.int32()})
    return pa.table([list(column) for column in columns_of], schema=schema)


def _texts(
    where: str, table: pa.Table, ids: columns.Names, texts: columns.Names, *, title: bool
) -> Iterator[Texts]:
    names, number = table.column_names, 0
    place = f"{where}="
    id_name = wanted(place, names, ids)
    text = wanted(place, names, texts, but=id_name)
    titled = title and columns.first_named(names, columns.TITLE) is not None
    heading = wanted(place, names, columns.TITLE) if titled else None
    for batch in table.to_batches(max_chunksize=BLOCK):
        yield Texts(
            ids_of(place, batch, id_name, number),
            texts_of(place, batch, heading, number, nulls=True) if title else None,
            texts_of(place, batch, text, number),
            place,
            np.arange(number + 1, number + 1 + len(batch), dtype=np.int64),
            "row",
        )
        number += len(batch)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _hash(blocks: Iterable[Texts | Judged]) -> str:
    """Return the SHA-256 of ids, titles, texts and grades: of lengths and bytes, column by column.

    Blocks are cut by rows alone, so how a table was chunked says nothing.
    """
    digests: dict[str, Any] = {}
    rows = 0
    for block in blocks:
        rows += len(block)
        for name in ("ids", "titles", "texts", "query_ids", "doc_ids", "grades"):
            column = getattr(block, name, None)
            if column is not None:
                _feed(digests.setdefault(name, (hashlib.sha256(), hashlib.sha256())), column)
    whole = hashlib.sha256(str(rows).encode())
    for name, (lengths, data) in digests.items():
        whole.update(name.encode() + lengths.digest() + data.digest())
    return whole.hexdigest()


def _feed(digests: tuple[Any, Any], column: Any) -> None:
    lengths, data = digests
    if isinstance(column, np.ndarray):
        data.update(np.ascontiguousarray(column, np.int32).data)
        return
    large = column.cast(pa.large_string())
    if not len(large):
        return
    _, starts, held = large.buffers()
    offsets = np.frombuffer(starts, np.int64)[large.offset :][: len(large) + 1]
    lengths.update(np.diff(offsets).data)
    if held is not None:
        data.update(held[int(offsets[0]) : int(offsets[-1])])
