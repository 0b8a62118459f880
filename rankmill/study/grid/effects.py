"""Main effects and interaction of the two declared factors, wherever all their cells were trained
alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from rankmill.study import words
from rankmill.study.grid.declared import Factor
from rankmill.study.grid.design import Cell, Study
from rankmill.study.grid.panels import Panel
from rankmill.training.bounded import mean_interval
from rankmill.training.factorial import FactorEffect, two_factors
from rankmill.training.significance import Interval


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects on one panel at one level of every other axis; none, with the `reason`, where
    they cannot be estimated. `means`: of the cells, by their levels of both factors."""

    domain: str
    others: Mapping[str, str]
    effects: tuple[FactorEffect, ...]
    reason: str | None = None
    means: Mapping[tuple[str, str], Interval] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return them as plain values."""
        effects = [
            {
                "factor": one.factor,
                "step": one.step,
                "interaction": one.interaction,
                "effect": one.difference.mean,
                **words.bounds(one.difference),
                "p": one.p,
                "p_holm": one.p_adjusted,
            }
            for one in self.effects
        ]
        return {"domain": self.domain, **self.others, "reason": self.reason, "effects": effects}


def effects_of(study: Study, panels: list[Panel]) -> Iterator[Effects]:
    """Yield the effects of the declared factors, panel by panel."""
    if not study.factors:
        return
    a, b = study.factors
    for panel in panels:
        for others, cells in _by_other_axes(panel, a, b).items():
            yield _effects(panel, dict(others), cells, a, b)


def _by_other_axes(
    panel: Panel, a: Factor, b: Factor
) -> dict[tuple[tuple[str, str], ...], list[Cell]]:
    """Return the cells that have a level of both factors, by their levels of the other axes."""
    made: dict[tuple[tuple[str, str], ...], list[Cell]] = {}
    for cell in panel.cells:
        if all(_level(factor, cell) is not None for factor in (a, b)):
            others = {k: v for k, v in cell.levels.items() if k not in (a.axis, b.axis)}
            made.setdefault(tuple(others.items()), []).append(cell)
    return made


def _level(factor: Factor, cell: Cell) -> str | None:
    own = cell.levels[factor.axis]
    return next((level for level, members in factor.levels.items() if own in members), None)


def _effects(
    panel: Panel, others: Mapping[str, str], cells: list[Cell], a: Factor, b: Factor
) -> Effects:
    placed: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        both = str(_level(a, cell)), str(_level(b, cell))
        placed.setdefault(both, []).append(cell)
    seeds = {panel.engine.trained[cell.number] for cell in cells}
    for pair in product(a.levels, b.levels):
        alike = placed.get(pair, [])
        if len(alike) != 1:
            said = "no cell" if not alike else f"{len(alike)} cells"
            reason = f"{a.name} {pair[0]} with {b.name} {pair[1]} has {said} judged alike"
            return Effects(panel.title, others, (), reason)
    if len(seeds) > 1:
        reason = f"cells have {min(seeds)} to {max(seeds)} seeds: some were stopped"
        return Effects(panel.title, others, (), reason)
    measure = panel.engine.study.measures[0]
    table = np.stack(
        [
            np.stack([panel.values(placed[one, other][0], measure) for other in b.levels])
            for one in a.levels
        ]
    )
    levels = list(a.levels), list(b.levels)
    effects = tuple(two_factors(table, (a.name, b.name), levels))
    means = {
        (one, other): mean_interval(table[i, j], measure)
        for i, one in enumerate(levels[0])
        for j, other in enumerate(levels[1])
    }
    return Effects(panel.title, others, effects, means=means)
