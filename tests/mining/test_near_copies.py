"""Near copies: shingle sets, MinHash and the pairs that it finds, against sets of substrings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import near_copies as oracle

from rankmill.mining.draws import generator
from rankmill.mining.errors import UsageError
from rankmill.mining.text.near_copies import KeptShingles, near_pairs, shingled
from rankmill.native import shingles as native

TEXTS = [
    "The quick brown fox jumps over the lazy dog, twice.",
    "the quick  brown fox\tjumps over the lazy dog twice",
    "An altogether different sentence about ranking and distillation.",
    "",
    "…",
    "?!",
    "abc",
    "ABC.",
    "Zürich, 東京 und שלום",
    "zürich 東京 und שלום!",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
]


def test_sets_are_those_of_substrings():
    sets = shingled(TEXTS)
    assert np.diff(sets.offsets).tolist() == [len(oracle.shingles(t)) for t in TEXTS]
    i, j = np.triu_indices(len(TEXTS))
    expected = [oracle.jaccard(TEXTS[a], TEXTS[b]) for a, b in zip(i, j, strict=True)]
    assert sets.overlap(i, j).tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="aAbB ,.9éß東", max_size=30), min_size=2, max_size=5))
def test_overlap_of_any_text(texts):
    sets = shingled(texts, 3)
    i, j = np.triu_indices(len(texts))
    expected = [oracle.jaccard(texts[a], texts[b], 3) for a, b in zip(i, j, strict=True)]
    assert sets.overlap(i, j).tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="ab é", min_size=3, max_size=40), min_size=2, max_size=4),
    st.sampled_from([0.1, 0.5, 0.8, 1.0]),
)
def test_an_overlap_that_is_high_enough_is_never_lost(texts, least):
    sets = shingled(texts, 3)
    i, j = np.triu_indices(len(texts))
    exact = sets.overlap(i, j)
    assert sets.overlap(i, j, least).tolist() == np.where(exact >= least, exact, 0.0).tolist()


def test_minhash_estimates_the_overlap():
    """The share of equal places is within 5 standard errors of the overlap for 4,096 hashes."""
    values = np.arange(1000, dtype=np.uint64)
    mixed = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    draws, hashes = generator(1, "test"), 4096
    factor = draws.integers(0, 1 << 32, hashes, dtype=np.uint32) | np.uint32(1)
    term = draws.integers(0, 1 << 32, hashes, dtype=np.uint32)
    for shared in (0, 100, 500, 900, 1000):
        first, second = (
            mixed[:1000],
            np.concatenate([mixed[:shared], mixed[shared:] + np.uint64(7 << 40)]),
        )
        flat = np.concatenate([np.sort(first), np.sort(second)])
        out = np.empty((2, hashes), np.uint32)
        native.minhash(flat, np.array([0, 1000, 2000]), factor, term, 0, 2, out)
        truth = shared / (2000 - shared)
        spread = max(np.sqrt(truth * (1 - truth) / hashes), 1e-4)
        assert abs((out[0] == out[1]).mean() - truth) <= 5 * spread


def random_texts(draws, count, length):
    words = ["".join(chr(97 + c) for c in draws.integers(0, 26, 5)) for _ in range(300)]
    return [" ".join(words[i] for i in draws.integers(0, 300, length)) for _ in range(count)]


def test_all_near_copies_are_found_and_nothing_else():
    draws = generator(2, "test")
    texts = random_texts(draws, 60, 40)
    for number in range(0, 30):  # a copy with one word changed
        words = texts[number].split()
        words[int(draws.integers(0, 40))] = "changed"
        texts.append(" ".join(words).upper())
    texts += [texts[0], ""]
    found = {(a, b) for a, b, _ in zip(*near_pairs(shingled(texts), 0.8), strict=True)}
    n = len(texts)
    expected = {
        (a, b)
        for a in range(n)
        for b in range(a + 1, n)
        if oracle.jaccard(texts[a], texts[b]) >= 0.8
    }
    assert len(expected) >= 30
    assert found == expected


def test_pairs_across_two_sides_only():
    texts = ["one two three four five"] * 2 + ["one two three four five!"] * 2
    side = np.array([False, False, True, True])
    left, right, overlap = near_pairs(shingled(texts), 0.9, side=side)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert overlap.tolist() == [1.0] * 4


def test_nothing_to_compare():
    left, _, _ = near_pairs(shingled([]), 0.8)
    assert len(left) == 0


def test_an_overlap_too_low_for_the_bands_is_refused():
    with pytest.raises(UsageError, match="0.5 is not an overlap of near copies"):
        near_pairs(shingled(["a"]), 0.5)


def test_kept_sets_are_the_same_as_fresh_ones():
    class Corpus:
        """A corpus that counts how many texts were read."""

        read = 0

        def texts(self, docs):
            self.read += len(docs)
            return [TEXTS[doc] for doc in docs]

    corpus = Corpus()
    kept = KeptShingles(corpus)
    for docs in ([0, 3, 1], [1, 1, 5, 0], [], [9]):
        found, fresh = kept.of(np.array(docs, np.int64)), shingled([TEXTS[d] for d in docs])
        assert found.values.tolist() == fresh.values.tolist()
        assert found.offsets.tolist() == fresh.offsets.tolist()
    assert corpus.read == 5
    small = KeptShingles(corpus, most_bytes=8)
    assert [len(small.of(np.array([0, 1])).values) for _ in range(3)] == [
        len(shingled(TEXTS[:2]).values)
    ] * 3
