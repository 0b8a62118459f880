"""Scores as a run: a teacher's or a student's order of the documents that it scored, to be judged.

A judged document without a score has no place in that order, so what needs one is refused
(`FROM_SCORES` in the run's metadata says so); a run, in contrast, leaves it below all others.
"""

from __future__ import annotations

import numpy as np

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection
from ..mining.errors import BadInput
from ..mining.names import Call, parse
from ..mining.runs.run import build_run
from ..mining.sources.rerank import RerankWorker
from ..mining.store import Artifact, Workspace, split_by_work
from ..mining.store.tables import list_values

FROM_SCORES = "from_scores"
_SHARD_PAIRS = 1 << 20


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
    asked = len(collection.split_queries(split))
    if scores.rows != asked:
        raise BadInput(
            f"the scores answer {scores.rows:,} of the {asked:,} queries of {split}",
            where=scores.path,
            do="score the whole split, and none of its queries may be dropped",
        )
    lengths = np.concatenate([np.diff(list_values(t["doc"])[0]) for t in scores.tables()])
    label = Call("scored", named=(("teacher", parse(scores.metadata["teacher"])),))
    return build_run(
        workspace,
        str(label),
        collection,
        split,
        depth=None,
        worker=RerankWorker,
        options={"scores": str(scores.path), "depth": int(lengths.max(initial=0))},
        shards=lambda: split_by_work(lengths, _SHARD_PAIRS),
        inputs={"scores": scores},
        metadata={
            "teacher": scores.metadata["teacher"],
            "kind": scores.metadata["kind"],
            FROM_SCORES: "true",
        },
        executor=executor,
    )
