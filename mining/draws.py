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
