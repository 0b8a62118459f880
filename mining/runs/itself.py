"""The query itself as a document: which documents are no candidates of a query because they are it.

In ArguAna and Quora queries are documents of the corpus, and a search finds each of them first.
`exclude`, the default, leaves out a document with exactly the query's text, and one with the
query's id whose text ends with the query's (a title may stand before it). `same_id` is BEIR's rule,
equal ids whatever the texts; `keep` leaves out nothing. Equal ids alone mean nothing: query 1 of
Cranfield is not document 1. What is judged relevant for the query always stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native.text_rows import ends_of_rows
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.id_index import IdIndex
from ..collection.rows import Corpus, Qrels, Queries
from ..errors import UsageError
from ..names import nearest
from ..pair_keys import distinct, docs_of, pair_keys, queries_of
from ..store import open_artifact
from ..text.analysis import text_buffers
from .union import Lists

RULES = ("exclude", "same_id", "keep")
EXCLUDE, SAME_ID, KEEP = RULES
_MANY = 1 << 16
COUNT = "excluded:self"
"""The count of documents left out, in manifests."""


def check_rule(rule: str) -> None:
    """Raise UsageError for a rule that is not known."""
    if rule not in RULES:
        raise UsageError(f"self={rule} is not known", do=nearest(str(rule), RULES))


def pairs_of_split(collection: Collection, split: str, rule: str) -> np.ndarray:
    """Return what is left out of the lists of a split's queries, as `itself` does; `*` looks at
    the judgements of all splits."""
    splits = collection.splits if split == EVERY_QUERY else (split,)
    judged = [collection.qrels(one) for one in splits]
    pairs = itself(collection.corpus, collection.queries, judged, rule)
    if split == EVERY_QUERY or not len(pairs):
        return pairs
    return pairs[np.isin(queries_of(pairs), collection.split_queries(split))]


def itself(
    corpus: Corpus, queries: Queries, judged: Sequence[Qrels], rule: str = EXCLUDE
) -> np.ndarray:
    """Return query·2³² + document (uint64, ascending) of the pairs that a rule leaves out.

    The texts of a collection are compared once per process.
    """
    check_rule(rule)
    if rule == KEEP:
        return np.empty(0, dtype=np.uint64)
    by_text, by_id, by_both = _alike(str(corpus.artifact.path), str(queries.artifact.path))
    pairs = by_id if rule == SAME_ID else distinct(np.concatenate([by_text, by_both]))
    if not len(pairs):
        return pairs
    positives = distinct(np.concatenate([pairs[:0], *(q.positive_keys() for q in judged)]))
    return np.setdiff1d(pairs, positives, assume_unique=True)


def of_query(pairs: np.ndarray, query: int) -> np.ndarray:
    """Return the documents (uint32) that are left out for one query."""
    low, high = np.searchsorted(pairs, pair_keys(np.array([query, query + 1]), 0))
    return docs_of(pairs[low:high])


def counts_of(pairs: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return how many documents are left out for each query: int64."""
    own = queries_of(pairs)
    return np.searchsorted(own, queries, side="right") - np.searchsorted(own, queries)


def without(pairs: np.ndarray, queries: np.ndarray, lists: Lists) -> Lists:
    """Leave pairs out of lists, in order; list r is that of queries[r], which ascend."""
    offsets, docs, scores = lists
    if not (len(pairs) and len(queries)):
        return lists
    ends = pair_keys(np.array([queries[0], int(queries[-1]) + 1]), 0)
    low, high = np.searchsorted(pairs, ends)
    if low == high:
        return lists
    row = np.repeat(np.arange(len(queries)), np.diff(offsets))
    kept = ~np.isin(pair_keys(queries[row], docs), pairs[low:high])
    bounds = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(queries)))])
    return bounds, docs[kept], scores[kept]


@lru_cache(maxsize=4)
def _alike(corpus: str, queries: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs of equal texts, of equal ids, and of equal ids with the query's text at the
    end of the document's: uint64, ascending. Texts without letters are the same as nothing."""
    docs, asked = Corpus(open_artifact(Path(corpus))), Queries(open_artifact(Path(queries)))
    texts = pa.chunked_array([t["text"].combine_chunks() for _, t in asked.parts()], pa.string())
    texts = texts.cast(pa.large_string())
    ids = pa.chunked_array([t["query_id"].combine_chunks() for _, t in asked.parts()], pa.string())
    rows_of = _rows_of(ids)
    equal = _Texts(texts)
    by_text, by_id, by_both = ([np.empty(0, np.uint64)] for _ in range(3))
    tails = text_buffers(texts)
    for start, table in docs.parts():
        query, doc = equal.among(table["text"])
        by_text.append(pair_keys(query, doc + start))
        query = rows_of(table["doc_id"])
        doc = np.flatnonzero(query >= 0)
        query = query[doc]
        by_id.append(pair_keys(query, doc + start))
        ends = np.zeros(len(doc), dtype=bool)
        if len(doc):
            ends_of_rows(*text_buffers(table["text"]), doc, *tails, query, ends)
        by_both.append(pair_keys(query[ends], doc[ends] + start))
    return tuple(distinct(np.concatenate(one)) for one in (by_text, by_id, by_both))  # type: ignore[return-value]


def _rows_of(ids: pa.ChunkedArray) -> Callable[[pa.ChunkedArray], np.ndarray]:
    """Return what says which row of some ids each of others is, int64; −1 for none.

    Few ids are hashed anew for each column that is asked about: that takes less than the kernels
    of an index take to be loaded.
    """
    if len(ids) > _MANY:
        return IdIndex([ids]).rows
    known = ids.combine_chunks()

    def rows(wanted: pa.ChunkedArray) -> np.ndarray:
        place = pc.fill_null(pc.index_in(wanted, value_set=known), -1)
        return place.to_numpy().astype(np.int64)

    return rows


class _Texts:
    """The queries by their texts. A text that is blank is nobody's."""

    def __init__(self, texts: pa.ChunkedArray):
        whole = texts.combine_chunks()
        self.distinct = whole.unique()
        number = pc.index_in(whole, value_set=self.distinct).to_numpy(zero_copy_only=False)
        blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(self.distinct)), 0)
        self.blank = blank.to_numpy(zero_copy_only=False)
        self.order = np.argsort(number, kind="stable")
        self.starts = np.searchsorted(number[self.order], np.arange(len(self.distinct) + 1))
        lengths = pc.binary_length(self.distinct).to_numpy(zero_copy_only=False).astype(np.int64)
        self.lengths = np.zeros(int(lengths.max(initial=0)) + 2, dtype=bool)
        self.lengths[lengths] = True
        self.lengths[-1] = False  # stands for all that is longer

    def among(self, texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Return (query, row) of every text that is a query's; only texts of a query's length are
        read."""
        lengths = pc.binary_length(texts).to_numpy()
        rows = np.flatnonzero(self.lengths[np.minimum(lengths, len(self.lengths) - 1)])
        taken = texts.take(pa.array(rows))
        place = pc.fill_null(pc.index_in(taken, value_set=self.distinct), -1).to_numpy()
        rows, place = rows[place >= 0], place[place >= 0]
        rows, place = rows[~self.blank[place]], place[~self.blank[place]]
        several = self.starts[place + 1] - self.starts[place]
        first = np.repeat(self.starts[place], several)
        within = np.arange(len(first)) - np.repeat(np.cumsum(several) - several, several)
        return self.order[first + within], np.repeat(rows, several)
