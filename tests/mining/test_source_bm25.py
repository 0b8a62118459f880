"""The BM25 source on collections: runs, effectiveness, refusals, equal bytes however it is run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from oracles.analysis import analyse
from oracles.bm25 import bm25, stored_off
from tiny_collection import tiny_beir

from rankmill.mining import ahead
from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.search.postings import Postings, postings_of
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.sources.bm25 import Bm25
from rankmill.mining.store import Workspace, files


@pytest.fixture
def collection(workspace, tmp_path):
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'tiny')}")


def test_a_run_is_what_the_oracles_say(workspace, collection):
    run = Run(mine(workspace, "bm25(k1=1.2,b=0.75)", collection, "test", depth=25))
    queries = collection.split_queries("test")
    docs = [analyse(text) for text in collection.corpus.texts(range(len(collection.corpus)))]
    asked = [analyse(text) for text in collection.queries.texts(queries)]
    assert len(run) == len(queries)
    for row, want in enumerate(bm25(docs, asked, 25, k1=1.2, b=0.75)):
        most = max((stored_off(asked[row], s, len(docs)) for _, s in want), default=0.0)
        query, found, scores = run.row(row)
        assert query == queries[row]
        assert found.tolist() == [d for d, _ in want]
        assert (np.abs(scores - [s for _, s in want]) <= most).all()
    run.artifact.verify()


def test_the_index_is_shared_by_all_settings_and_found_again(workspace, collection):
    first = mine(workspace, "bm25", collection, "test", depth=5)
    other = mine(workspace, "bm25(b=0.9)", collection, "train", depth=7)
    assert first.inputs["postings"] == other.inputs["postings"]
    again = mine(workspace, Bm25(0.9, 0.4), collection, "test", depth=5)
    assert again.root_hash == first.root_hash
    assert first.metadata["source"] == "bm25(k1=0.9,b=0.4)"


def test_an_empty_document_is_never_mined(workspace, collection):
    run = Run(mine(workspace, "bm25", collection, "test", depth=100))
    mined = set(np.concatenate([part.doc for part in run.parts()]).tolist())
    assert mined
    assert not mined & set(collection.corpus.empty.tolist())
    index = Postings(run.artifact.input("postings"))
    assert index.documents == len(collection.corpus)
    assert index.filled < index.documents


def test_shards_do_not_change_the_lists(workspace, collection, tmp_path, monkeypatch):
    import rankmill.mining.search.postings as postings
    import rankmill.mining.sources.bm25 as module

    whole = Run(mine(workspace, "bm25", collection, "test", depth=10))
    monkeypatch.setattr(module, "_SHARD_POSTINGS", 500)
    monkeypatch.setattr(postings, "BLOCK_BYTES", 4000)
    other = Workspace(tmp_path / "other")
    same = collect(other, f"beir:{tmp_path / 'tiny'}")
    cut = Run(mine(other, "bm25", same, "test", depth=10))
    assert len(cut.artifact.parts) > 2
    assert len(cut.artifact.input("postings").parts) > 2
    for row in range(len(whole)):
        for a, b in zip(whole.row(row)[1:], cut.row(row)[1:], strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("size", [700, 4000, 1 << 20])
def test_any_number_of_threads_writes_the_same_index(tmp_path, monkeypatch, size):
    """Blocks that are inverted abreast come into their parts in order, also after a break."""
    import rankmill.mining.search.index_size as index_size
    import rankmill.mining.search.postings as postings

    monkeypatch.setattr(postings, "BLOCK_BYTES", size)
    beir, made = tiny_beir(tmp_path / "tiny"), {}
    for count in (1, 2, 5):
        for module in (ahead, index_size):
            monkeypatch.setattr(module, "threads", lambda count=count: count)
        found = collect(Workspace(tmp_path / f"{count}"), f"beir:{beir}")
        made[count] = postings_of(found.artifact.workspace, found.corpus)
    assert len({one.root_hash for one in made.values()}) == 1
    assert (len(made[1].parts) == 1) == (size > 4000)
    broken = collect(Workspace(tmp_path / "broken"), f"beir:{beir}")

    def fail(step, path):
        if step == "rename" and path.name == f"part-{len(made[1].parts) // 2:05d}.json":
            raise KeyboardInterrupt("stop here")

    monkeypatch.setattr(files.steps, "fault", fail)
    with pytest.raises(KeyboardInterrupt):
        postings_of(broken.artifact.workspace, broken.corpus)
    monkeypatch.setattr(files.steps, "fault", None)
    again = postings_of(broken.artifact.workspace, broken.corpus)
    assert again.root_hash == made[1].root_hash


def test_blocks_are_inverted_abreast_as_far_as_memory_goes(collection, monkeypatch):
    import rankmill.mining.search.index_size as index_size

    monkeypatch.setattr(index_size, "threads", lambda: 16)
    monkeypatch.setattr(index_size, "BLOCK_BYTES", 1000)
    needed = index_size._MEMORY_PER_BYTE * 1000
    for free, abreast in ((0, 1), (3.9, 1), (12.1, 3), (1e6, 16)):
        free = SimpleNamespace(available=int(free * needed))
        monkeypatch.setattr(index_size.psutil, "virtual_memory", lambda free=free: free)
        assert index_size.blocks_abreast(collection.corpus) == abreast
    one, three = (index_size.estimate(collection.corpus, 1, n).memory for n in (1, 3))
    assert three - one == 2 * needed


@pytest.mark.ray
def test_actors_write_the_same_bytes(workspace, collection, tmp_path, ray_cluster):
    inline = mine(workspace, "bm25", collection, "test", depth=10)
    other = Workspace(tmp_path / "other")
    same = collect(other, f"beir:{tmp_path / 'tiny'}")
    remote = mine(other, "bm25", same, "test", depth=10, executor=Execution(workers=2))
    assert remote.root_hash == inline.root_hash
    assert remote.input("postings").root_hash == inline.input("postings").root_hash


def test_parameters_out_of_range_are_refused():
    with pytest.raises(UsageError, match=r"k1=-1.0 must be a number of at least 0"):
        SOURCES.parse("bm25(k1=-1)")
    with pytest.raises(UsageError, match=r"b=1.5 must lie between 0 and 1"):
        Bm25(b=1.5)


@pytest.mark.parametrize(
    ("name", "measure", "least", "most"),
    [("nfcorpus", "nDCG@10", 0.3188, 0.3248), ("vaswani", "AP", 0.28, 0.31)],
)
def test_effectiveness_on_real_collections(shared, workspace, name, measure, least, most):
    """Anserini's nDCG@10 on nfcorpus is 0.3218; Terrier's AP on vaswani 0.2992."""
    import ir_measures

    found = collect(workspace, f"beir:{shared / name}")
    run = Run(mine(workspace, "bm25", found, "test", depth=1000))
    scored = [
        ir_measures.ScoredDoc(str(run.row(row)[0]), str(d), float(s))
        for row in range(len(run))
        for d, s in zip(*run.row(row)[1:], strict=True)
    ]
    judged = found.qrels("test")
    qrels = [
        ir_measures.Qrel(str(q), str(d), int(g))
        for q, d, g in zip(judged.query, judged.doc, judged.grade, strict=True)
    ]
    wanted = ir_measures.parse_measure(measure)
    assert least <= ir_measures.calc_aggregate([wanted], qrels, scored)[wanted] <= most
