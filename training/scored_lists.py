"""Scores as a run: a teacher's or a student's order of the documents that it scored, to be judged.

A judged document without a score has no place in that order, so what needs one is refused
(`FROM_SCORES` in the run's metadata says so); a run, in contrast, leaves it below all others.
"""

from __future__ import annotations

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection
from ..mining.errors import BadInput
from ..mining.names import Call, parse
from ..mining.runs.by_score import ByScore, shards_of
from ..mining.runs.run import build_run
from ..mining.store import Artifact, Workspace

FROM_SCORES = "from_scores"


def run_of_scores(
    workspace: Workspace,
    scores: Artifact,
    collection: Collection,
    split: str,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the run that orders each list of a scores artifact by (−score, document).

    Raises BadInput for scores of other texts or another split, or that leave out a query.
    """
    about = scores.input("pool").metadata.get("split") if "pool" in scores.inputs else None
    if about != split:
        raise BadInput(
            f"these scores are about {about or 'an unknown split'}, not about {split}",
            where=scores.path,
            do="score a pool of that split: rankmill score TEACHER --pool POOL",
        )
    queries = collection.split_queries(split)
    if scores.rows != len(queries):
        raise BadInput(
            f"the scores answer {scores.rows:,} of the {len(queries):,} queries of {split}",
            where=scores.path,
            do="score the whole split, and none of its queries may be dropped",
        )
    label = Call("scored", named=(("teacher", parse(scores.metadata["teacher"])),))
    return build_run(
        workspace,
        str(label),
        collection,
        split,
        depth=None,
        worker=ByScore,
        options={"scores": str(scores.path), "queries": queries, "depth": len(collection.corpus)},
        shards=lambda: shards_of(scores, queries),
        inputs={"scores": scores},
        metadata={
            "teacher": scores.metadata["teacher"],
            "kind": scores.metadata["kind"],
            FROM_SCORES: "true",
        },
        executor=executor,
    )
