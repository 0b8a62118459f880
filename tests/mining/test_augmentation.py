"""Other inputs and other labels: neighbours of the positive, rewrites, sub-samples, teachers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from group_makers import make_groups, make_scores
from rounding import stored_twice
from selection_world import QUERIES, build_world
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.rewrites import rewrite_queries
from rankmill.mining.derive import rescore_groups, subsample_groups
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import mine
from rankmill.mining.store.tables import list_values

# ---- neighbours of the positive ------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from rankmill.mining.store import Workspace

    root = tmp_path_factory.mktemp("neighbours")
    workspace = Workspace(root / "work")
    return workspace, collect(workspace, f"beir:{tiny_beir(root / 'b')}"), tiny_encoder(root / "e")


@pytest.mark.parametrize("depth", [1, 6, 200])
def test_neighbours_of_the_positive_by_the_obvious_way(tiny, depth):
    workspace, collection, model = tiny
    run = mine(workspace, f"neighbours(model={model})", collection, "train", depth=depth)
    stored = Vectors(encode(workspace, model, collection.corpus.artifact))
    docs = stored.rows(np.arange(len(stored))).astype(np.float64)
    qrels, empty = collection.qrels("train"), set(collection.corpus.empty.tolist())
    found = Run(run)
    assert len(found) == len(collection.split_queries("train"))
    for row in range(len(found)):
        query, ranked, scores = found.row(row)
        judged, grades = qrels.of(query)
        best = min(zip(judged.tolist(), grades.tolist(), strict=True), key=lambda p: (-p[1], p[0]))
        score = (docs @ docs[best[0]]).astype(np.float32)
        order = sorted(range(len(docs)), key=lambda d: (-float(score[d]), d))
        wanted = [d for d in order if d not in empty and d != best[0]][:depth]
        assert ranked.tolist() == wanted
        off = stored_twice(docs.shape[1], 1.0, score[wanted])  # unit vectors
        assert (np.abs(scores - score[wanted]) <= off).all()
    run.verify()


def test_neighbours_need_judgements(tiny):
    workspace, collection, model = tiny
    with pytest.raises(UsageError, match="neighbours of positives need judgements"):
        mine(workspace, f"neighbours(model={model})", collection, "*", depth=3)


def test_a_query_without_a_positive_has_no_neighbours(tmp_path):
    world = build_world(tmp_path)
    model = tiny_encoder(tmp_path / "e")
    run = mine(
        world["workspace"], f"neighbours(model={model})", world["collection"], "train", depth=5
    )
    lengths = np.diff(list_values(run.table(0)["doc"])[0])
    assert lengths.tolist() == [5] * (QUERIES - 1) + [0]


# ---- query rewrites ------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path):
    return build_world(tmp_path)


def rewritten(world, text, name="rewrites.tsv", split="train"):
    path = world["folder"] / name
    path.write_text(text)
    return rewrite_queries(world["workspace"], world["collection"], path, split=split)


@pytest.mark.parametrize("as_json", [False, True])
def test_rewrites_are_queries_with_the_judgements_of_theirs(world, as_json):
    rows = [("q3", "first wording"), ("q1", "other words"), ("q3", "second wording")]
    text = "".join(
        json.dumps({"query_id": i, "text": t}) + "\n" if as_json else f"{i}\t{t}\n" for i, t in rows
    )
    made = rewritten(world, text, "r.jsonl" if as_json else "r.tsv")
    assert made.queries.ids(range(QUERIES, QUERIES + 3)) == ["q3~1", "q1~1", "q3~2"]
    assert made.queries.text(QUERIES + 2) == "second wording"
    assert made.queries.text(3) == world["collection"].queries.text(3)
    for new, old in ((QUERIES, 3), (QUERIES + 1, 1), (QUERIES + 2, 3)):
        for mine_, theirs in zip(
            made.qrels("train").of(new), world["collection"].qrels("train").of(old), strict=True
        ):
            assert mine_.tolist() == theirs.tolist()
    run = mine(world["workspace"], "random", made, "train", depth=5)
    assert run.rows == QUERIES + 3
    for artifact in (made.queries.artifact, made.qrels_artifact("train"), made.artifact):
        artifact.verify()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no rewrites"),
        ("q1\t\n", "a rewrite needs a query_id and a text\n.*line 1"),
        ("q1\tgood\nq2\n", "a rewrite needs a query_id and a text\n.*line 2"),
        ("q99\tx\n", "the query id 'q99' is not in the collection"),
    ],
)
def test_files_of_rewrites_that_cannot_be_used(world, text, message):
    with pytest.raises(BadInput, match=message):
        rewritten(world, text)


def test_rewrites_of_a_split_that_is_not_there(world):
    with pytest.raises(BadInput, match="no split 'dev'"):
        rewritten(world, "q1\tx\n", split="dev")


# ---- sub-samples ---------------------------------------------------------------------------------


def test_subsamples_are_parts_of_their_groups(world):
    groups = select_groups(
        world["workspace"],
        "random",
        world["pool"],
        world["scores"],
        collection=world["collection"],
        split="train",
        size=9,
        seed=1,
        positives="together",
    )
    small = subsample_groups(world["workspace"], groups, size=4, times=3, seed=2)
    before, after = Groups(groups).part(0), Groups(small).part(0)
    assert after.doc.shape == (3 * len(before), 4)
    for row in range(len(after)):
        whole = {
            d: (s, g, i)
            for d, s, g, i in zip(
                *(getattr(before, n)[row // 3].tolist() for n in ("doc", "score", "grade")),
                before.inclusion[row // 3].tolist(),
                strict=True,
            )
        }
        assert after.doc[row, :2].tolist() == before.doc[row // 3, :2].tolist()  # both positives
        for place, doc in enumerate(after.doc[row].tolist()):
            score, grade, inclusion = whole[doc]
            assert (after.score[row, place], after.grade[row, place]) == (score, grade)
            share = 1.0 if grade > 0 else 2 / 7
            assert after.inclusion[row, place] == pytest.approx(inclusion * share)
    assert len({tuple(sorted(d)) for d in after.doc[:3].tolist()}) > 1
    assert small.parameters["augment"] == "subsample"
    assert small.inputs["groups"] == groups.fingerprint
    small.verify()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 5}, "size=5 is no part of groups of 5"),
        ({"size": 1}, "size=1 is no part"),
        ({"size": 3, "times": 0}, "times=0 must be at least 1"),
        ({"size": 3}, "a group holds 3 positives: 3 documents have no room for a negative"),
    ],
)
def test_subsamples_that_cannot_be_drawn(workspace, options, message):
    groups = make_groups(workspace, np.zeros((1, 5)), grade=[[1, 1, 1, 0, 0]])
    with pytest.raises(UsageError, match=message):
        subsample_groups(workspace, groups, **options)


# ---- another teacher -----------------------------------------------------------------------------


def test_another_teachers_scores_for_the_same_groups(workspace):
    groups = make_groups(workspace, [[3, 1, 2], [0, 5, 4]])
    docs = [[0, 1, 2, 9], [3, 4, 5]]
    scores = make_scores(workspace, [[1, 2, 3, 4], [5, 6, 7]], docs=docs, kind="similarity")
    made = rescore_groups(workspace, groups, scores)
    assert Groups(made).part(0).score.tolist() == [[1, 2, 3], [5, 6, 7]]
    assert Groups(made).part(0).doc.tolist() == Groups(groups).part(0).doc.tolist()
    assert Groups(made).kind == "similarity"
    short = make_scores(workspace, [[1, 2, 3], [5, 6]], docs=[[0, 1, 2], [3, 4]])
    with pytest.raises(BadInput, match=r"document 5 has no score\n.*, query ordinal 1"):
        rescore_groups(workspace, groups, short)
