"""How hard a query is, whatever group it gets: what cells of other queries would differ in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ...pair_keys import pair_keys
from ...runs.pool import Pool, PoolPart
from ...runs.run import Run
from ...store import Artifact
from ...store.tables import list_values

CUTOFF = 10


def difficulty(
    pool: Artifact, scores: Artifact, qrels: Artifact, min_grade: int = 1
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return (query uint32 [n], {covariate: float64 [n]}) of every query of a pool.

    `teacher nDCG@10`: of the teacher's order of the pool's candidates; `<source> nDCG@10` of every
    source that does not draw its lists; gains are grades, the ideal order that of all judged
    documents. `positive margin`: the teacher's score of the query's first positive (the highest
    grade, the lowest ordinal among equals) minus the mean score of the candidates below
    `min_grade`, in units of the score. NaN where there is no positive, or no score.
    """
    judged = pa.concat_tables(qrels.tables())
    query, doc = judged["query"].to_numpy(), judged["doc"].to_numpy()
    grade = judged["grade"].to_numpy().astype(np.float64)
    drawn = {
        run.label
        for run in (Run(pool.input(role)) for role in pool.inputs if role.startswith("run["))
        if run.drawn
    }
    queries: list[np.ndarray] = []
    columns: dict[str, list[np.ndarray]] = {}
    for part in Pool(pool).parts():
        own = np.searchsorted(query, part.query), np.searchsorted(query, part.query, side="right")
        ideal = np.array([_ideal(grade[low:high]) for low, high in zip(*own, strict=True)])
        gain, score = _joined(part, query, doc, grade), _scores(part, scores)
        covariates = {"teacher nDCG@10": _ndcg(part, gain, _ranks(part, score), ideal)}
        for label in part.rank:
            if label not in drawn:
                covariates[f"{label} nDCG@10"] = _ndcg(part, gain, part.rank[label], ideal)
        covariates["positive margin"] = _margin(part, np.nan_to_num(gain), score, min_grade)
        queries.append(part.query)
        for name, values in covariates.items():
            columns.setdefault(name, []).append(values)
    return np.concatenate(queries), {name: np.concatenate(v) for name, v in columns.items()}


def _owner(part: PoolPart) -> np.ndarray:
    return np.repeat(np.arange(len(part.query)), np.diff(part.offsets))


def _joined(part: PoolPart, query: np.ndarray, doc: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the value of each pair of the part, NaN where (query, doc), ascending, lack it."""
    wanted, known = pair_keys(part.query[_owner(part)], part.doc), pair_keys(query, doc)
    out = np.full(len(wanted), np.nan)
    if len(known):
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        hit = known[place] == wanted
        out[hit] = values[place[hit]]
    return out


def _scores(part: PoolPart, scores: Artifact) -> np.ndarray:
    """Return the teacher's score of each pair of the part, NaN where there is none."""
    out = np.full(len(part.doc), np.nan)
    for query, doc, score in _score_lists(part, scores):
        joined = _joined(part, query, doc, score)
        out = np.where(np.isnan(out), joined, out)
    return out


def _score_lists(
    part: PoolPart, scores: Artifact
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for table in scores.tables():
        query = table["query"].to_numpy()
        if len(query) and len(part.query) and part.query[0] <= query[-1]:
            offsets, doc = list_values(table["doc"])
            score = list_values(table["logit"])[1]
            yield np.repeat(query, np.diff(offsets)), doc, score.astype(np.float64)


def _ranks(part: PoolPart, score: np.ndarray) -> np.ndarray:
    """Return 1-based ranks by score within each query, ties by document; 0 without a score."""
    owner = _owner(part)
    order = np.lexsort((part.doc, -np.nan_to_num(score, nan=-np.inf), owner))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(part.offsets[:-1], np.diff(part.offsets)) + 1
    return np.where(np.isnan(score), 0, rank)


def _ndcg(part: PoolPart, gain: np.ndarray, rank: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    """nDCG@10 of each query; NaN where nothing could be gained."""
    counted = (rank >= 1) & (rank <= CUTOFF) & (gain > 0)
    worth = gain[counted] / np.log2(rank[counted].astype(np.float64) + 1.0)
    dcg = np.bincount(_owner(part)[counted], weights=worth, minlength=len(part.query))
    return np.divide(dcg, ideal, out=np.full(len(ideal), np.nan), where=ideal > 0)


def _ideal(grades: np.ndarray) -> float:
    best = np.sort(grades[grades > 0])[::-1][:CUTOFF]
    return float((best / np.log2(np.arange(len(best)) + 2.0)).sum())


def _margin(part: PoolPart, grade: np.ndarray, score: np.ndarray, min_grade: int) -> np.ndarray:
    owner, n = _owner(part), len(part.query)
    below = (grade < min_grade) & ~np.isnan(score)
    count = np.bincount(owner[below], minlength=n)
    total = np.bincount(owner[below], weights=score[below], minlength=n)
    mean = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    positive = np.flatnonzero((grade >= min_grade) & ~np.isnan(score))
    best = positive[np.lexsort((part.doc[positive], -grade[positive], owner[positive]))]
    rows, first = np.unique(owner[best], return_index=True)
    own = np.full(n, np.nan)
    own[rows] = score[best[first]]
    return own - mean
