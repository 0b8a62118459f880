from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import runs as oracle
from tiny_collection import tiny_beir

from rankmill.mining.collection import EVERY_QUERY, collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs import pool as pool_module
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.runs.run import Run
from rankmill.mining.runs.union import union_of
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'tiny')}")
    runs = [mine(workspace, "random", collection, "test", depth=25)]
    for text in ("rrf(of=[random,random],k=60)", "combsum(of=[random,random])"):
        runs.append(mine(workspace, text, collection, "test", depth=12, seed=4))
    return workspace, collection, runs


def rows_of(pool):
    """Return {query: {doc: [(rank, score) or None per label]}} of a whole pool."""
    rows = {}
    for part in pool.parts():
        for row, query in enumerate(part.query.tolist()):
            docs = {}
            for at in range(part.offsets[row], part.offsets[row + 1]):
                docs[int(part.doc[at])] = [
                    (int(part.rank[x][at]), float(part.score[x][at])) if part.rank[x][at] else None
                    for x in pool.labels
                ]
                for label in pool.labels:
                    assert np.isnan(part.score[label][at]) == (part.rank[label][at] == 0)
            rows[query] = docs
    return rows


def expected(collection, runs, depth=None, positives=True):
    rows = {}
    opened = [Run(run) for run in runs]
    for row, query in enumerate(collection.split_queries("test").tolist()):
        lists = []
        for run in opened:
            _, docs, scores = run.row(row)
            lists.append(list(zip(docs.tolist(), scores.tolist(), strict=True))[:depth])
        judged = collection.qrels("test").positives(query).tolist() if positives else []
        rows[query] = oracle.pool(lists, judged)
    return rows


@pytest.mark.parametrize("positives", [True, False])
@pytest.mark.parametrize("depth", [None, 3])
def test_a_pool_against_the_oracle(made, positives, depth):
    workspace, collection, runs = made
    artifact = pool_runs(
        workspace, runs, collection=collection, split="test", positives=positives, depth=depth
    )
    pool = Pool(artifact)
    assert rows_of(pool) == expected(collection, runs, depth, positives)
    assert [list(docs) for docs in rows_of(pool).values()] == [
        sorted(docs) for docs in rows_of(pool).values()
    ]
    assert artifact.verify() == 1
    assert artifact.counts["pairs"] == sum(map(len, rows_of(pool).values()))


def test_labels_are_the_sources_of_the_runs(made):
    workspace, collection, runs = made
    pool = Pool(pool_runs(workspace, runs, collection=collection, split="test"))
    assert pool.labels == (
        "random",
        "rrf(of=[random,random],k=60)",
        "combsum(of=[random,random])",
    )
    assert pool.artifact.table(0).column_names[2:4] == ["rank[random]", "score[random]"]
    assert len(pool) == 20


def test_positives_that_no_run_found_have_no_rank(made):
    workspace, collection, runs = made
    artifact = pool_runs(workspace, runs[:1], collection=collection, split="test")
    rows = rows_of(Pool(artifact))
    alone = [doc for docs in rows.values() for doc, found in docs.items() if found == [None]]
    assert len(alone) == artifact.counts["positives_not_found"] > 0


def test_without_judgements_nothing_is_said_about_positives(made):
    workspace, collection, runs = made
    run = mine(workspace, "random", collection, EVERY_QUERY, depth=5)
    everyone = pool_runs(workspace, [run], collection=collection, split=EVERY_QUERY)
    left_out = pool_runs(workspace, runs, collection=collection, split="test", positives=False)
    for pool in (everyone, left_out):
        assert "pairs" in pool.counts
        assert "positives_not_found" not in pool.counts


def test_an_empty_positive_is_not_pooled(tmp_path):
    workspace = Workspace(tmp_path / "work")
    folder = tiny_beir(tmp_path / "tiny")
    with open(folder / "qrels" / "test.tsv", "a") as out:
        out.write("q1\todd-0\t1\n")
    collection = collect(workspace, f"beir:{folder}")
    empty = int(collection.corpus.empty[0])
    assert empty in collection.qrels("test").positives(1)
    run = mine(workspace, "random", collection, "test", depth=3)
    rows = rows_of(Pool(pool_runs(workspace, [run], collection=collection, split="test")))
    assert all(empty not in docs for docs in rows.values())


