"""Where an artifact comes from: all that it was made of, inputs first."""

from __future__ import annotations

from rankmill.mining.store import Artifact


def ancestry(artifact: Artifact) -> list[Artifact]:
    """Return the artifact after all that it was made from, each once."""
    found: dict[str, Artifact] = {}

    def visit(one: Artifact) -> None:
        if one.fingerprint not in found:
            for role in one.inputs:
                visit(one.input(role))
            found[one.fingerprint] = one

    visit(artifact)
    return list(found.values())
