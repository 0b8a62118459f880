"""BM25 on real collections against exhaustive float64: documents, order and scores."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from oracles.bm25 import stored_off
from oracles.dense_bm25 import Exhaustive

from rankmill.mining.collection import collect
from rankmill.mining.search.bm25 import Batch, Searcher
from rankmill.mining.search.postings import Postings, postings_of
from rankmill.mining.text.analysis import analyse


@pytest.mark.parametrize("name", ["nfcorpus", "vaswani", "cisi", "cranfield"])
def test_lists_are_those_of_an_exhaustive_search(shared, workspace, name):
    """At most about 800 queries of each collection at two depths, 2,478 lists in all."""
    found = collect(workspace, f"beir:{shared / name}")
    texts = found.queries.texts(np.arange(len(found.queries))[:: max(1, len(found.queries) // 700)])
    asked = analyse(pa.array(texts, pa.large_string()))
    index = Postings(postings_of(workspace, found.corpus))
    searcher = Searcher(index, Batch.of(asked), 0.9, 0.4)
    oracle = Exhaustive(analyse(pa.array(found.corpus.texts(range(len(found.corpus))))).rows())
    for k in (100, 1000):
        bounds, docs, scores = searcher.search(k)
        for row, query in enumerate(asked.rows()):
            want, points = oracle.best(query, k)
            mine = slice(bounds[row], bounds[row + 1])
            np.testing.assert_array_equal(docs[mine], want)
            off = stored_off(query, points, len(found.corpus))
            assert (np.abs(scores[mine] - points) <= off).all()
