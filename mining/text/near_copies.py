"""Texts that are nearly the same: found through MinHash, decided by the exact Jaccard overlap.

Texts are compared as sets of folded character shingles (`native.shingles`): case, punctuation and
white space do not count. What MinHash with banding proposes is measured exactly, so no pair is
reported wrongly; a pair of overlap J is missed with probability (1 − J⁸)³², 0.3 % at J = 0.8 and
1e-8 at J = 0.9. Copies with equal sets are always found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ...native import shingles as native
from ..draws import generator
from ..errors import UsageError
from ..pair_keys import distinct
from ..processors import in_threads

if TYPE_CHECKING:
    from ..collection.rows import Corpus

WIDTH = 6  # bytes of a shingle
BANDS, ROWS = 32, 8
_BLOCK_BYTES, _SMALL_BUCKET = 1 << 25, 64


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """Sets of shingles: values uint64, row r = values[offsets[r]:offsets[r+1]], ascending."""

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def overlap(self, left: np.ndarray, right: np.ndarray, least: float = 0.0) -> np.ndarray:
        """Return the Jaccard overlap (float64) of the sets left[i] and right[i].

        One below `least` comes as 0, which is faster than finding out how far below.
        """
        out = np.empty(len(left))
        one, other = (np.ascontiguousarray(side, dtype=np.int64) for side in (left, right))
        native.jaccard(self.values, self.offsets, one, other, least, out)
        return out


def shingled(texts: Sequence[str] | pa.Array, width: int = WIDTH) -> ShingleSets:
    """Return the shingle sets of texts; 8 bytes are kept for every distinct shingle."""
    column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    column = column.cast(pa.large_string())
    _, raw, data = column.buffers()
    bounds = np.frombuffer(raw, np.int64)[column.offset :][: len(column) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    counts = np.zeros(len(column), np.int64)
    pieces = [np.empty(0, np.uint64)]
    for start, stop in _blocks(bounds):
        out = np.empty(int(bounds[stop] - bounds[start]), np.uint64)
        native.shingle_sets(held, bounds, width, start, stop, out, counts)
        first = bounds[start:stop] - bounds[start]
        pieces += [out[a : a + n].copy() for a, n in zip(first, counts[start:stop], strict=True)]
    return ShingleSets(np.concatenate(pieces), np.concatenate([[0], np.cumsum(counts)]))


_UNSPACED = (  # scripts without spaces between words: blanks among their letters are layout
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LAYOUT = re.compile(rf"(?<=[{_UNSPACED}])\s+(?=[{_UNSPACED}])")
_NO_LETTERS = re.compile(r"[^\w\s]|_")


def folded(texts: Sequence[str]) -> list[str]:
    """Return texts of any script with case, punctuation, white space and the width of letters
    folded; shingles fold ASCII alone, and their values are part of what filters have made.

    Marks that letters carry (vowels of Thai, accents) are no punctuation.
    """
    return [text if text.isascii() else _folded(text) for text in texts]


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    spaced = _NO_LETTERS.sub(_blank_unless_mark, plain)
    return _LAYOUT.sub("", " ".join(spaced.split()))


def _blank_unless_mark(match: re.Match[str]) -> str:
    return match[0] if unicodedata.category(match[0])[0] == "M" else " "


class KeptShingles:
    """Shingle sets of documents, each made once while there is room: 8 bytes per shingle."""

    def __init__(self, corpus: Corpus, most_bytes: int = 1 << 28):
        self.corpus, self.most = corpus, most_bytes // 8
        self._kept: dict[int, np.ndarray] = {}
        self._held = 0

    def of(self, docs: np.ndarray) -> ShingleSets:
        """Return the sets of documents, in the order asked for."""
        fresh = [doc for doc in dict.fromkeys(docs.tolist()) if doc not in self._kept]
        if fresh and self._held > self.most:
            self._kept, self._held = {}, 0
            fresh = list(dict.fromkeys(docs.tolist()))
        made = shingled(self.corpus.texts(np.array(fresh, np.int64)))
        for number, doc in enumerate(fresh):
            self._kept[doc] = made.values[made.offsets[number] : made.offsets[number + 1]]
            self._held += len(self._kept[doc])
        rows = [self._kept[doc] for doc in docs.tolist()]
        lengths = [len(row) for row in rows]
        flat = np.concatenate(rows) if rows else np.empty(0, np.uint64)
        return ShingleSets(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))


def near_pairs(
    sets: ShingleSets, at_least: float = 0.8, *, side: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (left int64, right int64, overlap float64) of the pairs with at least that overlap.

    left < right, pairs ascending. `side` (bool per set) asks only for pairs with one set on each
    side. Empty sets are in no pair. Raises UsageError for an overlap outside [0.7, 1]: below, the
    banding would miss many.
    """
    if not 0.7 <= at_least <= 1.0:
        raise UsageError(
            f"{at_least} is not an overlap of near copies", do="give a number from 0.7 to 1"
        )
    kept = np.flatnonzero(np.diff(sets.offsets) > 0)
    keys: list[np.ndarray] = [np.empty(0, np.int64)]
    for band in _bands(sets)[:, kept]:
        order = np.argsort(band, kind="stable")
        follows = np.append(np.diff(band[order]) == 0, False)  # the next is of the same bucket
        shared = follows | np.append(False, follows[:-1])
        starts = np.flatnonzero(shared & ~np.append(False, follows[:-1]))
        stops = np.flatnonzero(shared & ~follows) + 1
        keys.append(_pairs_of_buckets(kept[order], starts, stops, side, len(sets)))
    pairs = distinct(np.concatenate(keys))
    left, right = pairs // max(1, len(sets)), pairs % max(1, len(sets))
    overlap = sets.overlap(left, right, at_least)
    close = overlap >= at_least
    return left[close], right[close], overlap[close]


