from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_collection import tiny_beir

from rankmill.mining.actors import Execution
from rankmill.mining.collection import EVERY_QUERY, collect
from rankmill.mining.draws import generator
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import SOURCES, mine, run_of, uniform
from rankmill.mining.store import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    workspace = Workspace(folder / "work")
    return workspace, collect(workspace, f"beir:{tiny_beir(folder / 'tiny')}", name="tiny")


def test_every_query_of_the_split_has_a_row(made):
    workspace, collection = made
    run = Run(mine(workspace, "random", collection, "train", depth=7))
    assert run.queries.tolist() == collection.split_queries("train").tolist()
    assert all(len(run.row(row)[1]) == 7 for row in range(len(run)))
    everyone = Run(mine(workspace, "random", collection, EVERY_QUERY, depth=2))
    assert len(everyone) == 40
    assert everyone.artifact.verify() == 1


def test_random_lists_are_distinct_and_never_hold_an_empty_document(made):
    workspace, collection = made
    run = Run(mine(workspace, "random", collection, "test", depth=199, seed=3))
    empty = collection.corpus.empty.tolist()
    for row in range(len(run)):
        _, docs, scores = run.row(row)
        assert sorted(docs.tolist()) == [d for d in range(200) if d not in empty]
        assert (np.diff(scores) < 0).all()
    assert run.artifact.table(0)["inclusion"][0].as_py() == [1.0] * 199
    assert run.drawn


def test_random_is_keyed_by_seed_and_query(made, tmp_path):
    workspace, collection = made
    one = Run(mine(workspace, "random", collection, "test", depth=20))
    other = Run(mine(workspace, "random", collection, "test", depth=20, seed=1))
    assert one.row(0)[1].tolist() != one.row(1)[1].tolist()
    assert one.row(0)[1].tolist() != other.row(0)[1].tolist()
    assert one.artifact.table(0)["inclusion"][0].as_py() == [np.float32(20 / 199)] * 20
    draws = generator(0, "source.random", collection.queries.query_id(int(one.queries[3])))
    picked = uniform.draw_distinct(draws, 199, 20)
    empty = int(collection.corpus.empty[0])
    assert one.row(3)[1].tolist() == [d + (d >= empty) for d in picked.tolist()]


def test_the_plan_does_not_change_the_rows(made, tmp_path, monkeypatch):
    workspace, collection = made
    whole = Run(mine(workspace, "random", collection, "test", depth=9, seed=5))
    monkeypatch.setattr(uniform, "_SHARD_PAIRS", 50)
    elsewhere = Workspace(tmp_path / "work")
    twin = collect(elsewhere, f"beir:{tiny_beir(tmp_path / 'tiny')}")
    parted = Run(mine(elsewhere, "random", twin, "test", depth=9, seed=5))
    assert len(parted.artifact.parts) == 4
    assert all(
        np.array_equal(a, b)
        for row in range(20)
        for a, b in zip(whole.row(row)[1:], parted.row(row)[1:], strict=True)
    )
    for start, stop in [(0, 20), (3, 4), (4, 12), (7, 7)]:
        for a, b in zip(whole.lists(start, stop), parted.lists(start, stop), strict=True):
            assert a.tolist() == b.tolist()


@given(st.integers(1, 300), st.data())
def test_draws_are_distinct_numbers_below_the_population(population, data):
    size = data.draw(st.integers(1, population))
    drawn = uniform.draw_distinct(generator(0, "test", population), population, size)
    assert len(set(drawn.tolist())) == size
    assert 0 <= drawn.min() <= drawn.max() < population


@pytest.mark.parametrize(("population", "size"), [(40, 5), (40, 30)])
def test_draws_are_uniform(population, size):
    counts = np.zeros(population)
    for key in range(3_000):
        counts[uniform.draw_distinct(generator(0, "uniform", key), population, size)] += 1
    expected = 3_000 * size / population
    spread = np.sqrt(expected * (1 - size / population))
    assert np.abs(counts - expected).max() < 5 * spread


