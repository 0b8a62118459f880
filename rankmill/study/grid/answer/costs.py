"""What every cell of a study costs: alone, and its part of what the study cost.

*Alone* is what one student would have cost had its cell been the only one: found work counts as if
it had been made; compiling, importing and overhead are left out, for they fall to the first user.
*Charged* is the cell's part of all that was spent, every artifact once: shared work is split among
those whose way leads through it (teacher scores by the pairs that each needs), what nobody's way
leads through among the cells of its recipe, compiling and importing among all. The parts add up to
the whole exactly (rankmill/study/costs/charges.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rankmill.about import ancestry
from rankmill.study.costs.charges import Charges, share_out
from rankmill.study.costs.gains import Way, used_by, way_to
from rankmill.study.costs.lineage import behind
from rankmill.study.costs.teacher_pairs import saved_by
from rankmill.study.grid.answer.amounts import (
    CPU,
    Amount,
    amount_of,
    first_of,
    mean_of,
    overhead_of,
    work_of,
)
from rankmill.study.grid.design import Cell
from rankmill.study.results import Trained

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.grid.engine import Engine
    from rankmill.study.results import Judged

_EVERYONES = "compiling and importing"


class Costs:
    """The costs of the cells of a study that was carried out."""

    def __init__(self, engine: Engine):
        self.engine, self.study = engine, engine.study
        self._ledgers: dict[str, Mapping[str, Any]] = {}
        self._ways: dict[tuple[int, str], Way] = {}

    # ---- alone -----------------------------------------------------------------------------------

    def way(self, cell: Cell) -> Way:
        """Return what the students of a cell need, had they been the only ones."""
        key, trained = (cell.variant, cell.sampler), self._trained(cell)
        if key not in self._ways:
            track = self.engine.tracks[cell.variant]
            self._ways[key] = way_to(track.recipe, track.results, trained)
        return replace(self._ways[key], students=list(trained.seeds.values()))

    @cached_property
    def by_seed(self) -> dict[int, list[Amount]]:
        """By cell what each of its students would have cost alone."""
        return {cell.number: list(self._alone(cell)) for cell in self.study.cells}

    @cached_property
    def alone(self) -> dict[int, Amount]:
        """By cell what one student would have cost alone, the mean over its seeds."""
        return {
            number: amount_of(mean_of(one.lines for one in amounts), self.study.prices)
            for number, amounts in self.by_seed.items()
        }

    def _alone(self, cell: Cell) -> Iterable[Amount]:
        way = self.way(cell)
        shared: dict[str, float] = {}
        for one, part in (*way.mining, *way.teacher, *way.groups):
            for line, value in work_of(self._ledger(one)).items():
                shared[line] = shared.get(line, 0.0) + part * value
        for student in way.students:
            own = work_of(self._ledger(student))
            lines = {k: shared.get(k, 0.0) + own.get(k, 0.0) for k in {**shared, **own}}
            yield amount_of(lines, self.study.prices)

    def _trained(self, cell: Cell) -> Trained:
        track = self.engine.tracks[cell.variant]
        places = range(self.engine.trained[cell.number])
        students = {track.recipe.seeds[p]: track.students[cell.number, p] for p in places}
        system = track.pipeline.system(cell.sampler, cell.loss)
        return Trained(system, cell.sampler, cell.loss, students)

    # ---- charged ---------------------------------------------------------------------------------

    @cached_property
    def charges(self) -> Charges:
        """What all of the study cost, and each cell's part of it, by line; cells by their names."""
        costs = {key: self._lines(one) for key, one in self.pieces.items()}
        costs[_EVERYONES] = _summed(map(self._first, self.pieces.values()))
        return share_out(costs, self.uses)

    @cached_property
    def pieces(self) -> dict[str, Artifact]:
        """Every artifact behind the study by its fingerprint."""
        every = (one for cell in self.study.cells for one in self._all_of(cell))
        return {one.fingerprint: one for one in every}

    @cached_property
    def charged(self) -> dict[int, Amount]:
        """By cell its part of what the study cost, all its seeds."""
        return {
            cell.number: self._charged([self.charges.of[cell.name]]) for cell in self.study.cells
        }

    @property
    def whole(self) -> Amount:
        """What the study cost, every artifact once."""
        return self._charged([self.charges.whole])

    def charged_to(self, axis: str) -> dict[str, Amount]:
        """Return by level of an axis the parts of its cells together."""
        of: dict[str, list[Mapping[str, Fraction]]] = {}
        for cell in self.study.cells:
            of.setdefault(cell.levels[axis], []).append(self.charges.of[cell.name])
        return {level: self._charged(parts) for level, parts in of.items()}

    def _charged(self, parts: Iterable[Mapping[str, Fraction]]) -> Amount:
        together: dict[str, Fraction] = {}
        for part in parts:
            for line, value in part.items():
                together[line] = together.get(line, Fraction()) + value
        lines = {line: float(value) for line, value in together.items()}
        return amount_of(lines, self.study.prices)

    def _lines(self, artifact: Artifact) -> dict[str, float]:
        """Return the lines of a piece of work, compiling and importing apart.

        `found_s`: its seconds where it was there before; `saved_s`: those of teacher scores that
        others held already, which are in no sum.
        """
        cost = self._ledger(artifact)
        lines = _summed([work_of(cost), overhead_of(cost)])
        lines |= self._found(artifact, lines)
        if artifact.kind == "scores":
            lines["saved_s"] = saved_by(artifact)
        return lines

    def _first(self, artifact: Artifact) -> dict[str, float]:
        """Return what of an artifact's cost is everyone's."""
        lines = first_of(self._ledger(artifact))
        return lines | self._found(artifact, lines)

    def _found(self, artifact: Artifact, lines: Mapping[str, float]) -> dict[str, float]:
        if artifact.fingerprint not in self.engine.found:
            return {}
        return {"found_s": sum(lines.get(line, 0.0) for line in (*CPU, "gpu_s"))}

    @cached_property
    def uses(self) -> dict[str, dict[str, float]]:
        """By the name of a cell the artifacts that it pays for, with its weight in each."""
        uses = {cell.name: self._own(cell) for cell in self.study.cells}
        taken = {key for used in uses.values() for key in used}
        for leads in (self._judging, self._all_of):  # what is left falls to whom it served
            more = {
                cell.name: {one.fingerprint for one in leads(cell)} - taken
                for cell in self.study.cells
            }
            for name, keys in more.items():
                uses[name] |= dict.fromkeys(keys & self.pieces.keys(), 1.0)
            taken.update(*more.values())
        return uses

    def _own(self, cell: Cell) -> dict[str, float]:
        track = self.engine.tracks[cell.variant]
        results = replace(track.results, judged=self._judged(cell))
        used = used_by(self.way(cell), results, self._trained(cell))
        return {key: weight for key, weight in used.items() if key in self.pieces}

    def _judged(self, cell: Cell) -> list[Judged]:
        track = self.engine.tracks[cell.variant]
        places = range(self.engine.trained[cell.number])
        by_domain = (track.judged[cell.number, place] for place in places)
        return [one for domains in by_domain for judged in domains.values() for one in judged]

    def _judging(self, cell: Cell) -> Iterable[Artifact]:
        """Return what judging a cell's students took, beside what they are."""
        students = self._trained(cell).seeds.values()
        return behind([one.evaluation for one in self._judged(cell)], stop=students).values()

    def _all_of(self, cell: Cell) -> Iterable[Artifact]:
        """Return every artifact behind a cell and what it stands beside."""
        track = self.engine.tracks[cell.variant]
        results = track.results
        last: list[Artifact | None] = [*results.runs.values(), results.pool, results.scores]
        last += [*results.statistics.values(), *self._trained(cell).seeds.values()]
        last += [one.evaluation for one in self._judged(cell)]
        last += [one.evaluation for made in track.references.values() for one in made]
        last += [one for made in track.beside.values() for one in made.values()]
        return ancestry(*(one for one in last if one is not None))

    def _ledger(self, artifact: Artifact) -> Mapping[str, Any]:
        if artifact.fingerprint not in self._ledgers:
            self._ledgers[artifact.fingerprint] = artifact.cost()
        return self._ledgers[artifact.fingerprint]


def _summed(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    together: dict[str, float] = {}
    for part in parts:
        for line, value in part.items():
            together[line] = together.get(line, 0.0) + value
    return together
