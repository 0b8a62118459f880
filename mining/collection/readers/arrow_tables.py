"""Whatever holds rows as an Arrow table: frames, data sets, columns, rows with or without names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import BadInput, UsageError
from ...inputs import column_names as columns
from ...inputs.row_shapes import one_text, shown


def arrow_table(given: Any, what: str) -> pa.Table:
    """Return a table of any kind as an Arrow table; raises UsageError for what is none.

    Taken are Arrow tables, batches and readers, polars and pandas frames (lazy ones are
    collected), Hub data sets, a mapping from column to values, and rows as dictionaries.
    """
    try:
        if isinstance(given, pa.Table):
            return given
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        if isinstance(given, pa.RecordBatchReader):
            return given.read_all()
        if hasattr(given, "collect_schema") and hasattr(given, "collect"):  # a lazy polars frame
            given = given.collect()
        if hasattr(given, "data") and hasattr(given, "features"):  # a Hub data set
            return _of_the_hub(given)
        if hasattr(given, "__arrow_c_stream__"):  # polars, pandas ≥ 2.2, DuckDB, …
            return pa.table(given)
        if hasattr(given, "to_arrow"):
            return pa.table(given.to_arrow())
        if hasattr(given, "iloc") and hasattr(given, "columns"):  # an older pandas
            return pa.Table.from_pandas(given, preserve_index=False)
        if isinstance(given, Mapping):
            return _even(
                _columns({str(n): _listed(v, str(n), what) for n, v in given.items()}, what), what
            )
        if isinstance(given, Iterable) and not isinstance(given, str | bytes):
            return of_rows(list(given), what)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{what}: {shown(given)} cannot be read as columns",
            do="give every column one type: ids and texts as strings, grades as whole numbers",
        ) from error
    raise UsageError(
        f"{what}: {article(type(given).__name__)} is no table: {shown(given)}",
        do="give a polars, pandas or Arrow table, a Hub data set, a dict, or a list of dicts",
    )


def article(noun: str) -> str:
    """Return a noun with its article: `an int`."""
    return f"a{'n' if noun[:1].lower() in 'aeiou' else ''} {noun}"


def _listed(values: Any, name: str, what: str) -> Any:
    """Return the values of a column; a text is none, though it could be taken for its letters."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise BadInput(
            f"{what}: the column {name!r} cannot be read: {shown(values)} is one value, not a "
            "column of them",
            do=f"give a list: {{{name!r}: [{shown(values)}, …]}}",
        )
    return values if isinstance(values, list | np.ndarray) else list(values)


def _even(made: Mapping[str, pa.Array], what: str) -> pa.Table:
    """Return columns as a table; raises BadInput for columns of several lengths."""
    lengths = {name: len(column) for name, column in made.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length:,}" for name, length in lengths.items())
        raise BadInput(
            f"{what}: columns of several lengths: {told}",
            do="give every column a value for every row",
        )
    return pa.table(dict(made))


def _columns(given: Mapping[str, Any], what: str) -> dict[str, pa.Array]:
    """Return columns as Arrow has them: whole numbers beside texts are ids as texts.

    What cannot be read is refused with the column, unless its name means nothing here.
    """
    made: dict[str, pa.Array] = {}
    for name, values in given.items():
        try:
            made[name] = pa.array(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            mixed = [value for value in values if value is not None]
            if all(isinstance(v, str | int) and not isinstance(v, bool) for v in mixed):
                made[name] = _texts_of(values, name, what)
            elif columns.first_named([name], _MEANT):
                raise BadInput(
                    f"{what}: the column {name!r} cannot be read: it holds {shown(values)}",
                    do="give it one type: ids and texts as strings, grades as whole numbers",
                ) from error
    return made


def _texts_of(values: Iterable[Any], name: str, what: str) -> pa.Array:
    """Return texts and whole numbers as texts; raises BadInput with the row of half a character."""
    made = []
    for number, value in enumerate(values, 1):
        if value is not None and not isinstance(value, str):
            value = str(value)
        made.append(value and one_text(value, name, f"{what}, row {number}"))
    return pa.array(made, pa.string())


_MEANT = (
    *columns.CORPUS_ID, *columns.TOPIC_ID, *columns.TITLE, *columns.QUERY_TEXT, *columns.GRADE,
)  # fmt: skip


_TEXTS = 'write {"id": …, "text": …} or (id, text); a list of texts holds nothing but texts'
_QRELS = '{"query_id": …, "doc_id": …, "grade": 1}, ("q1", "d1", 1), or all as {"q1": {"d1": 1}}'
_ROW_OF = {
    "documents": _TEXTS,
    "queries": _TEXTS,
    "qrels": f"write {_QRELS}",
    "triples": "write (query, positive, negative)",
    "test": "write (query, positive)",
}


def _of_the_hub(given: Any) -> pa.Table:
    """Return the rows of a Hub data set; chosen or shuffled ones are an index over its table."""
    table = getattr(given.data, "table", given.data)
    chosen = getattr(given, "_indices", None)
    if chosen is not None:
        table = table.take(getattr(chosen, "table", chosen).column(0))
    return pa.table(table)


_PLACED = {
    "documents": ("doc_id", "text"),
    "queries": ("query_id", "text"),
    "qrels": ("query_id", "doc_id", "grade"),
}
"""What the values of a row are that has no names for them."""


def of_rows(rows: list[Any], what: str) -> pa.Table:
    """Return rows as a table: dictionaries, or, where it is said what they hold, values in order.

    Raises BadInput with the number of a row that is neither.
    """
    kind = what.partition("[")[0]
    placed = _PLACED.get(kind, ())
    for at, row in enumerate(rows):
        if isinstance(row, tuple | list | np.ndarray) and placed and len(row) == len(placed):
            rows[at] = dict(zip(placed, map(plain_number, row), strict=True))
        elif not isinstance(row, Mapping):
            raise BadInput(
                f"this row is {article(type(row).__name__)}, not a dictionary: {shown(row)}",
                where=f"{what}, row {at + 1}",
                do=_ROW_OF.get(kind, 'write {"query_id": …, "score": …}, or [[2.0, 0.5], …]'),
            )
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return pa.table(_columns({name: [row.get(name) for row in rows] for name in names}, what))


def plain_number(value: Any) -> Any:
    """Return a number of NumPy as Python's."""
    return value.item() if isinstance(value, np.generic) else value
