"""Columns of text and lists, built whole: no Python object per document."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

_BREAKS = (9, 10, 13)


def lists(values: pa.Array | np.ndarray, offsets: np.ndarray) -> pa.LargeListArray:
    """Return flat values as one list per group; offsets int64 [n+1]."""
    flat = pa.array(values) if isinstance(values, np.ndarray) else values
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)


def structs(**columns: pa.Array | np.ndarray) -> pa.StructArray:
    """Return columns of equal length as one column of objects."""
    arrays = [pa.array(c) if isinstance(c, np.ndarray) else c for c in columns.values()]
    return pa.StructArray.from_arrays(arrays, names=list(columns))


def numbers(values: np.ndarray) -> pa.Array:
    """Print numbers: the shortest text that reads back to the same value."""
    return pl.Series(values).cast(pl.String).to_arrow().cast(pa.large_string())


def one_line(texts: pa.Array) -> pa.Array:
    """Return texts for a tab-separated file: each tab, CR and LF becomes a space."""
    offsets, data = bytes_of(texts)
    if not (data <= max(_BREAKS)).any():
        return texts.cast(pa.large_string())
    # None of these bytes is ever a part of a longer UTF-8 character.
    plain = np.where(np.isin(data, _BREAKS), np.uint8(32), data)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(plain)]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def quoted(texts: pa.Array) -> pa.Array:
    """Print texts as JSON strings."""
    _, data = bytes_of(texts)
    if (data < 32).any() or (data == ord('"')).any() or (data == ord("\\")).any():
        printed = [json.dumps(one, ensure_ascii=False) for one in texts.to_pylist()]
        return pa.array(printed, pa.large_string())
    return text('"', texts, '"')


def text(*pieces: str | pa.Array) -> pa.Array:
    """Join columns and constants, row by row."""
    parts = (_scalar(p) if isinstance(p, str) else p.cast(pa.large_string()) for p in pieces)
    return pc.binary_join_element_wise(*parts, _scalar(""))


def joined(items: pa.Array, offsets: np.ndarray, separator: str = ",") -> pa.Array:
    """Join the flat items of each group."""
    return pc.binary_join(lists(items, offsets), _scalar(separator))


def bytes_of(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes of texts: offsets int64 [n+1] from 0, and one uint8 view of all."""
    found = texts.cast(pa.large_string())
    _, places, data = found.buffers()
    if not len(found) or data is None:
        return np.zeros(len(found) + 1, np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(places, np.int64)[found.offset :][: len(found) + 1]
    return offsets - offsets[0], np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]


def _scalar(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())
