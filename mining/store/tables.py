"""The Arrow schema of every kind of artifact, and what a row must mean (validation level 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..pair_keys import pair_keys

FORMAT_VERSION = 2
"""Of manifests, fingerprints and canonical texts. 2: texts leave out what is neutral (`names`)."""

CORPUS = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])
TITLED_CORPUS = CORPUS.append(pa.field("title_bytes", pa.uint32()))
QUERIES = pa.schema([("query_id", pa.string()), ("text", pa.string())])
QRELS = pa.schema([("query", pa.uint32()), ("doc", pa.uint32()), ("grade", pa.int16())])
RUN = pa.schema(
    [
        ("query", pa.uint32()),
        ("doc", pa.list_(pa.uint32())),
        ("score", pa.list_(pa.float32())),
    ]
)
DRAWN_RUN = RUN.append(pa.field("inclusion", pa.list_(pa.float32())))
SCORES = pa.schema(
    [
        ("query", pa.uint32()),
        ("doc", pa.list_(pa.uint32())),
        ("logit", pa.list_(pa.float32())),
    ]
)

# Kinds whose rows answer for queries: rows + dropped = keys of the plan (invariant 4, the books
# balance).
KEYED_BY_QUERY = {"run", "pool", "scores", "design", "groups", "statistics", "evaluation"}
# Kinds with exactly one row per key (document or query ordinal).
KEYED_BY_ROW = {"tokens", "vectors", "copy-keys"}


def pool_schema(labels: Iterable[str]) -> pa.Schema:
    """Return the pool's schema: `rank[label]` and `score[label]` lists for each source label."""
    fields = [pa.field("query", pa.uint32()), pa.field("doc", pa.list_(pa.uint32()))]
    for label in labels:
        fields.append(pa.field(f"rank[{label}]", pa.list_(pa.uint16())))
        fields.append(pa.field(f"score[{label}]", pa.list_(pa.float32())))
    return pa.schema(fields)


def groups_schema(size: int) -> pa.Schema:
    """Return the schema of groups of `size` documents, the positive at index 0."""
    return pa.schema(
        [
            ("query", pa.uint32()),
            ("doc", pa.list_(pa.uint32(), size)),
            ("score", pa.list_(pa.float32(), size)),
            ("grade", pa.list_(pa.int8(), size)),
            ("inclusion", pa.list_(pa.float32(), size)),
        ]
    )


def design_schema(size: int) -> pa.Schema:
    """Return the schema of a blocked design: a group of `size` per query and cell, the first
    `positives` of it positive, with the locality and entropy aimed at and reached."""
    measured = ("locality_target", "locality", "entropy_target", "entropy")
    return pa.schema(
        [
            ("query", pa.uint32()),
            ("near", pa.uint8()),
            ("sure", pa.uint8()),
            ("positives", pa.uint16()),
            ("doc", pa.list_(pa.uint32(), size)),
            ("score", pa.list_(pa.float32(), size)),
            ("grade", pa.list_(pa.int8(), size)),
            *((name, pa.float64()) for name in measured),
        ]
    )


def tokens_schema(vocabulary: int) -> pa.Schema:
    """Return the token schema: 16-bit ids where the vocabulary allows."""
    width = pa.uint16() if vocabulary <= 1 << 16 else pa.uint32()
    return pa.schema([("ids", pa.list_(width))])


def vectors_schema(width: int, dtype: str) -> pa.Schema:
    """Return the schema of row-wise vectors: `dtype` is float16 or float32."""
    scalar = {"float16": pa.float16(), "float32": pa.float32()}[dtype]
    return pa.schema([("vector", pa.list_(scalar, width))])


def faults_of_meaning(kind: str, table: pa.Table, limits: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the meaning of one part, as sentences; empty when nothing is.

    `limits` bounds ordinals: {"query": number of queries, "doc": number of documents}, where known.
    """
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        return [f"Arrow: {error}"]
    faults = [*_ordinals_out_of_range(table, limits), *_parallel_lists_differ(table)]
    check = _MEANING.get(kind)
    return faults + (list(check(table)) if check and not faults else [])


def list_values(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return (offsets [n+1] int64 from 0, flat values) of a list or fixed-size-list column, zero
    copy.

    The column must be without nulls and in one chunk, as every part of ours is.
    """
    offsets, values = flat_lists(column)
    return offsets, values.to_numpy(zero_copy_only=True)


def flat_lists(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Return what `list_values` does, the values as an Arrow array: of structs, say."""
    array = column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks copies even a single chunk
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_fixed_size_list(array.type):
        offsets = np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size
        return offsets, array.flatten()
    raw = array.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    return raw - raw[0], array.values.slice(int(raw[0]), int(raw[-1] - raw[0]))


def _ordinals_out_of_range(table: pa.Table, limits: Mapping[str, int]) -> Iterable[str]:
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


def _run_meaning(table: pa.Table) -> Iterable[str]:
    offsets, scores = list_values(table["score"])
    if not np.isfinite(scores).all():
        yield "a run holds a score that is not finite"
    inner = np.ones(max(len(scores) - 1, 0), dtype=bool)
    inner[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(scores))] - 1] = False
    # Our own sources order equal scores by document; an imported run keeps the order of its file.
    if "inclusion" not in table.column_names and not (scores[:-1] >= scores[1:])[inner].all():
        yield "a run is not ordered by falling score"
    yield from _strictly_rising(table["query"].to_numpy(), "query")


def _ascending_docs(table: pa.Table) -> Iterable[str]:
    offsets, docs = list_values(table["doc"])
    inner = np.ones(max(len(docs) - 1, 0), dtype=bool)
    inner[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(docs))] - 1] = False
    if not (docs[:-1] < docs[1:])[inner].all():
        yield "documents of a row are not strictly ascending"
    yield from _strictly_rising(table["query"].to_numpy(), "query")


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
