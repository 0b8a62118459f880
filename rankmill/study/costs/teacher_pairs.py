"""What the pairs of teacher scores would have cost where nobody had scored them before.

Scores look their pairs up in earlier scores of the same teacher, so their own ledger tells what was
left to do. Whoever asks what a sampler would have cost alone counts pairs that were found there as
if they had been scored, but for those that its own way had to score anyhow: a sampler that re-ranks
with the teacher pays for its pairs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rankmill.mining.pair_keys import pair_keys
from rankmill.mining.runs.pool import Pool
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers.lookup import PairScores
from rankmill.study.costs.lineage import behind, seconds_of

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact


def would_have_cost(one: Artifact) -> list[tuple[Artifact, float]]:
    """Return what an artifact would have cost where no teacher score had been there before but
    those that it was made of: the artifacts whose ledgers say so, each with the part of it that
    counts."""
    return [(one, 1.0)] if one.kind != "scores" else cost_of_pairs(one, own_pairs(one))


def cost_of_pairs(scores: Artifact, pairs: int) -> list[tuple[Artifact, float]]:
    """Return what so many of the pairs of `scores` would have cost: the artifacts whose ledgers say
    so, each with the part of it that counts.

    A pair costs what those took on average that the scores were not made of (`own_pairs`). Where
    half of these or more were scored for them, the others took as much each. Where fewer were,
    their own ledger tells too little: each pair that was found took what one did in the other
    scores of that teacher, over the same corpus and queries.
    """
    own, scored = own_pairs(scores), _scored_for(scores)
    if 2 * scored >= own > 0:
        return [(scores, pairs / scored)]
    others = {other: _scored_for(other) for other in _alike(scores)}
    total = sum(others.values())
    found = pairs * (own - scored) / own if own else pairs
    told = [(other, found / total) for other, count in others.items() if count]
    return [(scores, pairs / own), *told] if own else told or [(scores, 1.0)]


def saved_by(scores: Artifact) -> float:
    """Return the seconds that finding some of the pairs saved."""
    whole = sum(seconds_of(one) * part for one, part in would_have_cost(scores))
    return whole - seconds_of(scores)


def own_pairs(scores: Artifact) -> int:
    """Return how many pairs were asked of the teacher that it had not scored in what the scores
    were made of, such as a run in the teacher's order."""
    inputs = [scores.input(role) for role in scores.inputs]
    before = [PairScores(one) for one in paid_on_the_way(inputs, scores)]
    asked = int(scores.cost()["usage"].get("pairs_asked", scores.counts.get("pairs", 0)))
    if not before:
        return asked
    left = 0
    for table in scores.tables():
        query, doc = _flat(table)
        left += int(_unscored(before, query, doc, np.ones(len(query), bool)).sum())
    return left


def pairs_alone(pool: Artifact, labels: Sequence[str], paid: Iterable[Artifact]) -> int:
    """Return how many pairs a pool of the labelled runs alone would hold, with the positives that
    it adds, that are in none of the scores that are `paid` for."""
    opened, left = Pool(pool), 0
    positives, scored = _positives(opened), [PairScores(one) for one in paid]
    for part in opened.parts():
        query = np.repeat(part.query, np.diff(part.offsets))
        mine = np.any([part.rank[label] > 0 for label in labels], axis=0)
        mine |= np.isin(pair_keys(query, part.doc), positives)
        left += int(_unscored(scored, query, part.doc, mine).sum())
    return left


def paid_on_the_way(runs: Iterable[Artifact], scores: Artifact) -> list[Artifact]:
    """Return the scores of the same teacher, over the same corpus and queries, that runs were made
    of."""
    alike = {one.fingerprint for one in _alike(scores)}
    return [one for key, one in behind(runs, stop=()).items() if key in alike]


def _alike(scores: Artifact) -> list[Artifact]:
    from rankmill.mining.teachers.scores import scores_alike

    return scores_alike(scores)


def _scored_for(scores: Artifact) -> int:
    """Return how many pairs were scored, as the ledger counts them; 0 where it does not."""
    return int(scores.cost()["usage"].get("pairs_scored", 0))


def _positives(pool: Pool) -> np.ndarray:
    """Return the keys of the judged positives that a pool adds, ascending."""
    if not pool.artifact.parameters["positives"]:
        return np.zeros(0, np.uint64)
    keys = []
    for table in pool.artifact.input("qrels").tables():
        chosen = table["grade"].to_numpy() >= pool.min_grade
        query, doc = (table[name].to_numpy()[chosen] for name in ("query", "doc"))
        keys.append(pair_keys(query, doc))
    return np.concatenate(keys) if keys else np.zeros(0, np.uint64)


def _flat(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return (query, doc) of every pair of a table of scores."""
    offsets, doc = list_values(table["doc"])
    return np.repeat(table["query"].to_numpy(), np.diff(offsets)), doc


def _unscored(
    scores: Sequence[PairScores], query: np.ndarray, doc: np.ndarray, among: np.ndarray
) -> np.ndarray:
    """Say of each of `among` the pairs, ascending, whether none of the scores holds it."""
    missing, spare = among.copy(), np.empty(len(query), np.float32)
    for one in scores:
        if len(query):
            one.fill(query, doc, spare, missing)
    return missing
