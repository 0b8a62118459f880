"""The report's numbers against plain loops over ids."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_collection import tiny_beir

import rankmill as rm
from rankmill.mining.runs.run import Run
from rankmill.report import recall as findings


@pytest.fixture
def found(workspace, tmp_path):
    docs = rm.collect(f"beir:{tiny_beir(tmp_path / 'tiny')}", workspace=workspace)
    bm25 = Run(rm.mine("bm25(k1=0.9,b=0.4)", docs, split="train", depth=30))
    drawn = Run(rm.mine("random", docs, split="train", depth=30, seed=3))
    return docs.qrels("train"), bm25, drawn


def rows(run):
    return {q: (docs.tolist(), scores) for q, docs, scores in map(run.row, range(len(run)))}


def test_recall_by_depth_is_the_mean_share_of_positives(found):
    qrels, bm25, _ = found
    listed = rows(bm25)
    got = findings.recall_by_depth(bm25, qrels, 20)
    for depth in (1, 5, 20):
        shares = []
        for query in qrels.queries.tolist():
            positives = set(qrels.positives(query).tolist())
            if positives:
                shares.append(len(positives & set(listed[query][0][:depth])) / len(positives))
        assert got[depth - 1] == pytest.approx(np.mean(shares))
    assert got[-1] > 0.3


def test_jaccard_is_the_mean_overlap_of_two_lists(found):
    _, bm25, drawn = found
    a, b = rows(bm25), rows(drawn)
    expected = [
        len(set(a[q][0][:10]) & set(b[q][0][:10])) / len(set(a[q][0][:10]) | set(b[q][0][:10]))
        for q in a
    ]
    got = findings.jaccard({"bm25": bm25, "random": drawn}, 10)
    assert got[0, 1] == got[1, 0] == pytest.approx(np.mean(expected))
    assert got[0, 0] == 1
