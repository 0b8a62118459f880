"""The verbs that exchange data with other tools: export, and imports of runs, scores and groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.api import collection_of
from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import Collection
from rankmill.mining.store import Artifact

if TYPE_CHECKING:
    from rankmill.mining.exports import Exported


def export(
    format: str,
    groups: Artifact,
    *,
    to: str | Path,
    allow_lossy: bool = False,
    size: int | None = None,
    seed: int = 0,
    missing: str = "error",
    **settings: Any,
) -> Exported:
    """Write groups into the folder `to` in the layout of another trainer, such as `colbert`.

    `settings` are parameters of the format. A format that cannot hold the teacher's scores needs
    `allow_lossy`. See docs/exports.md for the formats.
    """
    from rankmill.mining.exports import export_groups

    return export_groups(
        format,
        groups,
        collection_of(groups),
        to,
        settings=settings,
        allow_lossy=allow_lossy,
        size=size,
        seed=seed,
        missing=missing,
    )


def import_run(
    path: str | Path,
    collection: Collection,
    *,
    split: str,
    system: str | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Read a TREC run, plain or gzipped, as a run artifact; with `system` a hard-negatives file."""
    from rankmill.mining.runs.files import import_run as read

    workspace = collection.artifact.workspace
    made = read(workspace, path, collection, split, tag=system, system=system, executor=executor)
    return _named(made, name)


def import_scores(
    path: str | Path,
    collection: Collection,
    *,
    kind: str,
    format: str | None = None,
    unknown: str = "error",
    sign: int = 1,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Read teacher scores from JSON, JSON Lines, TSV, Parquet or a TREC run.

    `score("stored(scores=NAME)", pool)` then takes them for the pairs of a pool.
    """
    from rankmill.mining.teachers.files.imported import import_scores as read

    made = read(
        collection.artifact.workspace,
        path,
        collection.corpus.artifact,
        collection.queries.artifact,
        kind=kind,
        form=format,
        unknown=unknown,
        sign=sign,
        executor=executor,
    )
    return _named(made, name)


def import_groups(
    path: str | Path,
    collection: Collection,
    *,
    format: str,
    kind: str,
    size: int | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Read training groups of another trainer's layout: triple, colbert, tevatron, trove, …"""
    from rankmill.mining.groups.imported import import_groups as read

    workspace = collection.artifact.workspace
    made = read(workspace, path, collection, form=format, kind=kind, size=size, executor=executor)
    return _named(made, name)


def _named(artifact: Artifact, name: str | None) -> Artifact:
    if name:
        artifact.workspace.alias(name, artifact)
    return artifact
