"""The one notion of a copy: texts that differ only in white space, case, Unicode form or
punctuation.

A text's key is a 64-bit hash of what is left of it: in normal form NFKC, case folded, without
white space, punctuation and control characters. Copies have equal keys; that two texts of a
million pairs that are compared share a key by chance has the probability 10⁶ / 2⁶⁴, 5e-14. A text
of which nothing is left copies nothing. `audit` and selection both ask here.
"""

from __future__ import annotations

import contextlib
import unicodedata
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native.folded import DROPPED, MARK, UNSETTLED, folded_keys
from ..actors import INLINE, Execution
from ..processors import in_threads
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import COPY_KEYS
from ..store.workspace import FoundOnly, NotThere
from .analysis import text_buffers

_POINTS = 0x110000
_LAST_CASED = 0x20000  # no letter beyond has case
_SHARD_BYTES = 256 << 20
_FOLDING = f"nfkc-casefold-1, unicode {unicodedata.unidata_version}"


def keys_of(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the key of every text, uint64; 0 for one of white space and punctuation alone."""
    column = pa.chunked_array([texts]) if isinstance(texts, pa.Array) else texts
    out = np.zeros(len(column), dtype=np.uint64)
    start = 0
    for chunk in column.chunks:
        out[start : start + len(chunk)] = _keys(chunk)
        start += len(chunk)
    return out


def _keys(texts: pa.Array) -> np.ndarray:
    out, unsettled = _hashed(texts)
    rows = np.flatnonzero(unsettled)
    if len(rows):  # most texts, accented ones too, are in normal form already
        taken = texts.take(pa.array(rows)).cast(pa.large_string())
        out[rows], _ = _hashed(pc.utf8_normalize(taken, form="NFKC"))
    return out


def _hashed(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    data, bounds = text_buffers(texts)
    out, unsettled = np.zeros(len(texts), np.uint64), np.zeros(len(texts), bool)
    classes, folds = _tables()

    def fold(start: int, stop: int) -> None:
        folded_keys(data, bounds, start, stop, classes, folds, out, unsettled)

    in_threads(fold, bounds, least=1 << 20)
    return out, unsettled


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the class (uint8) and the case folding (uint32) of every code point.

    A text is in normal form if none of its code points is unsettled: has another form, orders
    itself among its neighbours, or joins with the one before it (as second of a decomposition, or
    as vowel or final of a Hangul syllable).
    """
    classes = np.zeros(_POINTS, dtype=np.uint8)
    folds = np.arange(_POINTS, dtype=np.uint32)
    joining = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    for point in range(_POINTS):
        letter = chr(point)
        category, parts = unicodedata.category(letter), unicodedata.decomposition(letter).split()
        if category[0] in "PZ" or category in ("Cc", "Cf", "Sk"):
            classes[point] = DROPPED
        elif category[0] == "M":
            classes[point] = MARK
        plain = (
            unicodedata.is_normalized("NFKC", letter) and category != "Cn"
        )  # Cn: of later tables
        if unicodedata.combining(letter) or not plain:
            classes[point] |= UNSETTLED
        if len(parts) == 2 and parts[0][0] != "<":
            joining.add(int(parts[1], 16))
    classes[list(joining)] |= UNSETTLED
    for point in range(_LAST_CASED):
        if len(folded := chr(point).casefold()) == 1:
            folds[point] = ord(folded)
    folds[0x1E9E] = 0xDF  # capital ß; the kernel reads ß as ss
    classes.flags.writeable = folds.flags.writeable = False
    return classes, folds


def copy_keys(workspace: Workspace, corpus: Artifact, executor: Execution = INLINE) -> Artifact:
    """Return the artifact of the keys of a corpus, made once: one column, `key` uint64."""
    work = np.concatenate(
        [np.zeros(0, np.int64), *(np.diff(text_buffers(t["text"])[1]) for t in corpus.tables())]
    )
    stage = Stage(
        kind="copy-keys",
        parameters={"folding": _FOLDING},
        inputs={"corpus": corpus},
        schema=COPY_KEYS,
        shards=lambda: split_by_work(work + 1, _SHARD_BYTES),
        worker=KeyWorker,
        options={"corpus": str(corpus.path)},
        unit="bytes",
        items="documents",
    )
    return workspace.build(stage, executor)


class KeyWorker:
    """Makes the keys of a range of documents."""

    def __init__(self, corpus: str):
        self.corpus = open_artifact(corpus)

    def __call__(self, shard: Shard) -> Output:
        """Return the keys of documents start…stop−1."""
        keys = [np.zeros(0, np.uint64)]
        for part in self.corpus.parts:
            low, high = max(shard.start, part.start), min(shard.stop, part.start + part.rows)
            if low < high:
                texts = self.corpus.table(part.number)["text"]
                keys.append(keys_of(texts.slice(low - part.start, high - low)))
        return Output(pa.table({"key": np.concatenate(keys)}, schema=COPY_KEYS))


def keys_there(workspace: Workspace, corpus: Artifact) -> Artifact | None:
    """Return the keys of a corpus if they were made already."""
    with contextlib.suppress(NotThere):
        return copy_keys(FoundOnly(workspace.root), corpus)
    return None


class FoldedCopies:
    """Finds copies among documents by their keys: arrays alone, no text is read.

    `keys` uint64 by document; `digest` uint8: their lowest bytes.
    """

    def __init__(self, keys: Artifact):
        parts = [table["key"].to_numpy() for table in keys.tables()]
        self.keys = parts[0] if len(parts) == 1 else np.concatenate(parts)

    @cached_property
    def digest(self) -> np.ndarray:
        """The lowest byte of every key: what differs there is no copy."""
        return self.keys.astype(np.uint8)

    def among(self, docs: np.ndarray, originals: np.ndarray) -> np.ndarray:
        """Return bool [docs]: is a copy of one of the originals (itself included)."""
        return copies_among(self.keys[docs], self.keys[originals])


def copies_among(keys: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Return bool [keys]: is the key of one of the originals, and not 0."""
    return (keys != 0) & np.isin(keys, originals)
