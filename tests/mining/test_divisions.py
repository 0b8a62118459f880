"""Splits drawn from a split: who is in which, the same whatever else is there, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_collection import tiny_beir

import rankmill as rm
from rankmill.mining.collection.divisions import divisions_of
from rankmill.mining.draws import key_of
from rankmill.mining.errors import BadInput, UsageError

DIVIDE = ["train=learn:8,dev:5,held:*"]


@pytest.fixture
def place(tmp_path):
    return tiny_beir(tmp_path / "tiny")


def judged(made, split):
    """Return the judgements of a split by external ids."""
    qrels = made.qrels(split)
    asked, docs = made.queries.ids(qrels.query), made.corpus.ids(qrels.doc)
    return sorted(zip(asked, docs, qrels.grade.tolist(), strict=True))


def test_parts_are_queries_in_the_order_of_their_keys(workspace, place):
    plain = rm.collect(f"beir:{place}", workspace=workspace)
    made = rm.collect(f"beir:{place}", workspace=workspace, divide=DIVIDE)
    assert made.splits == ("dev", "held", "learn", "test", "train")
    ids = plain.queries.ids(plain.split_queries("train"))
    ordered = sorted(ids, key=lambda one: key_of(0, "divide", one))
    for split, wanted in (("learn", ordered[:8]), ("dev", ordered[8:13]), ("held", ordered[13:])):
        kept = [row for row in judged(plain, "train") if row[0] in wanted]
        assert judged(made, split) == kept
        assert len({row[0] for row in kept}) == len(wanted) > 0
    assert judged(made, "train") == judged(plain, "train")
    made.artifact.verify()
    made.qrels_artifact("dev").verify()


def test_other_queries_and_their_order_change_nothing(workspace, place, tmp_path):
    made = rm.collect(f"beir:{place}", workspace=workspace, divide=["train=few:6"])
    lines = (place / "queries.jsonl").read_text().splitlines(keepends=True)
    more = json.dumps({"_id": "another", "text": "more words"}) + "\n"
    (place / "queries.jsonl").write_text("".join([more, *reversed(lines)]))
    again = rm.collect(f"beir:{place}", workspace=workspace, divide=["train=few:6"])
    assert again.artifact.fingerprint != made.artifact.fingerprint
    assert judged(again, "few") == judged(made, "few")


def test_a_collection_that_is_not_divided_is_the_one_it_was(workspace, place):
    plain = rm.collect(f"beir:{place}", workspace=workspace)
    made = rm.collect(f"beir:{place}", workspace=workspace, divide=DIVIDE)
    assert rm.collect(f"beir:{place}", workspace=workspace, divide=()).artifact.root_hash == (
        plain.artifact.root_hash
    )
    run = rm.mine("bm25(k1=0.9,b=0.4)", made, split="held", depth=5)
    assert np.array_equal(run.metadata["split"], "held")
    again = rm.collect(f"beir:{place}", workspace=workspace, divide=DIVIDE)
    assert again.artifact.fingerprint == made.artifact.fingerprint


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["train"], "divide='train' is no division"),
        (["train=a"], "is no division"),
        (["train=a:x"], "is no division"),
        (["train=a:0"], "a part without queries"),
        (["train=a:*,b:2"], r"nothing is left after \*"),
        (["train=a:1,a:2"], "names a part twice"),
        (["train=a:1", "test=a:1"], "makes the split 'a' twice"),
        (["train=a:1", "train=b:1"], "names the split 'train' twice"),
        (["train=a:" + "9" * 5000], "is no division"),
        (["train=a:٣"], "is no division"),
        (["train=\x1b[31m:3"], "names a split that cannot be printed"),
        (["train=\u202ea:3"], "names a split that cannot be printed"),
    ],
)
def test_divisions_that_are_not_understood(texts, message):
    with pytest.raises(UsageError, match=message):
        divisions_of(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=a:21", "wants 21 queries, the split has 20"),
        ("train=a:20,b:*", "wants 21 queries, the split has 20"),
        ("other=a:1", "no split 'other'"),
        ("train=test:3", "has a split 'test' already"),
    ],
)
def test_divisions_that_do_not_fit(workspace, place, text, message):
    with pytest.raises((BadInput, UsageError), match=message):
        rm.collect(f"beir:{place}", workspace=workspace, divide=[text])
