"""Files of groups with something wrong in them: each is refused with its place and its value."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.derive.augment import rescore_groups
from rankmill.mining.derive.targets import retarget_groups
from rankmill.mining.errors import BadInput, BadPair, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.store import Workspace
from rankmill.mining.teachers.files.imported import import_scores


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile-groups")
    return collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny', docs=20)}")


def read(collection, path: Path, form: str, **options: Any):
    options = {"kind": "logit", **options}
    return import_groups(collection.artifact.workspace, path, collection, form=form, **options)


FE: dict[str, Any] = {
    "query": "x", "pos": ["a"], "neg": ["b"], "pos_scores": [1.0], "neg_scores": [0.5],
}  # fmt: skip
TROVE: dict[str, Any] = {"qid": "q1", "docid": ["d1", "d2"], "score": [2, 1]}
PASSAGES = [{"docid": "d1", "score": 1}], [{"docid": "d2", "score": 0}]
TEVATRON: dict[str, Any] = {
    "query_id": "q1", "positive_passages": PASSAGES[0], "negative_passages": PASSAGES[1],
}  # fmt: skip
MEGATRON: dict[str, Any] = {"query": "x", "passages": [{"text": "a"}] * 2, "scores": [1, 0]}
FLAT: dict[str, Any] = {"qid": "q1", "pos": ["d1"], "neg": ["d2"], "pos.score": [2], "neg.score": 1}
RANKERS: dict[str, Any] = {"query_id": "q1", "doc_id_a": "d1", "doc_id_b": ["d2"]}

LINES = [
    ("flag-embedding", FE | {"pos": "a"}, "'pos' is 'a', not a list of texts"),
    ("flag-embedding", FE | {"pos_scores": None}, "'pos_scores' is null, not a list of numbers"),
    ("flag-embedding", FE | {"neg_scores": 0.5}, "'neg_scores' is 0.5, not a list of numbers"),
    (
        "flag-embedding",
        FE | {"neg_scores": ["0.5"]},
        "'neg_scores' of document 'b' is '0.5', not a finite number",
    ),
    (
        "flag-embedding",
        FE | {"neg_scores": [True]},
        "'neg_scores' of document 'b' is true, not a finite number",
    ),
    ("flag-embedding", FE | {"neg": [None]}, "'neg' is null, not a text"),
    ("flag-embedding", FE | {"neg": {"a": 1}}, "not a list of texts"),
    ("flag-embedding", FE | {"query": ["x"]}, r"'query' is \['x'\], not a text"),
    # one positive with two scores, two negatives with one: the sum is right, the sides are not
    (
        "flag-embedding",
        FE | {"neg": ["b", "c"], "pos_scores": [1, 2]},
        "1 documents with 2 numbers in 'pos_scores'",
    ),
    ("trove", TROVE | {"docid": "d1", "score": 1}, "'docid' is 'd1', not a list of ids"),
    ("trove", TROVE | {"docid": "d1"}, "'docid' is 'd1', not a list of ids"),
    ("trove", TROVE | {"score": "12"}, "'score' is '12', not a list of numbers"),
    ("trove", TROVE | {"docid": ["d1", ["d2"]]}, r"'docid' is \['d2'\], neither text nor a whole"),
    ("trove", TROVE | {"docid": ["d1", 2.0]}, "'docid' is 2.0, neither text nor a whole number"),
    ("trove", TROVE | {"docid": ["d1", None]}, "'docid' is null, neither text nor"),
    ("trove", TROVE | {"docid": ["d1", ""]}, "'docid' is '', neither text nor"),
    ("trove", TROVE | {"qid": True}, "'qid' is true, neither text nor a whole number"),
    ("trove", TROVE | {"qid": None}, "'qid' is null"),
    (
        "trove",
        TROVE | {"score": [1, 10**400]},
        "'score' of document 'd2' is 1000.*…, beyond ±3.4e",
    ),
    (
        "trove",
        TROVE | {"score": [1, 1e39]},
        r"'score' of document 'd2' is 1e\+39, beyond ±3.4e",
    ),
    ("trove", TROVE | {"docid": ["d1", "d4", "d4"], "score": [1, 2, 2]}, "'q1' .*'d4' twice"),
    ("trove", TROVE | {"docid": ["d1", "\ud800"]}, r"half a character: lone surrogate \\ud800"),
    ("trove", TROVE | {"docid": ["d1"], "score": [1]}, "'q1' holds one document, 'd1'"),
    ("trove", TROVE | {"docid": [], "score": []}, "'q1' holds no document"),
    ("tevatron", TEVATRON | {"positive_passages": None}, "'positive_passages' is null, not a list"),
    ("tevatron", TEVATRON | {"positive_passages": PASSAGES[0][0]}, "not a list of passages"),
    ("tevatron", TEVATRON | {"negative_passages": ["d2"]}, "'d2' stands where an object should"),
    ("tevatron", TEVATRON | {"negative_passages": [{"docid": "d2"}]}, "'score' is missing"),
    (
        "tevatron",
        TEVATRON | {"negative_passages": [{"docid": "d2", "score": None}]},
        "'score' of document 'd2' is null, not a finite number",
    ),
    ("tevatron", TEVATRON | {"negative_passages": []}, "'q1' holds one document, 'd1'"),
    ("flat", FLAT | {"pos": None}, "'pos' is null, neither text nor"),
    (
        "flat",
        FLAT | {"pos.score": ["1"]},
        "'pos.score' of document 'd1' is '1', not a finite number",
    ),
    ("flat", FLAT | {"pos.score": [1, 2], "neg.score": []}, "1 documents with 2 numbers in 'pos.s"),
    ("rankers", RANKERS | {"doc_id_a": ["d1"]}, r"'doc_id_a' is \['d1'\], neither text nor"),
    ("rankers", RANKERS | {"doc_id_b": [None]}, "'doc_id_b' is null, neither"),
    ("rankers", RANKERS | {"doc_id_b": ["d9"]}, "'d9' is missing[\\s\\S]*teacher.json, query q1"),
    (
        "tevatron-megatron",
        MEGATRON | {"passages": [{"text": "a"}, None]},
        "null stands where an object should",
    ),
    ("tevatron-megatron", MEGATRON | {"passages": [1, {"text": "b"}]}, "1 stands where an object"),
    ("tevatron-megatron", MEGATRON | {"passages": ["title", "text"]}, "'title' stands where an"),
    ("tevatron-megatron", MEGATRON | {"passages": [{"title": "a"}] * 2}, "'text' is missing"),
    ("rankers", RANKERS | {"query_id": "q9"}, "'q9' is missing; there are 'q1'[\\s\\S]*teacher.js"),
]


@pytest.mark.parametrize(("form", "row", "said"), LINES)
def test_what_a_line_holds(collection, tmp_path, form, row, said):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (tmp_path / "teacher.json").write_text('{"q1": {"d1": 1.5, "d2": null, "d3": 1}}')
    with pytest.raises(BadInput, match=rf"{said}[\s\S]*line 1"):
        read(collection, path, form)


TEXTS = [
    ("trove", '{"qid":"q1","docid":["d1","d2"],"docid":["d3","d4"],"score":[1,2]}', "'docid' stan"),
    (
        "trove",
        '{"qid":"q1","qid":"q2","docid":["d1","d2"],"score":[1,2]}',
        "'qid' stands twi",
    ),
    ("trove", '["q1"]', "a JSON list, not an object"),
    ("trove", "[" * 200_000, "nested too deeply"),
    ("trove", '{"qid": ' + "1" * 5000 + "}", "invalid JSON"),
    (
        "trove",
        '{"qid":"q1","docid":["d1","d2"],"score":[1,NaN]}',
        "'score' of document 'd2' is nan, not a finite",
    ),
    ("colbert", "[1,[2,0.5],[3,true]]", "'score' of document '3' is true, not a finite number"),
    ("colbert", '[1,[2,0.5],[3,"1"]]', "'score' of document '3' is '1', not a finite number"),
    ("colbert", "[1,[true,0.5],[3,1]]", "True, not a document's number"),
    ("colbert", "[[1],[2,0.5],[3,1]]", r"'qid' is \[1\], neither text"),
    ("colbert", "7", r"the line is not \[qid,\[pid,score\],…\]"),
    ("colbert", "[1,[2,0.5,3]]", r"the line is not \[qid"),
    ("colbert", "[1,[2,0.5]", "invalid JSON"),
    ("lsr", "x\ta\tb\t1_0\t0", "'score' of document 'a' is '1_0', not a finite number"),
    ("matchmaker", "\uff11\t0\tx\ta\tb", "'score' of document 'a' is '\uff11', not a finite"),
]


@pytest.mark.parametrize(("form", "text", "said"), TEXTS)
def test_what_is_no_line(collection, tmp_path, form, text, said):
    path = tmp_path / "train.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(BadInput, match=rf"{said}[\s\S]*line 1"):
        read(collection, path, form)


def triple(**columns: Any) -> pa.Table:
    table = {"query_id": ["q1"], "document_ids": [["d1", "d2"]], "scores": [[2.0, 1.0]]}
    return pa.table(table | columns)


TABLES = [
    (triple(document_ids=["d1"]), "'document_ids' is 'd1', not a list of ids"),
    (triple(scores=pa.array([None], pa.list_(pa.float32()))), "'scores' is null, not a list of"),
    (triple(scores=[[1.0, None]]), "'scores' of document 'd2' is null, not a finite number"),
    (triple(scores=[["2", "1"]]), "'scores' of document 'd1' is '2', not a finite number"),
    (triple(document_ids=[["d1", None]]), "'document_ids' is null, neither text nor"),
    (triple(document_ids=[[1.0, 2.0]]), "'document_ids' is 1.0, neither text nor a whole"),
    (triple(query_id=pa.array([None], pa.string())), "'query_id' is null"),
    (triple(document_ids=[["d1", "d1"]]), "'q1' holds the document 'd1' twice"),
    (triple(scores=[[1.0]]), "2 documents with 1 scores"),
]


@pytest.mark.parametrize(("table", "said"), TABLES)
def test_what_a_row_of_parquet_holds(collection, tmp_path, table, said):
    path = tmp_path / "train.parquet"
    pq.write_table(table, path)
    with pytest.raises(BadInput, match=rf"{said}[\s\S]*row 1"):
        read(collection, path, "triple")


NAMED = [
    ({"logit": [[7.0, 8.0]]}, "logit", [2.0, 1.0], [7.0, 8.0]),
    ({"logit": [[7.0, 8.0]], "scores": None}, "logit", None, [7.0, 8.0]),
    ({"similarity": [[7.0, 8.0]]}, "logit", [2.0, 1.0], [2.0, 1.0]),
    ({"log_prob": [[-7.0, -8.0]]}, "log-prob", [-2.0, -1.0], [-7.0, -8.0]),
]


def test_the_scores_of_trove_are_those_called_by_the_kind(collection, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(TROVE | {"logit": [7.0, 8.0]}) + "\n")
    assert Groups(read(collection, path, "trove")).part(0).score.tolist() == [[7.0, 8.0]]


@pytest.mark.parametrize(("more", "kind", "scores", "right"), NAMED)
def test_the_scores_are_those_called_by_the_kind(collection, tmp_path, more, kind, scores, right):
    path = tmp_path / "train.parquet"
    given = {"scores": scores and [scores]} | {k: v for k, v in more.items() if k != "scores"}
    table = {"query_id": ["q1"], "document_ids": [["d1", "d2"]]}
    pq.write_table(pa.table(table | {k: v for k, v in given.items() if v}), path)
    made = read(collection, path, "triple", kind=kind)
    assert Groups(made).part(0).score.tolist() == [right]


def test_the_column_of_the_scores_is_a_part_of_the_identity(collection, tmp_path):
    path = tmp_path / "train.parquet"
    pq.write_table(triple(), path)
    assert "column" not in read(collection, path, "triple").manifest["parameters"]
    pq.write_table(triple(logit=[[7.0, 8.0]]), path)
    assert read(collection, path, "triple").manifest["parameters"]["column"] == "logit"


def test_a_column_twice_is_refused(collection, tmp_path):
    names = ["query_id", "document_ids", "scores", "scores"]
    columns = [["q1"], [["d1", "d2"]], [[2.0, 1.0]], [[3.0, 1.0]]]
    pq.write_table(pa.table(columns, names=names), tmp_path / "train.parquet")
    with pytest.raises(BadInput, match="the column 'scores' stands twice"):
        read(collection, tmp_path / "train.parquet", "triple")


def test_a_gap_in_shards_is_named(collection, tmp_path):
    for number in (0, 2):
        pq.write_table(triple(), tmp_path / f"train-{number:05d}-of-00003.parquet")
    with pytest.raises(BadInput, match="number 00001 is missing"):
        read(collection, tmp_path, "triple")


@pytest.mark.parametrize(
    ("form", "ending"), [("triple", "parquet"), ("trove", "jsonl"), ("trove", "parquet")]
)
def test_a_folder_of_shards_under_other_names_is_read(collection, tmp_path, form, ending):
    """As the Hub converts data sets: `default/train/0000.parquet`."""
    for number, query in enumerate(("q1", "q3")):
        table = triple(query_id=[query]) if form == "triple" else None
        table = pa.Table.from_pylist([TROVE | {"qid": query}]) if table is None else table
        path = tmp_path / f"{number:04d}.{ending}"
        if ending == "parquet":
            pq.write_table(table, path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    assert len(Groups(read(collection, tmp_path, form))) == 2
    (tmp_path / "more.tsv").write_text("x")
    with pytest.raises(BadInput, match=r"more.tsv would not be read"):
        read(collection, tmp_path, form)


@pytest.mark.parametrize(("form", "row"), [("trove", TROVE), ("tevatron", TEVATRON)])
@pytest.mark.parametrize("name", ["train.parquet", "train.ndjson", "train.JSONL"])
def test_rows_of_parquet_are_read_as_lines_of_json(collection, tmp_path, form, row, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(json.dumps(row) + "\n")
    made = Groups(read(collection, path, form)).part(0)
    assert collection.corpus.doc_ids(made.doc[0]) == ["d1", "d2"]


@pytest.mark.parametrize("column", [pa.int64(), pa.large_string(), pa.string_view()])
def test_columns_of_other_types_are_read(collection, tmp_path, column):
    beir = tiny_beir(tmp_path / "numbers", docs=20)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        text = (beir / name).read_text()
        (beir / name).write_text(text.replace('"d', '"').replace("\td", "\t"))
    numbered = collect(collection.artifact.workspace, f"beir:{beir}")
    lists = pa.array([["1", "2"]]).cast(pa.large_list(column))
    pq.write_table(triple(document_ids=lists), tmp_path / "train.parquet")
    made = Groups(read(numbered, tmp_path / "train.parquet", "triple")).part(0)
    assert numbered.corpus.doc_ids(made.doc[0]) == ["1", "2"]


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"no parquet at all", b"PAR1" + bytes(64) + b"PAR1"]
)
def test_what_is_no_parquet(collection, tmp_path, data):
    path = tmp_path / "train.parquet"
    path.write_bytes(data)
    for form in ("triple", "flat"):
        with pytest.raises(BadInput, match=r"not a readable Parquet file[\s\S]*train.parquet"):
            read(collection, path, form)


def test_what_is_no_json(collection, tmp_path):
    path = tmp_path / "train.jsonl"
    for data, said in (
        (b"\xff\xfe{", "UTF-16"),
        (b"\xff{", "invalid UTF-8"),
        (gzip.compress(b"{}" * 500)[:20], "file ends too early"),
        (b"PAR1\x00", "a Parquet file"),
    ):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=said):
            read(collection, path, "trove")
    path.write_text(json.dumps(RANKERS) + "\n")
    for text, said in (
        ("[]", "stands where an object should"),
        ('{"q1": 3}', "3 stands where an object should"),
        ('{"q1": {"d1": 1, "d1": 2, "d2": 3}}', "'d1' stands twice"),
        ('{"q1": {"d1": 1, "d2": "3"}}', "'d2' is '3', not a finite number"),
        ('{"q1": {"d1": 1,', "invalid JSON"),
    ):
        (tmp_path / "teacher.json").write_text(text)
        with pytest.raises(BadInput, match=rf"{said}[\s\S]*teacher.json"):
            read(collection, path, "rankers")


def test_a_compressed_teacher_is_found(collection, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(RANKERS) + "\n")
    (tmp_path / "teacher.json.gz").write_bytes(gzip.compress(b'{"q1": {"d1": 1.5, "d2": 0.5}}'))
    assert Groups(read(collection, path, "rankers")).part(0).score.tolist() == [[1.5, 0.5]]


def test_a_fault_of_a_group_is_told_by_the_ids(collection, tmp_path):
    """Kernels know ordinals; what makes the artifact knows whose they are."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(TROVE | {"qid": "q3", "score": [1.0, 0.5]}) + "\n")
    groups = read(collection, path, "trove", kind="probability")
    with pytest.raises(BadInput, match="a probability of 1 has no logit\n  where: query 'q3'$"):
        retarget_groups(groups.workspace, groups, "temperature")
    rows = [("q3", "d1", 1.5)]
    (tmp_path / "scores.tsv").write_text("".join(f"{q}\t{d}\t{s}\n" for q, d, s in rows))
    texts = collection.corpus.artifact, collection.queries.artifact
    scores = import_scores(groups.workspace, tmp_path / "scores.tsv", *texts, kind="logit")
    with pytest.raises(BadInput, match=r"document 'd2' has no score\n.*, query 'q3'\n"):
        rescore_groups(groups.workspace, groups, scores)


