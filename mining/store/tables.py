"""The Arrow schema of every kind of artifact."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

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


POSTINGS = pa.schema(
    [
        ("term", pa.string()),
        ("postings", pa.list_(pa.struct([("doc", pa.uint16()), ("tf", pa.uint8())]))),
    ]
)
COPY_KEYS = pa.schema([("key", pa.uint64())])


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
