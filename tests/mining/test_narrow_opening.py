"""Floors guessed from a sample: right guesses save work, wrong ones change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from stored_vectors import vectors_of

from rankmill.mining.models.vectors import Vectors
from rankmill.mining.search import narrow as narrow_search
from rankmill.mining.search.bfloat16 import BFloat16
from rankmill.mining.search.int16 import Int16
from rankmill.mining.search.narrow import NarrowSearch
from rankmill.mining.search.opening import Sample, sample_for, sampled
from rankmill.mining.store import Workspace

FORMS = pytest.mark.parametrize("form", [BFloat16, Int16])
DEPTH = 40


@pytest.fixture
def drawn(workspace: Workspace) -> tuple[Vectors, np.ndarray, np.ndarray]:
    """Documents, queries [50, 64] and which documents lists may hold; some odd ones among them."""
    rng = np.random.Generator(np.random.Philox(21))
    rows = rng.normal(size=(4001, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[700:900] = rows[3]  # a crowd that fits the room
    rows[1500:1600] = 0.0
    queries = rng.normal(size=(50, 64)).astype(np.float32)
    queries[7], queries[8], queries[9] = rows[3], 0.0, -rows[3]
    allowed = (rng.random(4001) < 0.9).astype(np.uint8)
    return vectors_of(workspace, rows.astype(np.float16), seed=21, cuts=3), queries, allowed


def bytes_of(
    drawn: Any, form: type, sample: Sample | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[bytes], list[int]]:
    """Search with a sample; returns the bytes of all lists, and how many queries each pass had."""
    docs, queries, allowed = drawn
    passes: list[int] = []
    once = NarrowSearch._search

    def counted(self: NarrowSearch, vectors: np.ndarray, *rest: Any) -> None:
        passes.append(len(vectors))
        once(self, vectors, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(narrow_search, "sample_for", lambda *_: sample)
        patch.setattr(NarrowSearch, "_search", counted)
        found, scores, done = NarrowSearch(docs, allowed, DEPTH, form).nearest(queries)
    lists = [found[done].tobytes(), scores[done].tobytes(), done.tobytes()]
    return lists, passes


@FORMS
@pytest.mark.parametrize(
    ("rank", "again"), [(35, range(13)), (5, range(1, 50)), (1, range(40, 51))]
)
def test_lists_are_the_same_bytes_whatever_is_guessed(
    drawn: Any, form: type, rank: int, again: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank-th of an eighth of the documents: far below the 40th of all, about it, above it."""
    monkeypatch.setattr(narrow_search, "_BLOCK", 900)
    monkeypatch.setattr(narrow_search, "_QUERIES", 11)
    expected, passes = bytes_of(drawn, form, None, monkeypatch)
    assert passes == [50]
    lists, passes = bytes_of(drawn, form, Sample(8, rank), monkeypatch)
    assert lists == expected
    assert passes[0] == 50
    assert sum(passes[1:]) in again


@FORMS
def test_a_sample_that_misleads_costs_a_second_pass_and_no_byte(
    drawn: Any, form: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best documents of every query in the sample, as no draw would have them."""
    docs, queries, allowed = drawn
    every = docs.rows(np.arange(len(docs)))
    best = np.unique(np.argsort(-(every @ queries.T), axis=0)[:30])
    monkeypatch.setattr(narrow_search, "sampled", lambda *_: (best, every[best].astype(np.float16)))
    expected, _ = bytes_of(drawn, form, None, monkeypatch)
    lists, passes = bytes_of(drawn, form, Sample(8, 10), monkeypatch)
    assert lists == expected
    assert passes[0] == 50
    assert passes[1] >= 45


@FORMS
def test_a_right_guess_keeps_hardly_more_than_is_listed(
    drawn: Any, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for all documents, a search without guesses keeps them all in its first block."""
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    rank = NarrowSearch._rank

    def counted(self: NarrowSearch, vectors: np.ndarray, lists: Any, chunk: Any) -> None:
        kept[chunk.rows.start] = chunk.count.copy(), chunk.opening.copy()
        rank(self, vectors, lists, chunk)

    monkeypatch.setattr(NarrowSearch, "_rank", counted)
    monkeypatch.setattr(narrow_search, "_ROOM", 5000)
    bytes_of(drawn, form, Sample(8, 20), monkeypatch)
    in_order = [kept[start] for start in sorted(kept)]
    count, floors = (np.concatenate(both)[20:] for both in zip(*in_order, strict=True))
    assert (floors > form.lowest).all()
    assert (count >= DEPTH).all()
    assert count.mean() < 12 * 20  # about 160 of 4,001 reach the 20th of an eighth


@pytest.mark.parametrize(("rows", "width"), [(30_000, 768), (100_000, 384), (1_000_000, 384)])
def test_a_guess_hardly_ever_passes_the_list_and_saves_more_than_it_costs(
    rows: int, width: int
) -> None:
    sample = sample_for(rows, width, 1000)
    assert sample is not None
    # Of the best 1,000 and those within a bound of them, fewer than `rank` are in the sample.
    assert binom.sf(sample.rank - 1, 1100, 1 / sample.spacing) < 1e-5
    assert sample.rank * sample.spacing < 1000 * (1 + np.log(rows / 1000)) / 2


def test_no_sample_where_it_would_not_pay() -> None:
    assert sample_for(100_000, 384, 10) is None
    assert sample_for(2_000, 64, 1000) is None  # half of all are listed
    assert sample_for(1000, 64, 1000) is None
    assert sample_for(1000, 64, 0) is None
    assert sample_for(0, 64, 10) is None
    assert sample_for(1 << 30, 8, 100_000) is None  # no spacing leaves a sample of bounded size


@pytest.mark.parametrize("spacing", [1, 16, 5000])
def test_a_sample_has_one_document_of_every_so_many(workspace: Workspace, spacing: int) -> None:
    rows = np.arange(3000, dtype=np.float32)[:, None]
    docs = vectors_of(workspace, rows, seed=spacing, cuts=2)
    ordinals, drawn = sampled(docs, spacing)
    assert drawn[:, 0].tolist() == ordinals.tolist()
    per_part = -(-1500 // spacing)
    assert len(ordinals) == 2 * per_part
    place = ordinals % 1500
    assert (place // spacing).tolist() == 2 * list(range(per_part))
    again, _ = sampled(docs, spacing)
    assert again.tolist() == ordinals.tolist()
