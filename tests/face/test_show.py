"""What people are shown of a teacher's scores: named by their kind, in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from group_makers import make_scores
from tiny_collection import tiny_beir

from rankmill.cli import rows as show
from rankmill.cli.render.rows import tell_rows
from rankmill.mining.collection import collect
from rankmill.mining.exports.rows import _from, aligned
from rankmill.mining.score_kinds import SCORE_KINDS, as_shown, name_of
from rankmill.mining.sources.mine import mine

NAMES = {
    "logit": "logit",
    "log-prob": "log_probability",
    "probability": "probability",
    "similarity": "similarity",
    "rank": "rank",
}


def shown(workspace, kind):
    lists = [[-2.0, -1.0], [], [-3.0, -1.0, -2.0]] if kind == "rank" else [[0.25, 0.5], [], [0.75]]
    artifact = make_scores(workspace, lists, kind=kind, parts=2)
    assert artifact.table(0).column_names[-1] == "logit"  # as stored: a contract
    expected = [[-x for x in row] for row in lists] if kind == "rank" else lists
    return show.first_rows(artifact, None), expected


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_scores_are_called_what_they_are(workspace, tmp_path, kind):
    table, wanted = shown(workspace, kind)
    name = NAMES[kind]
    assert name_of(kind) == name
    assert table.column_names == ["query", "doc", name]
    lines = list(show.lines(table, "jsonl"))
    assert [json.loads(line)[name] for line in lines] == wanted
    rows = list(csv.DictReader(io.StringIO("".join(show.lines(table, "csv")))))
    assert [json.loads(row[name]) for row in rows] == wanted
    show.write(table, "parquet", tmp_path / "s.parquet")
    assert pq.read_table(tmp_path / "s.parquet")[name].to_pylist() == wanted
    people = show.for_people(table)
    assert [str(column.header) for column in people.columns] == ["query", "doc", name]


def test_the_first_rows_are_named_too(workspace):
    artifact = make_scores(workspace, [[0.5], [0.25]], kind="similarity", parts=2)
    assert show.first_rows(artifact, 1)["similarity"].to_pylist() == [[0.5]]


def test_ranks_are_whole_unless_they_are_means():
    whole = as_shown(np.array([-1.0, -20.0], np.float32), "rank")
    assert whole.tolist() == [1, 20]
    assert whole.dtype == np.int32
    assert as_shown(np.array([-1.5, -2.0], np.float32), "rank").tolist() == [1.5, 2.0]
    missing = as_shown(np.array([np.nan, -2.0], np.float32), "rank")
    assert np.isnan(missing[0])
    assert missing[1] == 2.0


@pytest.mark.parametrize("count", [None, 1, 2, 3])
@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_parquet_is_written_in_blocks_with_the_same_rows(
    workspace, tmp_path, monkeypatch, kind, count
):
    monkeypatch.setattr("rankmill.mining.exports.rows._BLOCK_ROWS", 1)
    _, expected = shown(workspace, kind)
    artifact = next(workspace.artifacts("scores"))
    written = show.write_parquet(artifact, count, tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert written == table.num_rows == len(expected[:count])
    assert table.equals(show.first_rows(artifact, count))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.4309, 10.0, -0.5], [" 7.43", "10.00", "-0.50"]),
        ([0.029631, 0.01639], ["0.02963", "0.01639"]),
        ([1.0, -2.0], [" 1", "-2"]),
        ([0.25, None, float("nan")], ["0.25", "   –", "   –"]),
        ([1e6, 1e-6], ["1e+06", "1e-06"]),  # no number of decimals shows both
        ([3, 40], ["3", "40"]),
        ([0.0, 0.0], ["0", "0"]),
        ([], []),
    ],
)
def test_numbers_of_a_column_stand_with_their_points_below_one_another(values, expected):
    assert aligned(values) == expected


def test_judgements_and_postings_are_shown_with_their_ids(workspace, tmp_path, capsys):
    tiny_beir(tmp_path / "tiny", docs=40, queries=8)
    held = collect(workspace, f"beir:{tmp_path / 'tiny'}")
    mine(workspace, "bm25", held, "train", depth=5)
    tell_rows(held.qrels_artifact("train"), 2)
    shown = capsys.readouterr().out
    assert "query_id" in shown
    assert "doc_id" in shown
    postings = next(workspace.artifacts("postings"))
    row = show.first_rows(postings, None).to_pylist()[0]
    documents = show.first_rows(held.corpus.artifact, None).to_pylist()
    texts = {document["doc_id"]: document["text"] for document in documents}
    assert row["postings"]
    for one in row["postings"]:
        assert texts[one["doc_id"]].lower().split().count(row["term"]) == one["tf"]


def test_documents_of_later_blocks_are_counted_from_the_first_of_all():
    kind = pa.list_(pa.struct([("doc", pa.uint16()), ("tf", pa.uint8())]))
    rows = [[{"doc": 3, "tf": 1}], [], [{"doc": 0, "tf": 2}, {"doc": 9, "tf": 1}]]
    table = pa.table({"term": ["a", "b", "c"], "postings": pa.array(rows, kind)})
    moved = _from(table, 65_536)
    assert moved["term"].to_pylist() == ["a", "b", "c"]
    assert [[p["doc"] for p in row] for row in moved["postings"].to_pylist()] == [
        [65_539],
        [],
        [65_536, 65_545],
    ]
    assert [[p["tf"] for p in row] for row in moved["postings"].to_pylist()] == [[1], [], [2, 1]]
