"""The verbs of blocked designs: make them, and say what they achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.store import Artifact

if TYPE_CHECKING:
    from rankmill.mining.derive.blocks import BlockedCell

Cells = Mapping[tuple[int, int], Artifact]


def cross(
    pool: Artifact,
    scores: Artifact,
    *,
    encoder: str,
    locality: str = "radius",
    entropy: str | None = None,
    bins: int = 2,
    size: int = 16,
    seed: int = 0,
    filters: Sequence[str] = (),
    positives: str = "first",
    min_grade: int | None = None,
    missing: str = "error",
    name: str | None = None,
    executor: Execution = INLINE,
    **levels: Any,
) -> dict[tuple[int, int], Artifact]:
    """Cross locality with entropy within every query: one group of each query in each cell.

    Blocks (a query's groups in all cells) are kept whole or dropped whole with a reason. The keys
    count levels from the nearest and from the lowest entropy; `name` becomes `name-near0-sure0` and
    so on, and `name` itself the design. `locality`: radius, radius(of=max) or diameter; `entropy`:
    a pair_entropy, by default the first that `stats` would measure. `levels`: `span`, `tolerance`,
    `locality_step`, `entropy_step`, `steps` of `blocked_cell`.
    """
    from rankmill.mining.derive.blocks import BlockedCell, groups_of_cell
    from rankmill.mining.statistics.measure import default_statistics

    chosen = entropy or default_statistics(scores.metadata["kind"])[0]
    first = BlockedCell(0, 0, locality=locality, entropy=chosen, bins=bins, **levels)
    design = _design(
        first,
        pool,
        scores,
        encoder,
        size=size,
        seed=seed,
        filters=filters,
        positives=positives,
        min_grade=min_grade,
        missing=missing,
        executor=executor,
    )
    made = {
        place: groups_of_cell(pool.workspace, design, *place, executor=executor)
        for place in first.cells
    }
    for (near, sure), artifact in made.items() if name else ():
        pool.workspace.alias(f"{name}-near{near}-sure{sure}", artifact)
    if name:
        pool.workspace.alias(name, design)
    return made


def cell_named(
    text: str,
    pool: Artifact,
    scores: Artifact,
    *,
    encoder: str | None,
    name: str | None = None,
    executor: Execution = INLINE,
    **request: Any,
) -> Artifact:
    """Return the groups of one cell by its text, `blocked_cell(near=0,sure=1)`: of a recipe, say.

    Its design is made, or found: all cells of a recipe share it.
    """
    from rankmill.mining.derive.blocks import groups_of_cell
    from rankmill.mining.errors import UsageError
    from rankmill.mining.selection import STRATEGIES

    cell = STRATEGIES.parse(text)
    if encoder is None:
        raise UsageError(f"{cell} needs vectors", do="name an encoder for locality")
    design = _design(cell, pool, scores, encoder, executor=executor, **request)
    made = groups_of_cell(pool.workspace, design, cell.near, cell.sure, executor=executor)
    if name:
        pool.workspace.alias(name, made)
    return made


def is_cell(text: str) -> bool:
    """Say whether a strategy is a cell of a blocked design."""
    from rankmill.mining.derive.blocks import BlockedCell
    from rankmill.mining.selection import STRATEGIES

    return isinstance(STRATEGIES.parse(text), BlockedCell)


def _design(
    cell: BlockedCell,
    pool: Artifact,
    scores: Artifact,
    encoder: str,
    *,
    executor: Execution,
    **request: Any,
) -> Artifact:
    from rankmill import api
    from rankmill.mining.derive.blocks import cross_cells

    return cross_cells(
        pool.workspace,
        cell,
        pool,
        scores,
        api.vectors_of(encoder, pool, executor)["vectors"],
        collection=api.collection_of(pool),
        split=api.split_of(pool),
        executor=executor,
        **request,
    )


def unblocked(cells: Cells, *, executor: Execution = INLINE) -> dict[tuple[int, int], Artifact]:
    """Return what `cells` makes of the same pool: a uniform draw per query, cut into cells.

    Same size, seed, filters and positives as the blocked design; each query lands in one cell at
    most. Raises BadInput where a cell stays empty.
    """
    from rankmill import api
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
        collection=api.collection_of(design.input("pool")),
        vectors=design.input("vectors"),
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
    found = blocks.orthogonality(design)
    found["confounding"] = blocks.confounding(cells, query, hard)
    if against is not None:
        found["against"] = blocks.confounding(against, query, hard)
    return found


def queries_in_all(cells: Cells) -> tuple[int, int]:
    """Return how many queries have a group in every cell, and how many in any."""
    import numpy as np

    from rankmill.mining.derive.blocks import confounding

    found = confounding(cells, np.empty(0, np.uint32), {})
    return found["queries_in_all_cells"], found["queries"]


def design_of(cells: Cells) -> Artifact:
    """Return the design that all cells were read from.

    Raises BadInput for cells that have none.
    """
    from rankmill.mining.errors import BadInput

    first = next(iter(cells.values()))
    if "design" not in first.inputs:
        raise BadInput(
            "these groups are no cells of a blocked design",
            where=first.path,
            do="make some with rm.cross, or `rankmill cross`",
        )
    return first.input("design")
