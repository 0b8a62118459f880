"""Which way do a teacher's scores run? Judged on documents that no score chose.

That judged positives score lower than other candidates proves nothing by itself: where the encoder
that mined the candidates also scores them, a positive loses to whatever that score put on top, and
where judgements are sparse many of those are relevant. So three comparisons are kept apart, and in
each every query has one vote, because the pairs of one query are not independent:

    drawn    its positives against documents that a drawn source (`random`) put into the pool:
             chosen by no score, so this is the direction itself
    chosen   its positives against the candidates of sources that rank: confounded
    order    the first half of a ranking source's list against the second half: needs no judgements

A query is for the scores when the Mann–Whitney statistic of the two sets is above ½, against them
when it is below, silent at ½. If each of n votes is against with probability at most p₀, then
P(k or more are) ≤ exp(−n·KL(k/n ‖ p₀)), Chernoff's bound on the binomial. A comparison is *clear*
where that is below 1e-4 for p₀ = ⅔: a teacher that knows nothing and dislikes something that
positives have (their length, say) is not yet one that runs the wrong way. It *leans* where the
same holds for p₀ = ½. A clear verdict takes 23 queries that all agree, leaning 14.

Refused: drawn is clear; or, where drawn does not speak for the scores, chosen is clear and so is
the order of every ranking source, since scores that agree with what chose the candidates cannot be
told from scores that run the wrong way by their positives. All else is said and goes on.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.rows import Qrels
from ..errors import BadInput, UsageError, worded
from ..pair_keys import pair_keys
from ..store import Artifact
from ..store.tables import list_values

DIRECTIONS = ("judged", "trusted")
_QUERIES = 2000  # are asked at most, evenly spaced: more votes would not change a clear verdict
_CHANCE = 1e-4
_CLEAR, _LEANS = 2 / 3, 1 / 2  # share of votes against that a sound teacher may have
_WAY_OUT = (
    "if lower is better, read the file with --sign -1 (imported(…,sign=-1) as a teacher), or swap "
    "yes and no of a language model; if these scores are right as they are, say --direction trusted"
)


@dataclass(frozen=True, slots=True)
class Votes:
    """How many queries spoke for the scores and how many against them."""

    won: int = 0
    lost: int = 0

    @property
    def clear(self) -> bool:
        """Whether more are against than a teacher that knows nothing would have."""
        return chance(self.lost, self.won + self.lost, _CLEAR) < _CHANCE

    @property
    def leans(self) -> bool:
        """Whether more are against than a fair coin would give."""
        return chance(self.lost, self.won + self.lost, _LEANS) < _CHANCE

    @property
    def agrees(self) -> bool:
        """Whether more are for the scores than a fair coin would give."""
        return chance(self.won, self.won + self.lost, _LEANS) < _CHANCE

    def __str__(self) -> str:
        asked = self.won + self.lost
        return f"{self.lost / max(1, asked):.0%} of {asked:,} queries"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The three comparisons; `order` by the label of a ranking source."""

    drawn: Votes
    chosen: Votes
    order: Mapping[str, Votes]


def chance(lost: int, votes: int, share: float) -> float:
    """Bound the probability of `lost` or more of `votes` when each is lost with at most `share`.

    Chernoff: exp(−n·KL(lost/n ‖ share)), and 1 where lost/n is not above `share`.
    """
    if not votes or lost <= share * votes:
        return 1.0
    rate = lost / votes
    divergence = rate * math.log(rate / share)
    if rate < 1.0:
        divergence += (1.0 - rate) * math.log((1.0 - rate) / (1.0 - share))
    return math.exp(-votes * divergence)


def check_choice(direction: str | None) -> None:
    """Refuse a `direction=` that is not known; None stands for the default."""
    if direction not in (None, *DIRECTIONS):
        known = ", ".join(DIRECTIONS)
        raise UsageError(f"direction={direction} is not known", do=f"one of {known}")


