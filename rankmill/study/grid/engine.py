"""A study carried out: what cells share first, budgets before any training, then round by round the
students, cheapest first.

The state of a study is the workspace: every step finds or makes its artifact, so a study that was
killed goes on by being run again, and nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rankmill.mining.actors import Execution
from rankmill.mining.store import Artifact, Workspace
from rankmill.study.before import look_first
from rankmill.study.before.data import Glimpses
from rankmill.study.grid.budgets import Seen, check_budgets, remarks_on, seen_of
from rankmill.study.grid.design import Cell, Study
from rankmill.study.grid.racing import Stopped, stopped
from rankmill.study.grid.refusals import check_race_queries, check_reachable, check_study
from rankmill.study.grid.side_by_side import train_side_by_side
from rankmill.study.grid.steps import Track, patiently
from rankmill.study.run import Opened, refuse_lacking
from rankmill.training.evaluation import Evaluation

if TYPE_CHECKING:
    from rankmill.study.grid.declared import Race
    from rankmill.study.results import Judged


class Engine:
    """Carries out one study in one workspace.

    After `run`: `tracks` by variant, `seen` and `stopped` by cell, how many seeds each cell has in
    `trained`, and in `found` the fingerprints of artifacts that were there before.
    """

    def __init__(self, study: Study, workspace: Workspace, executor: Execution):
        self.study, self.workspace, self.executor = study, workspace, executor
        opened: Opened = {}
        self.tracks = [Track(one, workspace, executor, opened) for one in study.variants]
        self.seen: dict[int, list[Seen]] = {}
        self.stopped: dict[int, Stopped] = {}
        self.trained: dict[int, int] = {cell.number: 0 for cell in study.cells}
        self.found: frozenset[str] = frozenset()

    def run(self) -> None:
        """Do, or find, everything; raises UsageError for budgets that cells do not meet."""
        check_study(self.study, self.workspace.knows)
        seen: Glimpses = {}
        bounds = []
        for variant in self.study.variants:
            refuse_lacking(variant.recipe, self.workspace)
            bounds.append(look_first(variant.recipe, fetch=True, seen=seen).bounds)
        check_reachable(self.study, bounds)
        self.found = self.workspace.fingerprints()
        for track in self.tracks:  # all of them before the first is mined
            self._make(track.open)
        check_race_queries(self.study.race, self.tracks)
        for number, track in enumerate(self.tracks):
            self._make(partial(track.prepare, self.study.of_variant(number)))
        self._count_budgets()
        for line in remarks_on(self.study, self.tracks):  # while nothing is trained yet
            self.executor.progress.announce(f"note: {line}")
        for track in self.tracks:
            self._make(track.refer)
        for places in together(len(self.study.seeds), self.study.race):
            self._rounds(places)
        for track in self.tracks:
            self._make(partial(track.correlate, self.study.correlate))

    def _make(self, make: Callable[[], object]) -> None:
        """Make or find; what another study of the workspace is making is waited for."""
        patiently(make, self.executor.progress.announce)

    def _count_budgets(self) -> None:
        counted: dict[tuple[tuple[str, ...], int, str], Seen] = {}
        for cell in self.study.cells:
            track = self.tracks[cell.variant]
            train = track.recipe.options["train"]
            blend = track.recipe.blend(cell.sampler)
            weights = None if blend is None else blend.weights
            said = f"{train['documents']} {train['negatives']} {weights}"
            self.seen[cell.number] = []
            for place, seed in enumerate(track.recipe.seeds):
                groups = track.groups_of(cell, place)
                key = tuple(one.fingerprint for one in groups), seed, said
                if key not in counted:
                    counted[key] = seen_of(track.recipe, groups, weights, seed)
                self.seen[cell.number].append(counted[key])
        check_budgets(self.study, self.seen)

    def _rounds(self, places: Sequence[int]) -> None:
        """Train a student more for each of the places of every cell that is still in the race."""
        running = [cell for cell in self.study.cells if cell.number not in self.stopped]
        if self.executor.workers or self.executor.ray_address:
            cells = self._cheapest_first(running, places[0])
            students = [(cell, place) for place in places for cell in cells]
            train_side_by_side(self.study, self.workspace, self.executor, students)
        for place in places:
            said = f"round {place + 1} of {len(self.study.seeds)}"
            for number, cell in enumerate(self._cheapest_first(running, place), 1):
                self.executor.progress.announce(
                    f"{said}, cell {number} of {len(running)}: {cell.name}"
                )
                self._make(partial(self.tracks[cell.variant].one, cell, place))
                self.trained[cell.number] = place + 1
        self._race(running, places[-1] + 1)

    def _cheapest_first(self, cells: Sequence[Cell], place: int) -> list[Cell]:
        return sorted(cells, key=lambda cell: (self._expected(cell, place), cell.number))

    def _expected(self, cell: Cell, place: int) -> float:
        """Return what a student may cost: the seconds of the cell's last one, of the first its
        documents times its layers."""
        track = self.tracks[cell.variant]
        if place:
            cost = track.students[cell.number, place - 1].cost()
            return float(cost["cpu_s"]) + float(cost["gpu_s"] or 0.0)
        return float(
            track.recipe.option("train", "documents") * layers_of(track.pipeline.recipe.student)
        )

    def _race(self, running: Sequence[Cell], seeds: int) -> None:
        race = self.study.race
        if race is None or seeds < race.after or seeds == len(self.study.seeds):
            return
        measure = race.measure or self.study.measures[0]
        values, judges = {}, {}
        for cell in running:
            made = self.evaluations(cell, race.domain, seeds)
            values[cell.number] = np.stack([Evaluation(one).values(measure) for one in made])
            judges[cell.number] = made[0].inputs["qrels"]
        for one in stopped(race, measure, values, judges):
            self.stopped[one.cell] = one
            name = self.study.cells[one.cell].name
            self.executor.progress.announce(f"stopped after {seeds} seeds: {name}")

    def evaluations(self, cell: Cell, domain: str, seeds: int) -> list[Artifact]:
        """Return the evaluations of a cell's re-ranking students on a domain, a seed each."""
        return [self.judged(cell, place, domain)[0].evaluation for place in range(seeds)]

    def judged(self, cell: Cell, place: int, domain: str) -> list[Judged]:
        """Return how one student was judged on a domain: re-ranking, then its own search."""
        return self.tracks[cell.variant].judged[cell.number, place][domain]


def together(seeds: int, race: Race | None) -> list[range]:
    """Return the rounds that need not wait for each other: all of them, but where a race may stop
    a cell in between."""
    first = seeds if race is None else min(race.after, seeds)
    return [range(first), *(range(place, place + 1) for place in range(first, seeds))]


def layers_of(student: str) -> int:
    """Return how many layers of its checkpoint a student has."""
    from rankmill.mining.models import folder
    from rankmill.training.students import parse_student

    value, model = parse_student(student)
    return int(getattr(value, "layers", None) or folder.layers_of(model.config))
