"""A small collection with its pool and teacher scores, for tests of selection."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rankmill.mining.collection import collect
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Output, Stage, Workspace, split_by_work
from rankmill.mining.store.tables import SCORES

QUERIES, DOCS = 12, 60


def write_collection(folder: Path) -> Path:
    """q0…q11 with 60 documents: d0 empty, d5 a copy of d4; query i has positives i+4 and i+20."""
    (folder / "qrels").mkdir(parents=True)
    texts = [f"text number {i}" for i in range(DOCS)]
    texts[0], texts[5] = "", texts[4]
    rows = [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    rows = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(QUERIES)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    lines = ["query-id\tcorpus-id\tscore\n"]
    for i in range(QUERIES - 1):
        lines += [f"q{i}\td{i + 20}\t1\n", f"q{i}\td{i + 4}\t2\n", f"q{i}\td{i + 40}\t0\n"]
    lines.append(f"q{QUERIES - 1}\td3\t0\n")  # judged, but without a positive
    (folder / "qrels" / "train.tsv").write_text("".join(lines))
    return folder


def write_run(path: Path, depth: int) -> Path:
    """Every query's list: documents from its own number on, in cyclic order, never the empty d0."""
    with path.open("w") as out:
        for i in range(QUERIES):
            found = [1 + (i + step) % (DOCS - 1) for step in range(depth)]
            for rank, doc in enumerate(found):
                out.write(f"q{i} Q0 d{doc} {rank + 1} {100.0 - rank} x\n")
    return path


class Scorer:
    """Teacher scores by a formula; `hole` is a (query, doc) left out, `nan` one that is NaN.

    `tied`: all are equal; `saturated` = (pair, doc): that pair and that document everywhere score
    0, all others below.
    """

    def __init__(self, pool, hole=None, nan=None, tied=False, saturated=None):
        self.pool, self.hole, self.nan = pool, hole, nan
        self.tied, self.saturated = tied, saturated

    def __call__(self, shard):
        queries, docs, scores = [], [], []
        for part in self.pool.parts():
            for row, query in enumerate(part.query):
                mine = part.doc[part.offsets[row] : part.offsets[row + 1]].tolist()
                mine = [d for d in mine if (int(query), d) != self.hole]
                docs.append(mine)
                queries.append(int(query))
                scores.append([self.score(int(query), d) for d in mine])
        columns = zip([queries, docs, scores], SCORES, strict=True)
        return Output(
            pa.Table.from_arrays([pa.array(c, f.type) for c, f in columns], schema=SCORES)
        )

    def score(self, query, doc):
        if self.tied:
            return 1.0
        if self.saturated is not None:
            pair, everywhere = self.saturated
            if (query, doc) == pair or doc == everywhere:
                return 0.0
            return -0.1 - float((7 * query + 13 * doc) % 37) / 4.0
        return math.nan if (query, doc) == self.nan else float((7 * query + 13 * doc) % 37) / 4.0


def score(workspace, pool, kind="logit", **odd):
    stage = Stage(
        kind="scores",
        parameters={"odd": str(odd)} | ({"kind": kind} if kind != "logit" else {}),
        inputs={"pool": pool},
        schema=SCORES,
        shards=lambda: split_by_work(np.ones(pool.rows), 10**6),
        worker=Scorer,
        options={"pool": Pool(pool), **odd},
        metadata={"kind": kind, "teacher": "formula"},
    )
    return workspace.build(stage)


def build_world(folder: Path) -> dict:
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{write_collection(folder / 'beir')}")
    run = mine(
        workspace,
        f"imported(path={write_run(folder / 'run.txt', 30)},tag=lexical)",
        collection,
        "train",
        depth=30,
    )
    drawn = mine(workspace, "random", collection, "train", depth=25, seed=1)
    pool = pool_runs(workspace, [run, drawn], collection=collection, split="train")
    label = next(label for label in Pool(pool).labels if label != "random")
    return {
        "workspace": workspace,
        "collection": collection,
        "pool": pool,
        "scores": score(workspace, pool),
        "label": label,
        "folder": folder,
    }


def select(world: dict, strategy: str, **options: Any) -> Artifact:
    """Select groups of 8 from the world's pool with seed 3, unless the options say otherwise."""
    return select_groups(
        world["workspace"],
        strategy,
        world["pool"],
        world["scores"],
        collection=world["collection"],
        split="train",
        **({"size": 8, "seed": 3} | options),
    )
