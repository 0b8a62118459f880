"""Pairs of groups among other pairs: judged ones, copies, and those that a pool's sources found.

Keys are those of `mining.pair_keys`, uint64, ascending. Every function works on all cores.
"""

from __future__ import annotations

import numpy as np

from ...native import members as native
from ..pair_keys import queries_of
from ..processors import in_threads
from ..runs.pool import Pool, PoolPart

_WORTH_A_THREAD = 50_000  # pairs


def pairs_among(owner: np.ndarray, doc: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Say which pairs (owner[g], doc[g, j]) are among keys: bool [n, k].

    owner uint32 [n], doc uint32 [n, k]. Owners are queries, or whatever the keys pair documents
    with.
    """
    among = np.zeros(doc.shape, bool)
    if len(keys):
        owner = np.ascontiguousarray(owner)

        def work(start: int, stop: int) -> None:
            native.pairs_among(owner, doc, keys, start, stop, among)

        in_threads(work, np.arange(len(doc) + 1), least=_groups_worth(doc.shape[1]))
    return among


def copies_of_positives(
    query: np.ndarray,
    key: np.ndarray,
    positive: np.ndarray,
    judged: np.ndarray,
    judged_key: np.ndarray,
) -> np.ndarray:
    """Say which documents are copies of a positive of their query: bool [n, k].

    query uint32 [n]; key uint64 [n, k], what copies have in common (`mining.text.copies`), 0 for
    nothing; positive bool [n, k]. A query's positives are those of all its groups, and `judged`
    (keys of pairs) with the key judged_key of each document.
    """
    copies = np.zeros(key.shape, bool)
    rows = np.argsort(query, kind="stable")
    ordered = query[rows]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    asked, of_judged = ordered[starts], queries_of(judged)
    bounds = np.append(starts, len(rows))
    first, last = (np.searchsorted(of_judged, asked, side) for side in ("left", "right"))
    known = first, last, np.ascontiguousarray(judged_key)

    def work(start: int, stop: int) -> None:
        native.copies_of_positives(rows, bounds, key, positive, known, start, stop, copies)

    in_threads(work, bounds, least=_groups_worth(key.shape[1]))
    return copies


def _groups_worth(size: int) -> int:
    return max(1, _WORTH_A_THREAD // size)


def found_by(pool: Pool, wanted: np.ndarray) -> dict[str, int]:
    """Return how many of the wanted pairs (ascending keys, each once) each source of a pool has."""
    hits = dict.fromkeys(pool.labels, 0)
    for part in pool.parts():
        for label, count in found_in(part, wanted).items():
            hits[label] += count
    return hits


def found_in(part: PoolPart, wanted: np.ndarray) -> dict[str, int]:
    """Return how many of the wanted pairs each source has in one part of a pool."""
    if not len(part.query):
        return {}
    owner = queries_of(wanted)
    first = int(np.searchsorted(owner, part.query[0]))
    own = wanted[first : np.searchsorted(owner, part.query[-1], "right")]
    place = np.empty(len(own), np.int64)

    def work(start: int, stop: int) -> None:
        native.places_of_pairs(own, part.query, part.offsets, part.doc, start, stop, place)

    in_threads(work, np.arange(len(own) + 1), least=_WORTH_A_THREAD)
    mine = place[place >= 0]
    return {label: int(np.count_nonzero(rank[mine])) for label, rank in part.rank.items()}
