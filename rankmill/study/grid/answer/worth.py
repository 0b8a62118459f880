"""Gain per cost: what every cell gains over a baseline for each unit that it costs, the frontier of
cells that no other beats for less, and what each step along it adds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rankmill.study.grid.answer.amounts import Amount, Unit
from rankmill.study.grid.design import Cell
from rankmill.study.grid.panels import Panel
from rankmill.study.results import Role
from rankmill.training.ratio import ratio_interval

if TYPE_CHECKING:
    from rankmill.training.comparison import Comparison
    from rankmill.training.significance import Interval

NOTABLE = 0.05
_WITHOUT = "without"
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

    `gained`: their paired difference, tested in the family of the frontier's steps; `rate`: what is
    gained more per unit that is paid more.
    """

    role: Role
    unit: Unit
    before: Cell | None
    after: Cell
    cost: float
    gained: Comparison
    rate: Interval

    @property
    def told_apart(self) -> bool:
        """Whether the step is told apart from none, after Holm."""
        return self.gained.p_adjusted < NOTABLE

    @property
    def verdict(self) -> str:
        """What the test says of the step."""
        if not self.told_apart:
            return "not distinguishable"
        return "more is gained" if self.gained.difference.mean > 0 else "less is gained"


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
    panel: Panel,
    worths: Sequence[Worth],
    gains: Mapping[int, np.ndarray],
    by_seed: Mapping[int, Sequence[Amount]],
) -> Iterator[Step]:
    """Yield the steps along a frontier, the first from doing without; cells are paired over the
    seeds that both have."""
    front = [one for one in worths if one.front]
    if not front:
        return
    role, unit = front[0].role, front[0].unit
    systems, pairs, tables = {}, [], []
    spent_on = {one.cell.number: _costs(unit, by_seed[one.cell.number]) for one in front}
    for place, one in enumerate(front):
        after, cost = gains[one.cell.number], spent_on[one.cell.number]
        before, less = np.zeros_like(after), np.zeros_like(cost)
        if place:
            number = front[place - 1].cell.number
            before, less = gains[number], spent_on[number]
        seeds = min(len(after), len(before))
        name = f"{one.cell.number}"
        systems |= {name: after[:seeds], f"{_WITHOUT} {name}": before[:seeds]}
        pairs.append((name, f"{_WITHOUT} {name}"))
        tables.append((after[:seeds] - before[:seeds], cost[:seeds] - less[:seeds]))
    compared = panel.compared(systems, pairs)
    for place, (one, (table, cost)) in enumerate(zip(front, tables, strict=True)):
        yield Step(
            role,
            unit,
            front[place - 1].cell if place else None,
            one.cell,
            float(cost.mean()),
            compared[place],
            _rate(table, cost),
        )


def _rate(table: np.ndarray, cost: np.ndarray) -> Interval:
    """Return the rate of a step; where seeds were left out, the costs of the rest may be equal."""
    from rankmill.training.significance import Interval

    if cost.mean() > 0:
        return ratio_interval(table, cost)
    return Interval(float("nan"), None, None, reason="on the seeds that both have it costs no more")


def _costs(unit: Unit, amounts: Sequence[Amount]) -> np.ndarray:
    """Return what each seed's student costs, float64 [seeds]."""
    values = [value for one in amounts if (value := unit.of(one)) is not None]
    assert len(values) == len(amounts)
    return np.asarray(values, np.float64)
