"""The rerank source: a run put in the order of a teacher's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..actors import INLINE, Execution
from ..collection.handles import Collection
from ..errors import BadInput
from ..names import Call, parse
from ..options import Option
from ..parts.costs import TEACHER
from ..parts.parameters import DIRECTION
from ..runs.by_score import ByScore, shards_of
from ..runs.run import build_run
from ..store import Artifact, Workspace
from ..teachers import score_pool
from ..teachers.base import check_written as check_teacher
from ..teachers.direction import check_choice
from . import run_of
from .base import SOURCES, check_written, mines


@SOURCES.register("rerank", TEACHER)
@dataclass(frozen=True, slots=True)
class Rerank:
    """The documents of run `of` by falling score of `teacher`, a teacher's text or a model path.

    `direction=trusted`: do not ask which way the scores run.
    """

    teacher: Annotated[
        str,
        Option("Who scores: a teacher, or a model folder.", example="cross_encoder(model=PATH)"),
    ]
    of: Annotated[str, Option("The run that is ordered anew, by name, or a source.", example="RUN")]
    direction: Annotated[str | None, DIRECTION] = None

    def __post_init__(self) -> None:
        check_choice(self.direction)
        check_written(self.of)
        check_teacher(self.teacher)


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
    queries = collection.split_queries(split)
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
        worker=ByScore,
        options={"scores": str(scores.path), "queries": queries, "depth": depth},
        shards=lambda: shards_of(scores, queries),
        inputs={"of": run.artifact, "scores": scores},
        metadata={"teacher": scores.metadata["teacher"], "kind": scores.metadata["kind"]},
        executor=executor,
    )
