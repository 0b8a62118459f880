"""Exact search in bfloat16 and in 16-bit integers against every product in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from rounding import stored_twice
from stored_vectors import vectors_of

from rankmill.mining.models.vectors import Vectors
from rankmill.mining.search import narrow as narrow_search
from rankmill.mining.search.bfloat16 import BFloat16
from rankmill.mining.search.int16 import Int16
from rankmill.mining.search.narrow import NarrowSearch
from rankmill.mining.store import Workspace

FORMS = pytest.mark.parametrize("form", [BFloat16, Int16])
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def check(
    form: type, docs: Vectors, queries: np.ndarray, allowed: np.ndarray, depth: int, least: int
) -> Found:
    """Compare every list that was found with the oracle's; at least so many must be found."""
    found, scores, done = NarrowSearch(docs, allowed, depth, form).nearest(queries)
    every = docs.rows(np.arange(len(docs))).astype(np.float64)
    for q in np.flatnonzero(done):
        asked = queries[q].astype(np.float64)
        exact = (every @ asked).astype(np.float32)
        off = stored_twice(every.shape[1], np.abs(every) @ np.abs(asked), exact)
        ranked = sorted((-float(exact[d]), int(d)) for d in np.flatnonzero(allowed))[:depth]
        if [d for _, d in ranked] != found[q].tolist():  # sums in another order: the last bit
            near = np.asarray([-s for s, _ in ranked])
            assert (np.abs(exact[found[q]] - near) <= off[found[q]]).all()
        assert (np.abs(scores[q] - exact[found[q]]) <= off[found[q]]).all()
        assert (np.diff(scores[q]) <= 0).all()
        assert allowed[found[q]].all()
    assert done.sum() >= least
    return found, scores, done


@FORMS
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("width", "depth"), [(1, 3), (48, 10), (77, 30), (384, 100)])
def test_lists_are_those_of_an_exhaustive_search(
    workspace: Workspace,
    form: type,
    dtype: str,
    width: int,
    depth: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(narrow_search, "_BLOCK", 700)
    monkeypatch.setattr(narrow_search, "DOCS", 190)
    monkeypatch.setattr(narrow_search, "_QUERIES", 9)
    rng = np.random.Generator(np.random.Philox(width))
    rows = rng.normal(size=(2500, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5:9] = rows[4]  # equal ones
    rows[2490] = 0.0
    queries = rng.normal(size=(20, width)).astype(np.float32)
    queries[3], queries[4] = rows[4], 0.0
    allowed = (rng.random(2500) < 0.95).astype(np.uint8)
    docs = vectors_of(workspace, rows.astype(dtype), seed=width)
    # Of one component there are only two directions: nothing but crowds.
    check(form, docs, queries, allowed, depth, least=0 if width == 1 else 19)


@FORMS
def test_lengths_of_many_magnitudes(workspace: Workspace, form: type) -> None:
    rng = np.random.Generator(np.random.Philox(8))
    rows = rng.normal(size=(3000, 32)) * 10.0 ** rng.integers(-3, 3, (3000, 1))
    queries = (rng.normal(size=(30, 32)) * 10.0 ** rng.integers(-9, 9, (30, 1))).astype(np.float32)
    docs = vectors_of(workspace, rows.astype(np.float32), seed=8)
    check(form, docs, queries, np.ones(3000, dtype=np.uint8), 25, least=30)


@FORMS
@pytest.mark.parametrize("factor", [1e-42, 1e-30, 1e-12, 1e18])
def test_tiny_and_huge_numbers_are_right_or_left_to_others(
    workspace: Workspace, form: type, factor: float
) -> None:
    """Subnormal numbers, sums that are subnormal, and none: scores tie at 0, or nearly."""
    rng = np.random.Generator(np.random.Philox(10))
    rows = (rng.normal(size=(1500, 24)) * factor).astype(np.float32)
    queries = rng.normal(size=(12, 24)).astype(np.float32)
    queries[6:] *= np.float32(min(factor, 1e15))
    docs = vectors_of(workspace, rows, seed=int(-np.log10(factor)) + 50)
    least = 12 if factor > 1e-20 else 0
    check(form, docs, queries, np.ones(1500, dtype=np.uint8), 20, least=least)


@FORMS
def test_vectors_of_zeros(workspace: Workspace, form: type) -> None:
    docs = vectors_of(workspace, np.zeros((40, 6), np.float16), seed=11)
    queries = np.zeros((2, 6), np.float32)
    queries[1] = 1.0
    found, scores, done = check(form, docs, queries, np.ones(40, np.uint8), 5, least=2)
    assert done.all()
    assert (found == np.arange(5)).all()
    assert not scores.any()


@FORMS
@pytest.mark.parametrize(("rows", "width"), [(1, 5), (2, 4096)])
def test_as_many_documents_as_there_are(
    workspace: Workspace, form: type, rows: int, width: int
) -> None:
    rng = np.random.Generator(np.random.Philox(rows))
    docs = vectors_of(workspace, rng.normal(size=(rows, width)).astype(np.float16), rows, cuts=1)
    queries = rng.normal(size=(3, width)).astype(np.float32)
    check(form, docs, queries, np.ones(rows, np.uint8), rows, least=3)


@pytest.mark.parametrize("room", [64, 1 << 26])
def test_forms_blocks_and_threads_give_the_same_bytes(
    workspace: Workspace, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only a few documents of this width have room at a time."""
    monkeypatch.setattr(narrow_search, "_NUMBERS", room * 50)
    rng = np.random.Generator(np.random.Philox(12))
    rows = rng.normal(size=(1200, 50)).astype(np.float16)
    queries = rng.normal(size=(40, 50)).astype(np.float32)
    docs, allowed = vectors_of(workspace, rows, seed=12), np.ones(1200, np.uint8)
    before, told = torch.get_num_threads(), []
    try:
        for form in (BFloat16, Int16):
            for threads in (1, 2):
                torch.set_num_threads(threads)
                told.append(NarrowSearch(docs, allowed, 30, form).nearest(queries))
    finally:
        torch.set_num_threads(before)
    for one in told[1:]:
        assert [part.tobytes() for part in one] == [part.tobytes() for part in told[0]]


@FORMS
def test_products_beyond_float32_are_left_to_others(workspace: Workspace, form: type) -> None:
    rows = np.full((40, 4), 1e30, dtype=np.float32)
    queries = np.array([[1e30] * 4, [1.0] * 4], np.float32)
    docs = vectors_of(workspace, rows, seed=9)
    _, _, done = NarrowSearch(docs, np.ones(40, dtype=np.uint8), 5, form).nearest(queries)
    assert done.tolist() == [False, True]


def test_integers_keep_hardly_more_than_is_listed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is scored canonically: beside random unit vectors, few lie within the bound."""
    scored: list[int] = []
    once = NarrowSearch._scores

    def counted(self: NarrowSearch, vectors: np.ndarray, row: np.ndarray, doc: np.ndarray) -> Any:
        scored.append(len(doc))
        return once(self, vectors, row, doc)

    monkeypatch.setattr(NarrowSearch, "_scores", counted)
    rng = np.random.Generator(np.random.Philox(13))
    rows = rng.normal(size=(4000, 384))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    docs = vectors_of(workspace, rows.astype(np.float16), seed=13)
    check(Int16, docs, rows[:10].astype(np.float32), np.ones(4000, np.uint8), 100, least=10)
    assert 1000 <= sum(scored) < 1100
