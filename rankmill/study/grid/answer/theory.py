"""The order of a study's designs by the terms of Theorem 2.1, beside the order of their students.

A design is what decides about the groups: samplers, and axes that change groups (their size, the
collection that they are of). Designs are ordered within one level of every other axis, such as
student and loss, on every panel (training/ordering.py, docs/quantities.md §5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rankmill.mining.statistics.summaries.terms import measurable
from rankmill.study import words
from rankmill.study.grid.design import Cell
from rankmill.training.measures import parse_measures
from rankmill.training.ordering import order_designs
from rankmill.training.pair_risk import PairRisk

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.grid.engine import Engine
    from rankmill.study.grid.panels import Panel
    from rankmill.training.ordering import Terms


@dataclass(frozen=True, slots=True)
class Predicted:
    """The terms of designs by name, and how their order agrees with that of one panel's students at
    one level of every other axis (`others`)."""

    domain: str
    others: Mapping[str, str]
    terms: Terms

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; an infinite κ is "inf"."""
        terms = words.finite(asdict(self.terms))
        return {"domain": self.domain, "at": dict(self.others), **terms}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row per prediction and design; `agreement` is over all designs."""
        terms, at = self.terms, ", ".join(f"{k} {v}" for k, v in self.others.items())
        for kind, values in terms.predicted.items():
            agreed = (terms.agreement or {}).get(kind)
            for name, value in values.items():
                yield {
                    "domain": self.domain,
                    "at": at,
                    "measure": terms.measure,
                    "prediction": kind,
                    "design": name,
                    "term": value,
                    "rank": terms.orders[kind].index(name) + 1,
                    "observed": (terms.observed or {}).get(name),
                    "observed_rank": terms.orders["observed"].index(name) + 1,
                    "kendall": agreed and agreed.kendall,
                    "kendall_low": agreed and agreed.kendall_low,
                    "kendall_high": agreed and agreed.kendall_high,
                    "spearman": agreed and agreed.spearman,
                    "spearman_low": agreed and agreed.spearman_low,
                    "spearman_high": agreed and agreed.spearman_high,
                    "too_few": terms.too_few,
                }


def predicted_of(engine: Engine, panels: Sequence[Panel]) -> Iterator[Predicted]:
    """Yield the orders, panel by panel, for every measure that is a risk and for the first one;
    nothing where Δ or H were not measured, or a panel has one design. Blends stand in none."""
    for panel in panels:
        made = dict(_statistics(engine, panel.cells))
        columns = {measurable(one) for one in made.values()}
        if len(columns) != 1 or None in columns:
            continue
        ordered = [cell for cell in panel.cells if cell.number in made]
        axes = _design_axes(ordered, made)
        for others, cells in _by_other_axes(ordered, axes).items():
            designs = {_named(cell, axes): cell for cell in cells}
            if len(designs) > 1:
                for measure in _measures(engine):
                    terms = order_designs(
                        {name: made[cell.number] for name, cell in designs.items()},
                        {name: _evaluations(panel, cell) for name, cell in designs.items()},
                        measure=measure,
                        seed=engine.tracks[0].recipe.seed,
                    )
                    yield Predicted(panel.title, dict(others), terms)


def _statistics(engine: Engine, cells: Sequence[Cell]) -> Iterator[tuple[int, Artifact]]:
    """Yield the statistics of every cell's groups by its number; a blend has none of its own."""
    for cell in cells:
        statistics = engine.tracks[cell.variant].results.statistics
        if cell.sampler in statistics:
            yield cell.number, statistics[cell.sampler]


def _evaluations(panel: Panel, cell: Cell) -> list[Artifact]:
    return [judged.evaluation for judged in panel.judged(cell)]


def _measures(engine: Engine) -> Iterator[str]:
    """Yield the first measure, and the pair-wise risks that were measured."""
    measures = engine.study.measures
    yield measures[0]
    for name in measures[1:]:
        if isinstance(parse_measures(name)[0], PairRisk):
            yield name


def _design_axes(cells: Sequence[Cell], made: Mapping[int, Artifact]) -> list[str]:
    """Return the axes that change groups: two cells that differ in one of them alone have groups of
    other statistics."""
    axes = list(cells[0].levels)
    changing = []
    for axis in axes:
        by_others: dict[tuple[str, ...], set[str]] = {}
        for cell in cells:
            others = tuple(level for name, level in cell.levels.items() if name != axis)
            by_others.setdefault(others, set()).add(made[cell.number].fingerprint)
        if any(len(several) > 1 for several in by_others.values()):
            changing.append(axis)
    return changing


def _by_other_axes(
    cells: Sequence[Cell], axes: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], list[Cell]]:
    grouped: dict[tuple[tuple[str, str], ...], list[Cell]] = {}
    for cell in cells:
        others = tuple((k, v) for k, v in cell.levels.items() if k not in axes)
        grouped.setdefault(others, []).append(cell)
    return grouped


def _named(cell: Cell, axes: Sequence[str]) -> str:
    return ", ".join(cell.levels[axis] for axis in axes)