def check_direction(
    scores: Artifact, pool: Artifact, direction: str = "judged", executor: Execution = INLINE
) -> None:
    """Refuse scores that clearly run the wrong way, and say what does not look right.

    `scores` of the pairs of `pool`, or of a run. `direction="trusted"` asks nothing. The result
    depends on both artifacts alone and changes neither. Raises BadInput; warns where the evidence
    leans or is confounded, and tells the progress of `executor` where it is explained.
    """
    check_choice(direction)
    if direction == "trusted" or not scores.rows:
        return
    evidence = evidence_of(scores, pool)
    against = [label for label, votes in evidence.order.items() if votes.clear]
    if evidence.drawn.clear:
        raise _wrong_way(
            scores, f"judged positives score lower than random documents in {evidence.drawn}"
        )
    everywhere = bool(against) and len(against) == len(evidence.order)
    if evidence.chosen.clear and everywhere and not evidence.drawn.agrees:
        raise _wrong_way(
            scores,
            f"judged positives score lower than other candidates in {evidence.chosen}, and the "
            f"order of every source is reversed ({_named(evidence.order, against)})",
        )
    _say(evidence, against, executor)


def _say(evidence: Evidence, against: list[str], executor: Execution) -> None:
    if against:
        _warn(f"the scores run against the order of {_named(evidence.order, against)}")
    if evidence.drawn.leans:
        _warn(f"judged positives score lower than random documents in {evidence.drawn}")
    if not evidence.chosen.leans:
        return
    said = f"judged positives score lower than other candidates in {evidence.chosen}"
    alike = [label for label, votes in evidence.order.items() if votes.agrees]
    if evidence.drawn.agrees:
        executor.progress.announce(
            f"note: {said}, but higher than random documents in "
            f"{Votes(evidence.drawn.lost, evidence.drawn.won)}: hard candidates or sparse "
            "judgements, not a wrong sign"
        )
    elif alike:
        executor.progress.announce(
            f"note: {said}; they were chosen by scores that agree with these "
            f"({', '.join(alike)}), so this does not tell which way these run; "
            "pool a run of `random` too and it will be judged"
        )
    elif not against:
        _warn(f"{said}; pool a run of `random` too to learn which way the scores run")


def _warn(said: str) -> None:
    text = worded(f"{said}; check the teacher: {_WAY_OUT}")
    warnings.warn(text, RuntimeWarning, stacklevel=5)


def _wrong_way(scores: Artifact, said: str) -> BadInput:
    return BadInput(
        f"the scores run the wrong way: {said}",
        where=scores.path,
        do=f"check the teacher: {_WAY_OUT}",
    )


def _named(order: Mapping[str, Votes], labels: list[str]) -> str:
    return ", ".join(f"{label} in {order[label]}" for label in labels)


def evidence_of(scores: Artifact, pool: Artifact) -> Evidence:
    """Let up to 2,000 queries vote, evenly spaced over those that have scores."""
    asked = np.concatenate([table["query"].to_numpy() for table in scores.tables()])
    places = np.linspace(0, len(asked) - 1, min(len(asked), _QUERIES)).round().astype(np.int64)
    queries = asked[places]
    query, doc, values = _pairs(scores, queries, "logit")
    row = np.searchsorted(queries, query)
    rising = np.lexsort((values, row))  # once: what is sorted already costs each vote little
    query, doc, values, row = query[rising], doc[rising], values[rising], row[rising]
    keys = pair_keys(query, doc)
    ranks, drawn_labels = _ranks(pool, queries, keys)
    positive, other = np.zeros(len(keys), bool), np.ones(len(keys), bool)
    if "qrels" in pool.inputs:
        qrels = Qrels(pool.input("qrels"))
        positive = np.isin(keys, qrels.positive_keys(pool.parameters.get("min_grade", 1)))
        other = ~positive & ~np.isin(keys, qrels.excluded_keys)
    drawn, ranked = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
    order = {}
    for label, rank in ranks.items():
        if label in drawn_labels:
            drawn |= rank > 0
            continue
        ranked |= rank > 0
        longest = np.zeros(len(queries), np.int64)
        np.maximum.at(longest, row, rank)
        first = (rank > 0) & (2 * rank <= longest[row])
        order[label] = votes(values, row, first, (rank > 0) & ~first)
    return Evidence(
        drawn=votes(values, row, positive, drawn & other),
        chosen=votes(values, row, positive, ranked & other),
        order={label: tally for label, tally in order.items() if tally.won + tally.lost},
    )


