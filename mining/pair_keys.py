"""One number for a pair of ordinals: query·2³² + document; it sorts as (query, document) does."""

from __future__ import annotations

import numpy as np

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def pair_keys(query: np.ndarray, doc: np.ndarray | int) -> np.ndarray:
    """Return the keys, uint64, of ordinals 0 … 2³²−1 of any integer type, shapes broadcast.

    Whatever two ordinals make a pair: two documents that resemble each other have a key too.
    """
    high = np.asarray(query).astype(np.uint64) << _HALF
    return high | np.asarray(doc).astype(np.uint64, copy=False)


def queries_of(keys: np.ndarray) -> np.ndarray:
    """Return the first ordinal of each key: uint32, of the same shape."""
    return (keys >> _HALF).astype(np.uint32)


def packed(keys: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return the keys in as few bits as their ordinals take, in the same order: (uint64, bits of
    the document, bits of both)."""
    low = int(docs_of(keys).max(initial=0)).bit_length()
    high = queries_of(keys).astype(np.uint64) << np.uint64(low)
    width = int(queries_of(keys).max(initial=0)).bit_length() + low
    return high | (keys & _LOW), low, width


def unpacked(narrow: np.ndarray, low: int) -> np.ndarray:
    """Return the keys that `packed` made narrow; `low`: the bits of the document."""
    docs = narrow & np.uint64((1 << low) - 1)
    return pair_keys(narrow >> np.uint64(low), docs)


def docs_of(keys: np.ndarray) -> np.ndarray:
    """Return the second ordinal of each key: uint32, of the same shape."""
    return (keys & _LOW).astype(np.uint32)


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the different ones among whole numbers of any shape, ascending: keys, ordinals.

    By sorting, which is vector code. NumPy's `unique` without counts asks a hash table: for
    millions of different numbers that takes a hundred times as long.
    """
    ordered = np.sort(values, axis=None)
    if not len(ordered):
        return ordered
    return ordered[np.append(True, ordered[1:] != ordered[:-1])]
