"""Stored scores as a source: the documents that they are about, the best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import BadInput
from ..names import Call, parse
from ..parts.parameters import STORED
from ..runs.by_score import ByScore, shards_of
from ..runs.run import build_run
from ..store import Artifact, Workspace
from .base import SOURCES, mines


@SOURCES.register("stored")
@dataclass(frozen=True, slots=True)
class Stored:
    """The lists of scores artifact `scores`, by name: imported ones, or a teacher's of any pool.

    A query of the split without a list gets none, and is counted.
    """

    scores: Annotated[str, STORED]


@mines(Stored)
def mine_stored(
    workspace: Workspace,
    source: Stored,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Return the lists cut to `depth`, by (−score, document).

    Raises BadInput for scores of another collection.
    """
    scores = workspace.find(source.scores, "scores")
    own = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    for role, artifact in own.items():
        if scores.inputs[role] != artifact.fingerprint:
            raise BadInput(
                f"the scores {source.scores} are about another collection (its {role} differ)",
                where=scores.path,
                do="import or score for this collection",
            )
    queries = collection.split_queries(split)
    return build_run(
        workspace,
        str(Call("stored", named=(("scores", parse(scores.metadata["teacher"])),))),
        collection,
        split,
        depth=depth,
        worker=ByScore,
        options={"scores": str(scores.path), "queries": queries, "depth": depth},
        shards=lambda: shards_of(scores, queries),
        inputs={"scores": scores},
        metadata={"teacher": scores.metadata["teacher"], "kind": scores.metadata["kind"]},
        executor=executor,
    )
