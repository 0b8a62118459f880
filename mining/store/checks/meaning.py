"""What a part must be before a kernel sees it: the schema of its kind, offsets that rise within
their values, no nulls, ordinals that exist, queries that rise; and what its rows must mean.

Kernels do not check bounds. So these are checked once per part and process, over whole columns, by
the kind of the artifact and nowhere else (docs/faults.md §7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...pair_keys import pair_keys
from .. import tables
from ..tables import flat_lists, list_values

_SHOWN = 200  # letters of a list of columns
Limits = Mapping[str, int]
"""How many there are: {"query": queries, "doc": documents, "block": documents of a block of
postings}, as far as it is known."""


def faults_of_meaning(kind: str, table: pa.Table, limits: Limits) -> list[str]:
    """Return what is wrong with the meaning of one part, as sentences; empty when nothing is."""
    faults = faults_of_shape(kind, table, limits)
    check = _MEANING.get(kind)
    return faults or (list(check(table)) if check else [])


def faults_of_shape(kind: str, table: pa.Table, limits: Limits) -> list[str]:
    """Return what of a part a kernel, or a reader of ids, could stumble over: a schema that is not
    its kind's, offsets, text that is no UTF-8, nulls, ordinals that do not exist."""
    expected = _SCHEMAS.get(kind, _any)(table.schema)
    if _columns(table.schema) != _columns(expected):
        return [f"has the columns {_said(table.schema)}; those of {kind} are {_said(expected)}"]
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        return [f"Arrow: {error}"]
    faults = [*_nulls(kind, table), *_ordinals_out_of_range(table, limits)]
    faults += _parallel_lists_differ(table)
    bounded = _BOUNDED.get(kind)
    return faults or (list(bounded(table, limits)) if bounded else [])


def _columns(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _said(schema: pa.Schema) -> str:
    said = ", ".join(f"{field.name}: {field.type}" for field in schema)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"


# ---- the schema of each kind -------------------------------------------------------------------


def _any(schema: pa.Schema) -> pa.Schema:
    return schema


def _one_of(*known: pa.Schema) -> Callable[[pa.Schema], pa.Schema]:
    return lambda schema: next((k for k in known if _columns(k) == _columns(schema)), known[0])


def _size(schema: pa.Schema, name: str) -> int:
    place = schema.get_field_index(name)
    listed = place >= 0 and pa.types.is_fixed_size_list(schema.field(place).type)
    return schema.field(place).type.list_size if listed else 1


def _pool(schema: pa.Schema) -> pa.Schema:
    ranks = (name for name in schema.names if name.startswith("rank[") and name.endswith("]"))
    return tables.pool_schema(name[len("rank[") : -1] for name in ranks)


def _vectors(schema: pa.Schema) -> pa.Schema:
    known = [tables.vectors_schema(_size(schema, "vector"), t) for t in ("float16", "float32")]
    return _one_of(*known)(schema)


def _by_query(schema: pa.Schema) -> pa.Schema:
    """A query, and columns of any numbers or texts."""
    first = pa.schema([("query", pa.uint32())])
    for field in schema:
        if field.name != "query" and not pa.types.is_nested(field.type):
            first = first.append(field)
    return first


_SCHEMAS: dict[str, Callable[[pa.Schema], pa.Schema]] = {
    "corpus": _one_of(tables.CORPUS, tables.TITLED_CORPUS),
    "queries": _one_of(tables.QUERIES),
    "qrels": _one_of(tables.QRELS),
    "run": _one_of(tables.RUN, tables.DRAWN_RUN),
    "pool": _pool,
    "scores": _one_of(tables.SCORES),
    "groups": lambda schema: tables.groups_schema(_size(schema, "doc")),
    "design": lambda schema: tables.design_schema(_size(schema, "doc")),
    "tokens": _one_of(tables.tokens_schema(1), tables.tokens_schema(1 << 20)),
    "vectors": _vectors,
    "postings": _one_of(tables.POSTINGS),
    "copy-keys": _one_of(tables.COPY_KEYS),
    "statistics": _by_query,
    "evaluation": _by_query,
}

_WITH_NULLS = {"statistics", "evaluation"}  # where a value is not defined; never the query


def _nulls(kind: str, table: pa.Table) -> Iterator[str]:
    if kind not in _SCHEMAS:
        return
    for name in table.column_names:
        if kind in _WITH_NULLS and name != "query":
            continue
        if any(_has_nulls(chunk) for chunk in table[name].chunks):
            yield f"column {name!r} holds nulls"


def _has_nulls(array: pa.Array) -> bool:
    if array.null_count:
        return True
    if pa.types.is_struct(array.type):
        return any(_has_nulls(array.field(place)) for place in range(array.type.num_fields))
    return pa.types.is_nested(array.type) and _has_nulls(array.values)


# ---- values that are places --------------------------------------------------------------------


def _ordinals_out_of_range(table: pa.Table, limits: Limits) -> Iterable[str]:
    for name in ("query", "doc"):
        if name not in table.column_names or name not in limits or not table.num_rows:
            continue
        column = table[name]
        flat = pc.list_flatten(column) if pa.types.is_nested(column.type) else column
        largest = pc.max(flat).as_py()
        if largest is not None and largest >= limits[name]:
            yield f"column {name!r} names ordinal {largest}, only {limits[name]} exist"


def _parallel_lists_differ(table: pa.Table) -> Iterable[str]:
    lists = [f.name for f in table.schema if pa.types.is_list(f.type)]
    if not lists:
        return
    lengths = pc.list_value_length(table[lists[0]])
    for name in lists[1:]:
        same = pc.equal(lengths, pc.list_value_length(table[name]))
        if not pc.all(same, min_count=0).as_py():  # of no rows, all are equal
            yield f"lists of {name!r} and {lists[0]!r} differ in length"


def _postings_in_block(table: pa.Table, limits: Limits) -> Iterable[str]:
    _, pairs = flat_lists(table["postings"])
    doc = pc.max(pairs.field("doc")).as_py()
    if doc is not None and doc >= limits.get("block", doc + 1):
        yield f"a posting names document {doc} of its block, which has {limits['block']}"
    if doc is not None and pc.min(pairs.field("tf")).as_py() < 1:
        yield "a posting says that its term does not stand there"


def _titles_within_texts(table: pa.Table, _: Limits) -> Iterable[str]:
    if "title_bytes" in table.column_names:
        within = pc.less_equal(table["title_bytes"], pc.binary_length(table["text"]))
        if not pc.all(within, min_count=0).as_py():
            yield "a title is longer than the text that it begins"


def _levels_within_groups(table: pa.Table, _: Limits) -> Iterable[str]:
    size = table.schema.field("doc").type.list_size
    most = pc.max(table["positives"]).as_py()
    if most is not None and most > size:
        yield f"a group of {size} has {most} positives"


def _queries_rise(table: pa.Table, _: Limits) -> Iterable[str]:
    """Lists of several artifacts are joined by searching in their queries."""
    yield from _strictly_rising(table["query"].to_numpy(), "query")


def _judged_queries_rise(table: pa.Table, _: Limits) -> Iterable[str]:
    values = table["query"].to_numpy()
    if not (values[:-1] <= values[1:]).all():
        yield "query falls"


_BOUNDED: dict[str, Callable[[pa.Table, Limits], Iterable[str]]] = {
    "corpus": _titles_within_texts,
    "design": _levels_within_groups,
    "pool": _queries_rise,
    "postings": _postings_in_block,
    "qrels": _judged_queries_rise,
    "run": _queries_rise,
    "scores": _queries_rise,
}

# ---- what rows must mean -----------------------------------------------------------------------


def _run_meaning(table: pa.Table) -> Iterable[str]:
    offsets, scores = list_values(table["score"])
    if not np.isfinite(scores).all():
        yield "a run holds a score that is not finite"
    inner = np.ones(max(len(scores) - 1, 0), dtype=bool)
    inner[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(scores))] - 1] = False
    # Our own sources order equal scores by document; an imported run keeps the order of its file.
    if "inclusion" not in table.column_names and not (scores[:-1] >= scores[1:])[inner].all():
        yield "a run is not ordered by falling score"


