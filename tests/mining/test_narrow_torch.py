"""Exact search by torch that looks at products in bfloat16 first: what a GPU does, here."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from stored_vectors import vectors_of

from rankmill.mining.models.vectors import Vectors
from rankmill.mining.search import torch_blocks, torch_narrow, torch_product
from rankmill.mining.search.torch_blocks import blocks_of
from rankmill.mining.search.torch_product import nearest_torch
from rankmill.mining.store import Workspace


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Small blocks and tiles; counts blocks whose documents were all scored, and the others."""
    monkeypatch.setattr(torch_product, "_DOCS", {"cpu": 700})
    monkeypatch.setattr(torch_product, "_QUERIES", {"cpu": 13})
    monkeypatch.setattr(torch_product, "FIRST", 150)
    monkeypatch.setattr(torch_narrow, "_TILE", 96)
    monkeypatch.setattr(torch_narrow, "_PAIRS", 37)
    counts = {"all": 0, "some": 0}
    every, better = torch_product._every, torch_narrow.Ruling.better

    def counted_every(*arguments: Any) -> Any:
        counts["all"] += 1
        return every(*arguments)

    def counted(*arguments: Any) -> Any:
        lists = better(*arguments)
        counts["some"] += lists is not None
        return lists

    monkeypatch.setattr(torch_product, "_every", counted_every)
    monkeypatch.setattr(torch_narrow.Ruling, "better", counted)
    return counts


def check(docs: Vectors, queries: np.ndarray, width: int) -> None:
    """No document outside a list scores more than its last, but for rounding in float32."""
    score, near = nearest_torch(queries, docs, width, "cpu", narrow=True)
    every = docs.rows(np.arange(len(docs))).astype(np.float64)
    exact = queries.astype(np.float64) @ every.T
    room = (every.shape[1] + 2) * 2.0**-23 * (np.abs(queries.astype(np.float64)) @ np.abs(every).T)
    assert [len(set(row)) for row in near.tolist()] == [width] * len(queries)
    assert (np.diff(score, axis=1) <= 0).all()
    inside = np.take_along_axis(exact, near, 1)
    assert (np.abs(inside - score) <= np.take_along_axis(room, near, 1) + 1e-38).all()
    np.put_along_axis(exact, near, -np.inf, 1)
    assert (exact <= score[:, -1:] + room + 1e-38).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("width", "depth"), [(48, 10), (384, 100)])
def test_nothing_that_belongs_to_a_list_is_ruled_out(
    workspace: Workspace, dtype: str, width: int, depth: int, looked: dict[str, int]
) -> None:
    rng = np.random.Generator(np.random.Philox(width))
    rows = rng.normal(size=(2500, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5:9], rows[2490] = rows[4], 0.0
    queries = rng.normal(size=(30, width)).astype(np.float32)
    queries[3], queries[4] = rows[4], -queries[5]
    docs = vectors_of(workspace, rows.astype(dtype), seed=width)
    check(docs, queries, depth)
    assert looked["some"] >= 2 * looked["all"] > 0  # most blocks were not scored whole


def test_crowds_and_magnitudes_are_scored_whole(
    workspace: Workspace, looked: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_narrow, "_ROOM", 2)
    rng = np.random.Generator(np.random.Philox(8))
    crowd = np.repeat(rng.normal(size=(1, 32)), 3000, axis=0).astype(np.float32)
    crowd += rng.normal(size=crowd.shape).astype(np.float32) * 1e-6
    check(vectors_of(workspace, crowd, seed=1), crowd[:5], 20)
    assert looked["some"] <= 1 < looked["all"]  # a last block of few documents
    rows = rng.normal(size=(3000, 32)) * 10.0 ** rng.integers(-3, 3, (3000, 1))
    queries = (rng.normal(size=(30, 32)) * 10.0 ** rng.integers(-9, 9, (30, 1))).astype(np.float32)
    check(vectors_of(workspace, rows.astype(np.float32), seed=8), queries, 25)


def test_what_might_overflow_is_left_to_float32(
    workspace: Workspace, looked: dict[str, int]
) -> None:
    rng = np.random.Generator(np.random.Philox(9))
    rows = (rng.normal(size=(1500, 4)) * 1e18).astype(np.float32)
    docs = vectors_of(workspace, rows, seed=9)
    queries = np.array([[1e17, 2e17, 0, 0], [1, 0, 0, 0]], np.float32)
    score, _ = nearest_torch(queries * 10, docs, 5, "cpu", narrow=True)
    assert np.isfinite(score).all()
    assert not looked["some"]


def test_blocks_grow_and_hold_every_document_once(workspace: Workspace) -> None:
    rows = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    docs = vectors_of(workspace, rows, seed=3, cuts=3)
    blocks = list(blocks_of(docs, torch.device("cpu"), first=20, most=300, narrow=True))
    assert torch.cat([b.rows for b in blocks]).numpy().tolist() == rows.tolist()
    assert [b.first for b in blocks] == np.cumsum([0, *(len(b.rows) for b in blocks)])[:-1].tolist()
    assert [len(b.rows) for b in blocks[:6]] == [20, 20, 40, 80, 160, 13]
    assert max(len(b.rows) for b in blocks) == 300
    for block in blocks:
        length = np.linalg.norm(block.rows.double().numpy(), axis=1).max()
        assert length <= block.longest <= length * (1 + 1e-8)
        assert block.narrow.dtype == torch.bfloat16


def test_vectors_stay_on_a_device_as_long_as_they_are_searched(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = vectors_of(workspace, np.eye(50, dtype=np.float16), seed=4)
    sent: list[int] = []

    def counted(array: np.ndarray, device: Any) -> Any:
        sent.append(len(array))
        return torch.from_numpy(array).to(device)

    monkeypatch.setattr(torch_blocks, "to_device", counted)
    assert not torch_blocks._fits(docs, torch.device("cpu"), True)  # those are mapped anyway
    monkeypatch.setattr(torch_blocks, "_fits", lambda *_: True)
    asked = np.eye(3, 50, dtype=np.float32)
    first = nearest_torch(asked, docs, 4, "cpu", narrow=True)
    again = nearest_torch(asked, docs, 4, "cpu", narrow=True)
    assert sum(sent) == 50
    assert first[0].tolist() == again[0].tolist()
    assert len(torch_blocks._kept) == 1
    del docs
    gc.collect()
    assert not torch_blocks._kept
