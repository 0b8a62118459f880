"""Cuts: which queries stay in a data set, by a statistic of their groups. Named by what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..errors import BadInput, UsageError
from ..groups.derived import build_derived, first_rows
from ..groups.format import Groups, groups_table
from ..names import Family
from ..parts.costs import GROUPS
from ..parts.parameters import FENCES, OF_STATISTIC, QUANTILE
from ..statistics import STATISTICS
from ..store import Artifact, Output, Shard, Workspace, open_artifact

CUTS = Family(
    "cut",
    __package__,
    {
        ".cells": "cell",
        ".conditions": "where",
        ".cuts": "keep_above keep_below keep_inside_fences keep_outside_fences",
    },
    plural="cuts",
    costs=GROUPS,
)
_DEFAULT = "pair_entropy(T=1)"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cut looks at: the statistics of groups, row by row, and the groups."""

    table: pa.Table
    groups: Artifact
    where: Path

    def column(self, name: str) -> np.ndarray:
        """Return a statistic as float64, NaN where undefined; raises BadInput if not measured."""
        if name not in self.table.column_names[1:]:
            raise BadInput(
                f"{name} was not measured",
                where=self.where,
                do=f"measured: {', '.join(self.table.column_names[1:])}",
            )
        return self.table[name].to_numpy().astype(np.float64)


