"""The toy data of the exporters' golden files: one query, three documents, raw scores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from rankmill.mining.collection import Collection, collect
from rankmill.mining.groups import GroupArrays, groups_table
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import groups_schema

DOCS = {"0": "alpha beans grow tall", "1": "beta soup is warm", "2": "gamma rays pass walls"}
QUERIES = {"10": "what grows tall"}
GROUP = ("10", ["0", "1", "2"], [9.25, 3.5, -1.25])


def toy(
    folder: Path,
    docs: dict[str, str] = DOCS,
    queries: dict[str, str] = QUERIES,
    groups: list[tuple[str, list[str], list[float]]] | None = None,
) -> tuple[Artifact, Collection]:
    """Return groups (the positive first, grade 1) and their collection in a workspace of folder."""
    beir, groups = folder / "beir", groups or [GROUP]
    (beir / "qrels").mkdir(parents=True)
    _write(beir / "corpus.jsonl", docs)
    _write(beir / "queries.jsonl", queries)
    judged = "".join(f"{q}\t{d[0]}\t1\n" for q, d, _ in groups)
    (beir / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    collection = collect(Workspace(folder / "work"), f"beir:{beir}")
    return publish(collection, groups), collection


def publish(
    collection: Collection, groups: list[tuple[str, list[str], list[float]]], parts: int = 1
) -> Artifact:
    """Write groups of one size as an artifact."""
    query = collection.queries.ordinals([q for q, _, _ in groups])
    doc = np.array([collection.corpus.ordinals(d) for _, d, _ in groups], np.uint32)
    score = np.array([s for _, _, s in groups], np.float32)
    grade = np.tile(np.arange(doc.shape[1]) == 0, (len(doc), 1)).astype(np.int8)
    arrays = GroupArrays(query, doc, score, grade, np.ones(doc.shape, np.float32))
    return publish_arrays(collection, arrays, parts)


def publish_arrays(
    collection: Collection, arrays: GroupArrays, parts: int = 1, positives: str = "first"
) -> Artifact:
    """Write arrays as an artifact; a score that is not finite goes in unchecked."""
    cuts = np.linspace(0, len(arrays), parts + 1).astype(int)
    bounds = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))

    def work(shard: Shard) -> Output:
        piece = arrays[shard.start : shard.stop]
        finite = np.isfinite(piece.score)
        table = groups_table(
            GroupArrays(
                piece.query, piece.doc, np.where(finite, piece.score, 0), piece.grade,
                piece.inclusion,
            )
        )  # fmt: skip
        if not finite.all():
            scores = pa.FixedSizeListArray.from_arrays(
                pa.array(piece.score.reshape(-1)), arrays.size
            )
            table = table.set_column(2, table.schema.field("score"), scores)
        again = len(piece) - len(np.unique(piece.query))
        return Output(table, dropped={"again": [0] * again})

    given = b"".join(getattr(arrays, n).tobytes() for n in ("query", "doc", "score", "grade"))
    stage = Stage(
        kind="groups",
        parameters={"size": arrays.size, "strategy": "toy", "seed": 3, "positives": positives}
        | {"given": hashlib.sha256(given).hexdigest(), "parts": parts},
        inputs={"corpus": collection.corpus.artifact, "queries": collection.queries.artifact},
        schema=groups_schema(arrays.size),
        shards=lambda: [Shard(i, a, b) for i, (a, b) in enumerate(bounds)],
        worker=lambda: work,
        metadata={"kind": "logit", "split": "train"},
        options={},
    )
    return collection.artifact.workspace.build(stage)


def _write(path: Path, texts: dict[str, str]) -> None:
    lines = (json.dumps({"_id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in texts.items())
    path.write_text("".join(lines), encoding="utf-8")
