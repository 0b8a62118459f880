"""The BM25 kernels against the exhaustive oracle, on random and on adversarial texts.

Terms are words of a tiny alphabet joined to texts that the analysis leaves alone, so that the
tables around the kernels are tested with them.
"""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles.bm25 import bm25, stored_off

from rankmill.mining.search.bm25 import Batch, Searcher
from rankmill.mining.search.postings import Block, invert_texts
from rankmill.mining.text.analysis import analyse
from rankmill.native import bm25 as kernels
from rankmill.native.postings import count_documents, invert, term_counts


class Index:
    """An index of lists of terms in memory, cut into blocks at the given documents."""

    def __init__(self, docs, cuts=()):
        bounds = [0, *cuts, len(docs)]
        self.blocks, self.filled, self.words = [], 0, 0
        for start, stop in zip(bounds, bounds[1:], strict=False):
            texts = pa.array([" ".join(doc) for doc in docs[start:stop]], pa.large_string())
            table, filled, words = invert_texts(texts)
            self.blocks.append(Block(start, stop - start, table))
            self.filled, self.words = self.filled + filled, self.words + words
        self.average_length = self.words / max(self.filled, 1)
        self.documents = len(docs)
        self.lengths = np.concatenate([b.lengths for b in self.blocks]).astype(np.uint32)


