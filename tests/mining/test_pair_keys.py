from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankmill.mining.pair_keys import docs_of, pair_keys, queries_of

ordinal = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(ordinal, ordinal), max_size=30))
def test_a_key_is_a_pair_and_sorts_as_it_does(pairs: list[tuple[int, int]]) -> None:
    query = np.array([q for q, _ in pairs], np.uint32)
    doc = np.array([d for _, d in pairs], np.uint32)
    keys = pair_keys(query, doc)
    assert keys.dtype == np.uint64
    assert keys.tolist() == [q * 2**32 + d for q, d in pairs]
    assert (queries_of(keys) == query).all()
    assert (docs_of(keys) == doc).all()
    assert queries_of(keys).dtype == docs_of(keys).dtype == np.uint32
    assert sorted(pairs) == [divmod(key, 2**32) for key in sorted(keys.tolist())]


@pytest.mark.parametrize("kind", [np.uint32, np.int64, np.uint64, np.int32])
def test_any_integers_and_shapes(kind: type) -> None:
    query: np.ndarray = np.array([3, 7], kind)
    doc: np.ndarray = np.arange(6, dtype=kind).reshape(2, 3)
    expected = [[3 * 2**32 + d for d in (0, 1, 2)], [7 * 2**32 + d for d in (3, 4, 5)]]
    assert pair_keys(query[:, None], doc).tolist() == expected
    assert pair_keys(query, 0).tolist() == [3 * 2**32, 7 * 2**32]
