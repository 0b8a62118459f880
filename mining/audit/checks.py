"""Looking for trouble in groups before a GPU does: false negatives, copies, leakage, imbalance.

Everything is counted on the groups themselves, however they were made; examples carry the texts,
because a suspicion about a label is settled by reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..collection.handles import Collection
from ..collection.rows import Corpus, Queries
from ..draws import generator
from ..errors import BadInput, UsageError
from ..groups.format import Groups
from ..pair_keys import distinct, docs_of, pair_keys, queries_of
from ..runs.itself import itself
from ..runs.pool import Pool
from ..runs.run import Run
from ..store import Artifact, Workspace
from ..text.copies import FoldedCopies, keys_of, keys_there
from ..text.near_copies import near_pairs, shingled
from .leakage import MOST_DOCUMENTS, Trained, equal_texts, leakage, named_split
from .members import copies_of_positives, found_by, pairs_among

CUTOFFS = (10, 100)
_BLOCK = 100_000  # texts taken at a time


@dataclass(frozen=True, slots=True)
class Audited:
    """Groups as arrays: query uint32 [n]; doc uint32, score float32, positive bool [n, k]; positive
    is what is graded `min_grade` or more. `docs` uint32: the distinct documents, ascending.
    """

    query: np.ndarray
    doc: np.ndarray
    score: np.ndarray
    positive: np.ndarray
    docs: np.ndarray
    min_grade: int
    corpus: Corpus
    queries: Queries
    collection: Collection
    split: str

    @property
    def negative(self) -> np.ndarray:
        """bool [n, k]: not first, and not graded as a positive."""
        negatives = ~self.positive
        negatives[:, 0] = False
        return negatives


def audit_groups(
    workspace: Workspace,
    groups: Artifact | str,
    *,
    collection: Collection,
    against: Sequence[str] | None = None,
    runs: Sequence[Artifact | str] = (),
    beside: Sequence[Artifact | str] = (),
    at_least: float = 0.8,
    examples: int = 5,
) -> dict[str, Any]:
    """Return what was found, as plain JSON values, in seven sections.

    `must_be_zero` and `counts`; `suspects`: negatives that the teacher scores above the positive,
    the largest gaps first, with texts; `copies`: near copies among the documents (overlap
    `at_least` or more) and negatives that nearly copy a positive of their own query; `leakage`:
    per other split (or those in `against`, COLLECTION:SPLIT for another collection of the
    workspace) equal and nearly equal queries, and its judged positives among the documents;
    `coverage`: how much of evaluation `runs` the groups hold; `overlap`: how many negatives
    they share with other groups, `beside`, on the same query; `imbalance`: how often documents
    and positives repeat, and which sources found the negatives. Above 50,000 distinct documents
    the copies are sought in a keyed draw of that many, and `copies` says so.
    """
    if examples < 0:
        raise UsageError(f"examples={examples} is negative")
    artifact = workspace.find(groups, "groups")
    audited = _read(artifact, collection)
    splits = [s for s in collection.splits if s != audited.split] if against is None else against
    seen = distinct(audited.query)
    trained = Trained(seen, audited.docs, audited.queries, audited.corpus, collection)
    return {
        "must_be_zero": _must_be_zero(audited),
        "counts": _counts(audited),
        "suspects": _suspects(audited, examples),
        "copies": _copies(audited, at_least, examples),
        "leakage": {
            name: leakage(
                trained,
                *named_split(workspace, collection, name),
                at_least,
                examples,
                min_grade=audited.min_grade,
            )
            for name in splits
        },
        "coverage": {
            Run(run).label: _coverage(audited, Run(run))
            for run in (workspace.find(one, "run") for one in runs)
        },
        "overlap": {
            other.metadata.get("strategy", other.fingerprint[:12]): _overlap(artifact, other)
            for other in (workspace.find(one, "groups") for one in beside)
        },
        "imbalance": _imbalance(audited, artifact),
    }


def _read(artifact: Artifact, collection: Collection) -> Audited:
    """Read groups whole; raises BadInput where there are none."""
    groups = Groups(artifact, level=2)
    parts = groups.parts()
    if not artifact.rows:
        raise BadInput("there are no groups to audit", where=artifact.path)
    query, doc, score = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("query", "doc", "score")
    )
    return Audited(
        query=query,
        doc=doc,
        score=score,
        positive=np.concatenate([groups.positive(part) for part in parts]),
        docs=distinct(doc),
        min_grade=groups.min_grade,
        corpus=Corpus(artifact.input("corpus")),
        queries=Queries(artifact.input("queries")),
        collection=collection,
        split=artifact.metadata.get("split", ""),
    )


def _must_be_zero(groups: Audited) -> dict[str, int]:
    """Count what no group may hold."""
    judged = pairs_among(groups.query, groups.doc, _judged(groups))
    itself = pairs_among(groups.query, groups.doc, _itself(groups))
    ordered = np.sort(groups.doc, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).sum()
    negative = groups.negative & ~judged
    empty = np.zeros(len(groups.corpus), bool)
    empty[groups.corpus.empty] = True
    return {
        "positives_among_negatives": int((judged & groups.negative).sum()),
        "copies_of_a_positive_among_negatives": int(
            (_copies_of_positives(groups) & negative).sum()
        ),
        "negatives_that_are_the_query_itself": int((itself & negative).sum()),
        "documents_twice_in_a_group": int(twice),
        "empty_documents": int(empty[groups.doc].sum()),
        "scores_not_finite": int((~np.isfinite(groups.score)).sum()),
    }


def _copies_of_positives(groups: Audited) -> np.ndarray:
    """bool [n, k]: a copy, as selection means it, of a positive of the group or of the query."""
    judged = _judged(groups)
    judged = judged[np.isin(queries_of(judged), groups.query)]
    own, of_judged = _copy_keys(groups.corpus, groups.docs, [groups.doc, docs_of(judged)])
    positive = groups.positive.copy()
    positive[:, 0] = True
    return copies_of_positives(groups.query, own, positive, judged, of_judged)


def _copy_keys(
    corpus: Corpus, docs: np.ndarray, asked: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the keys (uint64) of the documents of each of `asked`; those of the first are docs."""
    made = keys_there(corpus.artifact.workspace, corpus.artifact)
    if made is not None:
        keys = FoldedCopies(made).keys
        yield from (keys[wanted] for wanted in asked)
        return
    known = distinct(np.concatenate([docs, *(wanted.reshape(-1) for wanted in asked[1:])]))
    keys = np.empty(len(known), np.uint64)
    for start, table in corpus.parts():
        first, last = np.searchsorted(known, [start, start + len(table)])
        for at in range(int(first), int(last), _BLOCK):
            rows = known[at : min(at + _BLOCK, int(last))].astype(np.int64) - start
            keys[at : at + len(rows)] = keys_of(table["text"].take(pa.array(rows)))
    yield from (keys[np.searchsorted(known, wanted)] for wanted in asked)