def test_the_plan_does_not_change_the_rows(made, tmp_path, monkeypatch):
    workspace, collection, runs = made
    whole = pool_runs(workspace, runs, collection=collection, split="test")
    monkeypatch.setattr(pool_module, "_SHARD_PAIRS", 150)
    elsewhere = Workspace(tmp_path / "work")
    twin = collect(elsewhere, f"beir:{tiny_beir(tmp_path / 'tiny')}")
    again = [mine(elsewhere, "random", twin, "test", depth=25)]
    for text in ("rrf(of=[random,random],k=60)", "combsum(of=[random,random])"):
        again.append(mine(elsewhere, text, twin, "test", depth=12, seed=4))
    parted = pool_runs(elsewhere, again, collection=twin, split="test")
    assert len(parted.parts) > 3
    assert rows_of(Pool(parted)) == rows_of(Pool(whole))


def test_runs_that_do_not_belong_together_are_refused(made, tmp_path):
    workspace, collection, runs = made
    train = mine(workspace, "random", collection, "train", depth=5)
    with pytest.raises(BadInput, match="random is over split 'train', 'test' is needed"):
        pool_runs(workspace, [runs[1], train], collection=collection, split="test")
    seeded = mine(workspace, "random", collection, "test", depth=5, seed=9)
    with pytest.raises(BadInput, match="two runs are called 'random'"):
        pool_runs(workspace, [runs[0], seeded], collection=collection, split="test")
    with pytest.raises(BadInput, match=r"the run 'random' is given twice \([0-9a-f]{12}\)"):
        pool_runs(workspace, [seeded, seeded], collection=collection, split="test")
    other = collect(workspace, f"beir:{tiny_beir(tmp_path / 'other', seed=2)}")
    foreign = mine(workspace, "random", other, "test", depth=5)
    with pytest.raises(BadInput, match=r"mined from another collection \(its corpus differ"):
        pool_runs(workspace, [foreign], collection=collection, split="test")
    with pytest.raises(UsageError, match="a pool needs at least one run"):
        pool_runs(workspace, [], collection=collection, split="test")
    with pytest.raises(UsageError, match="depth=0 must be at least 1"):
        pool_runs(workspace, runs, collection=collection, split="test", depth=0)


ranked = st.lists(st.integers(0, 12), max_size=8, unique=True)


@settings(deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda runs: st.lists(st.tuples(*[ranked] * (runs + 1)), min_size=0, max_size=5)
    )
)
def test_union_of_any_lists(rows):
    """Each row is one query: a list per run, the last one being the documents added."""
    count = len(rows[0]) - 1 if rows else 1
    lists = []
    for number in range(count + 1):
        picked = [row[number] for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(p) for p in picked])]).astype(np.int64)
        docs = np.array([d for p in picked for d in p], dtype=np.uint32)
        lists.append((offsets, docs, -np.arange(len(docs), dtype=np.float32)))
    extra = lists.pop()
    union = union_of(lists, extra[:2])
    assert union.offsets[0] == 0
    for row, picked in enumerate(rows):
        want = oracle.pool(
            [
                [(d, float(lists[n][2][lists[n][0][row] + i])) for i, d in enumerate(picked[n])]
                for n in range(count)
            ],
            picked[count],
        )
        low, high = union.offsets[row], union.offsets[row + 1]
        assert union.docs[low:high].tolist() == list(want)
        for number in range(count):
            found = [cells[number] or (0, None) for cells in want.values()]
            assert union.ranks[number, low:high].tolist() == [rank for rank, _ in found]
            for score, (_, told) in zip(union.scores[number, low:high], found, strict=True):
                assert np.isnan(score) if told is None else score == told


def test_lists_longer_than_a_rank_can_say_are_refused():
    docs = np.arange(65_536, dtype=np.uint32)
    lists = (np.array([0, len(docs)]), docs, np.zeros(len(docs), dtype=np.float32))
    with pytest.raises(BadInput, match="a list of 65,536 documents: ranks are stored up to 65,535"):
        union_of([lists])
    longest = (np.array([0, 65_535]), docs[:-1], np.zeros(65_535, dtype=np.float32))
    assert union_of([longest], (np.array([0, 65_536]), docs)).ranks[0, -2] == 65_535
