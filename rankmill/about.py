"""What an artifact is about: its split, its collection, its ancestors, the vectors of its texts;
and which run an evaluation is of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Artifact

if TYPE_CHECKING:
    from rankmill.stages import Evaluate


def split_of(artifact: Artifact) -> str:
    """Return the split whose queries an artifact answers."""
    return artifact.metadata["split"]


def collection_of(artifact: Artifact) -> Collection:
    """Find the collection in the workspace whose corpus and queries an artifact is about.

    Raises BadInput when the workspace holds no such collection.
    """
    inputs = artifact.inputs
    for found in artifact.workspace.artifacts("collection"):
        same = [found.inputs.get(role) == inputs.get(role) for role in ("corpus", "queries")]
        if all(same) and _holds_judgements(found, inputs.get("qrels")):
            return Collection(found)
    raise BadInput(
        f"the collection of {artifact.kind} {artifact.fingerprint[:12]} is not in the workspace",
        where=artifact.workspace.root,
        do="collect it again: rankmill collect SPEC",
    )


def ancestry(artifact: Artifact) -> list[Artifact]:
    """Return the artifact after all that it was made from, inputs first, each once."""
    known: dict[str, Artifact] = {}

    def visit(one: Artifact) -> None:
        if one.fingerprint not in known:
            for role in one.inputs:
                visit(one.input(role))
            known[one.fingerprint] = one

    visit(artifact)
    return list(known.values())


def vectors_of(
    encoder: str, about: Artifact, executor: Execution = INLINE
) -> Mapping[str, Artifact]:
    """Encode the corpus and the queries that an artifact is about, or find their vectors."""
    from dataclasses import asdict

    from rankmill.mining.models.encoders import encode
    from rankmill.mining.teachers import TEACHERS

    text = encoder if "(" in encoder else f"bi_encoder(model={encoder})"
    settings = asdict(TEACHERS.parse(text))
    model, collection = settings.pop("model"), collection_of(about)
    asked = settings.pop("query_model", None) or model
    return {
        role: encode(about.workspace, by, texts.artifact, executor=executor, **settings)
        for role, by, texts in (
            ("vectors", model, collection.corpus),
            ("query_vectors", asked, collection.queries),
        )
    }


def _holds_judgements(collection: Artifact, qrels: str | None) -> bool:
    return qrels is None or qrels in collection.inputs.values()


def judged_run(request: Evaluate) -> Artifact:
    """Return the run that an evaluation is of: given, read from a file, or made by a student."""
    from rankmill.stages import ImportRun, Rerank, Retrieve
    from rankmill.training.scored_lists import run_of_scores

    run, student = request.run, request.student
    if (run is None) == (student is None):
        raise UsageError("name what to evaluate", do="give run or student, one of them")
    if student is not None and request.first_stage is not None:
        given = request.given_to(Rerank) | {"student": student, "run": request.first_stage}
        return Rerank(**given).make()
    if isinstance(run, Artifact):
        if run.kind == "scores":
            pool = run.input("pool")
            about = collection_of(pool), split_of(pool)
            return run_of_scores(run.workspace, run, *about, request.where)
        return run
    collection, split = request.collection, request.split
    if collection is None or split is None:
        raise UsageError("which queries, which judgements?", do="name the collection and the split")
    if run is not None:
        return ImportRun(Path(run), collection, split=split, executor=request.executor).make()
    return Retrieve(**request.given_to(Retrieve)).make()
