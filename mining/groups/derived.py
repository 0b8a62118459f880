"""Groups made from groups: the frame that cuts and targets share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..actors import Execution
from ..names import unless_neutral
from ..store import Artifact, Shard, Stage, Worker, Workspace
from ..store.tables import groups_schema
from .format import Groups


def build_derived(
    workspace: Workspace,
    groups: Artifact,
    *,
    parameters: Mapping[str, Any],
    worker: Callable[..., Worker],
    options: Mapping[str, Any],
    inputs: Mapping[str, Artifact] | None = None,
    metadata: Mapping[str, str] | None = None,
    size: int | None = None,
    executor: Execution,
) -> Artifact:
    """Build groups whose rows are rows of `groups`, changed, repeated or left out.

    The new artifact keeps the inputs of the old one (corpus, queries, pool, scores), so that all
    that works on groups works on it, and names the old one as its input `groups`. `size`: of the
    new groups, where it differs.
    """
    own = {
        role: groups.input(role) for role in groups.inputs if role not in ("groups", "statistics")
    }
    kept: dict[str, Any] = {
        key: groups.parameters[key] for key in ("size", "split", "seed") if key in groups.parameters
    }
    kept |= unless_neutral(min_grade=(Groups(groups).min_grade, 1))
    stage = Stage(
        kind="groups",
        parameters={**kept, **parameters},
        inputs={**own, "groups": groups, **(inputs or {})},
        schema=groups_schema(size or Groups(groups).size),
        shards=lambda: _shards(groups),
        worker=worker,
        options=options,
        unit="queries",
        metadata={**groups.metadata, **(metadata or {})},
    )
    return workspace.build(stage, executor)


def first_rows(groups: Artifact) -> np.ndarray:
    """Return the first row of every query and the number of rows (int64): queries are the keys."""
    parts = [part.query for part in Groups(groups).parts()]
    query = np.concatenate(parts) if parts else np.empty(0, np.uint32)
    if not len(query):
        return np.zeros(1, np.int64)
    return np.concatenate([[0], np.flatnonzero(query[1:] != query[:-1]) + 1, [len(query)]])


def _shards(groups: Artifact) -> list[Shard]:
    """One shard per part of the old groups."""
    bounds = first_rows(groups)
    ends = [int(np.searchsorted(bounds, part.start + part.rows)) for part in groups.parts]
    return [
        Shard(number, start, stop, stop - start)
        for number, (start, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ] or [Shard(0, 0, 0, 0)]
