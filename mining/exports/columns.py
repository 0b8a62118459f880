"""Columns of text and lists, built whole: no Python object per document."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pyarrow as pa

_BREAKS = "[\t\r\n]"
_ESCAPED = r'["\\\x00-\x1f]'


def series(values: pa.Array | np.ndarray) -> pl.Series:
    """Return an Arrow or NumPy column as a polars column."""
    return pl.Series(values) if isinstance(values, np.ndarray) else pl.Series(pl.from_arrow(values))


def lists(values: pa.Array | np.ndarray, offsets: np.ndarray) -> pa.LargeListArray:
    """Return flat values as one list per group; offsets int64 [n+1]."""
    flat = pa.array(values) if isinstance(values, np.ndarray) else values
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)


def structs(**columns: pa.Array | np.ndarray) -> pa.StructArray:
    """Return columns of equal length as one column of objects."""
    arrays = [pa.array(c) if isinstance(c, np.ndarray) else c for c in columns.values()]
    return pa.StructArray.from_arrays(arrays, names=list(columns))


def numbers(values: np.ndarray) -> pl.Series:
    """Print numbers: the shortest text that reads back to the same value."""
    return pl.Series(values).cast(pl.String)


def one_line(texts: pa.Array) -> pl.Series:
    """Return texts for a tab-separated file: each tab, CR and LF becomes a space."""
    return series(texts).str.replace_all(_BREAKS, " ")


def quoted(texts: pa.Array) -> pl.Series:
    """Print texts as JSON strings."""
    plain = series(texts)
    if plain.str.contains(_ESCAPED).any():
        printed = [json.dumps(text, ensure_ascii=False) for text in plain]
        return pl.Series(printed, dtype=pl.String)
    return text('"', plain, '"')


def text(*pieces: str | pl.Series) -> pl.Series:
    """Join columns and constants, row by row."""
    parts = [pl.lit(p) for p in pieces]
    return pl.select(pl.concat_str(parts)).to_series()


def joined(items: pl.Series, offsets: np.ndarray, separator: str = ",") -> pl.Series:
    """Join the flat items of each group."""
    flat = items.to_arrow()
    return series(lists(flat.cast(pa.large_string()), offsets)).list.join(separator)
