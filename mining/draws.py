"""Counter-based randomness: every draw is a pure function of (seed, stage, key).

There is no global generator anywhere in rankmill (invariant 2), so a draw is the same for one
worker or sixty-four, in any order of arrival and after any number of restarts.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key_of(seed: int, stage: str, key: str | int = "") -> int:
    """Return 64 bits that depend on all three arguments: keyed BLAKE2b of (seed, stage, key)."""
    material = f"{stage}\x00{key}".encode()
    digest = hashlib.blake2b(material, digest_size=8, key=seed.to_bytes(8, "little", signed=True))
    return int.from_bytes(digest.digest(), "little")


def generator(seed: int, stage: str, key: str | int = "") -> np.random.Generator:
    """Return a Philox generator of its own for (seed, stage, key), `key` normally a query_id."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, stage, key)))


def keys_of(seed: int, stage: str, data: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return `key_of` (uint64 [n]) of many texts: data uint8, text r = data[bounds[r]:bounds[r+1]].

    bounds int64 [n+1].
    """
    from ..native.blake2 import keyed

    out = np.empty(len(bounds) - 1, np.uint64)
    key = np.frombuffer(seed.to_bytes(8, "little", signed=True), np.uint8)
    prefix = np.frombuffer(f"{stage}\x00".encode(), np.uint8)
    keyed(key, prefix, data, bounds, out)
    return out