def _ascending_docs(table: pa.Table) -> Iterable[str]:
    offsets, docs = list_values(table["doc"])
    inner = np.ones(max(len(docs) - 1, 0), dtype=bool)
    inner[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(docs))] - 1] = False
    if not (docs[:-1] < docs[1:])[inner].all():
        yield "documents of a row are not strictly ascending"


def _scores_meaning(table: pa.Table) -> Iterable[str]:
    _, logits = list_values(table["logit"])
    if not np.isfinite(logits).all():
        yield "a teacher score is not finite"
    yield from _ascending_docs(table)


def _groups_meaning(table: pa.Table) -> Iterable[str]:
    _, scores = list_values(table["score"])
    if not np.isfinite(scores).all():
        yield "a group holds a teacher score that is not finite"
    _, docs = list_values(table["doc"])
    size = table.schema.field("doc").type.list_size
    ordered = np.sort(docs.reshape(-1, size), axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        yield "a group holds a document twice"


def _design_meaning(table: pa.Table) -> Iterable[str]:
    rows = np.unique(table["query"].to_numpy(), return_counts=True)[1]
    if len(np.unique(rows)) > 1:
        yield "a block does not hold every cell"
    yield from _groups_meaning(table)


def _qrels_meaning(table: pa.Table) -> Iterable[str]:
    keys = pair_keys(table["query"].to_numpy(), table["doc"].to_numpy())
    yield from _strictly_rising(keys, "(query, doc)")


def _strictly_rising(values: np.ndarray, name: str) -> Iterable[str]:
    if not (values[:-1] < values[1:]).all():
        yield f"{name} is not strictly ascending"


_MEANING: dict[str, Callable[[pa.Table], Iterable[str]]] = {
    "run": _run_meaning,
    "pool": _ascending_docs,
    "scores": _scores_meaning,
    "design": _design_meaning,
    "groups": _groups_meaning,
    "qrels": _qrels_meaning,
}
