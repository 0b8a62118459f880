"""What artifacts were made of, and what making one took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

_GIVEN = {"corpus", "queries", "qrels", "collection"}  # there before any sampler


def behind(artifacts: Iterable[Artifact], stop: Iterable[Artifact]) -> Mapping[str, Artifact]:
    """Return artifacts and all they were made of, but for what was given and what lies past
    `stop`."""
    seen: dict[str, Artifact] = {}
    barred = {artifact.fingerprint for artifact in stop}

    def visit(one: Artifact) -> None:
        if one.kind in _GIVEN or one.fingerprint in barred or one.fingerprint in seen:
            return
        seen[one.fingerprint] = one
        for role in one.inputs:
            visit(one.input(role))

    for artifact in artifacts:
        visit(artifact)
    return seen


def seconds_of(artifact: Artifact) -> float:
    """Return processor and accelerator seconds that making an artifact took."""
    cost = artifact.cost()
    return float(cost["cpu_s"]) + float(cost["gpu_s"] or 0.0)
