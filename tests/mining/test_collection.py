from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_collection import ODD_TEXTS, tiny_beir

from rankmill.mining.collection import EVERY_QUERY, Collection, collect, survey
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Workspace, files

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture
def tiny(tmp_path):
    return tiny_beir(tmp_path / "tiny")


@pytest.fixture
def collection(workspace, tiny):
    return collect(workspace, f"beir:{tiny}", name="tiny")


def rows_of(path):
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")  # U+2028 ends no line here
    return [json.loads(line) for line in lines]


def write_beir(folder, documents, queries=(("q1", "one"),), judged=(("q1", "d0", 1),)):
    """Write a BEIR folder of (id, title, text) rows; ids must not hold tabs or line ends."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": i, "title": t, "text": x}) for i, t, x in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = [json.dumps({"_id": i, "text": x}) for i, x in queries]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judged)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_what_was_read_is_what_stands_there(collection, tiny):
    rows = rows_of(tiny / "corpus.jsonl")
    assert len(collection.corpus) == len(rows) == 200
    everything = np.arange(200)
    assert collection.corpus.doc_ids(everything) == [r["_id"] for r in rows]
    joined = [f"{r['title']} {r['text']}" if r["title"] else r["text"] for r in rows]
    assert collection.corpus.texts(everything) == joined
    assert collection.queries.query_id(39) == "q39"
    assert len(collection.queries) == 40


def test_odd_texts_survive_byte_for_byte(collection):
    docs = collection.corpus.ordinals([f"odd-{n}" for n in range(len(ODD_TEXTS))])
    stored = [t.encode() for t in collection.corpus.texts(docs)]
    assert stored == [t.encode() for t in ODD_TEXTS]
    assert collection.corpus.empty.tolist() == [docs[0]]


def test_qrels_are_sorted_and_resolved(collection, tiny):
    lines = (tiny / "qrels" / "train.tsv").read_text().splitlines()[1:]
    told = {(q, d): int(g) for q, d, g in (line.split("\t") for line in lines)}
    qrels = collection.qrels("train")
    keys = list(zip(qrels.query.tolist(), qrels.doc.tolist(), strict=True))
    assert keys == sorted(keys)
    named = zip(
        collection.queries.query_ids(qrels.query),
        collection.corpus.doc_ids(qrels.doc),
        strict=True,
    )
    assert dict(zip(named, qrels.grade.tolist(), strict=True)) == told
    assert collection.splits == ("test", "train")
    first = int(qrels.queries[0])
    docs, grades = qrels.of(first)
    assert qrels.positives(first).tolist() == docs[grades >= 1].tolist()
    assert qrels.positives(first, min_grade=2).tolist() == docs[grades >= 2].tolist()
    assert qrels.of(1)[0].tolist() == []  # an odd query belongs to test


def test_splits_name_their_queries(collection):
    assert collection.split_queries("train").tolist() == list(range(0, 40, 2))
    assert collection.split_queries(EVERY_QUERY).tolist() == list(range(40))
    with pytest.raises(BadInput, match="no split 'tran'"):
        collection.qrels("tran")


def test_a_second_collect_does_no_work(workspace, collection, tiny, monkeypatch):
    monkeypatch.setattr(survey, "_rows", lambda *_: pytest.fail("read again"))
    again = collect(workspace, f"beir:{tiny}")
    assert again.artifact.root_hash == collection.artifact.root_hash
    assert Collection.open(workspace, "tiny").artifact.fingerprint == again.artifact.fingerprint


def test_everything_verifies_at_the_level_of_meaning(collection):
    for artifact in collection.artifact.workspace.artifacts():
        assert artifact.verify() >= 1


def test_gzip_files_hold_the_same_rows(workspace, collection, tiny, tmp_path):
    packed = tmp_path / "packed"
    (packed / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        with gzip.open(packed / f"{name}.gz", "wb") as out:
            out.write((tiny / name).read_bytes())
    twin = collect(workspace, f"beir:{packed}")
    assert twin.corpus.part(0).equals(collection.corpus.part(0))
    assert twin.queries.part(0).equals(collection.queries.part(0))
    assert twin.qrels("test").doc.tolist() == collection.qrels("test").doc.tolist()


@pytest.mark.parametrize(
    ("policy", "texts"),
    [
        ("title text", ["A b", "c", "D", ""]),
        ("text", ["b", "c", "", ""]),
        ("title", ["A", "", "D", ""]),
    ],
)
def test_title_policies(workspace, tmp_path, policy, texts):
    rows = [("d0", "A", "b"), ("d1", "", "c"), ("d2", "D", ""), ("d3", "", "")]
    folder = write_beir(tmp_path / "c", rows)
    found = collect(workspace, f"beir:{folder}", title=policy)
    assert found.corpus.texts(range(4)) == texts
    assert found.corpus.empty.tolist() == [i for i, t in enumerate(texts) if not t]
    assert found.artifact.metadata["title"] == policy


def test_unknown_title_policy_and_reader_are_refused(workspace, tiny):
    with pytest.raises(UsageError, match=r"unknown title policy 'titel text'(.|\n)*did you mean"):
        collect(workspace, f"beir:{tiny}", title="titel text")
    with pytest.raises(UsageError, match=r"does not say how to read(.|\n)*beir:/some/folder"):
        collect(workspace, "/some/folder")
    with pytest.raises(UsageError, match="names nothing to read"):
        collect(workspace, "beir")


def test_the_path_is_no_part_of_the_identity(workspace, collection, tmp_path):
    elsewhere = tiny_beir(tmp_path / "moved" / "far")
    twin = collect(workspace, f"beir:{elsewhere}")
    assert twin.artifact.root_hash == collection.artifact.root_hash
    changed = tiny_beir(tmp_path / "other", seed=1)
    assert collect(workspace, f"beir:{changed}").artifact.fingerprint != twin.artifact.fingerprint


@pytest.mark.parametrize("position", range(4))
def test_an_empty_document_keeps_its_row(workspace, tmp_path, position):
    rows = [(f"d{i}", "", f"text {i}") for i in range(4)]
    rows[position] = (f"d{position}", "", " \t\n\u2003")
    found = collect(workspace, f"beir:{write_beir(tmp_path / 'c', rows)}")
    assert found.corpus.doc_ids(range(4)) == [f"d{i}" for i in range(4)]
    assert found.corpus.empty.tolist() == [position]
    assert found.corpus.text(position) == " \t\n\u2003"


def test_ids_are_never_normalised(workspace, tmp_path):
    ids = ["e\u0301", "\u00e9", " d ", "D", "d", "../../x", "0", "00", "\ufeffd"]
    rows = [(i, "", "x y") for i in ids]
    found = collect(
        workspace, f"beir:{write_beir(tmp_path / 'c', rows, judged=[('q1', ids[0], 1)])}"
    )
    assert found.corpus.doc_ids(range(len(ids))) == ids
    assert found.corpus.ordinals(ids[::-1]).tolist() == list(range(len(ids)))[::-1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(text, text), min_size=1, max_size=8))
def test_any_text_survives_a_round_trip(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("round")
    rows = [(f"d{n}", title, body) for n, (title, body) in enumerate(texts)]
    write_beir(folder, rows)
    found = collect(Workspace(folder / "work"), f"beir:{folder}", title="text")
    assert found.corpus.texts(range(len(rows))) == [body for _, _, body in rows]


def test_parts_change_nothing_but_the_files(workspace, collection, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "PART_ROWS", 37)
    monkeypatch.setattr(survey, "PART_BYTES", 5_000)
    parted = collect(Workspace(tmp_path / "parted"), f"beir:{tiny}")
    assert len(parted.corpus.artifact.parts) > 5
    mixed = np.array([199, 0, 36, 37, 199, 100])
    assert parted.corpus.texts(mixed) == collection.corpus.texts(mixed)
    assert parted.corpus.doc_id(38) == collection.corpus.doc_id(38)
    ids = collection.corpus.doc_ids(mixed)
    assert parted.corpus.ordinals(ids).tolist() == mixed.tolist()
    assert parted.corpus.empty.tolist() == collection.corpus.empty.tolist()
    assert parted.qrels("test").doc.tolist() == collection.qrels("test").doc.tolist()


def test_a_broken_ingest_resumes_to_the_same_bytes(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "PART_ROWS", 50)
    whole = collect(Workspace(tmp_path / "whole"), f"beir:{tiny}")
    broken = Workspace(tmp_path / "broken")

    def fail(step, path):
        if step == "rename" and path.name == "part-00002.json":
            raise KeyboardInterrupt("stop here")

    monkeypatch.setattr(files.steps, "fault", fail)
    with pytest.raises(KeyboardInterrupt):
        collect(broken, f"beir:{tiny}")
    monkeypatch.setattr(files.steps, "fault", None)
    resumed = collect(broken, f"beir:{tiny}")
    assert resumed.artifact.root_hash == whole.artifact.root_hash


def test_documents_alone_are_a_collection(workspace, tiny):
    (tiny / "queries.jsonl").unlink()
    for path in (tiny / "qrels").iterdir():
        path.unlink()
    found = collect(workspace, f"beir:{tiny}")
    assert len(found.corpus) == 200
    assert found.splits == ()
    with pytest.raises(BadInput, match="documents only, no queries"):
        len(found.queries)


def test_unknown_ids_and_ordinals_are_refused(collection):
    wrong = [f"x{n}" for n in range(12)]
    with pytest.raises(
        BadInput, match="12 document ids are not in the collection: 'x0', .*'x9', …"
    ):
        collection.corpus.ordinals(["d1", *wrong])
    with pytest.raises(IndexError, match="document 200 of 200"):
        collection.corpus.text(200)
    with pytest.raises(IndexError, match="ordinals 5…200 of 200"):
        collection.corpus.texts([5, 200])


def test_equal_judgements_count_once(workspace, tmp_path):
    judged = [("q1", "d1", 1), ("q1", "d0", 2), ("q1", "d1", 1)]
    rows = [("d0", "", "x"), ("d1", "", "y")]
    found = collect(workspace, f"beir:{write_beir(tmp_path / 'c', rows, judged=judged)}")
    qrels = found.qrels("test")
    assert (qrels.doc.tolist(), qrels.grade.tolist()) == ([0, 1], [2, 1])
    assert qrels.artifact.counts == {"repeated": 1}


def test_a_real_collection(shared, workspace):
    found = collect(workspace, f"beir:{shared / 'nfcorpus'}")
    assert (len(found.corpus), len(found.queries)) == (3_633, 3_237)
    assert {s: len(found.qrels(s)) for s in found.splits} == {
        "dev": 11_385,
        "test": 12_334,
        "train": 110_575,
    }
    assert found.corpus.doc_id(0) == "MED-10"
    assert found.corpus.text(0).startswith("Statin Use and Breast Cancer Survival: A Nationwide")


def test_looking_through_the_source_is_charged_to_the_corpus(collection):
    corpus = collection.corpus.artifact
    text = (corpus.path / "attempts.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if "shard" in line]
    assert [line["shard"] for line in lines] == [-1, -1, 0]  # the look, the worker, the writing
    assert corpus.cost()["attempts"] == 1  # at shards
    assert corpus.cost()["shard_wall_s"] >= max(line["wall_s"] for line in lines)
