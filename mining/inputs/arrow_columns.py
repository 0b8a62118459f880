"""Columns of Arrow tables that users bring: ids in any of their types, and lists of values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    one = column.combine_chunks()
    return pa.concat_arrays(one.chunks) if isinstance(one, pa.ChunkedArray) else one


def is_list(column: pa.Array) -> bool:
    """Say whether a column holds lists."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(column.type) for is_kind in kinds)


def lengths_of(column: pa.Array) -> np.ndarray:
    """Return the lengths of lists, none of them null: int64."""
    return pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)


def id_texts(column: pa.Array) -> pa.Array | None:
    """Return ids as texts; None for nulls and for what is neither text nor whole numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    text = any(
        is_kind(column.type)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )
    if column.null_count or not (text or pa.types.is_integer(column.type)):
        return None
    return column if pa.types.is_large_string(column.type) else column.cast(pa.large_string())


def has_empty(ids: pa.Array) -> bool:
    """Say whether one of the texts is empty."""
    return bool(pc.any(pc.equal(pc.binary_length(ids), 0)).as_py())