def _itself(groups: Audited) -> np.ndarray:
    """Keys of the documents that are their query, see `mining.runs.itself`."""
    judged = [groups.collection.qrels(groups.split)] if _is_judged(groups) else []
    return itself(groups.corpus, groups.queries, judged)


def _counts(groups: Audited) -> dict[str, int]:
    positives = groups.positive.sum(axis=1)
    return {
        "groups": len(groups.query),
        "queries": len(distinct(groups.query)),
        "documents_seen": int(groups.doc.size),
        "distinct_documents": len(groups.docs),
        "distinct_pairs": len(distinct(pair_keys(groups.query[:, None], groups.doc))),
        "groups_without_a_positive": int((positives == 0).sum()),
        "groups_with_several_positives": int((positives > 1).sum()),
    }


def _suspects(groups: Audited, examples: int) -> dict[str, Any]:
    score = groups.score.astype(np.float64)  # the difference of two floats may be beyond float32
    gap = np.where(groups.negative, score - score[:, :1], -np.inf)
    above = gap > 0
    order = _largest(gap.reshape(-1), min(examples, int(above.sum())))
    rows, places = np.unravel_index(order, gap.shape)
    return {
        "above_the_positive": int(above.sum()),
        "ties_with_the_positive": int((gap == 0).sum()),
        "groups_with_one": int(above.any(axis=1).sum()),
        "share_of_negatives": float(above.sum() / max(1, groups.negative.sum())),
        "examples": [
            {
                "gap": float(gap[row, place]),
                **_shown(groups, int(groups.query[row]), "query"),
                **_document(groups, int(groups.doc[row, 0]), "positive"),
                **_document(groups, int(groups.doc[row, place]), "negative"),
            }
            for row, place in zip(rows, places, strict=True)
        ],
    }


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """Return the places of the largest values, largest first, the earlier of equal ones first."""
    if not number:
        return np.empty(0, np.int64)
    least = np.partition(values, len(values) - number)[len(values) - number]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:number]]


