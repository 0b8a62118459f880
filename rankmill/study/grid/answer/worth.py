"""Gain per cost: what every cell gains over a baseline for each unit that it costs, the frontier of
cells that no other beats for less, and what each step along it adds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rankmill.study.grid.answer.amounts import Amount, Unit
from rankmill.study.grid.design import Cell
from rankmill.study.grid.panels import Panel
from rankmill.study.results import Role
from rankmill.training.ratio import ratio_interval
from rankmill.training.significance import Interval, holm, paired_t, t_interval

if TYPE_CHECKING:
    from rankmill.training.comparison import Comparison

NOTABLE = 0.05
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Worth:
    """What a cell gains over a baseline (`role`) on one panel, for what one student of it costs
    alone in one unit.

    `gained`: tested in the family of all cells against both baselines. `rate`: gain per unit; it
    holds 0 exactly when the gain's own interval does. `front`: no cell gains more for less or the
    same cost, by the means.
    """

    cell: Cell
    role: Role
    unit: Unit
    cost: float
    gained: Comparison
    rate: Interval
    front: bool

    @property
    def told_apart(self) -> bool:
        """Whether the gain is told apart from none, after Holm."""
        return self.gained.p_adjusted < NOTABLE

    @property
    def verdict(self) -> str:
        """What the test says of the gain."""
        if not self.told_apart:
            return "not distinguishable from no gain"
        return "gains" if self.gained.difference.mean > 0 else "loses"


@dataclass(frozen=True, slots=True)
class Step:
    """A step along the frontier, from a cell (None: from doing without) to the next dearer one.

    `gained`: their paired difference; `p_adjusted`: its p value after Holm; `rate`: what is gained
    more per unit that is paid more.
    """

    role: Role
    unit: Unit
    before: Cell | None
    after: Cell
    cost: float
    gained: Interval
    p_adjusted: float
    rate: Interval

    @property
    def told_apart(self) -> bool:
        """Whether the step is told apart from none, after Holm."""
        return self.p_adjusted < NOTABLE

    @property
    def verdict(self) -> str:
        """What the test says of the step."""
        if not self.told_apart:
            return "not distinguishable"
        return "more is gained" if self.gained.mean > 0 else "less is gained"


def front_of(costs: Mapping[Key, float], gains: Mapping[Key, float]) -> list[Key]:
    """Return, cheapest first, those that gain more than all that cost less or the same."""
    kept: list[Key] = []
    for key in sorted(costs, key=lambda one: (costs[one], -gains[one])):
        if not kept or gains[key] > gains[kept[-1]]:
            kept.append(key)
    return kept


def worths_of(
    panel: Panel,
    role: Role,
    unit: Unit,
    gains: Mapping[int, np.ndarray],
    by_seed: Mapping[int, Sequence[Amount]],
) -> list[Worth]:
    """Return every cell of a panel that has the baseline, cheapest first; by cell `gains` over it,
    [seeds, queries], and what each student costs."""
    cells = [cell for cell in panel.cells if cell.number in gains]
    spent = {cell.number: _costs(unit, by_seed[cell.number]) for cell in cells}
    costs = {number: float(cost.mean()) for number, cost in spent.items()}
    gained = {cell.number: panel.against[cell.number][role] for cell in cells}
    means = {number: compared.difference.mean for number, compared in gained.items()}
    front = front_of(costs, means)
    return [
        Worth(
            cell,
            role,
            unit,
            costs[cell.number],
            gained[cell.number],
            ratio_interval(gains[cell.number], spent[cell.number]),
            cell.number in front,
        )
        for cell in sorted(cells, key=lambda c: (costs[c.number], -means[c.number]))
    ]


def steps_of(
    worths: Sequence[Worth],
    gains: Mapping[int, np.ndarray],
    by_seed: Mapping[int, Sequence[Amount]],
) -> Iterator[Step]:
    """Yield the steps along a frontier, the first from doing without; cells are paired over the
    seeds that both have.

    Which cells stand on the frontier the same values say, so each might have stood beside any
    other: p values are adjusted over all pairs of cells, and of cells with doing without.
    """
    front = [one for one in worths if one.front]
    p_values = _all_pairs([one.cell.number for one in worths], gains)
    for place, one in enumerate(front):
        before = front[place - 1].cell if place else None
        number = None if before is None else before.number
        table = _difference(gains, one.cell.number, number)
        cost = _costs(one.unit, by_seed[one.cell.number])[: len(table)]
        if number is not None:
            cost = cost - _costs(one.unit, by_seed[number])[: len(table)]
        yield Step(
            one.role,
            one.unit,
            before,
            one.cell,
            float(cost.mean()),
            t_interval(table),
            p_values[frozenset((one.cell.number, number))],
            _rate(table, cost),
        )


def _all_pairs(
    cells: Sequence[int], gains: Mapping[int, np.ndarray]
) -> dict[frozenset[int | None], float]:
    """Return by pair of cells (None: doing without) the p value of the paired t-test after Holm."""
    pairs: list[tuple[int | None, int]] = [(None, cell) for cell in cells]
    pairs += combinations(cells, 2)
    raw = [paired_t(_difference(gains, after, before)) for before, after in pairs]
    return {frozenset(pair): p for pair, p in zip(pairs, holm(raw), strict=True)}


def _difference(gains: Mapping[int, np.ndarray], after: int, before: int | None) -> np.ndarray:
    """Return what one cell gains more than another (None: than doing without), over the seeds that
    both have."""
    if before is None:
        return gains[after]
    seeds = min(len(gains[after]), len(gains[before]))
    return gains[after][:seeds] - gains[before][:seeds]


def _rate(table: np.ndarray, cost: np.ndarray) -> Interval:
    """Return the rate of a step; where seeds were left out, the costs of the rest may be equal."""
    if cost.mean() > 0:
        return ratio_interval(table, cost)
    return Interval(float("nan"), None, None, reason="on the seeds that both have it costs no more")


def _costs(unit: Unit, amounts: Sequence[Amount]) -> np.ndarray:
    """Return what each seed's student costs, float64 [seeds]."""
    values = [value for one in amounts if (value := unit.of(one)) is not None]
    assert len(values) == len(amounts)
    return np.asarray(values, np.float64)
