"""Divisions: the judged queries of one split drawn into new splits, such as train, dev and test.

`all=train:1000,dev:200,test:300` gives three new splits; queries are taken in the order of a keyed
hash of their id, so which ones a split holds depends on the ids and the counts alone. The old
split stays. `*` takes all that are left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..draws import keys_of
from ..errors import BadInput, UsageError
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.tables import QRELS
from .handles import Collection
from .ingest import collection_stage
from .rows import Qrels, strings_of

REST = "*"
_FORM = re.compile(
    r"([^=:,\s]+)=([^=:,\s]+:(?:\d{1,12}|\*)(?:,[^=:,\s]+:(?:\d{1,12}|\*))*)", re.ASCII
)
_EXAMPLE = "write all=train:1000,dev:200,test:300, or * for all that are left"


@dataclass(frozen=True, slots=True)
class Division:
    """One split and the new splits that its queries are drawn into: how many, None for the rest."""

    split: str
    parts: Mapping[str, int | None]

    def __str__(self) -> str:
        said = (f"{name}:{REST if n is None else n}" for name, n in self.parts.items())
        return f"{self.split}={','.join(said)}"


def divisions_of(texts: Sequence[str]) -> list[Division]:
    """Read divisions; raises UsageError for one that is not understood, and for a split that two
    of them make, or that two divide: both would take the same queries, the first of one order."""
    made = [_parsed(text) for text in texts]
    divided = [one.split for one in made]
    for split in divided:
        if divided.count(split) > 1:
            raise UsageError(
                f"divide names the split {split!r} twice: parts of both would be the same queries",
                do=f"name all its parts in one: {split}=train:1000,dev:200",
            )
    new = [name for one in made for name in one.parts]
    for name in new:
        if new.count(name) > 1:
            raise UsageError(f"divide makes the split {name!r} twice", do="name each part once")
    return made


def _parsed(text: str) -> Division:
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"divide={text!r} is no division", do=_EXAMPLE)
    if not text.isprintable():
        raise UsageError(f"divide={text!r} names a split that cannot be printed", do=_EXAMPLE)
    pairs = [part.rpartition(":") for part in match[2].split(",")]
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise UsageError(f"divide={text!r} names a part twice", do="name each part once")
    parts = {name: None if count == REST else int(count) for name, _, count in pairs}
    if None in list(parts.values())[:-1]:
        raise UsageError(f"divide={text!r}: nothing is left after {REST}", do=f"put {REST} last")
    if 0 in parts.values():
        raise UsageError(f"divide={text!r} has a part without queries", do=_EXAMPLE)
    return Division(match[1], parts)


def divide(
    workspace: Workspace,
    collection: Collection,
    divisions: Sequence[Division],
    *,
    executor: Execution = INLINE,
) -> Collection:
    """Return the collection with the new splits beside its own.

    Raises BadInput for a split that is not there or has too few queries, UsageError for a new split
    that is there already.
    """
    whole, qrels = collection.artifact, {s: collection.qrels_artifact(s) for s in collection.splits}
    for one in divisions:
        for name, chosen in _drawn(collection, one).items():
            if name in qrels:
                raise UsageError(
                    f"divide={one}: the collection has a split {name!r} already",
                    where=whole.path,
                    do="give the part another name",
                )
            judged = collection.qrels_artifact(one.split)
            qrels[name] = workspace.build(_stage(judged, one, name, chosen), executor)
    corpus, queries = collection.corpus.artifact, collection.queries.artifact
    stage = collection_stage(corpus, queries, qrels, whole.parameters, whole.metadata)
    return Collection(workspace.build(stage, executor))


def _drawn(collection: Collection, one: Division) -> dict[str, np.ndarray]:
    """Return the queries (uint32, ascending) of every part."""
    judged = collection.qrels(one.split).queries
    check_enough(one, len(judged), collection.artifact.path)
    data, bounds = strings_of(collection.queries, "query_id", judged)
    order = judged[np.argsort(keys_of(0, "divide", data, bounds), kind="stable")]
    made, at = {}, 0
    for name, count in one.parts.items():
        stop = len(order) if count is None else at + count
        made[name], at = np.sort(order[at:stop]), stop
    return made


def check_enough(one: Division, queries: int, where: str | Path) -> None:
    """Raise BadInput for a division of more queries than its split has."""
    wanted = sum(count or 0 for count in one.parts.values())
    least = wanted + (None in one.parts.values())
    if least > queries:
        raise BadInput(
            f"divide={one} wants {least:,} queries, the split has {queries:,}",
            where=where,
            do="ask for fewer",
        )


def _stage(judged: Artifact, one: Division, name: str, chosen: np.ndarray) -> Stage:
    return Stage(
        kind="qrels",
        parameters={"divide": str(one), "split": name},
        inputs={**{r: judged.input(r) for r in ("corpus", "queries")}, "qrels": judged},
        schema=QRELS,
        shards=lambda: [Shard(0, 0, 1)],
        worker=PartWriter,
        options={"qrels": str(judged.path), "chosen": chosen},
        metadata={**judged.metadata, "split": name},
        unit="splits",
    )


class PartWriter:
    """Writes the judgements of some queries of a split."""

    def __init__(self, qrels: str, chosen: np.ndarray):
        self.qrels, self.chosen = Qrels(open_artifact(Path(qrels))), chosen

    def __call__(self, shard: Shard) -> Output:
        """Return the whole part."""
        kept = np.isin(self.qrels.query, self.chosen)
        columns = [self.qrels.query[kept], self.qrels.doc[kept], self.qrels.grade[kept]]
        return Output(pa.table(columns, schema=QRELS))
