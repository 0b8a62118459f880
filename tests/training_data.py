"""A tiny collection with groups and tokens for the training room, made without mining."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

from rankmill.mining.collection import Collection, collect
from rankmill.mining.groups.format import GroupArrays, Groups, groups_table
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.tokens import tokens_of
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import groups_schema


@dataclass(frozen=True)
class Setting:
    """What a test of the training room needs."""

    workspace: Workspace
    collection: Collection
    groups: Artifact
    model: ModelFolder

    @property
    def tokens(self) -> tuple[Artifact, Artifact]:
        """Token stores of the queries and of the corpus."""
        queries = tokens_of(self.workspace, self.collection.queries.artifact, self.model)
        return queries, tokens_of(self.workspace, self.collection.corpus.artifact, self.model)


def tiny_setting(folder: Path, size: int = 6, repeat: int = 3, kind: str = "logit") -> Setting:
    """Write a collection of 40 queries, an encoder and `20 · repeat` groups below `folder`."""
    workspace = Workspace(folder / "work")
    beir = folder / "beir"
    collection = collect(workspace, f"beir:{beir if beir.exists() else tiny_beir(beir)}")
    groups = write_groups(workspace, collection, size=size, repeat=repeat, kind=kind)
    encoder = folder / "encoder"
    if not encoder.exists():
        tiny_encoder(encoder)
    return Setting(workspace, collection, groups, resolve(encoder))


def write_groups(
    workspace: Workspace,
    collection: Collection,
    *,
    size: int,
    repeat: int = 1,
    kind: str = "logit",
    parts: int = 2,
    texts: bool = False,
) -> Artifact:
    """Write groups of the train split: a positive, random negatives, scores that separate them.

    With `texts` their inputs are queries and corpus, as those of selected groups are.
    """
    arrays = _groups(collection, size, repeat)
    half = -(-len(arrays) // parts)
    cuts = [(i * half, min((i + 1) * half, len(arrays))) for i in range(parts)]
    stage = Stage(
        kind="groups",
        parameters={"size": size, "test": repeat, "kind": kind},
        inputs={"queries": collection.queries.artifact, "corpus": collection.corpus.artifact}
        if texts
        else {"collection": collection.artifact},
        schema=groups_schema(size),
        shards=lambda: [Shard(i, a, b) for i, (a, b) in enumerate(cuts)],
        worker=lambda: (
            lambda shard: Output(
                groups_table(arrays[shard.start : shard.stop]),
                dropped=_again(arrays, shard),
            )
        ),
        metadata={"kind": kind},
    )
    return workspace.build(stage)


def open_groups(setting: Setting) -> Groups:
    """Open the groups of a setting."""
    return Groups(setting.groups)


def _again(arrays: GroupArrays, shard: Shard) -> dict[str, list[int]]:
    """Rows beyond the first of a query under numbers of no query, so that the books balance."""
    rows = arrays.query[shard.start : shard.stop]
    count = len(rows) - len(np.unique(rows))
    return {"again": [10**6 + shard.start + row for row in range(count)]} if count else {}


def _groups(collection: Collection, size: int, repeat: int) -> GroupArrays:
    random = np.random.Generator(np.random.Philox(7))
    qrels = collection.qrels("train")
    plain = len(collection.corpus) - 5
    query, doc, grade = [], [], []
    for _ in range(repeat):
        for q in qrels.queries:
            judged, grades = qrels.of(q)
            best = int(np.argmax(grades))
            others = np.setdiff1d(np.arange(plain), judged)
            drawn = random.choice(others, size - 1, replace=False)
            query.append(q)
            doc.append([judged[best], *drawn])
            grade.append([grades[best], *np.zeros(size - 1)])
    score = random.normal(-2, 1, (len(query), size))
    score[:, 0] += 4
    shape = score.shape
    return GroupArrays(
        query=np.asarray(query, np.uint32),
        doc=np.asarray(doc, np.uint32),
        score=score.astype(np.float32),
        grade=np.asarray(grade, np.int8),
        inclusion=np.full(shape, 0.5, np.float32),
    )
