"""Training groups of other trainers' layouts, read back: the way out and home, and bad files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir
from toy_groups import publish

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.exports import export_groups
from rankmill.mining.groups.format import Groups
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.store import Workspace

EXPORTED = {
    "triple": "sentence-transformers",
    "colbert": "colbert",
    "tevatron": "tevatron",
    "flag-embedding": "flag-embedding",
    "trove": "trove",
    "rankers": "rankers",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported-groups")
    collection = collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny')}")
    random = np.random.Generator(np.random.Philox(5))
    rows = [
        (f"q{i}", [f"d{d}" for d in random.choice(150, 4, replace=False)], random.normal(0, 3, 4))
        for i in range(12)
    ]
    rows = [(q, d, s.tolist()) for q, d, s in rows]
    return publish(collection, [rows[0], *rows]), collection


def read_back(made, path, form, **options):
    collection = made[1]
    options = {"kind": "logit", **options}
    return import_groups(collection.artifact.workspace, path, collection, form=form, **options)


@pytest.mark.parametrize("form", EXPORTED)
def test_an_export_comes_home(made, tmp_path, form):
    groups, collection = made
    folder = export_groups(EXPORTED[form], groups, collection, tmp_path / "out").path
    back = read_back(made, folder, form)
    ours, theirs = Groups(groups).part(0), Groups(back).part(0)
    for name in ("query", "doc", "score", "grade"):
        assert (getattr(ours, name) == getattr(theirs, name)).all(), name
    assert np.isnan(theirs.inclusion[:, 1:]).all()
    assert back.verify() == 1
    assert (back.metadata["kind"], back.parameters["format"]) == ("logit", form)
    again = export_groups(EXPORTED[form], back, collection, tmp_path / "again").path
    for file in (f for f in folder.rglob("*") if f.is_file() and f.name != "export.json"):
        assert (again / file.relative_to(folder)).read_bytes() == file.read_bytes()


def trove(folder, *rows):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(query="q3", docs=("d1", "d2", "d3"), scores=(3, 2, 1)):
    return {"qid": query, "docid": list(docs), "score": list(scores)}


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_flat_columns_of_ids_and_scores(made, tmp_path, name):
    row = {"qid": "q1", "pos": ["d3"], "pos.score": [2.5], "neg": ["d1", "d2"]}
    rows = [row | {"neg.score": [-1.0, 0.5]}, row | {"qid": "q2", "neg.score": [1.0, 0.25]}]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(r | {"pos": "d3"}) + "\n" for r in rows))
    read = Groups(read_back(made, path, "flat")).part(0)
    collection = made[1]
    assert collection.queries.query_ids(read.query) == ["q1", "q2"]
    assert [collection.corpus.doc_ids(docs) for docs in read.doc] == [["d3", "d1", "d2"]] * 2
    assert read.score.tolist() == [[2.5, -1.0, 0.5], [2.5, 1.0, 0.25]]
    assert read.grade.tolist() == [[1, 0, 0]] * 2


def test_flat_columns_without_scores_are_refused(made, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"qid": "q1", "pos": ["d3"], "neg": ["d1"]}) + "\n")
    with pytest.raises(BadInput, match=r"'pos.score' is missing(.|\n)*line 1"):
        read_back(made, path, "flat")


def test_queries_in_any_order_and_groups_of_several_sizes(made, tmp_path):
    rows = [row("q5"), row("q3", ["d9", "d8"], [2, 1]), row("q4", "d5 d6 d7 d8".split(), range(4))]
    path = trove(tmp_path, *rows)
    said = r"groups of 2 to 4 documents(.|\n)*line 2, the first of 2\n(.|\n)*say --size"
    with pytest.raises(BadInput, match=said):
        read_back(made, path, "trove")
    back = read_back(made, path, "trove", size=3)
    arrays, collection = Groups(back).part(0), made[1]
    assert collection.queries.query_ids(arrays.query) == ["q4", "q5"]
    assert arrays.score.tolist() == [[0, 1, 2], [3, 2, 1]]
    short = back.dropped["too_few_documents"]
    assert collection.queries.query_ids(short) == ["q3"]
    with pytest.raises(BadInput, match=r"no group has 9 documents(.|\n)*smaller --size"):
        read_back(made, path, "trove", size=9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (row("zz"), r"the query id 'zz' is not in the collection(.|\n)*line 2"),
        (
            row(docs=["d1", "xx", "d3"]),
            r"the document id 'xx' is not in the collection(.|\n)*line 2",
        ),
        (row(scores=[1, 2]), r"3 documents with 2 scores(.|\n)*line 2"),
        (row(scores=[1, None, 2]), r"'score' of document 'd2' is null, not(.|\n)*line 2"),
        (row(scores=[1, float("nan"), 2]), r"'score' of document 'd2' is nan, not(.|\n)*line 2"),
        (row(scores=[1, True, 2]), r"'score' of document 'd2' is true, not(.|\n)*line 2"),
        (
            row(docs=["d1", "d1", "d3"]),
            r"the group of query 'q3' holds the document 'd1' twice(.|\n)*line 2",
        ),
        ({"qid": "q3", "score": [1]}, r"'docid' is missing(.|\n)*line 2"),
    ],
)
def test_bad_rows_are_refused_with_their_line(made, tmp_path, wrong, message):
    with pytest.raises(BadInput, match=message):
        read_back(made, trove(tmp_path, row(), wrong), "trove")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[3,[1,0.5],[2]]", r"the line is not \[qid,\[pid,score\],…\](.|\n)*line 1"),
        ("[3,1,2]", r"the line is not \[qid"),
        ("{}", r"the line is not \[qid"),
        ("[3,[[0.5,1],[0.25,2]]]", r"\[0.5, 1\], not a document's number(.|\n)*turn the pairs"),
        ("[3,[0.5,1],[0.25,2]]", r"0.5, not a document's number(.|\n)*turn the pairs round"),
        ("[3,[1,0.5],[2,0.25]]", r"the number 3 is not in id_map.parquet"),
    ],
)
def test_colbert_lines_are_not_guessed(made, tmp_path, line, message):
    folder = export_groups("colbert", *made, tmp_path / "out").path
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(folder / "id_map.parquet", copy)
    (copy / "train.json").write_text(line.replace("[3,", "[333,") + "\n")
    with pytest.raises(BadInput, match=message.replace("number 3 ", "number 333 ")):
        read_back(made, copy, "colbert")


def test_files_that_are_not_there_and_requests_that_are_not_known(made, tmp_path):
    with pytest.raises(BadInput, match=r"there is no such file(.|\n)*train.jsonl"):
        read_back(made, tmp_path, "trove")
    with pytest.raises(BadInput, match=r"a pipe or a device(.|\n)*/dev/null"):
        read_back(made, Path("/dev/null"), "trove")
    for form in ("trove", "triple"):
        (tmp_path / "lost.parquet").unlink(missing_ok=True)
        (tmp_path / "lost.parquet").symlink_to("/not/there")
        with pytest.raises(BadInput, match=r"a link to /not/there(.|\n)*lost.parquet"):
            read_back(made, tmp_path / "lost.parquet", form)
    with pytest.raises(UsageError, match=r"format=beir holds no groups(.|\n)*one of triple, colb"):
        read_back(made, tmp_path, "beir")
    with pytest.raises(UsageError, match=r"kind=score is no kind of a group(.|\n)*logit"):
        read_back(made, tmp_path, "trove", kind="score")
    with pytest.raises(BadInput, match=r"the score 3 is no probability(.|\n)*declare the kind"):
        read_back(made, trove(tmp_path, row()), "trove", kind="probability")
    with pytest.raises(BadInput, match="the file holds no group"):
        read_back(made, trove(tmp_path), "trove")
    unlike = export_groups("datasets", *made, tmp_path / "out").path / "queries" / "train.parquet"
    with pytest.raises(BadInput, match=r"the column 'doc_id' is missing; there are 'query_id'"):
        read_back(made, unlike, "triple")
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"query": "?", "pos": ["x"], "neg": ["y"], "pos_scores": [1],
                                 "neg_scores": [0]}) + "\n")  # fmt: skip
    with pytest.raises(BadInput, match=r"the query text '\?' is not in the collection"):
        read_back(made, texts, "flag-embedding")
