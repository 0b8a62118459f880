"""Estimates of what is made of the documents of lists: different documents, not queries."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.mining.actors import INLINE
from rankmill.study.estimate.asked import every_step, study_from
from rankmill.study.estimate.distinct import Lists, distinct_at, lists_of
from rankmill.study.estimate.measured import lines_of
from rankmill.study.estimate.scratch import LISTED, QUERIES, Recording
from rankmill.study.grid.steps import Track
from rankmill.study.recipe import tables_of

SIZES = (64, 8, 32, 8, 64)  # queries of the samples of an estimate


def drawn_lists(steep: float, documents: int, length: int, queries: int, seed: int) -> np.ndarray:
    """Return whether each list holds each document, bool [queries, documents]: popularity falls
    as a power of the document's place, 0: all are equally likely."""
    rng = np.random.Generator(np.random.Philox(seed))
    weight = np.arange(1.0, documents + 1) ** -steep
    keys = rng.exponential(1.0, (queries, documents)) / weight  # the least keys: weighted draws
    held = np.zeros((queries, documents), bool)
    np.put_along_axis(held, np.argpartition(keys, length, axis=1)[:, :length], True, axis=1)
    return held


def samples_of(held: np.ndarray, seed: int) -> list[Lists]:
    rng = np.random.Generator(np.random.Philox(seed))
    made = []
    for queries in SIZES:
        some = held[rng.choice(len(held), queries, replace=False)]
        made.append(lists_of(np.nonzero(some)[1], queries, held.shape[1]))
    return made


@pytest.mark.parametrize("steep", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize(("documents", "length"), [(1_500, 40), (6_000, 10)])
def test_the_interval_holds_what_ten_times_as_many_queries_list(steep, documents, length):
    """Whatever the popularity of documents: 9 draws of 10."""
    inside = 0
    for seed in range(10):
        held = drawn_lists(steep, documents, length, 640, seed)
        found = distinct_at(samples_of(held, seed), 640, documents, slices=False)
        inside += found.holds(held.any(axis=0).sum())
        assert found.high <= min(documents, 640 * length)
        assert found.high < 4 * found.low
    assert inside >= 9


def test_what_half_of_the_queries_hold_is_the_mean_over_all_halves():
    held = drawn_lists(1.0, 30, 4, 6, 1)
    halves = [held[list(some)].any(axis=0).sum() for some in combinations(range(6), 3)]
    made = lists_of(np.nonzero(held)[1], 6, 30)
    assert made.half == pytest.approx(np.mean(halves), rel=1e-12)
    assert (made.queries, made.pairs) == (6, 24)
    assert made.distinct == held.any(axis=0).sum()
    assert lists_of(np.empty(0, np.uint32), 6, 30).half == 0


@pytest.mark.parametrize("queries", [64, 640, 64_000])
def test_lists_that_share_nothing_and_lists_that_share_all(queries):
    apart = [Lists(q, 10 * q, 10 * q, 5.0 * q, 10_000_000) for q in SIZES]
    found = distinct_at(apart, queries, 10_000_000, slices=False)
    assert found.point == pytest.approx(10 * queries, rel=0.05)
    alike = [Lists(q, 10 * q, 10, 10.0, 10_000) for q in SIZES]
    found = distinct_at(alike, queries, 10_000, slices=False)
    assert 10 <= found.point < 20
    everything = [Lists(q, 50 * q, 50, 50.0, 50) for q in SIZES]
    assert distinct_at(everything, queries, 50, slices=False).high == pytest.approx(50)


def test_ends_are_in_order_and_never_beyond_the_corpus_or_all_pairs():
    rng = np.random.Generator(np.random.Philox(3))
    for _ in range(300):
        documents, length = int(rng.integers(1, 5_000)), int(rng.integers(1, 60))
        length = min(length, documents)
        samples = []
        for q in SIZES:
            most = min(documents, q * length)
            distinct = int(rng.integers(length, most + 1))
            half = float(rng.uniform(distinct / 2, distinct))
            samples.append(Lists(q, q * length, distinct, half, documents))
        for queries in (1.0, 64.0, 1e6):
            for slices in (False, True):
                found = distinct_at(samples, queries, documents, slices=slices)
                assert 0 <= found.low <= found.point <= found.high
                assert found.high <= min(documents, queries * length) * (1 + 1e-12)


def test_samples_without_documents_say_nothing_of_the_least():
    found = distinct_at([Lists(8, 0, 0, 0.0, 100)], 80, 100, slices=False)
    assert (found.low, found.point) == (0, 0)
    with pytest.raises(ValueError, match="no sample has lists"):
        distinct_at([], 80, 100, slices=False)


def test_of_slices_the_high_end_is_that_of_lists_that_share_nothing():
    samples = [Lists(q, 40 * q, min(40 * q, 1_000), min(20.0 * q, 900.0), 2_000) for q in SIZES]
    found = distinct_at(samples, 640, 400_000, slices=True)
    assert found.high == 40 * 640
    assert found.low < found.point < found.high


# ---- against the real run ------------------------------------------------------------------------

RECIPE = """
name = "listed"
collection = "beir:tiny"
teacher = "bi_encoder(model=encoder,max_length=32,encode=listed)"
[mine]
split = "train"
depth = 12
[mine.sources]
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 4
[groups.samplers]
bm25 = "uniform(source=bm25,last=12)"
"""


def ran(recipe: Path, place: Path) -> dict[str, dict[str, float]]:
    """Carry the recipe out; returns what every stage cost."""
    workspace = Recording(place)
    study = study_from(tables_of(recipe), str(recipe))
    tracks = [Track(variant, workspace, INLINE) for variant in study.variants]
    costs = {}
    for asked in every_step(study, tracks):
        asked.step.make()
        costs[asked.step.stage] = lines_of(workspace.taken())
    return costs


def test_a_bi_encoder_over_lists_costs_what_the_real_run_costs(tmp_path, monkeypatch):
    """120 train queries of 12 documents each over 200: a line through samples of 4 to 16 queries
    would promise up to 1,440 texts, the real run encodes 200 at most, and the queries."""
    monkeypatch.chdir(tmp_path)
    tiny_beir(tmp_path / "tiny", docs=200, queries=240)
    tiny_encoder(tmp_path / "encoder")
    recipe = tmp_path / "listed.toml"
    recipe.write_text(RECIPE)
    made = rm.estimate(recipe, workspace="none", sample=16)
    real = ran(recipe, tmp_path / "real")["score"]
    row = next(row for row in made.rows if row.stage == "score")
    assert set(row.sampled) >= {LISTED, QUERIES}
    assert max(row.sampled[LISTED]) < 16 * 12  # its samples share documents already
    for line in ("count texts", "count tokens", "flops", "disk_bytes"):
        assert row.line(line).holds(real[line]), line
    queries = 240  # all of the collection's, whatever the split
    assert real["count texts"] - queries <= 200
    assert row.line("count texts").high <= 1.2 * (200 + queries)
