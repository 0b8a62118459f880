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


def docs_of(keys: np.ndarray) -> np.ndarray:
    """Return the second ordinal of each key: uint32, of the same shape."""
    return (keys & _LOW).astype(np.uint32)
