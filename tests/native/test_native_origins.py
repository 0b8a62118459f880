"""Overlap, shares and ranks of groups' documents in their pool against sets and sorted lists."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import origins as oracle

from rankmill.native import origins

OF = {"min": origins.MIN, "mean": origins.MEAN, "median": origins.MEDIAN, "max": origins.MAX}


class Pool:
    """Rows of a pool and groups that ask them: documents that the pool lacks, groups of a positive
    alone, empty rows, equal and missing scores, ranks at both ends; some groups ask elsewhere."""

    def __init__(self, seed: int, rows: int = 12, groups: int = 60):
        rng = np.random.Generator(np.random.Philox(seed))
        docs = [np.flatnonzero(rng.random(40) < rng.choice([0, 0.1, 0.9])) for _ in range(rows)]
        self.offsets = np.cumsum([0, *map(len, docs)])
        self.doc = np.concatenate(docs).astype(np.uint32)
        pairs = len(self.doc)
        self.a, self.b = (
            rng.choice(np.array([0, 0, 1, 2, 5, 65535], np.uint16), pairs) for _ in range(2)
        )
        self.score = rng.choice([np.nan, 0.0, -0.0, 1.0, -1e300, 1e300, 0.5], pairs)
        self.at = rng.integers(-1, rows, groups)
        sizes = rng.integers(1, 8, groups)
        self.bounds = np.cumsum([0, *sizes])
        self.member = rng.integers(0, 42, self.bounds[-1]).astype(np.uint32)
        self.positive = np.zeros(len(self.member), np.uint8)
        self.positive[self.bounds[:-1]] = 1
        self.positive[rng.random(len(self.member)) < 0.1] = 1
        for array in (self.bounds, self.member, self.positive):
            array.flags.writeable = False

    @property
    def asked(self):
        return np.flatnonzero(self.at >= 0).tolist()

    def of(self, group):
        """The pool's row of a group as a slice, and the group's negatives."""
        row = slice(self.offsets[self.at[group]], self.offsets[self.at[group] + 1])
        mine = slice(self.bounds[group], self.bounds[group + 1])
        return row, self.member[mine][self.positive[mine] == 0].tolist()

    def place(self):
        out = np.full(len(self.member), -1)
        given = self.member, self.positive, self.bounds, self.at, self.offsets, self.doc
        cut = len(self.at) // 3  # two ranges, as two threads have
        origins.places_of_negatives(*given, 0, cut, out)
        origins.places_of_negatives(*given, cut, len(self.at), out)
        return out

    def run(self, kernel, *given):
        out = np.full(len(self.at), -7.0)
        kernel(*given, 0, len(self.at), out)
        assert (out[self.at < 0] == -7.0).all()  # groups that ask elsewhere are left as they are
        return out[self.at >= 0]


@pytest.fixture(params=range(6))
def pool(request):
    return Pool(request.param)


def test_negatives_are_found_in_their_row(pool):
    place = pool.place()
    for group in pool.asked:
        row, _ = pool.of(group)
        for i in range(pool.bounds[group], pool.bounds[group + 1]):
            known = pool.doc[row].tolist()
            there = not pool.positive[i] and pool.member[i] in known
            assert place[i] == (row.start + known.index(pool.member[i]) if there else -1)


@pytest.mark.parametrize("last", [1, 2, 65535])
def test_overlap(pool, last):
    found = pool.run(origins.overlap, pool.a, pool.b, pool.at, pool.offsets, last)
    rows = [pool.of(group)[0] for group in pool.asked]
    expected = [oracle.overlap(pool.a[row], pool.b[row], last) for row in rows]
    np.testing.assert_array_equal(found, expected)


def test_share_of_negatives_that_a_source_found(pool):
    given = pool.a, pool.positive, pool.place(), pool.bounds, pool.at
    found = pool.run(origins.found_share, *given)
    rows = [pool.of(group) for group in pool.asked]
    expected = [oracle.found_share(pool.doc[r].tolist(), pool.a[r], n) for r, n in rows]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("of", OF)
def test_ranks_in_a_list_and_under_the_teacher(pool, of):
    place, rows = pool.place(), [pool.of(group) for group in pool.asked]
    found = pool.run(origins.rank_profile, pool.a, place, pool.bounds, pool.at, OF[of])
    docs = [pool.doc[row].tolist() for row, _ in rows]
    expected = [
        oracle.rank_profile(d, pool.a[row].tolist(), negatives, of)
        for d, (row, negatives) in zip(docs, rows, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)
    given = pool.score, place, pool.bounds, pool.at, pool.offsets, OF[of]
    found = pool.run(origins.score_profile, *given)
    expected = [
        oracle.rank_profile(d, oracle.teacher_ranks(d, pool.score[row]), negatives, of)
        for d, (row, negatives) in zip(docs, rows, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)