def _blocks(bounds: np.ndarray) -> list[tuple[int, int]]:
    """Cut texts into ranges of about `_BLOCK_BYTES`."""
    cuts, start = [], 0
    while start < len(bounds) - 1:
        stop = int(np.searchsorted(bounds, bounds[start] + _BLOCK_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), len(bounds) - 1)
        cuts.append((start, stop))
        start = stop
    return cuts


def _bands(sets: ShingleSets) -> np.ndarray:
    """Return one number (uint64) per band and set: equal bands have equal numbers."""
    draws = generator(0, "near_copies.minhash")
    factor = draws.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32) | np.uint32(1)
    term = draws.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32)
    signature = np.empty((len(sets), BANDS * ROWS), np.uint32)

    def work(start: int, stop: int) -> None:
        native.minhash(sets.values, sets.offsets, factor, term, start, stop, signature)

    in_threads(work, sets.offsets)
    weight = draws.integers(0, 1 << 63, ROWS, dtype=np.uint64) | np.uint64(1)
    shaped = signature.reshape(len(sets), BANDS, ROWS).astype(np.uint64)
    return np.ascontiguousarray((shaped * weight).sum(axis=2, dtype=np.uint64).T)


def _pairs_of_buckets(
    members: np.ndarray, starts: np.ndarray, stops: np.ndarray, side: np.ndarray | None, n: int
) -> np.ndarray:
    """Return the keys (int64, distinct) of the pairs within buckets members[start:stop], each
    ascending. Most buckets are small: their pairs are made all at once."""
    small = stops - starts <= _SMALL_BUCKET
    keys = [
        _pairs_of(members[start:stop], side, n)
        for start, stop in zip(starts[~small], stops[~small], strict=True)
    ]
    lengths = (stops - starts)[small]
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = np.repeat(starts[small], lengths) + place
    after = np.repeat(lengths, lengths) - place - 1  # how many of the bucket come later
    left = np.repeat(at, after)
    right = left + 1 + np.arange(after.sum()) - np.repeat(np.cumsum(after) - after, after)
    one, other = members[left], members[right]
    asked = slice(None) if side is None else side[one] != side[other]
    return distinct(np.concatenate([one[asked] * n + other[asked], *keys]))


def _pairs_of(bucket: np.ndarray, side: np.ndarray | None, n: int) -> np.ndarray:
    """Return left·n + right of every pair of an ascending bucket that is asked for."""
    if side is None:
        i, j = np.triu_indices(len(bucket), 1)
        return bucket[i] * n + bucket[j]
    ours, theirs = bucket[~side[bucket]], bucket[side[bucket]]
    low = np.minimum(ours[:, None], theirs[None, :])
    return (low * n + np.maximum(ours[:, None], theirs[None, :])).ravel()
