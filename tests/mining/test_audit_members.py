"""Pairs are found among others as sets find them: random tables, and those that are odd."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import members as oracle

from rankmill.mining.audit.members import copies_of_positives, pairs_among
from rankmill.mining.pair_keys import distinct, docs_of, pair_keys, queries_of
from rankmill.native.members import places_of_pairs

LAST = 2**32 - 1


def generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(list(key)))


def pairs_of(keys):
    return list(zip(queries_of(keys).tolist(), docs_of(keys).tolist(), strict=True))


def ordinals(random, shape, few):
    """Few different ordinals, those at the ends of the range among them."""
    known = np.array([0, 1, 2, 5, 7, 8, 2**31, LAST - 1, LAST], np.uint32)
    return random.choice(known[-few:] if few else known, shape).astype(np.uint32)


@pytest.mark.parametrize("n", [0, 1, 40])
@pytest.mark.parametrize("few", [0, 2, 4])
@pytest.mark.parametrize("number", [0, 1, 30])
def test_pairs_among_others(n, few, number):
    random = generator(n, few, number)
    owner, doc = ordinals(random, n, few), ordinals(random, (n, 3), few)
    keys = distinct(pair_keys(ordinals(random, number, few), ordinals(random, number, 0)))
    found = pairs_among(owner, doc, keys)
    assert found.dtype == bool
    assert found.tolist() == oracle.among(owner.tolist(), doc.tolist(), pairs_of(keys))


def test_many_pairs_on_all_threads(monkeypatch):
    monkeypatch.setattr("rankmill.mining.processors.threads", lambda: 3)
    random = generator(7)
    owner = np.sort(random.integers(0, 30_000, 40_000)).astype(np.uint32)
    doc = random.integers(0, 50, (40_000, 4)).astype(np.uint32)
    keys = distinct(pair_keys(random.integers(0, 30_000, 90_000), random.integers(0, 50, 90_000)))
    found = pairs_among(owner, doc, keys)
    assert (found == np.isin(pair_keys(owner[:, None], doc), keys)).all()
    assert 0 < found.sum() < found.size
    key = doc.astype(np.uint64)
    positive = doc == doc[:, :1]
    copies = copies_of_positives(owner, key, positive, keys[:0], keys[:0])
    wanted = oracle.copies(owner.tolist(), key.tolist(), positive.tolist(), [])
    assert copies.tolist() == wanted


@pytest.mark.parametrize("seed", range(12))
def test_copies_of_a_positive_of_the_query(seed):
    """Queries come again and out of order; some have no judged positive, some judged ones no
    group; one key is that of texts which copy nothing, others are the largest there are."""
    random = generator(seed, 1)
    n, k = int(random.integers(1, 30)), int(random.integers(2, 6))
    query = ordinals(random, n, int(random.integers(0, 5)))
    if seed % 2:
        query = np.sort(query)
    known = np.array([0, 1, 3, 2**32, 2**63, 2**64 - 1], np.uint64)
    key, positive = random.choice(known, (n, k)), random.random((n, k)) < 0.3
    judged = distinct(pair_keys(ordinals(random, 20 * (seed % 3), 0), np.arange(20 * (seed % 3))))
    of_judged = random.choice(known, len(judged))
    found = copies_of_positives(query, key, positive, judged, of_judged)
    pairs = zip(queries_of(judged).tolist(), of_judged.tolist(), strict=True)
    wanted = oracle.copies(query.tolist(), key.tolist(), positive.tolist(), list(pairs))
    assert found.tolist() == wanted


@pytest.mark.parametrize("seed", range(12))
def test_places_in_lists(seed):
    random = generator(seed, 2)
    lists = {
        int(query): np.unique(ordinals(random, random.integers(0, 7), 0), return_counts=True)[0]
        for query in np.sort(random.permutation([0, 3, 4, 9, 2**31, LAST])[: seed % 7])
    }
    query = np.array(list(lists), np.uint32)
    offsets = np.cumsum([0, *(len(docs) for docs in lists.values())])
    doc = np.concatenate([np.empty(0, np.uint32), *lists.values()]).astype(np.uint32)
    asked = np.array([0, 1, 3, 4, 9, 10, 2**31, LAST], np.uint32)
    wanted = distinct(pair_keys(random.choice(asked, 40), ordinals(random, 40, 0)))
    cut = int(random.integers(0, len(wanted)))
    out = np.full(len(wanted), -7)
    for start, stop in ((0, cut), (cut, cut), (cut, len(wanted))):
        places_of_pairs(wanted, query, offsets, doc, start, stop, out)
    rows = [(one, docs.tolist()) for one, docs in lists.items()]
    assert out.tolist() == oracle.places(pairs_of(wanted), rows)


@pytest.mark.parametrize("kind", [np.uint32, np.uint64, np.int64])
def test_distinct_numbers(kind):
    random = generator(3)
    values = random.integers(0, 9, (5, 4)).astype(kind)
    found = distinct(values)
    assert found.dtype == kind
    assert found.tolist() == sorted(set(values.reshape(-1).tolist()))
    assert distinct(values[:0]).tolist() == []
