"""A small file of exactly the shape that each public collection of scores or negatives has, read by
the command line that docs/data.md gives for it."""

from __future__ import annotations

import gzip
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy_groups import toy

DOCS = {str(n): f"text {n}" for n in range(5)}
QUERIES = {"10": "what grows tall", "11": "what is warm"}


@pytest.fixture
def rankmill(tmp_path, capfd, monkeypatch):
    """Return a function that runs one command beside a workspace with the collection `ms`."""
    from rankmill import cli

    groups = [("10", ["0", "1"], [1.0, 0.0]), ("11", ["2", "3"], [1.0, 0.0])]
    _, collection = toy(tmp_path, DOCS, QUERIES, groups)
    collection.artifact.workspace.alias("ms", collection.artifact)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(tmp_path / "work"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rankmill", *arguments])
        monkeypatch.setattr("rankmill.cli.entry.signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


LIGHTON = [
    table(query_id=["10"], document_ids=[["0", "1", "4"]], scores=[[9.25, 3.5, -1.25]]),
    table(query_id=["11"], document_ids=[["2", "3", "0"]], scores=[[1.0, 2.0, 0.5]]),
]
POSITIVES = [
    table(
        query_id=["10"], positive_ids=[["4", "1"]], document_ids=[["0", "1", "4"]],
        scores=[[9.25, 3.5, -1.25]],
    )
]  # fmt: skip
PASSAGE = {"text": "…", "title": ""}
PASSAGES = {
    "query_id": "10", "query": "what grows tall", "subset": "msmarco",
    "positive_passages": [{"docid": "0", **PASSAGE}],
    "negative_passages": [{"docid": "3", **PASSAGE}, {"docid": "0", **PASSAGE},
                          {"docid": "1", **PASSAGE}],
}  # fmt: skip
SCORED = {
    "query_id": "10", "query": "what grows tall",
    "positive_passages": [{"docid": "0", "text": "…", "score": 9.25}],
    "negative_passages": [{"docid": "1", "text": "…", "score": 3.5}],
}  # fmt: skip
FE = {
    "query": "what grows tall", "pos": ["text 0"], "neg": ["text 1", "text 3"],
    "pos_scores": [9.25], "neg_scores": [3.5, -1], "prompt": "Represent",
}  # fmt: skip
RANK_LLM = {
    "query": {"qid": 10, "text": "what grows tall"},
    "candidates": [{"docid": "0", "score": 2.5, "doc": {"contents": "…"}}],
}

SCORES = [
    ("scores.parquet", table(qid=["10", "10"], docno=["0", "4"], score=[9.25, -1.25]), "logit",
     {"10": {"0": 9.25, "4": -1.25}}),
    ("colbert-10000.run", b"10 Q0 4 1 31.5 colbert\n10 Q0 0 2 30.25 colbert\n", "rank",
     {"10": {"4": 1, "0": 2}}),
    ("ranks.parquet", table(qid=["10", "10"], docno=["0", "4"], rank=[2, 1], score=[0.5, 0.75]),
     "rank", {"10": {"0": 2, "4": 1}}),
    ("bert_cat_ensemble_train_scores_ids.tsv",
     b"9.25\t3.5\t10\t0\t1\r\n9.25\t-1.25\t10\t0\t4\r\n1.0\t2.0\t11\t2\t3\r\n", "logit",
     {"10": {"0": 9.25, "1": 3.5, "4": -1.25}, "11": {"2": 1.0, "3": 2.0}}),
    ("requests.jsonl", jsonl(RANK_LLM), "logit", {"10": {"0": 2.5}}),
    ("scores.tsv.gz", gzip.compress(b"10\t0\t9.25\n", mtime=0), "logit", {"10": {"0": 9.25}}),
    ("scores.json", b'{"10": {"0": 9.25}, "11": {"2": -1}}', "logit",
     {"10": {"0": 9.25}, "11": {"2": -1.0}}),
    ("shards", LIGHTON, "logit",
     {"10": {"0": 9.25, "1": 3.5, "4": -1.25}, "11": {"0": 0.5, "2": 1.0, "3": 2.0}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "kind", "expected"), SCORES)
def test_scores(rankmill, tmp_path, name, data, kind, expected):
    write(tmp_path / name, data)
    made = rankmill("import", name, "--as", "scores", "--kind", kind, "-c", "ms", "--name", "s")
    assert made[0] == 0, made
    shown = [
        json.loads(line) for line in rankmill("show", "s", "--format", "jsonl")[1].splitlines()
    ]
    found = {r["query_id"]: dict(zip(r["doc_id"], r[kind], strict=True)) for r in shown}
    assert found == expected
    # what `show` writes can be read again
    assert rankmill("show", "s", "--rows", "0", "--format", "jsonl", "--to", "shown.jsonl")[0] == 0
    assert rankmill("show", "s", "--rows", "0", "--format", "parquet", "--to", "s.parquet")[0] == 0
    for again in ("shown.jsonl", "s.parquet"):
        made = rankmill(
            "import", again, "--as", "scores", "--kind", kind, "-c", "ms", "--name", "t"
        )
        assert made[0] == 0, made
        assert rankmill("show", "t", "--format", "jsonl")[1].splitlines() == [
            json.dumps(row, ensure_ascii=False) for row in shown
        ]


def write(path: Path, data: Any) -> None:
    if isinstance(data, bytes):
        path.write_bytes(data)
        return
    path.mkdir()
    for number, part in enumerate(data):
        (path / f"train-{number:05d}-of-{len(data):05d}.parquet").write_bytes(part)


def test_cross_encoder_pickles(rankmill, tmp_path):
    scores = {10: {0: 9.25, 4: -1.25}, 11: {2: 1.0}}
    (tmp_path / "scores.pkl.gz").write_bytes(gzip.compress(pickle.dumps(scores)))
    convert = ("unsafe-convert-pickle", "scores.pkl.gz", "--to", "scores.parquet")
    assert rankmill(*convert, "--i-trust-this-file")[0] == 0
    made = rankmill("import", "scores.parquet", "--as", "scores", "--kind", "logit", "-c", "ms")
    assert (made[0], "pairs: 3" in made[1]) == (0, True)


HARD = {"qid": 10, "pos": [0], "neg": {"bm25": [4, 0, 1], "other": [3]}}
RUNS = [
    ("hard.jsonl.gz", gzip.compress(jsonl(HARD), mtime=0), "bm25", {"10": ["4", "1"]}),
    ("qidpidtriples.train.tsv", b"10\t0\t4\n11\t2\t3\n10\t0\t1\n10\t1\t3\n10\t0\t4\n", "triples",
     {"10": ["4", "3"], "11": ["3"]}),
    ("rlhn.jsonl", jsonl(PASSAGES), "negative_passages", {"10": ["3", "1"]}),
    ("train.jsonl", jsonl({"query_id": "10", "query_text": "…", "positive_document_ids": ["0"],
                           "negative_document_ids": ["1", "2"]}),
     "negative_document_ids", {"10": ["1", "2"]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "system", "expected"), RUNS)
def test_negatives(rankmill, tmp_path, name, data, system, expected):
    write(tmp_path / name, data)
    ask = ("--as", "run", "--system", system, "-c", "ms", "--split", "train", "--name", "r")
    made = rankmill("import", name, *ask)
    assert made[0] == 0, made
    shown = [
        json.loads(line) for line in rankmill("show", "r", "--format", "jsonl")[1].splitlines()
    ]
    assert {row["query_id"]: row["doc_id"] for row in shown if row["doc_id"]} == expected


RUN_TABLES = [
    ("run.parquet", table(qid=["10", "10"], docno=["0", "4"], rank=[1, 0], score=[2.5, 3.5]),
     {"10": ["4", "0"]}),
    ("ranks.parquet", table(qid=["10", "10"], docno=["0", "4"], rank=[1, 2]), {"10": ["0", "4"]}),
    ("shards", LIGHTON, {"10": ["0", "1", "4"], "11": ["3", "2", "0"]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "expected"), RUN_TABLES)
def test_runs_as_tables(rankmill, tmp_path, name, data, expected):
    write(tmp_path / name, data)
    made = rankmill("import", name, "--as", "run", "-c", "ms", "--split", "train", "--name", "r")
    assert made[0] == 0, made
    shown = [
        json.loads(line) for line in rankmill("show", "r", "--format", "jsonl")[1].splitlines()
    ]
    assert {row["query_id"]: row["doc_id"] for row in shown if row["doc_id"]} == expected
    assert rankmill("show", "r", "--rows", "0", "--format", "parquet", "--to", "r.parquet")[0] == 0
    ask = ("--as", "run", "-c", "ms", "--split", "train", "--name", "s")
    assert rankmill("import", "r.parquet", *ask)[0] == 0
    again = rankmill("show", "s", "--format", "jsonl")[1].splitlines()
    assert [json.loads(line) for line in again] == shown


@pytest.mark.parametrize(
    "ask",
    [
        ("scores", "--kind", "logit"),
        ("run", "--split", "train"),
        ("groups", "--format", "triple", "--kind", "logit"),
    ],
)
@pytest.mark.parametrize(
    ("path", "said"), [("hf:me/lists", "hf download OWNER/NAME"), ("nowhere", "no file nowhere")]
)
def test_what_is_not_there_is_said(rankmill, ask, path, said):
    status, _, err = rankmill("import", path, "--as", *ask, "-c", "ms")
    assert (status, said in err) == (4, True), err


@pytest.mark.parametrize(
    "ask",
    [
        ("scores", "--kind", "logit"),
        ("run", "--split", "train"),
        ("groups", "--format", "triple", "--kind", "logit"),
    ],
)
def test_a_folder_as_the_hub_downloads_it(rankmill, tmp_path, ask):
    """`hf download --local-dir`: a card, hidden files, and the shards in a folder below."""
    place = tmp_path / "lists"
    (place / ".cache").mkdir(parents=True)
    (place / ".cache" / "x.parquet").write_bytes(b"PAR1")
    (place / "README.md").write_text("a card")
    write(place / "data", LIGHTON)
    made = rankmill("import", "lists", "--as", *ask, "-c", "ms", "--name", "one")
    assert made[0] == 0, made
    write(place / "more", LIGHTON)
    status, _, err = rankmill("import", "lists", "--as", *ask, "-c", "ms")
    assert (status, "data, more" in err) == (4, True), err


def test_published_lists_as_candidates(rankmill, tmp_path):
    write(tmp_path / "FOLDER", LIGHTON)
    ask = ("--as", "scores", "--kind", "logit", "-c", "ms", "--name", "theirs")
    assert rankmill("import", "FOLDER", *ask)[0] == 0
    ask = ("stored(scores=theirs)", "-c", "ms", "--split", "train", "--depth", "5", "--name", "r")
    made = rankmill("mine", *ask)
    assert made[0] == 0, made
    shown = [
        json.loads(line) for line in rankmill("show", "r", "--format", "jsonl")[1].splitlines()
    ]
    assert {row["query_id"]: row["doc_id"] for row in shown} == RUN_TABLES[2][2]


@pytest.mark.parametrize(
    ("system", "text", "said"),
    [
        ("triples", "10\t0\n", "2 columns, expected 3: query id, positive id, negative id"),
        ("triples", "10 0 1\n", "1 columns, expected 3"),
        ("negative_passages", '{"query_id":"10"}', "'positive_passages' is missing"),
        ("negative_passages", json.dumps(PASSAGES | {"negative_passages": "3"}),
         "not a list of passages"),
        ("negative_document_ids", '{"query_id":"10","positive_document_ids":"0"}',
         "not a list of ids"),
    ],
)  # fmt: skip
def test_negatives_that_are_odd(rankmill, tmp_path, system, text, said):
    (tmp_path / "n.tsv").write_text(text)
    ask = ("--as", "run", "--system", system, "-c", "ms", "--split", "train")
    status, _, err = rankmill("import", "n.tsv", *ask)
    assert (status, said in err, "line 1" in err) == (4, True, True), err


GROUPS = [
    ("train.jsonl", jsonl(SCORED), "tevatron", ["0", "1"], [9.25, 3.5], [1, 0]),
    ("train.jsonl", jsonl(FE), "flag-embedding", ["0", "1", "3"], [9.25, 3.5, -1.0], [1, 0, 0]),
    ("train.jsonl", jsonl({"qid": 10, "docid": ["0", "1"], "score": [2, 1]}), "trove", ["0", "1"],
     [2.0, 1.0], [1, 0]),
    ("shards", LIGHTON, "triple", ["0", "1", "4"], [9.25, 3.5, -1.25], [1, 0, 0]),
    # the positives first, in the order that the list has them
    ("shards", POSITIVES, "triple", ["1", "4", "0"], [3.5, -1.25, 9.25], [1, 1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "form", "docs", "scores", "grades"), GROUPS)
def test_groups(rankmill, tmp_path, name, data, form, docs, scores, grades):
    write(tmp_path / name, data)
    ask = ("--as", "groups", "--format", form, "--kind", "logit", "-c", "ms", "--name", "g")
    made = rankmill("import", name, *ask)
    assert made[0] == 0, made
    row = json.loads(rankmill("show", "g", "--rows", "1", "--format", "jsonl")[1].splitlines()[0])
    assert (row["query_id"], row["doc_id"]) == ("10", docs)
    assert (row["score"], row["grade"]) == (scores, grades)


def test_every_door_stands_in_the_document():
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    for name in ("bert_cat_ensemble_train_scores_ids.tsv", "qidpidtriples.train.tsv", "rlhn.jsonl"):
        assert f"rankmill import {name}" in text
    for _, _, system, _ in RUNS:
        assert f"--system {system}" in text
    assert "rankmill import run.parquet" in text
    assert "stored(scores=theirs)" in text
    for _, _, form, *_ in GROUPS:
        assert f"--format {form}" in text
