"""Other groups from the same ones: smaller draws of them, and another teacher's scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..actors import INLINE, Execution
from ..collection.rows import Queries
from ..draws import generator
from ..errors import BadPair, UsageError
from ..groups.derived import build_derived, first_rows
from ..groups.format import GroupArrays, Groups, groups_table
from ..selection.candidates import ScoreRows
from ..store import Artifact, Output, Shard, Workspace, open_artifact


def subsample_groups(
    workspace: Workspace,
    groups: Artifact | str,
    *,
    size: int,
    times: int = 1,
    seed: int = 0,
    executor: Execution = INLINE,
) -> Artifact:
    """Draw groups of `size` documents out of larger ones, `times` different draws of each.

    All positives of a group stay; negatives are drawn uniformly, without repetition within a draw,
    keyed by (seed, query_id), so π becomes π·drawn/held. The manifest names the groups they came
    from. Raises UsageError for a size that is not smaller, or that the positives alone would fill.
    """
    artifact = workspace.find(groups, "groups")
    held = Groups(artifact)
    if not 2 <= size < held.size:
        raise UsageError(
            f"size={size} is no part of groups of {held.size}", do=f"choose 2 to {held.size - 1}"
        )
    if times < 1:
        raise UsageError(f"times={times} must be at least 1")
    several = [held.positive(p)[:, 1:].sum(axis=1).max(initial=0) for p in held.parts()]
    most = int(max(several, default=0))
    if most + 2 > size:
        raise UsageError(
            f"a group holds {most + 1} positives: {size} documents have no room for a negative",
            do=f"choose size {most + 2} or more",
        )
    return build_derived(
        workspace,
        artifact,
        parameters={"augment": "subsample", "size": size, "times": times, "seed": seed},
        worker=Subsampler,
        options={"groups": str(artifact.path), "size": size, "times": times, "seed": seed},
        size=size,
        executor=executor,
    )


class Subsampler:
    """The worker: draws from the groups of a range of queries."""

    def __init__(self, groups: str, size: int, times: int, seed: int):
        artifact = open_artifact(Path(groups))
        self.groups, self.bounds = Groups(artifact, level=2), first_rows(artifact)
        self.queries = Queries(artifact.input("queries")) if "queries" in artifact.inputs else None
        self.size, self.times, self.seed = size, times, seed

    def __call__(self, shard: Shard) -> Output:
        """Return the draws of queries number start…stop−1, group by group."""
        start, stop = int(self.bounds[shard.start]), int(self.bounds[shard.stop])
        rows = self.groups.rows(start, stop)
        taken = np.empty((len(rows) * self.times, self.size), np.int64)
        share = np.ones(taken.shape)
        keys = self._keys(rows)
        positive = self.groups.positive(rows)
        for row, key in enumerate(keys):
            kept = np.concatenate([[0], 1 + np.flatnonzero(positive[row, 1:])])
            negatives = np.setdiff1d(np.arange(rows.size), kept)
            wanted = self.size - len(kept)
            for number in range(self.times):
                draws = generator(self.seed, "subsample", f"{key}\x00{number}")
                chosen = negatives[np.sort(draws.permutation(len(negatives))[:wanted])]
                taken[row * self.times + number] = np.concatenate([kept, chosen])
                share[row * self.times + number, len(kept) :] = wanted / len(negatives)
        owner = np.repeat(np.arange(len(rows)), self.times)
        lists = [
            np.take_along_axis(getattr(rows, name)[owner], taken, axis=1)
            for name in ("doc", "score", "grade", "inclusion")
        ]
        lists[3] = (lists[3] * share).astype(np.float32)
        drawn = GroupArrays(rows.query[owner], *lists)
        table = groups_table(drawn, self.groups.min_grade)
        return Output(table, counts={"groups": len(drawn)})

    def _keys(self, rows: GroupArrays) -> list[str]:
        """Return one key per group: the query's id, then its number among the query's groups."""
        names = [str(q) for q in rows.query.tolist()]
        if self.queries is not None:
            names = self.queries.query_ids(rows.query)
        count: dict[str, int] = {}
        for row, name in enumerate(names):
            count[name] = count.get(name, -1) + 1
            names[row] = f"{name}\x00{count[name]}"
        return names


def rescore_groups(
    workspace: Workspace,
    groups: Artifact | str,
    scores: Artifact | str,
    *,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the same groups with another teacher's scores; documents, Δ and κ stay fixed.

    Raises BadInput where that teacher has not scored one of the pairs.
    """
    artifact, teacher = workspace.find(groups, "groups"), workspace.find(scores, "scores")
    return build_derived(
        workspace,
        artifact,
        parameters={"augment": "rescore"},
        worker=Rescorer,
        options={"groups": str(artifact.path), "scores": str(teacher.path)},
        inputs={"rescored_by": teacher},
        metadata={
            "kind": teacher.metadata["kind"],
            "teacher": teacher.metadata.get("teacher", ""),
        },
        executor=executor,
    )


class Rescorer:
    """The worker: looks up the scores of a range of queries."""

    def __init__(self, groups: str, scores: str):
        artifact = open_artifact(Path(groups))
        self.groups, self.bounds = Groups(artifact, level=2), first_rows(artifact)
        self.scores = ScoreRows(open_artifact(Path(scores)))

    def __call__(self, shard: Shard) -> Output:
        """Return the groups of queries number start…stop−1 with their new scores."""
        start, stop = int(self.bounds[shard.start]), int(self.bounds[shard.stop])
        rows = self.groups.rows(start, stop)
        scores = np.array(
            [self.scores.of(int(q), docs) for q, docs in zip(rows.query, rows.doc, strict=True)]
        ).reshape(rows.doc.shape)
        for row, place in np.argwhere(np.isnan(scores))[:1]:
            raise BadPair(
                "{doc} has no score",
                query=rows.query[row],
                doc=rows.doc[row, place],
                within=self.scores.artifact.path,
                do="score the pool that these groups were selected from with this teacher",
            )
        new = replace(rows, score=scores.astype(np.float32))
        return Output(groups_table(new, self.groups.min_grade))
