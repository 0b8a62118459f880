"""The verbs that make groups from groups: cut, cross, sub-sample, re-label."""

from __future__ import annotations

from pathlib import Path

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import Collection
from rankmill.mining.store import Artifact


def cut(
    groups: Artifact,
    statistics: Artifact,
    keep: str,
    *,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Keep the groups that a cut keeps: `keep_below(q=0.75)`, `where("ties = 0")`, `cell(0,1)`."""
    from rankmill.mining.derive import cut_groups

    return _named(cut_groups(groups.workspace, groups, statistics, keep, executor=executor), name)


def cells(
    groups: Artifact,
    statistics: Artifact,
    *,
    locality: str = "radius",
    entropy: str = "pair_entropy",
    bins: int = 2,
    seed: int = 0,
    name: str | None = None,
    executor: Execution = INLINE,
) -> dict[tuple[int, int], Artifact]:
    """Cut groups into cells with equal groups, documents seen, pairs and positives.

    A warning: cells hold other queries, so a cell's effect is confounded with the difficulty of its
    queries; `cross` makes cells in which every query stands.
    The keys count bins from the nearest and from the lowest entropy; `name` becomes
    `name-near0-sure0` and so on.
    """
    from rankmill.mining.derive import crossed_cells

    made = crossed_cells(
        groups.workspace,
        groups,
        statistics,
        locality=locality,
        entropy=entropy,
        bins=bins,
        seed=seed,
        executor=executor,
    )
    for (near, sure), artifact in made.items():
        _named(artifact, f"{name}-near{near}-sure{sure}" if name else None)
    return made


def subsample(
    groups: Artifact,
    *,
    size: int,
    times: int = 1,
    seed: int = 0,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Draw smaller groups out of groups, `times` different ones of each; positives stay."""
    from rankmill.mining.derive import subsample_groups

    made = subsample_groups(
        groups.workspace, groups, size=size, times=times, seed=seed, executor=executor
    )
    return _named(made, name)


def retarget(
    groups: Artifact,
    target: str | None = None,
    *,
    scores: Artifact | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Give the same groups other labels: a `target` such as `temperature(T=2)`, or other `scores`.

    With both, the target is applied to the other teacher's scores.
    """
    from rankmill.mining.derive import rescore_groups, retarget_groups
    from rankmill.mining.errors import UsageError

    if target is None and scores is None:
        raise UsageError("nothing says what the new labels are", do="name a target, or scores")
    made = groups
    if scores is not None:
        made = rescore_groups(groups.workspace, made, scores, executor=executor)
    if target is not None:
        made = retarget_groups(groups.workspace, made, target, executor=executor)
    return _named(made, name)


def rewrite(
    collection: Collection,
    path: str | Path,
    *,
    split: str,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Collection:
    """Add the query rewrites of a file (query_id, text) to a split, as queries of their own."""
    from rankmill.mining.collection.rewrites import rewrite_queries

    workspace = collection.artifact.workspace
    return rewrite_queries(workspace, collection, path, split=split, name=name, executor=executor)


def _named(artifact: Artifact, name: str | None) -> Artifact:
    if name:
        artifact.workspace.alias(name, artifact)
    return artifact
