"""Exports that hold scores by id, read back as scores and as a run: the same pairs come home."""

from __future__ import annotations

import numpy as np
import pytest
from toy_groups import publish_arrays, random_toy, rows_of

from rankmill.mining.exports import export_groups
from rankmill.mining.groups.format import Groups
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.runs.files import import_run
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers.files.score_batches import read_batches
from rankmill.mining.teachers.files.score_files import format_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return groups of the training queries, one each: of two scores only one could come home."""
    groups, collection = random_toy(tmp_path_factory.mktemp("home"))
    arrays = Groups(groups).part(0)[1:]
    rows = np.isin(arrays.query, collection.split_queries("train"))
    return publish_arrays(collection, arrays[np.flatnonzero(rows)]), collection


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("trec", "run.trec"),
        ("rankers", "teacher.json"),
        ("lightning-ir", "groups__rankmill.parquet"),
        ("rank-llm", "requests.jsonl"),
        ("trove", "train.jsonl"),
    ],
)
def test_scores_come_home(made, tmp_path, form, file):
    groups, collection = made
    path = export_groups(form, groups, collection, tmp_path / "out").path / file
    read = {}
    for batch in read_batches(path, format_of(path), "logit"):
        lengths = 1 if batch.lengths is None else batch.lengths
        queries = np.repeat(batch.query.to_pylist(), lengths).tolist()
        pairs = zip(queries, batch.doc.to_pylist(), strict=True)
        read |= dict(zip(pairs, batch.score.astype(np.float32), strict=True))
    assert read == {
        (query, doc): np.float32(score)
        for query, docs, scores in rows_of(groups, collection)
        for doc, score in zip(docs, scores, strict=True)
    }


def test_a_run_comes_home_in_its_order(made, tmp_path):
    groups, collection = made
    out = export_groups("trec", groups, collection, tmp_path / "out").path
    workspace = collection.artifact.workspace
    run = import_run(workspace, out / "run.trec", collection, "train")
    found = {}
    for table in run.tables():
        offsets, docs = list_values(table["doc"])
        scores = list_values(table["score"])[1]
        for row, query in enumerate(table["query"].to_pylist()):
            at = slice(offsets[row], offsets[row + 1])
            ids = collection.corpus.doc_ids(docs[at])
            found[collection.queries.query_id(query)] = dict(
                zip(ids, scores[at].tolist(), strict=True)
            )
    for query, docs, scores in rows_of(groups, collection):
        assert found[query] == dict(zip(docs, scores, strict=True))
        assert list(found[query].values()) == sorted(scores, reverse=True)


def test_what_came_home_goes_out_with_its_kind(made, tmp_path):
    groups, collection = made
    out = export_groups("trove", groups, collection, tmp_path / "out").path
    home = import_groups(
        collection.artifact.workspace, out, collection, form="trove", kind="similarity"
    )
    again = export_groups("trove", home, collection, tmp_path / "again")
    assert (again.path / "train.jsonl").read_bytes() == (out / "train.jsonl").read_bytes()
    told = {name: again.facts[name] for name in ("teacher", "score_kind", "strategy")}
    assert told == {"teacher": "imported", "score_kind": "similarity"} | {
        "strategy": home.parameters["strategy"]
    }
