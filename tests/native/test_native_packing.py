"""Packing kernels against slow versions and against the tokenizers library itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import write_tokenizer

from rankmill.native.packing import (
    Side,
    Special,
    fill_batches,
    fill_shared,
    gather_rows,
    shorten_pairs,
    write_sequences,
)

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(40, 90), st.integers(1, 9))
def test_batches_hold_every_sequence_once_and_never_overflow(
    sizes: list[int], capacity: int, slots: int
) -> None:
    size = np.asarray(sizes, dtype=np.int32)
    batch, offset = np.full(len(size), -1, np.int32), np.full(len(size), -1, np.int32)
    count = fill_batches(size, capacity, slots, batch, offset)
    assert sorted(set(batch.tolist())) == list(range(count))
    for number in range(count):
        members = np.flatnonzero(batch == number)
        members = members[np.argsort(offset[members])]
        assert len(members) <= slots
        ends = np.cumsum(size[members])
        assert offset[members].tolist() == [0, *ends[:-1].tolist()]
        assert ends[-1] <= capacity
        longest = size[members[0]]
        left = np.flatnonzero(batch > number)
        assert (size[left] <= longest).all()  # longest first
        if len(members) < slots and len(left):  # best fit: nothing that is left would still fit
            assert size[left].min() > capacity - ends[-1]


def test_padding_of_full_batches_is_small() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    size = np.clip(rng.normal(155, 50, 4000), 16, 512).astype(np.int32)
    batch, offset = np.empty(len(size), np.int32), np.empty(len(size), np.int32)
    count = fill_batches(size, 2048, 128, batch, offset)
    assert 1 - size.sum() / (count * 2048) < 0.005


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    from tokenizers import Tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=40),
    st.lists(st.integers(0, 20), min_size=5, max_size=5),
    st.integers(1, 12),
)
def test_sequences_that_share_beginnings(
    pairs: list[tuple[int, int]], beginnings: list[int], slots: int
) -> None:
    """Every sequence lies in one batch, behind a beginning of its group that the batch holds once;
    no two overlap, and none that the last batch of a group left out would have fitted."""
    group = np.asarray([g for g, _ in pairs], np.int64)
    rest = np.asarray([n for _, n in pairs], np.int32)
    shared = np.asarray(beginnings, np.int32)
    order = np.lexsort((-rest.astype(np.int64), group))
    batch, offset, at = (np.full(len(pairs), -1, np.int32) for _ in range(3))
    count = fill_shared(order, group, shared, rest, 50, slots, batch, offset, at)
    assert sorted(set(batch.tolist())) == list(range(count))
    for number in range(count):
        inside = np.flatnonzero(batch == number)
        assert len(inside) <= slots
        begun = {(int(group[i]), int(at[i])) for i in inside}
        assert len({g for g, _ in begun}) == len(begun)
        spans = [(a, a + int(shared[g])) for g, a in begun]
        spans += [(int(offset[i]), int(offset[i] + rest[i])) for i in inside]
        filled = sorted(span for span in spans if span[0] < span[1])
        assert all(a[1] == b[0] for a, b in pairwise(filled))  # no gap, no overlap
        assert all(offset[i] >= at[i] + shared[group[i]] for i in inside)
        used = filled[-1][1] if filled else 0
        assert used <= 50
        later = [i for i in range(len(pairs)) if batch[i] > number and group[i] in group[inside]]
        if len(inside) < slots:
            assert all(rest[i] > 50 - used for i in later)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(5, 40))
def test_pairs_are_cut_and_joined_as_the_tokenizers_library_does(
    tokenizer, first: int, second: int, limit: int
) -> None:
    query, doc = "a " * first, "b " * second
    tokenizer.enable_truncation(limit, strategy="longest_first")
    expected = tokenizer.encode(query, doc)
    tokenizer.no_truncation()
    q = np.asarray(tokenizer.encode(query, add_special_tokens=False).ids, dtype=np.uint16)
    d = np.asarray(tokenizer.encode(doc, add_special_tokens=False).ids, dtype=np.uint16)
    keep_q, keep_d = np.empty(1, np.int32), np.empty(1, np.int32)
    size = (np.asarray([len(q)], np.int32), np.asarray([len(d)], np.int32))
    cut = shorten_pairs(*size, limit - 3, keep_q, keep_d)
    assert cut == (first + second > limit - 3)
    out = np.zeros((3, 80), dtype=np.int32)
    zero = np.zeros(1, dtype=np.int64)
    q_offsets, d_offsets = np.asarray([0, len(q)]), np.asarray([0, len(d)])
    special, kinds = np.asarray([2, 3, 3], np.int32), np.asarray([0, 0, 1], np.int32)
    sides = Side(q, q_offsets, zero, keep_q, 0), Side(d, d_offsets, zero, keep_d, 1)
    at = np.asarray([5], np.int32)
    write_sequences(zero, at, *sides, Special(special, kinds, 1, 1), np.asarray([2]), *out)
    written = slice(5, 5 + len(expected.ids))
    assert out[0, written].tolist() == expected.ids
    assert out[1, written].tolist() == expected.type_ids
    assert out[2, written].tolist() == list(range(2, 2 + len(expected.ids)))
    assert not out[:, :5].any()
    assert not out[:, written.stop :].any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=8), st.data())
def test_gather_copies_rows(rows: list[list[int]], data: st.DataObject) -> None:
    values = np.asarray([v for row in rows for v in row], dtype=np.uint16)
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    start = np.concatenate([[0], np.cumsum([len(rows[i]) for i in chosen])]).astype(np.int64)
    out = np.empty(start[-1], dtype=np.uint16)
    values.flags.writeable = False  # as Arrow gives them
    gather_rows(values, offsets, np.asarray(chosen, dtype=np.int64), start[:-1], out)
    assert out.tolist() == [v for i in chosen for v in rows[i]]