def _copies(groups: Audited, at_least: float, examples: int) -> dict[str, Any]:
    docs = groups.docs
    sample = len(docs) > MOST_DOCUMENTS
    if sample:
        docs = np.sort(generator(0, "audit").permutation(docs)[:MOST_DOCUMENTS])
    left, right, overlap = near_pairs(shingled(groups.corpus.texts(docs)), at_least)
    left, right = docs[left], docs[right]
    near = distinct(np.concatenate([pair_keys(left, right), pair_keys(right, left)]))
    bad = pairs_among(groups.doc[:, 0], groups.doc, near) & groups.negative
    rows, places = np.nonzero(bad)
    equal = equal_texts(groups.corpus, left, groups.corpus, right)
    order = np.lexsort((-overlap, ~equal))[:examples]
    return {
        "documents_compared": len(docs),
        "all_documents": not sample,
        "pairs": len(left),
        "exact_pairs": int(equal.sum()),
        "negatives_like_the_positive": int(bad.sum()),
        "negatives_like_the_positive_examples": [
            {
                **_shown(groups, int(groups.query[row]), "query"),
                **_document(groups, int(groups.doc[row, 0]), "positive"),
                **_document(groups, int(groups.doc[row, place]), "negative"),
            }
            for row, place in list(zip(rows, places, strict=True))[:examples]
        ],
        "examples": [
            {
                "overlap": float(overlap[i]),
                **_document(groups, int(left[i]), "one"),
                **_document(groups, int(right[i]), "other"),
            }
            for i in order
        ],
    }


def _coverage(groups: Audited, run: Run) -> dict[str, float]:
    """Return |S ∩ R| / |R| at CUTOFFS, S the groups' documents, R those of the run's first ranks.

    Beside it the ratio to what as many documents drawn at random would cover, |S| / corpus.
    """
    if run.artifact.inputs["corpus"] != groups.corpus.artifact.fingerprint:
        raise BadInput(
            f"the run {run.label} is of another corpus",
            where=run.artifact.path,
            do="name a run over the collection that the groups were made from",
        )
    trained = groups.docs
    expected = len(trained) / max(1, len(groups.corpus) - len(groups.corpus.empty))
    shares: dict[str, float] = {}
    for cutoff in CUTOFFS:
        first = [np.empty(0, np.uint32)]
        for part in run.parts():
            lengths = np.diff(part.offsets)
            rank = np.arange(len(part.doc)) - np.repeat(part.offsets[:-1], lengths)
            first.append(part.doc[rank < cutoff])
        wanted = distinct(np.concatenate(first))
        share = len(np.intersect1d(wanted, trained, assume_unique=True)) / max(1, len(wanted))
        shares[f"at {cutoff}"] = share
        shares[f"at {cutoff}, ratio to random"] = share / expected
    return shares


