"""What training groups share with the queries and positives of a test split: equal and nearly equal
texts, in their own collection or in another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..collection.handles import Collection
from ..collection.rows import Corpus, Queries
from ..draws import generator
from ..pair_keys import distinct
from ..store import Workspace
from ..text.near_copies import near_pairs, shingled

MOST_DOCUMENTS = 50_000
_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Trained:
    """What a student sees: ordinals of queries and documents (uint32, ascending), and their texts.

    `collection` is the one that the ordinals count in.
    """

    query: np.ndarray
    doc: np.ndarray
    queries: Queries
    corpus: Corpus
    collection: Collection


def named_split(workspace: Workspace, own: Collection, name: str) -> tuple[Collection, str]:
    """Return the collection and split that `name` means: a split, or COLLECTION:SPLIT.

    Raises BadInput for an unknown collection; an unknown split is refused where it is read.
    """
    collection, colon, split = name.rpartition(":")
    return (Collection.open(workspace, collection), split) if colon else (own, name)


def leakage(
    trained: Trained,
    other: Collection,
    split: str,
    at_least: float,
    examples: int,
    min_grade: int = 1,
) -> dict[str, Any]:
    """Compare training queries and documents with the queries and positives of a split.

    Equal means the same text byte for byte, within one collection also the same id. Nearly equal
    are only those that are not equal. Near copies are sought among at most 50,000 documents of each
    side, keyed draws of them. Examples are pairs of different ids, equal texts first. A positive is
    what is graded `min_grade` or more. Another collection has grades of its own, so there 1 is
    enough: rather a leak too many than one that a foreign scale hides.
    """
    same = other.artifact.fingerprint == trained.collection.artifact.fingerprint
    asked, qrels = other.split_queries(split), other.qrels(split)
    wanted = distinct(qrels.doc[qrels.grade >= (min_grade if same else 1)])
    known_queries = _same_text(trained.queries, trained.query, other.queries, asked)
    known_docs = _same_text(trained.corpus, trained.doc, other.corpus, wanted)
    if same:
        known_queries |= np.isin(asked, trained.query)
        known_docs |= np.isin(wanted, trained.doc)
    left, right, overlap = _near_queries(trained, other, asked, same, at_least)
    equal = equal_texts(trained.queries, left, other.queries, right)
    fresh = ~np.isin(right, asked[known_queries])
    order = np.lexsort((-overlap, ~equal))
    order = order[(equal | fresh)[order]][:examples]
    return {
        "queries": len(asked),
        "queries_in_both": int(known_queries.sum()),
        "queries_nearly_equal": len(distinct(right[fresh])),
        "positives": len(wanted),
        "positives_trained_on": int(known_docs.sum()),
        "positives_nearly_trained_on": _near_documents(
            trained, other.corpus, wanted[~known_docs], at_least
        ),
        "examples": [
            {
                "equal": bool(equal[i]),
                "overlap": float(overlap[i]),
                "training_query_id": trained.queries.query_id(int(left[i])),
                "training_query": trained.queries.text(int(left[i])),
                "test_query_id": other.queries.query_id(int(right[i])),
                "test_query": other.queries.text(int(right[i])),
            }
            for i in order
        ],
    }


def _near_queries(
    trained: Trained, other: Collection, asked: np.ndarray, same: bool, at_least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (training query, test query, overlap) of every close pair of different queries."""
    texts = [*trained.queries.texts(trained.query), *other.queries.texts(asked)]
    side = np.arange(len(texts)) >= len(trained.query)
    left, right, overlap = near_pairs(shingled(texts), at_least, side=side)
    ours, theirs = trained.query[left], asked[right - len(trained.query)]
    kept = ours != theirs if same else np.ones(len(ours), dtype=bool)
    return ours[kept], theirs[kept], overlap[kept]


def _near_documents(trained: Trained, corpus: Corpus, fresh: np.ndarray, at_least: float) -> int:
    """Count documents that are no training document but nearly copy one."""
    fresh, docs = _drawn(fresh), _drawn(trained.doc)
    sets = shingled([*trained.corpus.texts(docs), *corpus.texts(fresh)])
    side = np.arange(len(sets)) >= len(docs)
    return len(distinct(near_pairs(sets, at_least, side=side)[1]))


def _drawn(docs: np.ndarray) -> np.ndarray:
    if len(docs) <= MOST_DOCUMENTS:
        return docs
    return np.sort(generator(0, "audit").permutation(docs)[:MOST_DOCUMENTS])


def equal_texts(
    ours: Queries | Corpus, left: np.ndarray, theirs: Queries | Corpus, right: np.ndarray
) -> np.ndarray:
    """Say of each pair (left[i] of ours, right[i] of theirs) whether the texts are the same."""
    equal = np.zeros(len(left), dtype=bool)
    for start in range(0, len(left), _BLOCK):
        block = slice(start, start + _BLOCK)
        pairs = zip(ours.texts(left[block]), theirs.texts(right[block]), strict=True)
        equal[block] = [one == other for one, other in pairs]
    return equal


def _same_text(
    ours: Queries | Corpus, mine: np.ndarray, theirs: Queries | Corpus, asked: np.ndarray
) -> np.ndarray:
    """Say which of their texts is one of ours; empty texts are never the same. `mine` ascends."""
    wanted = pa.array(theirs.texts(asked), pa.large_string())
    distinct = wanted.unique()
    same = np.zeros(len(distinct), bool)
    for start, table in ours.parts():
        first, last = np.searchsorted(mine, [start, start + len(table)])
        for at in range(int(first), int(last), _BLOCK):
            rows = mine[at : min(at + _BLOCK, int(last))].astype(np.int64) - start
            texts = table["text"].take(pa.array(rows)).cast(pa.large_string())
            places = pc.index_in(texts, value_set=distinct).drop_null().to_numpy()
            same[places] = True
    filled = pc.greater(pc.binary_length(wanted), 0).to_numpy(zero_copy_only=False)
    return same[pc.index_in(wanted, value_set=distinct).to_numpy()] & filled