def search(docs, queries, k, cuts=(), k1=0.9, b=0.4):
    batch = Batch.of(analyse(pa.array([" ".join(q) for q in queries], pa.large_string())))
    bounds, found, scores = Searcher(Index(docs, cuts), batch, k1, b).search(k)
    assert bounds[0] == 0
    assert len(bounds) == len(queries) + 1
    return [
        (found[i:j].tolist(), scores[i:j]) for i, j in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def check(docs, queries, k, cuts=(), **parameters):
    """Lists are in the order of the scores as they are stored: float32, ties by document."""
    exact = bm25(docs, queries, len(docs), **parameters)
    expected = [sorted(one, key=lambda e: (-np.float32(e[1]), e[0]))[:k] for one in exact]
    found = search(docs, queries, k, cuts, **parameters)
    for query, got, want in zip(queries, found, expected, strict=True):
        assert got[0] == [d for d, _ in want]
        assert all(
            abs(float(mine) - s) <= stored_off(query, s, len(docs))
            for mine, (_, s) in zip(got[1], want, strict=True)
        )
        falls = np.diff(got[1]) < 0
        assert (falls | (np.diff(got[0]) > 0)).all(), "not ordered by (−score, doc) as stored"


def words(rng, n, vocabulary=30):
    """Zipf-like terms such as t0, t1, …"""
    return [f"t{int(w)}" for w in np.minimum(rng.geometric(0.15, n), vocabulary)]


@pytest.mark.parametrize("seed", range(6))
def test_random_texts_in_several_blocks(seed):
    rng = np.random.default_rng(seed)
    docs = [words(rng, int(rng.integers(0, 40))) for _ in range(150)]
    queries = [words(rng, int(rng.integers(1, 9))) for _ in range(20)]
    check(docs, queries, k=int(rng.choice([1, 7, 40, 400])), cuts=(1, 64, 130))


@settings(max_examples=30, deadline=None)
@example([["b", "b"], ["b", "b", "b"]], [["b"]], 1, 1.2, 1.0)  # one bit of float64 apart
@given(
    docs=st.lists(st.lists(st.sampled_from("bcdf"), max_size=6), min_size=1, max_size=25),
    queries=st.lists(st.lists(st.sampled_from("bcdfg"), max_size=5), min_size=1, max_size=5),
    k=st.integers(1, 30),
    k1=st.sampled_from([0.0, 0.9, 1.2]),
    b=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_any_small_texts(docs, queries, k, k1, b):
    check(docs, queries, k, k1=k1, b=b)


def test_all_ties_come_by_document():
    docs = [["x", "y"]] * 5000
    check(docs, [["x"], ["y", "x"], ["z"]], k=10, cuts=(1000, 4999))


def test_more_ties_than_room_for_candidates():
    docs = [["x"]] * 3000 + [["x", "x"]] + [["x"]] * 3000
    ((found, _),) = search(docs, [["x"]], k=2, cuts=(10, 2999))
    assert found == [3000, 0]


def test_a_repeated_term_weighs_by_its_count():
    docs = [["x", "y"], ["y", "y"], ["x", "x", "x"]]
    check(docs, [["x", "y", "y"], ["y", "x", "x"], ["x"] * 7], k=3)
    once, thrice = search(docs, [["x"], ["x"] * 3], k=1)
    one, three = float(once[1][0]), float(thrice[1][0])
    assert abs(three - 3 * one) <= stored_off(["x"] * 3, three, 3) + 3 * stored_off(["x"], one, 3)


def test_a_term_in_every_document_and_k_beyond_the_matches():
    rng = np.random.default_rng(1)
    docs = [["all", *words(rng, 5)] for _ in range(70)] + [["other"]]
    check(docs, [["all"], ["all", "t1"], ["other", "t2"]], k=1000, cuts=(33,))


def test_empty_queries_and_documents():
    docs = [[], ["x"], [], ["x", "y"], []]
    check(docs, [[], ["unknown"], ["x"], []], k=5, cuts=(1, 3))
    check([[], []], [["x"]], k=1)


def test_a_query_of_300_terms():
    rng = np.random.default_rng(2)
    docs = [words(rng, 60, 400) + [f"r{i}" for i in rng.integers(0, 300, 20)] for _ in range(200)]
    long = [f"r{i}" for i in range(300)] + ["t1"] * 40
    check(docs, [long, long[:150]], k=50, cuts=(77,))


def test_documents_of_one_term_and_of_50_000():
    rng = np.random.default_rng(3)
    docs = [["x"], words(rng, 50_000), ["y"], ["x"] * 700, ["x"] * 254 + ["y"], ["x"] * 255]
    check(docs, [["x"], ["y", "x"], ["t1", "t5"]], k=6, cuts=(2,))


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="300,000 words are slow in Python")
def test_near_ties_are_ordered_as_float64_orders_them():
    # Scores that differ by less than 2^-24: very long documents, one word apart.
    docs = [["x"] + ["filler"] * (60_000 + i) for i in (3, 1, 2, 0, 4)]
    check(docs, [["x"], ["filler", "x"]], k=5)
    check(docs, [["x"]], k=2)


def test_the_result_does_not_depend_on_threads_or_on_the_rest_of_the_batch(monkeypatch):
    import rankmill.mining.search.bm25 as module

    rng = np.random.default_rng(4)
    docs = [words(rng, int(rng.integers(1, 30))) for _ in range(300)]
    queries = [words(rng, int(rng.integers(1, 6))) for _ in range(40)]
    whole = search(docs, queries, k=20, cuts=(100,))
    monkeypatch.setattr(module, "_FEWEST_POSTINGS", 10)
    monkeypatch.setattr(module, "_TILE_BYTES", 200_000)
    again = search(docs, queries, k=20, cuts=(100,))
    alone = [search(docs, [query], k=20, cuts=(50, 200))[0] for query in queries]
    for a, b, c in zip(whole, again, alone, strict=True):
        assert a[0] == b[0] == c[0]
        assert a[1].tobytes() == b[1].tobytes() == c[1].tobytes()


def test_invert_counts_every_word_once():
    words_ = np.array([0, 1, 0, 2, 1, 1, 1], dtype=np.uint32)
    bounds = np.array([0, 3, 3, 7])
    term_of = np.array([1, 0, -1], dtype=np.int32)
    starts, doc, tf = invert(words_, bounds, term_of, 2)
    assert starts.tolist() == [0, 2, 3]
    assert doc.tolist() == [0, 2, 0]
    assert tf.tolist() == [1, 3, 2]
    counted = term_counts(words_, bounds, term_of, 2)
    assert [c.tolist() for c in counted] == [[0, 2, 2, 3], [1, 0, 0], [2, 1, 3]]


def test_a_count_that_goes_on_in_the_next_posting_is_one_document():
    words_ = np.array([0] * 600 + [1] + [0] * 255 + [0], dtype=np.uint32)
    bounds = np.array([0, 601, 856, 857])
    starts, doc, tf = invert(words_, bounds, np.array([0, 1], dtype=np.int32), 2)
    assert doc.tolist() == [0, 0, 0, 1, 2, 0]
    assert tf.tolist() == [255, 255, 90, 255, 1, 1]
    out = np.array([0, 0, 5])
    count_documents(np.array([0, 1, -1]), starts, doc, tf, out)
    assert out.tolist() == [3, 1, 5]


@pytest.mark.parametrize("postings", [kernels._SPARSE + more for more in (-1, 0, 1)])
def test_strips_with_few_and_with_many_postings(postings):
    """Below _SPARSE postings the touched documents are listed, from there on the strip scanned."""
    rng = np.random.default_rng(postings)
    docs = [["y"] * int(rng.integers(1, 4)) for _ in range(postings + 200)]
    for place in rng.permutation(len(docs))[: postings - 7]:
        docs[place] += ["x"] * int(rng.integers(1, 4))
    for place in rng.permutation(len(docs))[:7]:
        docs[place] += ["z"]  # x and z together: one document may be touched twice
    check(docs, [["x", "z"]], 30)
