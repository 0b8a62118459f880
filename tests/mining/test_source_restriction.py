"""What each query may get from BM25: depths, exclusions, a filter, a window of ranks, titles."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from oracles.analysis import analyse
from oracles.bm25 import bm25, stored_off
from tiny_collection import tiny_beir

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.search import index_size
from rankmill.mining.search.postings import postings_of
from rankmill.mining.sources import mine
from rankmill.mining.sources.restriction import WrittenLimits, check_unchanged
from rankmill.mining.store.execution import Silent


@pytest.fixture
def collection(workspace, tmp_path):
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'tiny')}")


@pytest.fixture
def full(collection):
    """Every document that BM25 finds for each query of the test split, best first."""
    run = Run(mine(collection.artifact.workspace, "bm25", collection, "test", depth=50))
    return [run.row(row)[1].tolist() for row in range(len(run))]


def lists(collection, source, depth=5):
    run = Run(mine(collection.artifact.workspace, source, collection, "test", depth=depth))
    run.artifact.verify()
    return run, [run.row(row)[1].tolist() for row in range(len(run))]


def test_a_window_of_ranks(collection, full):
    _, got = lists(collection, "bm25(first_rank=3)")
    assert got == [docs[2:7] for docs in full]
    assert any(got)


def test_positives_are_left_out_before_ranks_are_counted(collection, full):
    run, got = lists(collection, "bm25(first_rank=2,exclude=positives)")
    qrels, queries = collection.qrels("test"), collection.split_queries("test")
    for query, docs, some in zip(queries, full, got, strict=True):
        positives = set(qrels.positives(query).tolist())
        assert some == [d for d in docs if d not in positives][1:6]
    assert any(
        set(d) & set(qrels.positives(q).tolist()) for q, d in zip(queries, full, strict=True)
    )
    assert run.label == "bm25(k1=0.9,b=0.4,first_rank=2,exclude=positives)"


def test_files_of_exclusions_documents_and_depths(collection, full, tmp_path):
    corpus, queries = collection.corpus, collection.split_queries("test")
    ids = [collection.queries.query_id(q) for q in queries]
    banned = {(0, full[0][0]), (0, full[0][2]), (1, full[1][1])}
    with gzip.open(tmp_path / "banned.tsv.gz", "wt") as out:
        out.writelines(f"{ids[row]}\t{corpus.doc_id(doc)}\n" for row, doc in banned)
    some = sorted({d for docs in full for d in docs})[::2]
    (tmp_path / "some.txt").write_text("".join(f"{corpus.doc_id(d)}\n" for d in some))
    (tmp_path / "depths.tsv").write_text(f"{ids[0]}\t1\n{ids[2]}\t9\n")
    source = (
        f"bm25(exclude='{tmp_path}/banned.tsv.gz',only='{tmp_path}/some.txt',"
        f"depths='{tmp_path}/depths.tsv')"
    )
    run, got = lists(collection, source, depth=4)
    depths = {0: 1, 2: 9}
    for row, docs in enumerate(full):
        want = [d for d in docs if d in set(some) and (row, d) not in banned]
        assert got[row] == want[: depths.get(row, 4)]
    assert str(tmp_path) not in run.label
    assert "some.txt@" in run.label
    (tmp_path / "some.txt").write_text(f"{corpus.doc_id(some[0])}\n")
    other, _ = lists(collection, source, depth=4)
    assert other.artifact.fingerprint != run.artifact.fingerprint


def test_a_filter_changes_no_score(collection, full, tmp_path):
    best = full[0][1]
    (tmp_path / "one.txt").write_text(collection.corpus.doc_id(best) + "\n")
    all_, _ = lists(collection, "bm25", depth=50)
    one, got = lists(collection, f"bm25(only='{tmp_path}/one.txt')")
    assert got[0] == [best]
    assert one.row(0)[2][0] == all_.row(0)[2][all_.row(0)[1].tolist().index(best)]


@pytest.mark.parametrize("title", [0, 1, 3])
def test_words_of_the_title_count_as_often_as_asked(workspace, tmp_path, title):
    tiny_beir(tmp_path / "tiny")
    apart = collect(workspace, f"beir:{tmp_path / 'tiny'}", title="title+text")
    run = Run(mine(workspace, f"bm25(title={title})", apart, "test", depth=20))
    docs, titled = [], 0
    for part in apart.corpus.artifact.tables():
        for text, size in zip(
            part["text"].to_pylist(), part["title_bytes"].to_pylist(), strict=True
        ):
            name, rest = text.encode()[:size].decode(), text.encode()[size:].decode()
            docs.append(analyse(name) * title + analyse(rest))
            titled += bool(name)
    assert titled
    asked = [analyse(t) for t in apart.queries.texts(apart.split_queries("test"))]
    for row, want in enumerate(bm25(docs, asked, 20)):
        assert run.row(row)[1].tolist() == [d for d, _ in want]
        exact = np.array([s for _, s in want])
        assert (np.abs(run.row(row)[2] - exact) <= stored_off(asked[row], exact, len(docs))).all()


def test_a_title_that_is_not_kept_apart_cannot_be_weighed(collection):
    with pytest.raises(UsageError, match=r"collect it with --title 'title\+text'"):
        lists(collection, "bm25(title=2)")


@pytest.mark.parametrize(
    ("source", "text", "error", "message"),
    [
        ("bm25(first_rank=0)", None, UsageError, "first_rank=0 is out of range"),
        ("bm25(title=99)", None, UsageError, "title=99 must lie between 0 and 64"),
        ("bm25(exclude=postives)", None, UsageError, "give one of positives, .*judged or the path"),
        ("bm25(only='FILE')", "d1\tx\n", BadInput, "2 fields, 1 are needed"),
        ("bm25(only='FILE')", "nowhere\n", BadInput, "nowhere"),
        ("bm25(depths='FILE')", "QUERY\t0\n", BadInput, "a depth of '0'"),
        ("bm25(depths='FILE')", f"QUERY\t{'9' * 5000}\n", BadInput, r"depth of '999(.|\n)*line 1"),
        ("bm25(depths='FILE')", "QUERY\t3\nQUERY\t5\n", BadInput, r"'3' and '5'(.|\n)*1 and 2"),
        (f"bm25(exclude='positives(min_grade={'9' * 5000})')", None, UsageError, "not a file"),
        ("bm25(exclude='FILE')", "QUERY d1\n", BadInput, "separate the fields by one tab"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(collection, tmp_path, source, text, error, message):
    path = tmp_path / "file"
    if text is not None:
        first = collection.queries.query_id(collection.split_queries("test")[0])
        path.write_text(text.replace("QUERY", first))
    with pytest.raises(error, match=message):
        lists(collection, source.replace("FILE", str(path)))


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("a\n")
    limits = WrittenLimits(only=str(path))
    digests = limits.digests()
    check_unchanged(limits, digests)
    path.write_text("b\n")
    with pytest.raises(RankmillError, match="the file of only changed while it was used"):
        check_unchanged(limits, digests)


def test_an_index_is_announced_and_refused_where_it_cannot_fit(collection, monkeypatch):
    said = []

    class Listening(Silent):
        def announce(self, text):
            said.append(text)

    workspace = collection.artifact.workspace
    monkeypatch.setattr(index_size, "_MEMORY_OF_A_PROCESS", 1 << 60)
    with pytest.raises(RankmillError, match=r"GB of memory are free"):
        postings_of(workspace, collection.corpus, INLINE)
    monkeypatch.setattr(index_size, "_MEMORY_OF_A_PROCESS", 0)
    monkeypatch.setattr(index_size, "_DISK_PER_BYTE", 1e15)
    with pytest.raises(RankmillError, match=r"bytes of disk are free"):
        postings_of(workspace, collection.corpus, INLINE)
    monkeypatch.setattr(index_size, "_DISK_PER_BYTE", 1)
    postings_of(workspace, collection.corpus, Execution(progress=Listening()))
    assert len(said) == 1
    assert said[0].startswith("index of 0 MB of text: about 0 s, at most 0.0 GB of memory")
