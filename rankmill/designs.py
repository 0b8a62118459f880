"""Blocked designs: how `cross` and cells by their text are made, and what a design achieved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.parts.told import Findings
from rankmill.mining.store import Artifact

if TYPE_CHECKING:
    from rankmill.mining.derive.blocks import BlockedCell
    from rankmill.stages import Cross, Select

Cells = Mapping[tuple[int, int], Artifact]
OF_CELLS = ("locality", "entropy", "bins", "span", "tolerance")
STEPS = ("locality_step", "entropy_step", "steps")


def cross(request: Cross) -> dict[tuple[int, int], Artifact]:
    """Cross locality with entropy within every query: one group of each query in each cell.

    Blocks (a query's groups in all cells) are kept whole or dropped whole with a reason. The keys
    count levels from the nearest and from the lowest entropy.
    """
    from rankmill.mining.derive.blocks import BlockedCell, groups_of_cell
    from rankmill.mining.statistics.measure import default_statistics

    chosen = request.entropy or default_statistics(request.scores.metadata["kind"])[0]
    levels: dict[str, Any] = {name: getattr(request, name) for name in (*OF_CELLS, *STEPS)}
    levels["entropy"] = chosen
    first, workspace = BlockedCell(0, 0, **levels), request.pool.workspace
    design = _design(request, first, **request.given("encoder", "self", *levels))
    return {
        place: groups_of_cell(workspace, design, *place, executor=request.where)
        for place in first.cells
    }


def cell_of(strategy: str) -> BlockedCell | None:
    """Return the cell that a strategy's text means, `blocked_cell(near=0,sure=1)`; None for others.

    Its design is made, or found: all cells of one design share it.
    """
    from rankmill.mining.selection import STRATEGIES

    value = STRATEGIES.parse(strategy)
    return value if value.canonical_name == "blocked_cell" else None


def groups_of_cell(request: Select, cell: BlockedCell) -> Artifact:
    """Return the groups of one cell; its design is made, or found."""
    from rankmill.mining.derive import blocks
    from rankmill.mining.errors import UsageError

    if request.encoder is None:
        raise UsageError(f"{cell} needs vectors", do="name an encoder for locality")
    design = _design(request, cell, **request.given("strategy", "encoder", "when_short", "self"))
    return blocks.groups_of_cell(
        request.pool.workspace, design, cell.near, cell.sure, executor=request.where
    )


def _design(request: Cross | Select, cell: BlockedCell, **given: Any) -> Artifact:
    from rankmill.about import collection_of, split_of, vectors_of
    from rankmill.mining.derive.blocks import cross_cells

    pool, encoder = request.pool, str(request.encoder)
    return cross_cells(
        pool.workspace,
        cell,
        vectors=vectors_of(encoder, pool, request.where)["vectors"],
        collection=collection_of(pool),
        split=split_of(pool),
        self_rule=request.self,
        **given,
        executor=request.where,
    )


def name_cells(cells: Cells, name: str) -> None:
    """Give cells the aliases `name-near0-sure0` and so on."""
    for (near, sure), artifact in cells.items():
        artifact.workspace.alias(f"{name}-near{near}-sure{sure}", artifact)


def unblocked(cells: Cells, *, executor: Execution = INLINE) -> dict[tuple[int, int], Artifact]:
    """Return what `cells` makes of the same pool: a uniform draw per query, cut into cells.

    Same size, seed, filters and positives as the blocked design; each query lands in one cell at
    most. Raises BadInput where a cell stays empty, NothingMade where there is no group to cut.
    """
    from rankmill.about import collection_of
    from rankmill.mining.derive import crossed_cells
    from rankmill.mining.derive.blocks.design import cell_of
    from rankmill.mining.selection import select_groups
    from rankmill.mining.statistics import measure_groups

    design = design_of(cells)
    given, cell, workspace = design.parameters, cell_of(design), design.workspace
    names = ("size", "seed", "filters", "positives", "min_grade", "missing", "split")
    drawn = select_groups(
        workspace,
        "shell(near=0,far=1)",
        design.input("pool"),
        design.input("scores"),
        collection=collection_of(design.input("pool")),
        vectors=design.input("vectors"),
        copies=given.get("copies", "exact"),
        self_rule=given.get("self_rule", "keep"),
        executor=executor,
        **{name: given[name] for name in names},
    )
    measured = measure_groups(
        workspace,
        drawn,
        [cell.locality, cell.entropy],
        vectors=design.input("vectors"),
        executor=executor,
    )
    return crossed_cells(
        workspace,
        drawn,
        measured,
        locality=cell.locality,
        entropy=cell.entropy,
        bins=cell.bins,
        seed=given["seed"],
        executor=executor,
    )


def orthogonality(cells: Cells, against: Cells | None = None) -> dict[str, Any]:
    """Say how far the factors are orthogonal in a blocked design, and what other cells confound.

    The result of `mining.selection.blocks.orthogonality`, and under `confounding` how much the
    difficulty of the queries differs between the cells; under `against` the same of other cells.
    """
    from rankmill.mining.derive import blocks

    design = design_of(cells)
    pool, scores, qrels = (design.input(role) for role in ("pool", "scores", "qrels"))
    query, hard = blocks.difficulty(pool, scores, qrels, design.parameters["min_grade"])
    if against is not None:
        _refuse_no_cells(against)
    summary = blocks.orthogonality(design)
    summary["confounding"] = blocks.confounding(cells, query, hard)
    if against is not None:
        summary["against"] = blocks.confounding(against, query, hard)
    return Findings(summary)


def _refuse_no_cells(against: Cells) -> None:
    from rankmill.mining.errors import UsageError
    from rankmill.mining.inputs.bounds.guards import brief

    of = against.values() if isinstance(against, Mapping) else ()
    if not of or not all(isinstance(one, Artifact) for one in of):
        raise UsageError(
            f"against={brief(against)} are no cells",
            do="give what rm.cells or rm.cross returned",
        )


def queries_in_all(cells: Cells) -> tuple[int, int]:
    """Return how many queries have a group in every cell, and how many in any."""
    import numpy as np

    from rankmill.mining.derive.blocks import confounding

    compared = confounding(cells, np.empty(0, np.uint32), {})
    return compared["queries_in_all_cells"], compared["queries"]


def design_of(cells: Cells) -> Artifact:
    """Return the design that all cells were read from.

    Raises BadInput for cells that have none.
    """
    from rankmill.mining.errors import BadInput, UsageError
    from rankmill.mining.inputs.bounds.guards import brief

    made = list(cells.values()) if isinstance(cells, Mapping) else []
    if not made or not all(isinstance(one, Artifact) for one in made):
        raise UsageError(
            f"cells={brief(cells)} are no cells of a blocked design",
            do="give what rm.cross returned",
        )
    first = made[0]
    if "design" not in first.inputs:
        raise BadInput(
            "these groups are no cells of a blocked design",
            where=first.path,
            do="make some with rm.cross, or `rankmill cross`",
        )
    return first.input("design")
