"""The stage that makes blocks, and the groups of each cell read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...actors import INLINE, Execution
from ...collection.handles import Collection
from ...errors import UsageError
from ...groups.format import GroupArrays, groups_table
from ...runs.pool import Pool
from ...selection.base import FILTERS, Filter
from ...selection.reader import paths_of
from ...selection.select import (
    BOOKS,
    barring,
    books_of,
    candidates_per_query,
    check_request,
    check_same_collection,
    keys_for,
)
from ...store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ...store.tables import design_schema, groups_schema, list_values
from .values import BlockedCell
from .worker import Blocker

_SHARD_PAIRS = 1_000_000


def cross_cells(
    workspace: Workspace,
    cell: BlockedCell,
    pool: Artifact | str,
    scores: Artifact | str,
    vectors: Artifact,
    *,
    collection: Collection,
    split: str,
    size: int,
    seed: int = 0,
    filters: Sequence[str | Filter] = (),
    positives: str = "first",
    min_grade: int | None = None,
    missing: str = "error",
    copies: str = "folded",
    self_rule: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the design that `cell` belongs to: one group per query and cell, whole blocks only.

    An artifact of kind "design": a row per query and cell with the group, its targets and what it
    reached. `positives`: `first`, or `together` for all of a query's in each group; they are graded
    `min_grade` (the pool's) or more. A query is dropped whole, with the reason `no_positive`,
    `unscored` (see `select_groups`), `positive_without_direction` (its vector is zero),
    `positive_saturated` (no finite score on the scale), `too_few_candidates`,
    `locality_too_narrow` or `entropy_too_narrow` (levels would lie closer than `locality_step`,
    `entropy_step`), or `cell_not_attained` (some group is not within the tolerance). Candidates
    with a zero vector or a saturated score stay out and are counted.

    Raises UsageError for a malformed request, BadInput for scores that are missing or not finite
    and for a pool of another collection.
    """
    pool, scores = workspace.find(pool, "pool"), workspace.find(scores, "scores")
    min_grade = Pool(pool).min_grade if min_grade is None else min_grade
    given = {"positives": positives, "missing": missing}
    _check_request(size, min_grade, {**given, "copies": copies})
    cell.scale_for(scores.metadata["kind"])
    check_same_collection(pool, collection, split)
    parameters = {
        "design": cell.design,
        "filters": [FILTERS.text(FILTERS.parse(f)) for f in filters],
        "split": split,
        "size": size,
        "seed": seed,
        "min_grade": min_grade,
        **given,
        **barring(collection, split, copies, self_rule),
        **books_of(missing),
    }
    inputs = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    inputs |= {"qrels": collection.qrels_artifact(split), "pool": pool, "scores": scores}
    inputs |= keys_for(workspace, collection, copies, executor)
    return workspace.build(_stage(parameters, {**inputs, "vectors": vectors}), executor)


def _check_request(size: int, min_grade: int, given: dict[str, str]) -> None:
    check_request(size, min_grade, {**given, "when_short": "drop_query"})
    if given["positives"] not in ("first", "together"):
        raise UsageError(
            f"positives={given['positives']!r}: a block holds each query once per cell",
            do="choose first or together",
        )


def _stage(parameters: dict[str, Any], inputs: dict[str, Artifact]) -> Stage:
    scores = inputs["scores"]
    return Stage(
        kind="design",
        parameters=parameters,
        inputs=inputs,
        schema=design_schema(parameters["size"]),
        shards=lambda: split_by_work(candidates_per_query(inputs["pool"]), _SHARD_PAIRS),
        unit="candidates",
        worker=Blocker,
        options={"paths": paths_of(inputs), **_without(parameters, "split", BOOKS)},
        metadata={
            "kind": scores.metadata["kind"],
            "teacher": scores.metadata.get("teacher", ""),
            "split": parameters["split"],
        },
    )


def groups_of_cell(
    workspace: Workspace, design: Artifact, near: int, sure: int, *, executor: Execution = INLINE
) -> Artifact:
    """Return the groups of one cell; queries dropped from the design are dropped from it too."""
    given = design.parameters
    cell = cell_of(design).at(near, sure)
    inputs = {role: design.input(role) for role in design.inputs}
    stage = Stage(
        kind="groups",
        parameters={
            "strategy": str(cell),
            "when_short": "drop_query",
            **_without(given, "design"),
        },
        inputs={**inputs, "design": design},
        schema=groups_schema(given["size"]),
        shards=lambda: split_by_work(candidates_per_query(inputs["pool"]), _SHARD_PAIRS),
        unit="candidates",
        worker=CellReader,
        options={
            "design": str(design.path),
            "pool": str(inputs["pool"].path),
            "near": near,
            "sure": sure,
            "min_grade": given["min_grade"],
        },
        metadata={**design.metadata, "strategy": str(cell)},
    )
    return workspace.build(stage, executor)


def cell_of(design: Artifact) -> BlockedCell:
    """Return the first cell of a design: the value that all its cells share."""
    from ...selection.base import STRATEGIES

    value = STRATEGIES.stored(design.parameters["design"])
    assert isinstance(value, BlockedCell), "a design is named by its first cell"
    return value


def _without(parameters: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key not in names}


class CellReader:
    """The worker: copies the groups of one cell out of the blocks of a range of queries."""

    def __init__(self, design: str, pool: str, near: int, sure: int, min_grade: int):
        self.design, self.near, self.sure = open_artifact(design), near, sure
        self.min_grade = min_grade
        tables = open_artifact(pool).tables()
        self.query = np.concatenate([table["query"].to_numpy() for table in tables])

    def __call__(self, shard: Shard) -> Output:
        """Return the cell's groups of the queries of pool rows start…stop−1."""
        asked = self.query[shard.start : shard.stop]
        dropped = {
            reason: np.intersect1d(asked, queries).tolist()
            for reason, queries in self.design.dropped.items()
        }
        table = self.design.table(shard.number)
        mine = (table["near"].to_numpy() == self.near) & (table["sure"].to_numpy() == self.sure)
        mine &= np.isin(table["query"].to_numpy(), asked)
        groups = _arrays(table)[np.flatnonzero(mine)]
        return Output(
            groups_table(groups, self.min_grade),
            dropped=dropped,
            counts={"pairs": groups.doc.size},
            usage={"pairs_used": groups.doc.size},
        )


def _arrays(table: pa.Table) -> GroupArrays:
    """The groups of a design's table; the probability of a document is unknown: NaN."""
    size = table.schema.field("doc").type.list_size
    doc, score, grade = (
        list_values(table[name])[1].reshape(-1, size) for name in ("doc", "score", "grade")
    )
    first = np.ones((len(doc), size), np.float32)
    at = np.arange(size)[None, :] >= table["positives"].to_numpy()[:, None]
    return GroupArrays(
        table["query"].to_numpy(), doc, score, grade, np.where(at, np.float32("nan"), first)
    )
