"""What an artifact is about: its split, its collection, its ancestors, the vectors of its texts."""

from __future__ import annotations

from collections.abc import Mapping

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Artifact


def split_of(artifact: Artifact) -> str:
    """Return the split whose queries an artifact answers."""
    return artifact.metadata["split"]


def collection_of(artifact: Artifact) -> Collection:
    """Find the collection in the workspace whose corpus and queries an artifact is about.

    Raises BadInput when the workspace holds no such collection.
    """
    inputs = artifact.inputs
    for collection in artifact.workspace.artifacts("collection"):
        same = [collection.inputs.get(role) == inputs.get(role) for role in ("corpus", "queries")]
        if all(same) and _holds_judgements(collection, inputs.get("qrels")):
            return Collection(collection)
    raise BadInput(
        f"the collection of {artifact.kind} {artifact.fingerprint[:12]} is not in the workspace",
        where=artifact.workspace.root,
        do="collect it again: rankmill collect SPEC",
    )


def ancestry(*artifacts: Artifact) -> list[Artifact]:
    """Return the artifacts, each after all that it was made from, inputs first, each once."""
    known: dict[str, Artifact] = {}

    def visit(one: Artifact) -> None:
        if one.fingerprint not in known:
            for role in one.inputs:
                visit(one.input(role))
            known[one.fingerprint] = one

    for artifact in artifacts:
        visit(artifact)
    return list(known.values())


def vectors_of(
    encoder: str, about: Artifact, executor: Execution = INLINE
) -> Mapping[str, Artifact]:
    """Encode the corpus and the queries that an artifact is about, or find their vectors."""
    from dataclasses import asdict

    from rankmill.mining.models.encoders import encode
    from rankmill.mining.models.folder import resolve
    from rankmill.mining.models.prompts import written_out
    from rankmill.mining.teachers import TEACHERS
    from rankmill.mining.teachers.bi_encoder import BiEncoder

    if not encoder.strip():
        raise UsageError(f"encoder={encoder!r} names no model", do="give the folder of one")
    text = encoder if "(" in encoder else f"bi_encoder(model={encoder})"
    teacher = TEACHERS.parse(text)
    if not isinstance(teacher, BiEncoder):
        raise UsageError(
            f"encoder={encoder} gives no vectors",
            do="give a bi-encoder: the folder of a sentence encoder, or bi_encoder(model=PATH)",
        )
    if teacher.encode != "corpus":
        raise UsageError("vectors are asked for of the whole corpus", do="leave out encode=listed")
    model, collection = resolve(teacher.model), collection_of(about)
    asked = resolve(teacher.query_model) if teacher.query_model else model
    settings = asdict(written_out(teacher, model, asked))
    for name in ("model", "query_model", "encode", "preset"):
        del settings[name]
    prompts = {"queries": settings.pop("query_prompt"), "corpus": settings.pop("prompt")}
    return {
        role: encode(
            about.workspace,
            by,
            texts.artifact,
            prompt=prompts[texts.artifact.kind],
            executor=executor,
            **settings,
        )
        for role, by, texts in (
            ("vectors", model, collection.corpus),
            ("query_vectors", asked, collection.queries),
        )
    }


def _holds_judgements(collection: Artifact, qrels: str | None) -> bool:
    return qrels is None or qrels in collection.inputs.values()