def test_ids_survive_the_way_back_from_a_worker():
    error = BadPair("{doc} is odd", query=3, doc=5, within="here", do="look")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "document 5 is odd\n  where: here, query ordinal 3\n  do: look"
    assert str(again.named("q", "d")) == "document 'd' is odd\n  where: here, query 'q'\n  do: look"
    assert str(again.named(None, "d")) == str(again).replace("document 5", "document 'd'")


def test_groups_without_a_positive_are_left_out_and_counted(collection, tmp_path):
    path = tmp_path / "train.jsonl"
    none = TEVATRON | {"query_id": "q2", "positive_passages": []}
    two = [{"docid": "d1", "score": 1}, {"docid": "d2", "score": 0}]
    first = TEVATRON | {"positive_passages": [{"docid": "d1", "score": 2}]}
    none["negative_passages"] = two
    short = TEVATRON | {"query_id": "q3", "negative_passages": []}
    again = TEVATRON | {"positive_passages": [], "negative_passages": two}
    rows = [first, none, short, again]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = read(collection, path, "tevatron", size=2)
    assert made.rows == 1
    dropped = {why: collection.queries.query_ids(lost) for why, lost in made.dropped.items()}
    assert dropped == {"no_positive": ["q2"], "too_few_documents": ["q3"]}
    assert made.counts == {"groups_no_positive": 2, "groups_too_few_documents": 1}
    assert np.array_equal(Groups(made).part(0).grade, [[1, 0]])
    path.write_text(json.dumps(none) + "\n")
    with pytest.raises(BadInput, match="no group has a positive"):
        read(collection, path, "tevatron")
    with pytest.raises(UsageError, match="size=1 is no group"):
        read(collection, path, "tevatron", size=1)
