"""Claims about cells whose values are given: what the tests of claims judge."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from rankmill.study.grid.claims.verdicts import Claims
from rankmill.study.grid.design import Cell
from rankmill.study.grid.hypotheses import hypotheses_of
from rankmill.study.grid.panels import Panel


class Given(Panel):
    """A panel whose cells have given values [seeds, queries]."""

    table: Mapping[int, np.ndarray]
    kind = "in-domain"

    def values(self, cell: Cell, measure: str) -> np.ndarray:
        return self.table[cell.number]

    @property
    def title(self) -> str:
        return self.domain


def judged(claims: str, *sets: Mapping[str, np.ndarray], elsewhere: int = 0) -> list[Any]:
    """Return the verdicts on claims about samplers, from values by sampler on one or more sets;
    `elsewhere`: how many claims other parts of the study judge."""
    names = list(sets[0])
    cells = [Cell(n, 0, s, "kl", {"sampler": s, "loss": "kl"}) for n, s in enumerate(names)]
    levels = [{k: [v] for k, v in cell.levels.items()} for cell in cells]
    declared = hypotheses_of(tomllib.loads(claims), levels, {}, 0.02, "t.toml")
    options = {"alpha": 0.05}
    recipe = SimpleNamespace(option=lambda section, name: options[name])
    study = SimpleNamespace(
        name="s",
        cells=cells,
        measures=["nDCG@10"],
        hypotheses=declared,
        elsewhere=range(elsewhere),
        variants=[SimpleNamespace(recipe=recipe)],
    )
    engine: Any = SimpleNamespace(
        study=study, trained={c.number: len(sets[0][c.sampler]) for c in cells}
    )
    panels = []
    for place, values in enumerate(sets):
        panel = Given(engine, f"set{place}", tuple(cells))
        object.__setattr__(panel, "table", {c.number: values[c.sampler] for c in cells})
        panels.append(panel)
    return Claims(engine, panels).verdicts


def values(seed: int, *means: float, queries: int = 200, spread: float = 0.03) -> list[np.ndarray]:
    """Return [3 seeds, queries] for every mean: the same queries."""
    random = np.random.Generator(np.random.PCG64(seed))
    query = random.normal(0.4, 0.2, queries)
    return [query + m + random.normal(0, spread, (3, queries)) for m in means]


def one(expect: str, extra: str = "") -> str:
    return f"""
[c]
claim = "c"
expect = "{expect}"
a = {{ sampler = "a" }}
b = {{ sampler = "b" }}
{extra}"""