def test_a_depth_beyond_the_corpus_is_refused(made):
    workspace, collection = made
    with pytest.raises(BadInput, match=r"depth 201 is larger than the corpus of 200 documents"):
        mine(workspace, "random", collection, "test", depth=201)
    with pytest.raises(BadInput, match=r"larger than the 199 documents that are not empty"):
        mine(workspace, "random", collection, "test", depth=200)
    with pytest.raises(UsageError, match="depth=0 must be at least 1"):
        mine(workspace, "random", collection, "test", depth=0)
    with pytest.raises(BadInput, match=r"no split 'dev'"):
        mine(workspace, "random", collection, "dev", depth=1)


def test_unknown_sources_are_refused_with_the_nearest_names(made):
    workspace, collection = made
    with pytest.raises(UsageError, match=r"unknown source 'randon'(.|\n)*did you mean random"):
        mine(workspace, "randon", collection, "test", depth=1)
    with pytest.raises(UsageError, match=r"unknown source 'bm26'(.|\n)*bm25"):
        mine(workspace, "bm26(k1=1)", collection, "test", depth=1)
    with pytest.raises(UsageError, match="random has no parameter|at most 0"):
        mine(workspace, "random(depth=3)", collection, "test", depth=1)


@pytest.mark.parametrize(
    "text",
    [
        "random",
        "rrf(of=[a,b],k=60)",
        "rrf(of=[bm25(k1=0.9,b=0.4),random,42],k=10)",
        "combsum(of=[a,b,c])",
        "imported(path=run.txt,tag=theirs)",
    ],
)
def test_text_and_value_of_a_source_are_the_same(text):
    value = SOURCES.parse(text)
    assert str(value) == text
    assert SOURCES.parse(str(value)) == value
    assert dataclasses.is_dataclass(value)


def test_all_sources_are_named_without_loading_them():
    assert {"bm25", "dense", "imported", "random", "rerank", "rrf"} <= set(SOURCES.names())


def test_a_run_is_found_by_name_or_mined(made):
    workspace, collection = made
    named = mine(workspace, "random", collection, "test", depth=4)
    workspace.alias("mine-4", named)
    run = run_of(workspace, "mine-4", collection, "test", depth=9)
    assert run.artifact.fingerprint == named.fingerprint
    mined = run_of(workspace, "random", collection, "test", depth=4)
    assert mined.artifact.fingerprint == named.fingerprint
    with pytest.raises(BadInput, match="is over split 'test', 'train' is needed"):
        run_of(workspace, "mine-4", collection, "train", depth=9)
    with pytest.raises(BadInput, match=r"no run called 'mine-5'(.|\n)*mine-4"):
        run_of(workspace, "mine-5", collection, "test", depth=9)


def test_a_run_of_another_collection_is_refused(made, tmp_path):
    workspace, collection = made
    other = collect(workspace, f"beir:{tiny_beir(tmp_path / 'other', seed=8)}")
    foreign = mine(workspace, "random", other, "test", depth=4)
    with pytest.raises(BadInput, match=r"mined from another collection \(its corpus differ"):
        run_of(workspace, foreign, collection, "test", depth=4)


@pytest.mark.ray
def test_actors_draw_the_same_bytes(made, tmp_path, ray_cluster, monkeypatch):
    monkeypatch.setattr(uniform, "_SHARD_PAIRS", 40)
    _, collection = made
    hashes = []
    for workers in (0, 2):
        workspace = Workspace(tmp_path / f"work-{workers}")
        twin = collect(workspace, f"beir:{tiny_beir(tmp_path / 'tiny')}")
        run = mine(workspace, "random", twin, "test", depth=8, executor=Execution(workers=workers))
        hashes.append(run.root_hash)
    assert hashes[0] == hashes[1]
