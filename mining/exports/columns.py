"""Columns of text and lists, built whole: no Python object per document."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ...native.text_rows import escape, escaped_lengths, join_rows, needs_escape

_BREAKS = (9, 10, 13)
_LONG = 64  # bytes of a text from which on Arrow copies faster than our kernel


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
    if values.dtype.kind != "f" and len(values) and values.min() >= 0:
        known = int(values.max()) + 1
        if known < len(values) / 2:  # print each once, then look it up
            return numbers(np.arange(known)).take(pa.array(values))
    return pl.Series(values).cast(pl.String).to_arrow().cast(pa.large_string())


def one_line(texts: pa.Array) -> pa.Array:
    """Return texts for a tab-separated file: each tab, CR and LF becomes a space."""
    offsets, data = bytes_of(texts)
    if not (data <= max(_BREAKS)).any():
        return texts.cast(pa.large_string())
    # None of these bytes is ever a part of a longer UTF-8 character.
    return texts_of(offsets, np.where(np.isin(data, _BREAKS), np.uint8(32), data))


def csv_quoted(texts: pa.Array) -> pa.Array:
    """Return fields as Python's csv writes them: one with a quotation mark stands in marks, and
    those inside are doubled."""
    marked = pc.match_substring(texts, '"')
    if not pc.any(marked).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(marked, text('"', doubled, '"'), texts.cast(pa.large_string()))


def quoted(texts: pa.Array) -> tuple[str | pa.Array, ...]:
    """Return the pieces, for `text`, that print texts as JSON strings."""
    if needs_escape(bytes_of(texts)[1]):
        printed = [json.dumps(one, ensure_ascii=False) for one in texts.to_pylist()]
        return (pa.array(printed, pa.large_string()),)
    return '"', texts, '"'


def quoted_list(texts: pa.Array, offsets: np.ndarray) -> tuple[str | pa.Array, ...]:
    """Return the pieces that print the texts of each group as a JSON list; no group is empty."""
    pieces = quoted(texts)
    if len(pieces) == 3:
        return '["', joined(texts, offsets, '","'), '"]'
    return "[", joined(text(*pieces), offsets), "]"


def text(*pieces: str | pa.Array) -> pa.Array:
    """Join columns and constants, row by row; there is one column at least."""
    columns = [bytes_of(piece) for piece in pieces if not isinstance(piece, str)]
    if sum(len(data) for _, data in columns) > _LONG * sum(len(o) for o, _ in columns):
        parts = (_scalar(p) if isinstance(p, str) else p.cast(pa.large_string()) for p in pieces)
        return pc.binary_join_element_wise(*parts, _scalar(""))
    constants = [b""]
    for piece in pieces:
        if isinstance(piece, str):
            constants[-1] += piece.encode()
        else:
            constants.append(b"")
    begins = np.cumsum([0, *(len(data) for _, data in columns)])
    ends = np.stack([offsets + begin for (offsets, _), begin in zip(columns, begins, strict=False)])
    bounds = np.cumsum([0, *map(len, constants)])
    offsets = ends.sum(axis=0) - begins[:-1].sum() + np.arange(ends.shape[1]) * bounds[-1]
    out = np.empty(offsets[-1], np.uint8)
    fixed = np.frombuffer(b"".join(constants), np.uint8)
    join_rows(np.concatenate([data for _, data in columns]), ends, fixed, bounds, out)
    return texts_of(offsets, out)


def ascii_json(printed: pa.Array) -> pa.Array:
    """Escape what lies beyond ASCII in printed JSON: a character is a byte then."""
    offsets, data = bytes_of(printed)
    if not len(data) or data.max() < 0x80:
        return printed
    lengths = np.empty(len(printed), np.int64)
    escaped_lengths(data, offsets, lengths)
    out = np.empty(lengths.sum(), np.uint8)
    escape(data, out)
    return texts_of(np.concatenate([[0], np.cumsum(lengths)]), out)


def joined(items: pa.Array, offsets: np.ndarray, separator: str = ",") -> pa.Array:
    """Join the flat items of each group."""
    return pc.binary_join(lists(items, offsets), _scalar(separator))


def bytes_of(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes of texts: offsets int64 [n+1] from 0, and one uint8 view of all."""
    strings = texts.cast(pa.large_string())
    _, places, data = strings.buffers()
    if not len(strings) or data is None:
        return np.zeros(len(strings) + 1, np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(places, np.int64)[strings.offset :][: len(strings) + 1]
    return offsets - offsets[0], np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]


def texts_of(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    """Return UTF-8 bytes as texts: offsets int64 [n+1] from 0, data uint8; nothing is copied."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def _scalar(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())
