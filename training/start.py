"""The student before its first step: the bar that training has to clear."""

from __future__ import annotations

import json
from pathlib import Path

from ..mining.store import Artifact, Workspace, files
from .packing import Limits
from .students import Student, identity_of, parse_student


def untrained(
    workspace: Workspace,
    student: str | Student,
    *,
    query_length: int = 32,
    doc_length: int = 128,
    seed: int = 0,
) -> Artifact:
    """Return a "student" artifact with the weights that training would start from.

    The lengths and the seed are those of `trainer.Settings`. Raises UsageError for an unknown
    student, BadInput for an unusable model.
    """
    value, model = parse_student(student)
    limits = Limits(query_length, doc_length)
    parameters = {
        **identity_of(value, model),
        "documents": 0,
        "query_length": query_length,
        "doc_length": doc_length,
        "seed": seed,
    }

    def write(folder: Path, scratch: Path) -> None:
        length = value.max_length(model, limits)
        network = value.network(model, seed)
        network.save(files.make_folder(folder / "model"), model, length)
        card = {**parameters, "score_kind": value.score_kind, "max_length": length, "steps": 0}
        data = json.dumps(card, indent=1, sort_keys=True).encode()
        files.write_bytes(folder / "card.json", data + b"\n", mode=0o644)

    return workspace.build_folder("student", parameters, {}, write)
