"""What a study claims of its cells, against slow and obvious versions and by simulation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rankmill.study.costs.gains import groups_needed
from rankmill.study.grid.answer.cell_gain import CellGain
from rankmill.study.grid.design import Cell
from rankmill.study.grid.panels import Panel

OPTIONS = {"margin": None, "alpha": 0.05, "draws": 1}


class Judged(Panel):
    """A panel whose cells have given values [seeds, queries]."""

    table: Mapping[int, np.ndarray]

    def values(self, cell: Cell, measure: str) -> np.ndarray:
        return self.table[cell.number]


def panel_of(table: Mapping[int, np.ndarray]) -> Judged:
    """Return a panel of cells with given values; trained as long as there are."""
    recipe = SimpleNamespace(option=lambda section, name: OPTIONS[name], seed=0)
    engine: Any = SimpleNamespace(
        study=SimpleNamespace(measures=["nDCG@10"]),
        trained={number: len(values) for number, values in table.items()},
        tracks=[SimpleNamespace(recipe=recipe)],
    )
    cells = tuple(Cell(n, 0, f"s{n}", "kl", {"sampler": f"s{n}"}) for n in table)
    panel = Judged(engine, "test", cells)
    object.__setattr__(panel, "table", table)
    return panel


def holm_slowly(p: Mapping[frozenset[int], float]) -> dict[frozenset[int], float]:
    """Holm (1979), as it is written: the smallest times their number, the next times one less …"""
    adjusted, most = {}, 0.0
    for place, (pair, value) in enumerate(sorted(p.items(), key=lambda one: one[1])):
        most = max(most, min(1.0, value * (len(p) - place)))
        adjusted[pair] = most
    return adjusted


def test_differences_from_the_best_are_adjusted_over_all_pairs() -> None:
    random = np.random.Generator(np.random.PCG64(3))
    query = random.normal(0, 0.2, 60)
    table = {n: (query + random.normal(0.01 * n, 0.07, 60))[None] for n in range(6)}
    panel = panel_of(table)
    p = {
        frozenset(pair): stats.ttest_rel(*(table[n][0] for n in pair)).pvalue
        for pair in combinations(table, 2)
    }
    adjusted = holm_slowly(p)
    best = max(table, key=lambda n: table[n].mean())
    assert panel.best.number == best
    assert panel.below_best.keys() == table.keys() - {best}
    for number, compared in panel.below_best.items():
        assert compared.p_t == pytest.approx(p[frozenset((number, best))])
        assert compared.p_adjusted == pytest.approx(adjusted[frozenset((number, best))])
        assert compared.difference.mean == pytest.approx((table[number] - table[best]).mean())


def test_cells_that_are_all_alike_are_seldom_told_apart() -> None:
    """The best is named by the values that judge it: 8 equal cells, an error of 5 % at most."""
    random, wrong, studies = np.random.Generator(np.random.PCG64(1)), 0, 300
    for _ in range(studies):
        query = random.normal(0, 0.2, 50)
        panel = panel_of({n: (query + random.normal(0, 0.07, 50))[None] for n in range(8)})
        wrong += any(one.p_adjusted < 0.05 for one in panel.below_best.values())
    assert wrong / studies <= 0.05 + 2 * (0.05 * 0.95 / studies) ** 0.5


def test_a_cell_that_was_stopped_is_compared_over_the_seeds_that_both_have() -> None:
    random = np.random.Generator(np.random.PCG64(5))
    values = {n: random.normal(0.1 * n, 0.1, (3 if n else 2, 40)) for n in range(3)}
    panel = panel_of(values)
    assert panel.best.number == 2
    assert panel.below_best[0].seeds == 2
    assert panel.below_best[1].seeds == 3
    assert panel.below_best[0].difference.mean == pytest.approx((values[0] - values[2][:2]).mean())


def test_a_stopped_cell_that_stands_above_the_best_is_not_called_below_it() -> None:
    """It was stopped on a development split; on this one it is better over the seeds it has."""
    random = np.random.Generator(np.random.PCG64(7))
    query = random.normal(0.4, 0.1, 80)
    values = {n: query + random.normal(0, 0.01, (2 + (n > 0), 80)) for n in range(3)}
    values[0] += 0.2
    values[1] -= 0.2
    panel = panel_of(values)
    nothing: Any = None
    said = {
        cell.number: CellGain(
            cell, "test", nothing, nothing, panel.below_best.get(cell.number), front=False
        ).verdict
        for cell in panel.cells
    }
    assert said == {0: "above the best over the seeds of both", 1: "below the best", 2: "best"}


class Made(SimpleNamespace):
    """An artifact made of others."""

    def input(self, role: str) -> Made:
        made: Made = self.of[role]
        return made

    @property
    def inputs(self) -> dict[str, str]:
        return {role: one.fingerprint for role, one in self.of.items()}


def made(name: str, **of: Made) -> Made:
    return Made(fingerprint=name, kind=name.partition(" ")[0], of=of, path=Path(name))


def test_groups_cost_what_a_student_is_trained_on_took_from_the_pool_on() -> None:
    """Before a cut there were groups and their statistics; a target made other groups of them; of
    groups drawn for one of two seeds a student needs half."""
    index = made("index")
    pool = made("pool", run=made("run", index=index))
    scores = made("scores", pool=pool)
    given = {"pool": pool, "scores": scores}
    whole = made("groups whole", **given, vectors=made("vectors", tokens=made("tokens")))
    measured = made("statistics", groups=whole)
    cut = made("groups cut", groups=whole, statistics=measured)
    other = made("groups other", groups=cut)
    drawn: Any = [cut, other]
    given_: Any = [pool, scores]
    found = {one.fingerprint: part for one, part in groups_needed(drawn, given_)}
    assert found == {
        "tokens": 1.0,
        "groups whole": 1.0,
        "vectors": 1.0,
        "statistics": 1.0,
        "groups cut": 1.0,
        "groups other": 0.5,
    }