def _overlap(groups: Artifact, other: Artifact) -> dict[str, float]:
    """Return the mean Jaccard overlap of the negatives over the queries that both groups have."""
    keys, others = _negatives(groups), _negatives(other)
    common = np.intersect1d(keys, others, assume_unique=True)
    asked = distinct(queries_of(keys)), distinct(queries_of(others))
    query = np.intersect1d(*asked, assume_unique=True)
    ours, theirs, both = (_per_query(pairs, query) for pairs in (keys, others, common))
    shares = both / (ours + theirs - both)
    summary = {"queries in both": float(len(shares))}
    return summary | ({"jaccard of negatives": float(np.mean(shares))} if len(shares) else {})


def _negatives(groups: Artifact) -> np.ndarray:
    """Return the distinct query·2³² + document of every negative, ascending."""
    keys, read = [np.empty(0, np.uint64)], Groups(groups)
    for part in read.parts():
        negative = ~read.positive(part)
        negative[:, 0] = False
        keys.append(pair_keys(part.query[:, None], part.doc)[negative])
    return distinct(np.concatenate(keys))


def _per_query(keys: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return how many of the ascending keys are of each query: int64."""
    owner = queries_of(keys)
    return np.searchsorted(owner, query, "right") - np.searchsorted(owner, query, "left")


def _imbalance(groups: Audited, artifact: Artifact) -> dict[str, Any]:
    negatives, uses = np.unique(groups.doc[groups.negative], return_counts=True)
    positives, again = np.unique(groups.doc[:, 0], return_counts=True)
    most = int(np.argmax(uses)) if len(uses) else -1
    counts: dict[str, Any] = {
        "seen_per_distinct_document": float(groups.doc.size / max(1, len(groups.docs))),
        "gini_of_negatives": gini(uses),
        "most_used_negative": groups.corpus.doc_id(int(negatives[most])) if most >= 0 else None,
        "most_used_negative_times": int(uses[most]) if most >= 0 else 0,
        "positives_used_more_than_once": int((again > 1).sum()),
        "positives_that_are_negatives_elsewhere": len(
            np.intersect1d(positives, negatives, assume_unique=True)
        ),
        "most_groups_of_one_query": int(np.unique(groups.query, return_counts=True)[1].max()),
    }
    if "pool" in artifact.inputs:
        pool = Pool(artifact.input("pool"))
        keys, positive = pair_keys(groups.query[:, None], groups.doc), ~groups.negative
        counts["positives_found_by"] = _found_by(distinct(keys[positive]), pool)
        counts["negatives_found_by"] = _found_by(distinct(keys[groups.negative]), pool)
    return counts


def gini(uses: np.ndarray) -> float:
    """Return the Gini coefficient of counts: 0 where all are equal, near 1 where one takes all."""
    ordered = np.sort(uses).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    return float(2.0 * (np.arange(1, n + 1) * ordered).sum() / (n * total) - (n + 1) / n)


def _found_by(wanted: np.ndarray, pool: Pool) -> dict[str, float]:
    """Return the share of different pairs that each source of the pool had found."""
    hits = found_by(pool, wanted)
    return {label: count / max(1, len(wanted)) for label, count in hits.items()}


def _judged(groups: Audited) -> np.ndarray:
    """Return the keys of every judged positive of the groups' split."""
    if not _is_judged(groups):
        return np.empty(0, np.uint64)
    return groups.collection.qrels(groups.split).positive_keys(groups.min_grade)


def _is_judged(groups: Audited) -> bool:
    return groups.split in groups.collection.splits


def _shown(groups: Audited, query: int, name: str) -> dict[str, str]:
    return {f"{name}_id": groups.queries.query_id(query), name: groups.queries.text(query)}


def _document(groups: Audited, doc: int, name: str) -> dict[str, str]:
    return {f"{name}_id": groups.corpus.doc_id(doc), name: groups.corpus.text(doc)}


def verdict(audit: dict[str, Any]) -> list[str]:
    """Return what must not be there and is, as sentences; empty when the groups are sound."""
    return [
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in audit["must_be_zero"].items()
        if count
    ]