class Cut(Protocol):
    """Which groups are kept, judged by their statistics."""

    def reads(self) -> tuple[str, ...]:
        """Return the columns that it looks at."""
        ...

    def renamed(self, change: Callable[[str], str]) -> Cut:
        """Return the same cut with each column that it looks at under another name."""
        ...

    def kept(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Return (kept, defined), bool [rows] each; what is not defined is not kept."""
        ...


class _OfStatistic:
    """The column is a statistic; its text is made canonical, so equal cuts have one name."""

    __slots__ = ()
    of: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", STATISTICS.text(STATISTICS.parse(self.of)))

    def reads(self) -> tuple[str, ...]:
        """Return the statistic."""
        return (self.of,)

    def renamed(self, change: Callable[[str], str]) -> Self:
        """Return the cut by another statistic."""
        value: Any = self  # a dataclass: those that take this class
        renamed: Self = replace(value, of=change(self.of))
        return renamed

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Return bool [n] for float64 [n] without NaN."""
        raise AssertionError("every cut of one statistic says what it keeps")

    def kept(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Judge the defined rows; quantiles are taken over them only."""
        values = measured.column(self.of)
        defined = ~np.isnan(values)
        kept = np.zeros(len(values), dtype=bool)
        if defined.any():
            kept[defined] = self.keeps(values[defined])
        return kept, defined


@CUTS.register("keep_below")
@dataclass(frozen=True, slots=True)
class KeepBelow(_OfStatistic):
    """Keep what lies strictly below the q-quantile (linear rule): q = 0.75 keeps below Q3."""

    of: Annotated[str, OF_STATISTIC] = _DEFAULT
    q: Annotated[float, QUANTILE] = 0.5

    def __post_init__(self) -> None:
        _OfStatistic.__post_init__(self)
        _checked_share(self.q)

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Compare with the quantile of all values; ties with it are left out."""
        return values < np.quantile(values, self.q)


@CUTS.register("keep_above")
@dataclass(frozen=True, slots=True)
class KeepAbove(_OfStatistic):
    """Keep what lies strictly above the q-quantile: q = 0.25 keeps above Q1."""

    of: Annotated[str, OF_STATISTIC] = _DEFAULT
    q: Annotated[float, QUANTILE] = 0.5

    def __post_init__(self) -> None:
        _OfStatistic.__post_init__(self)
        _checked_share(self.q)

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Compare with the quantile of all values; ties with it are left out."""
        return values > np.quantile(values, self.q)


@CUTS.register("keep_inside_fences")
@dataclass(frozen=True, slots=True)
class KeepInsideFences(_OfStatistic):
    """Keep what lies within Tukey's fences, Q1 − k·IQR ≤ x ≤ Q3 + k·IQR: nearly everything."""

    of: Annotated[str, OF_STATISTIC] = _DEFAULT
    k: Annotated[float, FENCES] = 1.5

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Compare with both fences; values on a fence are inside."""
        low, high = fences(values, self.k)
        return (values >= low) & (values <= high)


@CUTS.register("keep_outside_fences")
@dataclass(frozen=True, slots=True)
class KeepOutsideFences(_OfStatistic):
    """Keep what lies beyond Tukey's fences: the outliers, often very few."""

    of: Annotated[str, OF_STATISTIC] = _DEFAULT
    k: Annotated[float, FENCES] = 1.5

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Compare with both fences; values on a fence are inside, so they are left out."""
        low, high = fences(values, self.k)
        return (values < low) | (values > high)


def _checked_share(q: float) -> None:
    if not 0.0 < q < 1.0:
        raise UsageError(f"q={q} is not a quantile to cut at", do="give a number between 0 and 1")


def fences(values: np.ndarray, k: float = 1.5) -> tuple[float, float]:
    """Return Tukey's fences of the values, with numpy's linear quartiles."""
    first, third = np.quantile(values, [0.25, 0.75])
    return float(first - k * (third - first)), float(third + k * (third - first))


def cut_groups(
    workspace: Workspace,
    groups: Artifact | str,
    statistics: Artifact | str,
    cut: str | Cut,
    *,
    executor: Execution = INLINE,
) -> Artifact:
    """Keep the groups that a cut keeps, judged by a column of their statistics.

    Queries without a kept group are dropped with the reason `cut`, or `undefined` where the
    statistic is null. Raises BadInput for statistics of other groups, a column that was not
    measured, and a cut that keeps nothing.
    """
    groups = workspace.find(groups, "groups")
    statistics = workspace.find(statistics, "statistics")
    value: Cut = CUTS.parse(cut)
    if statistics.inputs.get("groups") != groups.fingerprint:
        raise BadInput(
            "these statistics were measured on other groups",
            where=statistics.path,
            do="measure the groups that are to be cut",
        )
    kept, _ = kept_rows(statistics, value)
    if not kept.any():
        raise BadInput(f"{value} keeps none of {len(kept):,} groups", where=statistics.path)
    return build_derived(
        workspace,
        groups,
        parameters={"cut": str(value)},
        inputs={"statistics": statistics},
        worker=Cutter,
        options={
            "groups": str(groups.path),
            "statistics": str(statistics.path),
            "cut": str(value),
        },
        metadata={"cut": str(value)},
        executor=executor,
    )


def kept_rows(statistics: Artifact, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Return (kept, defined): bool [rows] each."""
    table = pa.concat_tables(statistics.tables())
    return cut.kept(Measured(table, statistics.input("groups"), statistics.path))


class Cutter:
    """The worker: copies the kept groups of a range of queries."""

    def __init__(self, groups: str, statistics: str, cut: str):
        artifact = open_artifact(Path(groups))
        self.groups, self.bounds = Groups(artifact, level=2), first_rows(artifact)
        self.kept, self.defined = kept_rows(open_artifact(Path(statistics)), CUTS.stored(cut))

    def __call__(self, shard: Shard) -> Output:
        """Return the kept groups of queries number start…stop−1."""
        start, stop = int(self.bounds[shard.start]), int(self.bounds[shard.stop])
        kept = np.flatnonzero(self.kept[start:stop])
        rows = self.groups.rows(start, stop)
        dropped: dict[str, list[int]] = {}
        for key in range(shard.start, shard.stop):
            mine = slice(int(self.bounds[key]), int(self.bounds[key + 1]))
            if not self.kept[mine].any():
                reason = "cut" if self.defined[mine].any() else "undefined"
                dropped.setdefault(reason, []).append(int(rows.query[mine.start - start]))
        table = groups_table(rows[kept], self.groups.min_grade)
        return Output(table, dropped=dropped, counts={"groups": len(kept)})
