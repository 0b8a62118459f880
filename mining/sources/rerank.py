"""The rerank source: a run put in the order of a teacher's scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import Collection
from ..errors import BadInput
from ..names import Call, parse
from ..runs.run import build_run, run_table
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from ..store.tables import list_values
from ..teachers import score_pool
from ..teachers.direction import check_choice
from . import run_of
from .base import SOURCES, mines

_SHARD_PAIRS = 1 << 20


@SOURCES.register("rerank")
@dataclass(frozen=True, slots=True)
class Rerank:
    """The documents of run `of` by falling score of `teacher`, a teacher's text or a model path.

    `direction=trusted`: do not ask which way the scores run.
    """

    teacher: str
    of: str
    direction: str | None = None

    def __post_init__(self) -> None:
        check_choice(self.direction)


@mines(Rerank)
def mine_rerank(
    workspace: Workspace,
    source: Rerank,
    collection: Collection,
    split: str,
    depth: int,
    seed: int = 0,
    executor: Execution = INLINE,
) -> Artifact:
    """Score a run's pairs and sort them; the scores stay in the workspace for later requests.

    `of` names a run, or is a source to mine at the same depth. Raises BadInput when the run is of
    another split or another collection.
    """
    run = run_of(workspace, source.of, collection, split, depth=depth, seed=seed, executor=executor)
    scores = score_pool(
        workspace,
        source.teacher,
        run.artifact,
        collection=collection,
        direction=source.direction or "judged",  # changes no score, so it is no part of the label
        executor=executor,
    )
    if scores.rows != run.artifact.rows:
        raise BadInput(
            f"the teacher leaves out {run.artifact.rows - scores.rows} queries, a run answers all",
            where=scores.path,
            do="use missing=drop_doc, or a teacher that scores every pair",
        )
    label = Call(
        "rerank",
        named=(("teacher", parse(scores.metadata["teacher"])), ("of", parse(run.label))),
    )
    return build_run(
        workspace,
        str(label),
        collection,
        split,
        depth=depth,
        worker=RerankWorker,
        options={"scores": str(scores.path), "depth": depth},
        shards=lambda: split_by_work(_list_lengths(scores), _SHARD_PAIRS),
        inputs={"of": run.artifact, "scores": scores},
        metadata={"teacher": scores.metadata["teacher"], "kind": scores.metadata["kind"]},
        executor=executor,
    )


def _list_lengths(scores: Artifact) -> np.ndarray:
    return np.concatenate([np.diff(list_values(t["doc"])[0]) for t in scores.tables()])


class RerankWorker:
    """Sorts rows of a scores artifact by (−score, document) and cuts them."""

    def __init__(self, scores: str, depth: int):
        self.scores, self.depth = open_artifact(scores), depth

    def __call__(self, shard: Shard) -> Output:
        """Return the ranked lists of rows start…stop−1."""
        pieces = [
            self._ranked(part.number, max(shard.start, part.start) - part.start, stop - part.start)
            for part in self.scores.parts
            if max(shard.start, part.start) < (stop := min(shard.stop, part.start + part.rows))
        ]
        queries, lengths, docs, values = (
            (np.concatenate(column) for column in zip(*pieces, strict=True))
            if pieces
            else (np.empty(0, np.uint32), np.empty(0, int), np.empty(0, np.uint32), np.empty(0))
        )
        return Output(run_table(queries, np.concatenate([[0], np.cumsum(lengths)]), docs, values))

    def _ranked(self, number: int, low: int, high: int) -> tuple[np.ndarray, ...]:
        """Return (queries, list lengths, docs, scores) of rows of one part, best first, cut."""
        table = self.scores.table(number)
        offsets, docs = list_values(table["doc"])
        _, scores = list_values(table["logit"])
        offsets = offsets[low : high + 1]
        piece = slice(offsets[0], offsets[-1])
        lengths = np.diff(offsets)
        row = np.repeat(np.arange(high - low), lengths)
        order = np.lexsort((docs[piece], -scores[piece], row))
        place = np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], lengths)
        order = order[place < self.depth]
        return (
            table["query"].to_numpy()[low:high],
            np.minimum(lengths, self.depth),
            docs[piece][order],
            scores[piece][order],
        )
