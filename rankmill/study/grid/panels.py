"""Cells beside one another: on one domain, all judged by the same judgements, so query by query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from rankmill.mining.collection import Collection, shared_queries
from rankmill.mining.store import Artifact
from rankmill.study.grid.declared import for_choosing
from rankmill.study.grid.design import Cell
from rankmill.study.grid.engine import Engine
from rankmill.study.results import BM25, FIRST_STAGE, START, TEACHER, Judged, Role
from rankmill.training.comparison import Comparison, compare, shown
from rankmill.training.evaluation import Evaluation, mean_of_defined
from rankmill.training.significance import holm, paired_t


@dataclass(frozen=True)
class Panel:
    """The cells of a study that are judged by the same queries of one domain."""

    engine: Engine
    domain: str
    cells: tuple[Cell, ...]

    @cached_property
    def kind(self) -> str:
        """Training queries (some are, be the split called as it may), development, in-domain or
        out-of-domain."""
        held, split = self.judged_by
        if self.trained:
            return "training queries"
        if for_choosing(split):
            return "development"
        there = {on.artifact.fingerprint for on, _ in self._trained_on}
        return "in-domain" if there == {held.artifact.fingerprint} else "out-of-domain"

    @property
    def judged_by(self) -> tuple[Collection, str]:
        """The collection and the split whose queries judge."""
        return self.engine.tracks[self.cells[0].variant].judged_on(self.domain)

    @property
    def _trained_on(self) -> list[tuple[Collection, str]]:
        return [self.engine.tracks[n].trained_on for n in {c.variant for c in self.cells}]

    @cached_property
    def trained(self) -> int:
        """How many of its queries students of its cells are trained on: splits may overlap."""
        return max(shared_queries(*self.judged_by, *one) for one in self._trained_on)

    def shares(self, other: Panel) -> bool:
        """Say whether a query is judged here and there."""
        return shared_queries(*self.judged_by, *other.judged_by) > 0

    @property
    def title(self) -> str:
        """The domain, with the levels that its cells alone have where other cells are judged by
        other queries."""
        several = {axis for axis, levels in self.engine.study.levels.items() if len(levels) > 1}
        levels = {axis: {cell.levels[axis] for cell in self.cells} for axis in several}
        own = [axis for axis in self.cells[0].levels if axis in several and len(levels[axis]) == 1]
        return ", ".join([self.domain, *(self.cells[0].levels[axis] for axis in own)])

    def judged(self, cell: Cell) -> list[Judged]:
        """Return how the students of a cell were judged, a seed each."""
        return [
            self.engine.judged(cell, place, self.domain)[0]
            for place in range(self.engine.trained[cell.number])
        ]

    def values(self, cell: Cell, measure: str) -> np.ndarray:
        """Return the per-query values of a cell's students, [seeds, queries]."""
        return np.stack([_values(judged.evaluation, measure) for judged in self.judged(cell)])

    def mean(self, cell: Cell, measure: str) -> float | None:
        """Return the mean over seeds and queries; None where no query has a value."""
        return mean_or_none(self.values(cell, measure))

    def reference(self, cell: Cell, role: Role) -> Judged | None:
        """Return the untrained start, the first stage, BM25 or the teacher of a cell's variant."""
        track = self.engine.tracks[cell.variant]
        references = [j for j in track.references[self.domain] if not j.system.searches]
        by_role = {judged.system.role: judged for judged in references}
        if role == BM25 and BM25 not in by_role:
            role = FIRST_STAGE  # which then is BM25
            if not track.recipe.first_stage_of(self.domain).startswith("bm25"):
                return None
        return by_role.get(role)

    def differences(self, cell: Cell, role: Role) -> np.ndarray:
        """Return what a cell's students have over a baseline in the first measure, float64 [seeds,
        queries]; raises KeyError where the cell has no such baseline."""
        judged, measure = self.reference(cell, role), self.engine.study.measures[0]
        if judged is None:
            raise KeyError(role)
        return self.values(cell, measure) - _values(judged.evaluation, measure)

    @cached_property
    def against(self) -> dict[int, dict[Role, Comparison]]:
        """By cell the differences from its untrained start and from BM25, in the first measure;
        Holm over all of the panel."""
        return self._against(START, BM25)

    @cached_property
    def against_teacher(self) -> dict[int, dict[Role, Comparison]]:
        """By cell the difference from its teacher, likewise, a family of its own; none where the
        teacher has no scores."""
        return self._against(TEACHER)

    def _against(self, *wanted: Role) -> dict[int, dict[Role, Comparison]]:
        measure = self.engine.study.measures[0]
        systems, pairs, roles = {}, [], []
        for cell in self.cells:
            systems[f"cell {cell.number}"] = self.values(cell, measure)
            for role in wanted:
                judged = self.reference(cell, role)
                if judged is not None:
                    name = judged.evaluation.fingerprint
                    systems[name] = _values(judged.evaluation, measure)
                    pairs.append((f"cell {cell.number}", name))
                    roles.append((cell.number, role))
        made: dict[int, dict[Role, Comparison]] = {}
        for (number, role), compared in zip(roles, self._compared(systems, pairs), strict=True):
            made.setdefault(number, {})[role] = compared
        return made

    @cached_property
    def best(self) -> Cell:
        """The cell with the largest mean of the first measure, among those trained to the end."""
        most = max(self.engine.trained[cell.number] for cell in self.cells)
        whole = [cell for cell in self.cells if self.engine.trained[cell.number] == most]
        measure = self.engine.study.measures[0]
        return max(whole, key=lambda cell: self.values(cell, measure).mean())

    @cached_property
    def below_best(self) -> dict[int, Comparison]:
        """By cell, but for the best, its difference from the best over the seeds that both have.

        Which cell is the best the same values say, so each of them might have been compared with
        any other: p values are adjusted over all pairs of cells, not over those shown.
        """
        measure, systems, pairs = self.engine.study.measures[0], {}, []
        best = self.values(self.best, measure)
        for cell in self.cells:
            if cell.number != self.best.number:
                mine = self.values(cell, measure)
                systems[f"best, {len(mine)} seeds"] = best[: len(mine)]
                systems[f"cell {cell.number}"] = mine
                pairs.append((f"cell {cell.number}", f"best, {len(mine)} seeds"))
        compared = self._compared(systems, pairs)
        cells = [cell.number for cell in self.cells if cell.number != self.best.number]
        return dict(zip(cells, self._over_all_pairs(cells, compared), strict=True))

    def _over_all_pairs(
        self, cells: Sequence[int], compared: Sequence[Comparison]
    ) -> list[Comparison]:
        """Adjust comparisons of `cells` with the best as members of the family of all pairs: t by
        Holm, randomisation by Bonferroni, which needs no test of the other pairs."""
        measure = self.engine.study.measures[0]
        values = {cell.number: self.values(cell, measure) for cell in self.cells}
        pairs = list(combinations(values, 2))
        p_values = []
        for one, other in pairs:
            seeds = min(len(values[one]), len(values[other]))
            p_values.append(paired_t(values[one][:seeds] - values[other][:seeds]))
        adjusted = {frozenset(p): value for p, value in zip(pairs, holm(p_values), strict=True)}
        made = []
        for number, row in zip(cells, compared, strict=True):
            p = adjusted[frozenset((number, self.best.number))]
            made.append(
                replace(
                    row,
                    p_adjusted=p,
                    p_randomisation_adjusted=min(1.0, row.p_randomisation * len(pairs)),
                    equivalence=row.equivalence
                    and row.equivalence.within_family(row.equivalence.p_adjusted, p),
                )
            )
        return made

    def _compared(
        self, systems: Mapping[str, np.ndarray], pairs: list[tuple[str, str]]
    ) -> list[Comparison]:
        if not pairs:
            return []
        recipe = self.engine.tracks[self.cells[0].variant].recipe
        options = {name: recipe.option("evaluate", name) for name in ("margin", "alpha", "draws")}
        rows = compare(systems, pairs, **options, seed=recipe.seed)
        return shown(rows, self.engine.study.measures[0])


def panels_of(engine: Engine) -> Iterator[Panel]:
    """Yield the panels of a study that was carried out, domain by domain."""
    domains = dict.fromkeys(d for track in engine.tracks for d in track.recipe.domains)
    for domain in domains:
        by_judge: dict[str, list[Cell]] = {}
        for cell in engine.study.cells:
            if domain in engine.tracks[cell.variant].recipe.domains:
                made = engine.judged(cell, 0, domain)[0].evaluation
                by_judge.setdefault(made.inputs["qrels"], []).append(cell)
        for cells in by_judge.values():
            yield Panel(engine, domain, tuple(cells))


def mean_or_none(values: np.ndarray) -> float | None:
    """Return the mean of the values that are defined; None where none is."""
    return None if np.isnan(values).all() else mean_of_defined(values)


def _values(evaluation: Artifact, measure: str) -> np.ndarray:
    return Evaluation(evaluation).values(measure)
