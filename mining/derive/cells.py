"""Cells of locality × entropy, cut from groups: equal in all that can be counted.

The reference never crosses the two factors, so its comparisons of one may be effects of the other.
Here the groups of one data set are cut at the quantiles of both statistics into bins × bins cells;
then every cell is drawn down to the same number of groups, each of another query, with the same
numbers of positives. So all cells hold equal groups, equal documents seen, equal distinct (query,
document) pairs and equal positives.

What they do not hold equal is the queries: a query has hardly ever a group in every cell, so what
distinguishes two cells may be how hard their queries are. Designs in which every query stands in
every cell are made from the pool: see `blocks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..actors import INLINE, Execution
from ..collection.rows import Queries
from ..draws import key_of
from ..errors import UsageError
from ..groups.format import Groups
from ..options import Option
from ..parts.parameters import ENTROPY, LEVELS, LOCALITY, NEAR, SURE
from ..statistics import STATISTICS
from ..store import Artifact, Workspace
from .cuts import CUTS, Measured, cut_groups


@CUTS.register("cell")
@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: `near` counts locality bins from the nearest, `sure` entropy bins from the lowest.

    Both are 0 … bins − 1. Bins are cut at quantiles over the rows in which both statistics are
    defined; a value on an edge belongs to the bin below. Draws are keyed by (seed, query).
    """

    near: Annotated[int, NEAR]
    sure: Annotated[int, SURE]
    locality: Annotated[str, LOCALITY] = "radius"
    entropy: Annotated[str, ENTROPY] = "pair_entropy"
    bins: Annotated[int, LEVELS] = 2
    seed: Annotated[int, Option("Seed of the draws.")] = 0

    def __post_init__(self) -> None:
        for name in ("locality", "entropy"):
            text = STATISTICS.text(STATISTICS.parse(getattr(self, name)))
            object.__setattr__(self, name, text)
        if self.bins < 2:
            raise UsageError(f"bins={self.bins} makes no cells", do="give 2 or more")
        if not (0 <= self.near < self.bins and 0 <= self.sure < self.bins):
            raise UsageError(
                f"near={self.near},sure={self.sure} is no cell of {self.bins} × {self.bins}",
                do=f"count from 0 to {self.bins - 1}",
            )

    def reads(self) -> tuple[str, ...]:
        """Return the statistics of rows and columns."""
        return self.locality, self.entropy

    def renamed(self, change: Callable[[str], str]) -> Cell:
        """Return the cell of two other statistics."""
        return replace(self, locality=change(self.locality), entropy=change(self.entropy))

    def kept(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Cut, then draw every cell down to what the smallest has of each kind of group."""
        values = [measured.column(name) for name in (self.locality, self.entropy)]
        defined = np.isfinite(values[0]) & np.isfinite(values[1])
        kept = np.zeros(len(defined), dtype=bool)
        if not defined.any():
            return kept, defined
        binned = [_bins(v[defined], self.bins) for v in values]
        cell = binned[0] * self.bins + binned[1]
        groups = Groups(measured.groups)
        counts = [groups.positive(part).sum(axis=1) for part in groups.parts()]
        positives = np.concatenate(counts)[defined]
        query = measured.table["query"].to_numpy()[defined]
        lot = _lots(measured.groups, query, self.seed)
        rows = _drawn(cell, query, positives, self.bins**2, lot)
        mine = rows[cell[rows] == self.near * self.bins + self.sure]
        kept[np.flatnonzero(defined)[mine]] = True
        return kept, defined


def _bins(values: np.ndarray, bins: int) -> np.ndarray:
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return np.searchsorted(edges, values, side="left")


def _drawn(
    cell: np.ndarray, query: np.ndarray, positives: np.ndarray, cells: int, lot: np.ndarray
) -> np.ndarray:
    """Return the rows of all cells after drawing: one per query and cell, equal in every cell."""
    order = np.argsort(lot, kind="stable")
    _, first = np.unique(query[order].astype(np.int64) * cells + cell[order], return_index=True)
    order = order[np.sort(first)]
    chosen: list[np.ndarray] = [np.empty(0, np.int64)]
    for kind in np.unique(positives):
        alike = [order[(positives[order] == kind) & (cell[order] == c)] for c in range(cells)]
        fewest = min(len(rows) for rows in alike)
        chosen += [rows[:fewest] for rows in alike]
    return np.concatenate(chosen)


def _lots(groups: Artifact, query: np.ndarray, seed: int) -> np.ndarray:
    """Return a lot (uint64) per row that depends on the seed, the query's id, and which of
    the query's groups it is."""
    names = [str(q) for q in query.tolist()]
    if "queries" in groups.inputs:
        names = Queries(groups.input("queries")).query_ids(query)
    count: dict[str, int] = {}
    lots = np.empty(len(names), np.uint64)
    for row, name in enumerate(names):
        count[name] = count.get(name, -1) + 1
        lots[row] = key_of(seed, "cells", f"{name}\x00{count[name]}")
    return lots


def crossed_cells(
    workspace: Workspace,
    groups: Artifact | str,
    statistics: Artifact | str,
    *,
    locality: str = "radius",
    entropy: str = "pair_entropy",
    bins: int = 2,
    seed: int = 0,
    executor: Execution = INLINE,
) -> dict[tuple[int, int], Artifact]:
    """Return all cells of the design as groups, by (locality bin, entropy bin), 0 = near, sure.

    Raises BadInput where a cell is empty: then the two statistics do not cross in these groups.
    """
    return {
        (near, sure): cut_groups(
            workspace,
            groups,
            statistics,
            Cell(near, sure, locality, entropy, bins, seed),
            executor=executor,
        )
        for near in range(bins)
        for sure in range(bins)
    }
