"""Runs with given lists over the test split of a tiny collection, and their evaluation."""

from __future__ import annotations

import numpy as np

from rankmill.mining.runs.run import build_run, run_table
from rankmill.mining.store import Output, Shard
from rankmill.training.evaluation import Evaluation, evaluate_run


class Lists:
    """A worker that hands out given lists."""

    def __init__(self, queries, lists):
        self.queries, self.lists = queries, lists

    def __call__(self, shard):
        part = self.lists[shard.start : shard.stop]
        ends = np.cumsum([0, *(len(docs) for docs, _ in part)])
        docs = np.concatenate([np.asarray(d, np.uint32) for d, _ in part])
        scores = np.concatenate([np.asarray(s, np.float32) for _, s in part])
        return Output(run_table(self.queries[shard.start : shard.stop], ends, docs, scores))


def given_run(setting, lists, split="test", label="given"):
    queries = setting.collection.split_queries(split)
    return build_run(
        setting.workspace,
        label,
        setting.collection,
        split,
        depth=None,
        worker=Lists,
        options={"queries": queries, "lists": lists},
        shards=lambda: [Shard(0, 0, len(queries))],
    )


def perfect(setting, score=None):
    """For each query its judged documents by falling grade, then a few others."""
    qrels = setting.collection.qrels("test")
    lists = []
    for query in qrels.queries:
        docs, grades = qrels.of(query)
        best = docs[np.argsort(-grades, kind="stable")]
        others = np.setdiff1d(np.arange(50), docs)[:10]
        found = np.concatenate([best, others])
        lists.append((found, score(found) if score else np.arange(len(found), 0, -1)))
    return lists


def evaluate(setting, run, **options):
    made = evaluate_run(
        setting.workspace, run, collection=setting.collection, split="test", **options
    )
    return Evaluation(made)
