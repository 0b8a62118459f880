"""Parts that hold what nobody wrote, behind matching hashes: kernels see only places that exist.

RANKMILL_FUZZ says how many cases are run, 5,000 by default; 100,000 are run by `make chaos`.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fuzz_parts import fuzzed
from store_workers import squares

from rankmill.mining.errors import Corrupt
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace, artifact, files, tables
from rankmill.mining.store.checks.meaning import faults_of_shape

CASES = int(os.environ.get("RANKMILL_FUZZ", "5000"))
CHILDREN = min(os.cpu_count() or 1, -(-CASES // 5000))  # each loads models and kernels first


def test_no_part_ends_a_process_or_holds_it_for_ever(every_kind, tmp_path):
    """Processes with limited memory; a signal, a hang and a foreign exception are faults."""
    told = fuzzed(every_kind.root, tmp_path, CASES, CHILDREN)
    assert told.ended == []
    assert told.outcomes.keys() == {"read", "refused"}, told.outcomes
    assert min(told.outcomes.values()) > 0  # neither is everything refused, nor nothing
    assert told.outcomes.total() == CASES // CHILDREN * CHILDREN
    assert told.beyond <= 64 << 20


# ---- one check per part, by the kind of its artifact ---------------------------------------------

LISTS = pa.array([[0, 1], [2]], pa.list_(pa.uint32()))
FLOATS = pa.array([[0.5, 0.25], [1.0]], pa.list_(pa.float32()))
QUERY = pa.array([0, 1], pa.uint32())


def lists(offsets: list[int], values: pa.Array) -> pa.Array:
    """Lists whose offsets are as they are given, never compared with their values."""
    data = pa.py_buffer(np.array(offsets, np.int32))
    kind = pa.list_(values.type)
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, data], children=[values])


SCORED = {"query": QUERY, "doc": LISTS, "logit": FLOATS}
FLAT = pa.array([0, 1, 2], pa.uint32())
PAIRS = pa.array([[{"doc": 3, "tf": 1}]], tables.POSTINGS.field("postings").type)


@pytest.mark.parametrize(
    ("kind", "columns", "said"),
    [
        ("scores", SCORED | {"doc": lists([0, 9, 3], FLAT)}, "Arrow: "),
        ("scores", SCORED | {"doc": lists([0, -2, 3], FLAT)}, "Arrow: "),
        ("scores", SCORED | {"doc": lists([2, 0, 3], FLAT)}, "Arrow: "),
        ("scores", SCORED | {"query": pa.array([0, 9], pa.uint32())}, "names ordinal 9, only 5"),
        (
            "scores",
            SCORED | {"doc": pa.array([[0, 7], [2]], LISTS.type)},
            "names ordinal 7, only 6",
        ),
        ("scores", SCORED | {"doc": pa.array([[0], [2]], LISTS.type)}, "differ in length"),
        ("scores", SCORED | {"query": pa.array([0, None], pa.uint32())}, "'query' holds nulls"),
        ("scores", SCORED | {"doc": pa.array([[0, None], [2]], LISTS.type)}, "'doc' holds nulls"),
        ("scores", {"query": QUERY, "doc": LISTS}, "has the columns query: uint32, doc: list"),
        (
            "scores",
            SCORED | {"query": pa.array([0, 1], pa.int64())},
            "columns query: int64",
        ),
        ("postings", {"term": pa.array(["a"]), "postings": PAIRS}, "names document 3 of its block"),
        (
            "corpus",
            {
                "doc_id": pa.array(["a"]),
                "text": pa.array(["bc"], pa.large_string()),
                "title_bytes": pa.array([3], pa.uint32()),
            },
            "a title is longer than the text",
        ),
        (
            "statistics",
            {"query": pa.array([8], pa.uint32()), "x": pa.array([None], pa.float64())},
            "8",
        ),
        ("evaluation", {"query": pa.array([None], pa.uint32())}, "'query' holds nulls"),
        ("tokens", {"ids": pa.array([[1]], pa.list_(pa.int32()))}, "has the columns ids: list"),
        (
            "vectors",
            {"vector": pa.array([[1.0]], pa.list_(pa.float32()))},
            "the columns vector",
        ),
    ],
)
def test_what_a_kernel_would_stumble_over_is_refused(kind, columns, said):
    limits = {"query": 5, "doc": 6, "block": 3}
    table = pa.Table.from_arrays(list(columns.values()), names=list(columns))
    (fault,) = faults_of_shape(kind, table, limits)
    assert said in fault


def test_a_sound_part_is_not_refused():
    assert faults_of_shape("scores", pa.table(SCORED), {"query": 2, "doc": 3}) == []
    measured = {"query": QUERY, "x": pa.array([None, 1.0])}
    assert faults_of_shape("statistics", pa.table(measured), {"query": 2}) == []


class Wild:
    """Names a document that its corpus does not have."""

    def __call__(self, shard: Shard) -> Output:
        table = pa.table({"query": QUERY, "doc": LISTS, "score": FLOATS}, schema=tables.RUN)
        return Output(table)


def test_a_stage_refuses_the_part_when_it_opens_it_and_names_the_file(workspace):
    """At level 2, which all stages read at; a level below only compares sizes and rows."""
    corpus = workspace.build(corpus_of_two())
    run = workspace.build(
        Stage(
            kind="run",
            parameters={"wild": True},
            inputs={"corpus": corpus},
            schema=tables.RUN,
            shards=lambda: [Shard(0, 0, 2)],
            worker=Wild,
        )
    )
    assert run.table(0, level=1).num_rows == 2
    with pytest.raises(Corrupt, match=r"names ordinal 2, only 2 exist[\s\S]*part-00000\.arrow"):
        run.table(0)


def corpus_of_two() -> Stage:
    return Stage(
        kind="corpus",
        parameters={"rows": 2},
        inputs={},
        schema=tables.CORPUS,
        shards=lambda: [Shard(0, 0, 2)],
        worker=Two,
    )


class Two:
    """A corpus of two documents."""

    def __call__(self, shard: Shard) -> Output:
        return Output(pa.table({"doc_id": ["a", "b"], "text": ["x", "y"]}, schema=tables.CORPUS))


def test_columns_other_than_the_manifest_lists_are_refused(workspace):
    run = workspace.build(squares(5))
    run.manifest["schema"][""][0] = "query: uint64"
    with pytest.raises(Corrupt, match="has the columns"):
        run.table(0)


def test_a_shape_is_checked_once_per_process(workspace, monkeypatch):
    calls = []
    check = artifact.faults_of_shape
    monkeypatch.setattr(artifact, "faults_of_shape", lambda *a: calls.append(a[0]) or check(*a))
    run = workspace.build(squares())
    for _ in range(3):
        for again in (run, workspace.open("run", run.fingerprint)):
            list(again.tables())
    assert calls == ["run"] * 4  # four parts
    path = run.path / "part-00001.arrow"
    files.publish(shutil.copy(path, path.with_suffix(".new")) and path.with_suffix(".new"), path)
    run.table(1)
    assert calls == ["run"] * 5  # another file


def a_run(workspace: Workspace) -> Artifact:
    """A run over a corpus of two documents and a pool of it: two ways up to the corpus."""
    corpus = workspace.build(corpus_of_two())
    shard: dict[str, Any] = {"schema": tables.RUN, "worker": Wild}
    shard["shards"] = lambda: [Shard(0, 0, 2)]
    below = workspace.build(
        Stage(kind="run", parameters={"below": 1}, inputs={"corpus": corpus}, **shard)
    )
    inputs = {"run": below, "other": below}
    return workspace.build(Stage(kind="run", parameters={"on": "top"}, inputs=inputs, **shard))


def test_the_way_up_to_the_collection_is_walked_once(workspace, monkeypatch):
    run = a_run(workspace)
    artifact._limits.clear()
    opened = []
    handle = Workspace.open
    monkeypatch.setattr(Workspace, "open", lambda *a: opened.append(a[1]) or handle(*a))
    assert run.limits == {"doc": 2}
    assert opened == ["run", "corpus", "run"]
    again = handle(workspace, "run", run.fingerprint)
    assert (again.limits, len(opened)) == ({"doc": 2}, 3)
    again.limits["doc"] = 9  # a handle's own
    assert handle(workspace, "run", run.fingerprint).limits == {"doc": 2}


def test_limits_that_are_not_complete_are_asked_for_again(workspace):
    run = a_run(workspace)
    artifact._limits.clear()
    corpus = next(workspace.artifacts("corpus")).path
    corpus.rename(corpus.with_name("away"))
    assert workspace.open("run", run.fingerprint).limits == {}
    corpus.with_name("away").rename(corpus)
    assert workspace.open("run", run.fingerprint).limits == {"doc": 2}
