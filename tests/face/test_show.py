"""What people are shown of a teacher's scores: named by their kind, in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from group_makers import make_scores

from rankmill.cli import rows as show
from rankmill.mining.score_kinds import SCORE_KINDS, as_shown, name_of

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
