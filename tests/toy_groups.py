"""The toy data of the exporters' golden files: one query, three documents, raw scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tiny_collection import tiny_beir

from rankmill.mining.collection import Collection, collect
from rankmill.mining.exports import EXPORTS
from rankmill.mining.groups.format import GroupArrays, Groups, groups_table
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import groups_schema

DOCS = {"0": "alpha beans grow tall", "1": "beta soup is warm", "2": "gamma rays pass walls"}
QUERIES = {"10": "what grows tall"}
PLAIN = [name for name in EXPORTS.names() if name != "arctic-embed-batches"]  # needs a model
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
        numbers = [10**6 + shard.start + row for row in range(again)]  # of no query
        return Output(table, dropped={"again": numbers} if again else {})

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


def random_toy(folder: Path) -> tuple[Artifact, Collection]:
    """Return groups of 6 over a tiny collection, two of query q0, and the collection."""
    collection = collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny')}")
    random = np.random.Generator(np.random.Philox(5))
    rows = []
    for query in ["q0", *(f"q{i}" for i in range(12))]:
        docs = random.choice(150, 6, replace=False)
        rows.append((query, [f"d{d}" for d in docs], random.normal(0, 3, 6).tolist()))
    return publish(collection, rows), collection


def rows_of(
    groups: Artifact, collection: Collection
) -> Iterator[tuple[str, list[str], list[float]]]:
    """Yield the groups by plain look-ups: (query id, document ids, scores)."""
    read = Groups(groups)
    for number in range(len(read)):
        group = read[number]
        query = collection.queries.query_id(int(group.query[0]))
        yield query, collection.corpus.doc_ids(group.doc[0]), group.score[0].tolist()


def json_lines(path: Path) -> list[Any]:
    """Return the values of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, texts: dict[str, str]) -> None:
    lines = (json.dumps({"_id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in texts.items())
    path.write_text("".join(lines), encoding="utf-8")