def votes(scores: np.ndarray, row: np.ndarray, first: np.ndarray, second: np.ndarray) -> Votes:
    """Let every row vote on which of two disjoint sets of its documents scores higher.

    scores float32 [n]; row int [n], the row of each; first, second bool [n]. The Mann–Whitney
    statistic U counts pairs (one of each set) that `first` wins, a tie as a half; the vote compares
    it with half the pairs. Rows without one of the sets have none.
    """
    both = first | second
    row, scores, mine = row[both], scores[both], first[both]
    if not len(row):
        return Votes()
    order = np.lexsort((scores, row))
    row, scores, mine = row[order], scores[order], mine[order]
    fresh = np.append(True, (row[1:] != row[:-1]) | (scores[1:] != scores[:-1]))
    start = np.flatnonzero(fresh)
    size = np.diff(np.append(start, len(row)))
    number = np.bincount(row)
    begin = np.cumsum(number) - number
    # Twice the mean place of a tied set, so that everything is a whole number.
    place = (2 * start + size - 1)[np.cumsum(fresh) - 1] - 2 * begin[row]
    wide = len(number)
    ours = np.bincount(row[mine], minlength=wide)
    sums = np.bincount(row[mine], weights=place[mine], minlength=wide).astype(np.int64)
    margin = sums - ours * (ours - 1) - ours * (number - ours)
    return Votes(int((margin > 0).sum()), int((margin < 0).sum()))


def _pairs(
    artifact: Artifact, queries: np.ndarray, values: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (query, doc, values) of the lists of some queries, pair by pair."""
    taken = _rows(artifact, queries)
    offsets, doc = list_values(taken["doc"])
    query = np.repeat(taken["query"].to_numpy(), np.diff(offsets))
    return query, doc, list_values(taken[values])[1]


def _rows(artifact: Artifact, queries: np.ndarray) -> pa.Table:
    tables = []
    for table in artifact.tables():
        at = np.flatnonzero(np.isin(table["query"].to_numpy(), queries, assume_unique=True))
        tables.append(table.take(pa.array(at)))
    return pa.concat_tables(tables).combine_chunks()


def _ranks(
    pool: Artifact, queries: np.ndarray, keys: np.ndarray
) -> tuple[dict[str, np.ndarray], frozenset[str]]:
    """Return the rank (int64, 0 = not found) of each pair in every source, and which were drawn."""
    if pool.kind == "run":
        label, taken = pool.metadata["source"], _rows(pool, queries)
        offsets, doc = list_values(taken["doc"])
        lengths = np.diff(offsets)
        known = pair_keys(np.repeat(taken["query"].to_numpy(), lengths), doc)
        rank = np.arange(len(doc)) - np.repeat(offsets[:-1], lengths) + 1
        order = np.argsort(known)
        at = order[np.searchsorted(known, keys, sorter=order)]
        return {label: rank[at]}, frozenset({label} if _drawn(pool) else ())
    taken = _rows(pool, queries)
    offsets, doc = list_values(taken["doc"])
    known = pair_keys(np.repeat(taken["query"].to_numpy(), np.diff(offsets)), doc)
    at = np.searchsorted(known, keys)
    ranks = {
        name.removeprefix("rank[").removesuffix("]"): list_values(taken[name])[1][at]
        for name in taken.column_names
        if name.startswith("rank[")
    }
    runs = [pool.input(role) for role in pool.inputs if role.startswith("run[")]
    drawn = frozenset(run.metadata["source"] for run in runs if _drawn(run))
    return {label: rank.astype(np.int64) for label, rank in ranks.items()}, drawn


def _drawn(run: Artifact) -> bool:
    """Say whether a run was drawn, not ranked: then it holds inclusion probabilities."""
    return any(name.startswith("inclusion") for name in run.manifest["schema"][""])
