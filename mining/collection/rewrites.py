"""Query rewrites: other wordings of training queries, read from a file, as queries of their own.

A rewrite of query `q7` becomes the query `q7~1`, the next one `q7~2`, in the order of the file,
with the judgements of `q7`. The old queries keep their ordinals. So every stage treats rewrites as
it treats queries, and the id of a group's query says which query it is a rewrite of.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..errors import BadInput
from ..inputs.given_paths import path_given
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.files import sha256_of
from ..store.tables import QRELS, QUERIES
from .handles import Collection
from .ingest import collection_stage
from .lines import read_lines, read_objects
from .rows import Qrels, Queries, first_ten

MARK = "~"


def rewrite_queries(
    workspace: Workspace,
    collection: Collection,
    path: str | Path,
    *,
    split: str,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Collection:
    """Return a collection whose queries are the old ones and the rewrites of a file.

    `path`: lines of query_id, tab, text, or JSON Lines with `query_id` and `text`. Rewrites are
    judged in `split` only, so that evaluation splits stay as they are. Raises BadInput with the
    line for an empty text, and for ids that the split does not hold.
    """
    file = path_given(path)
    rows = list(_read(file))
    wanted = [query_id for query_id, _ in rows]
    if not rows:
        raise BadInput("there are no rewrites", where=file, do="write lines: query_id, tab, text")
    owners = collection.queries.ordinals(wanted)
    judged = np.isin(owners, collection.split_queries(split))
    if not judged.all():
        outside = [wanted[i] for i in np.flatnonzero(~judged)]
        raise BadInput(
            f"{len(outside):,} rewritten queries are not in the split {split!r}: "
            f"{first_ten(outside)}",
            where=file,
            do="leave them out, or name the split that they belong to",
        )
    old, content = collection.queries.artifact, sha256_of(file)
    queries = workspace.build(_queries_stage(old, file, content, len(rows)), executor)
    qrels = {}
    for one in collection.splits:
        stage = _qrels_stage(collection, one, queries, owners if one == split else owners[:0])
        qrels[one] = workspace.build(stage, executor)
    metadata = {**collection.artifact.metadata, "rewrites": content}
    whole = collection_stage(collection.corpus.artifact, queries, qrels, {}, metadata)
    artifact = workspace.build(whole, executor)
    if name is not None:
        workspace.alias(name, artifact)
    return Collection(artifact)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (query_id, text) of every line."""
    if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        lines = [(n, row.get("query_id"), row.get("text")) for n, row in read_objects(path)]
    else:
        split = [(n, line.partition("\t")) for n, line in read_lines(path)]
        lines = [(n, parts[0], parts[2]) for n, parts in split]
    for number, query_id, text in lines:
        if not isinstance(query_id, str) or not isinstance(text, str) or not text.strip():
            raise BadInput(
                "a rewrite needs a query_id and a text",
                where=f"{path}, line {number}",
                do='write query_id, tab, text; or {"query_id": "q1", "text": "…"} in a .jsonl file',
            )
        yield query_id, text


def _queries_stage(old: Artifact, path: Path, content: str, rewrites: int) -> Stage:
    return Stage(
        kind="queries",
        parameters={"rewrites": content},
        inputs={"queries": old},
        schema=QUERIES,
        shards=lambda: [Shard(0, 0, old.rows + rewrites)],
        worker=QueriesWriter,
        options={"old": str(old.path), "path": str(path)},
        metadata=dict(old.metadata),
        unit="queries",
    )


def _qrels_stage(
    collection: Collection, split: str, queries: Artifact, owners: np.ndarray
) -> Stage:
    judged = collection.qrels_artifact(split)
    return Stage(
        kind="qrels",
        parameters={"rewrites": queries.parameters["rewrites"], "rewritten": len(owners)},
        inputs={"corpus": collection.corpus.artifact, "queries": queries, "qrels": judged},
        schema=QRELS,
        shards=lambda: [Shard(0, 0, 1)],
        worker=QrelsCopier,
        options={
            "qrels": str(judged.path),
            "owners": owners,
            "first": len(collection.queries),
        },
        metadata=dict(judged.metadata),
        unit="splits",
    )


class QueriesWriter:
    """Writes the old queries, then the rewrites with numbered ids."""

    def __init__(self, old: str, path: str):
        self.old, self.path = Queries(open_artifact(Path(old))), Path(path)

    def __call__(self, shard: Shard) -> Output:
        """Return the whole table; raises BadInput where a numbered id is taken already."""
        tables = [table for _, table in self.old.parts()]
        count: dict[str, int] = {}
        ids, texts = [], []
        for query_id, text in _read(self.path):
            count[query_id] = count.get(query_id, 0) + 1
            ids.append(f"{query_id}{MARK}{count[query_id]}")
            texts.append(text)
        known = {i for table in tables for i in table["query_id"].to_pylist()} & set(ids)
        if known:
            raise BadInput(
                f"there are queries called {first_ten(sorted(known))} already", where=self.path
            )
        fresh = pa.table([pa.array(ids), pa.array(texts)], schema=QUERIES)
        whole = pa.concat_tables([*tables, fresh]).combine_chunks()
        return Output(whole, counts={"rewrites": len(ids)})


class QrelsCopier:
    """Writes the old judgements, and those of the queries that were rewritten once more each."""

    def __init__(self, qrels: str, owners: np.ndarray, first: int):
        self.qrels, self.owners, self.first = Qrels(open_artifact(Path(qrels))), owners, first

    def __call__(self, shard: Shard) -> Output:
        """Return the whole split."""
        columns = [[self.qrels.query], [self.qrels.doc], [self.qrels.grade]]
        for number, owner in enumerate(self.owners.tolist()):
            docs, grades = self.qrels.of(owner)
            columns[0].append(np.full(len(docs), self.first + number, np.uint32))
            columns[1].append(docs)
            columns[2].append(grades)
        return Output(pa.table([np.concatenate(c) for c in columns], schema=QRELS))
