"""Kernels of exact search in bfloat16 against torch and against sorting everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rankmill.native.nearest import LOWEST, keep_near, last_floors, read_keys, write_keys


def bits_of(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16 by torch; returns int16 bits."""
    return torch.from_numpy(values.astype(np.float32)).bfloat16().view(torch.int16).numpy()


def keep(
    scores: np.ndarray, noise: np.ndarray, depth: int, room: int, allowed: np.ndarray, block: int
) -> tuple[list[set[int]], np.ndarray]:
    """Run the kernels over bfloat16 products that are off by `noise`; returns what they kept."""
    queries, docs = scores.shape
    floor = np.full(queries, LOWEST, dtype=np.int16)
    count = np.zeros(queries, dtype=np.int32)
    value = np.empty((queries, room), dtype=np.int16)
    doc = np.empty((queries, room), dtype=np.int32)
    bound = np.abs(noise).max(axis=1).astype(np.float64)
    tally = np.empty(256, dtype=np.int32)
    product = bits_of(scores + noise)
    for at in range(0, docs, block):
        piece = np.ascontiguousarray(product[:, at : at + block])
        keep_near(piece, at, allowed, depth, bound, floor, count, value, doc, tally)
    last_floors(depth, bound, floor, count, value, doc, tally)
    return [set(row[: max(n, 0)].tolist()) for row, n in zip(doc, count, strict=True)], count


@pytest.mark.parametrize("shift", [0.0, -50.0, 50.0])
@pytest.mark.parametrize(("depth", "block"), [(1, 37), (20, 128), (60, 1000)])
def test_nothing_that_belongs_to_a_list_is_dropped(shift: float, depth: int, block: int) -> None:
    rng = np.random.Generator(np.random.Philox(depth))
    scores = rng.normal(size=(40, 5003)) + shift
    scores[1] = np.round(scores[1], 1)  # many equal ones
    scores[2, 100:] = scores[2, 99]
    scores[3] = np.sort(scores[3])  # every block is better than the last
    scores[4] = np.sort(scores[4])[::-1]
    noise = rng.uniform(-0.01, 0.01, size=scores.shape)
    noise[5] = 0.0
    allowed = (rng.random(5003) < 0.9).astype(np.uint8)
    kept, count = keep(scores, noise, depth, 4000, allowed, block)
    for q in range(len(scores)):
        if count[q] < 0:
            assert q in (1, 2) or shift  # a crowd within the bound
            continue
        masked = np.where(allowed == 1, scores[q], -np.inf)
        least = np.sort(masked)[::-1][depth - 1]
        belongs = set(np.flatnonzero(masked >= least).tolist())
        assert belongs <= kept[q]
        assert all(allowed[d] for d in kept[q])
        if q > 5 and not shift:
            assert len(kept[q]) < 3 * depth + 60
    assert (count >= 0).sum() >= 30


def test_a_crowd_without_room_is_said() -> None:
    scores = np.ones((2, 900))
    scores[1] = np.linspace(0, 1, 900)
    noise = np.zeros(scores.shape)
    allowed = np.ones(900, dtype=np.uint8)
    kept, count = keep(scores, noise, 5, 300, allowed, 256)
    assert count[0] == -1
    assert set(range(895, 900)) <= kept[1]


def test_fewer_documents_than_asked_for_are_all_kept() -> None:
    scores = np.linspace(-1, 1, 30)[None, :]
    allowed = np.ones(30, dtype=np.uint8)
    allowed[7] = 0
    kept, _ = keep(scores, np.zeros((1, 30)), 50, 300, allowed, 16)
    assert kept[0] == set(range(30)) - {7}


def test_keys_order_by_score_and_document_and_come_back() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    count = np.asarray([40, 0, 25], dtype=np.int32)
    doc = rng.integers(0, 1 << 31, (3, 64)).astype(np.int32)
    score = rng.choice(np.array([-3e38, -1.5, -0.0, 0.0, 1e-40, 2.5, 3e38], np.float32), 65)
    key = np.empty((3, 50), dtype=np.uint64)
    write_keys(score, doc, count, key)
    assert (key[1] == np.iinfo(np.uint64).max).all()
    key.sort(axis=1)
    found, scores = np.empty((1, 25), np.uint32), np.empty((1, 25), np.float32)
    read_keys(key[2:], found, scores)
    expected = sorted(zip(-score[40:] + 0.0, doc[2, :25], strict=True))
    assert found[0].tolist() == [d for _, d in expected]
    assert scores[0].tolist() == [-s for s, _ in expected]
