"""Numbers that a report draws from runs: recall by depth, overlap of sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rankmill.mining.pair_keys import pair_keys
from rankmill.mining.runs.run import Run

if TYPE_CHECKING:
    from rankmill.mining.collection import Qrels


def recall_by_depth(run: Run, qrels: Qrels, depth: int, min_grade: int = 1) -> np.ndarray:
    """Return the mean share of a query's positives among the first 1, 2, … `depth` candidates.

    float64 [depth]; every query with a positive counts, also one for which the run is empty.
    Positives are graded `min_grade` or more.
    """
    positive = qrels.grade >= min_grade
    wanted = pair_keys(qrels.query[positive], qrels.doc[positive])
    queries, needed = np.unique(qrels.query[positive], return_counts=True)
    recall = np.zeros(depth)
    for part in run.parts():
        lengths = np.diff(part.offsets)
        query = np.repeat(part.query, lengths)
        rank = np.arange(len(query)) - np.repeat(part.offsets[:-1], lengths)
        hit = np.isin(pair_keys(query, part.doc), wanted, assume_unique=True) & (rank < depth)
        share = 1 / needed[np.searchsorted(queries, query[hit])]
        recall += np.bincount(rank[hit], weights=share, minlength=depth)
    return recall.cumsum() / max(len(queries), 1)


def jaccard(runs: Mapping[str, Run], depth: int) -> np.ndarray:
    """Return the mean Jaccard overlap of each two runs' first `depth` candidates, [n, n].

    Queries for which both lists are empty do not count.
    """
    sets = [_first_pairs(run, depth) for run in runs.values()]
    out = np.eye(len(sets))
    for i, (a, queries) in enumerate(sets):
        for j, (b, _) in enumerate(sets[:i]):
            common = np.intersect1d(a, b, assume_unique=True)
            shared = _per_query(common, queries)
            union = _per_query(a, queries) + _per_query(b, queries) - shared
            out[i, j] = out[j, i] = float(np.mean(shared[union > 0] / union[union > 0]))
    return out


def _first_pairs(run: Run, depth: int) -> tuple[np.ndarray, np.ndarray]:
    pairs, queries = [], []
    for part in run.parts():
        lengths = np.diff(part.offsets)
        query = np.repeat(part.query, lengths)
        rank = np.arange(len(query)) - np.repeat(part.offsets[:-1], lengths)
        near = rank < depth
        pairs.append(pair_keys(query[near], part.doc[near]))
        queries.append(part.query)
    return np.sort(np.concatenate(pairs)), np.concatenate(queries)


def _per_query(pairs: np.ndarray, queries: np.ndarray) -> np.ndarray:
    edges = np.searchsorted(pairs, pair_keys(np.append(queries, queries[-1] + 1), 0))
    return np.diff(edges) if len(queries) else np.empty(0)
