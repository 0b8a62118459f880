"""What running a study would do: its cells, the requests behind them, what they share, and what is
there already. Nothing is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from rankmill.mining.actors import INLINE
from rankmill.mining.parts.told import Told, counted
from rankmill.mining.store import Workspace
from rankmill.mining.store.workspace import FoundOnly, NotThere
from rankmill.study import words
from rankmill.study.before import look_first
from rankmill.study.before.data import Glimpses, lines_of_looking
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.grid.design import Study
from rankmill.study.grid.hypotheses import declared_hash
from rankmill.study.grid.refusals import check_reachable, check_study, documents_of
from rankmill.study.grid.steps import Step, Track
from rankmill.study.run import Opened, lacking

_NEED_STUDENTS = ("mine", "score", "references", "train")  # what a student may be named in
STAGES = ("collect", "mine", "pool", "score", "select", "references", "train", "evaluate")
BESIDE = "correlate"  # a stage of its own where `study.correlate` asks for it


@dataclass(frozen=True, slots=True)
class Planned:
    """One request: how many cells need it, and whether its result is in the workspace."""

    stage: str
    name: str
    cells: frozenset[int]
    there: bool


@dataclass(frozen=True, repr=False)
class StudyPlan(Told):
    """The plan of a study: every request once.

    `unseen`: what of its data was not looked at, and why; a study without any is sound. `notes`:
    what may surprise. `student_s`: seconds of processor and accelerator that a student that is
    there took, the mean; None where none is.
    """

    study: Study
    requests: tuple[Planned, ...]
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    student_s: float | None = None

    @property
    def cells(self) -> list[dict[str, object]]:
        """Every cell with its levels, the documents a student sees, and how many of its students
        are there."""
        return [
            {
                "cell": cell.name,
                **cell.levels,
                "documents": documents_of(self.study.variants[cell.variant].recipe),
                "students_there": self._there(cell.number),
            }
            for cell in self.study.cells
        ]

    def _there(self, cell: int) -> int:
        return sum(r.there for r in self.requests if r.stage == "train" and cell in r.cells)

    @property
    def stages(self) -> list[dict[str, object]]:
        """A row per stage: requests that differ, what they would be if no cell shared any, and how
        many are there."""
        rows = []
        for stage in (*STAGES, *([BESIDE] if self.study.correlate else [])):
            mine = [r for r in self.requests if r.stage == stage]
            rows.append(
                {
                    "stage": stage,
                    "requests": len(mine),
                    "without_sharing": sum(len(r.cells) for r in mine),
                    "there": sum(r.there for r in mine),
                }
            )
        return rows

    @property
    def new(self) -> dict[str, dict[str, int]]:
        """By axis and level how many requests are still to be made that only this level needs."""
        made: dict[str, dict[str, int]] = {}
        for axis in self.study.levels:
            of = {cell.number: cell.levels[axis] for cell in self.study.cells}
            for r in self.requests:
                levels = {of[cell] for cell in r.cells}
                if not r.there and len(levels) == 1:
                    counts = made.setdefault(axis, {})
                    counts[next(iter(levels))] = counts.get(next(iter(levels)), 0) + 1
        return made

    def lines(self) -> Iterator[str]:
        """Yield the plan as text."""
        study = self.study
        axes = " × ".join(f"{len(levels)} {axis}" for axis, levels in study.levels.items())
        if (every := prod(map(len, study.levels.values()))) != len(study.cells):
            axes = f"of {every}: {axes}"
        seeds, cells = counted(len(study.seeds), "seed"), counted(len(study.cells), "cell")
        students = counted(len(study.cells) * len(study.seeds), "student")
        yield f"{study.name}: {cells} ({axes}), {seeds}: {students}"
        for axis, levels in study.levels.items():
            yield f"  {axis}: {', '.join(levels)}"
        yield f"{'stage':<11} requests  if nothing were shared  there  to be made"
        for row in self.stages:
            made, there = int(str(row["requests"])), int(str(row["there"]))
            alone = row["without_sharing"]
            yield f"{row['stage']:<11} {made:>8}  {alone:>22}  {there:>5}  {made - there:>10}"
        yield from self._said_of_new()
        yield from self._said_of_cost()
        for name, wanted in study.budget.declared.items():
            within = f" within {study.budget.within}" if study.budget.tolerance else ""
            yield f"budget: {name.replace('_', ' ')} {wanted:,}{within} for every student"
        if study.race is not None:
            race = study.race
            yield (
                f"race on {race.domain}: after {race.after} seeds a cell is stopped whose "
                f"{race.level:.0%} interval against the best lies wholly below {0 - race.margin:g}"
            )
        if study.declared:
            claimed = ", ".join(one.name for one in study.declared)
            digest = declared_hash(study.declared)[:16]
            are = "claim is" if len(study.declared) == 1 else "claims are"
            yield f"{len(study.declared)} {are} declared, SHA-256 {digest}: {claimed}"
        if study.elsewhere:
            others = ", ".join(one.name for one in study.elsewhere)
            yield f"not judged here, since this part lacks some of their cells: {others}"
        if len(study.seeds) < 2:
            yield "one training seed: intervals are over queries only and say nothing of a new seed"
        yield from lines_of_looking(self.unseen, self.notes)

    def _said_of_new(self) -> Iterator[str]:
        if not any(r.there for r in self.requests):
            return
        for axis, counts in self.new.items():
            if len(self.study.levels[axis]) > 1:
                said = ", ".join(f"{level} {count}" for level, count in counts.items())
                yield f"to be made for one level of {axis} alone: {said}"

    def _said_of_cost(self) -> Iterator[str]:
        students = [request.there for request in self.requests if request.stage == "train"]
        there, left = sum(students), len(students) - sum(students)
        if self.student_s is not None and left:
            fewer = ", or less where the race stops a cell" if self.study.race else ""
            yield (
                f"training: {there} of {len(students)} students are there, at "
                f"{words.duration(self.student_s)} of processor and accelerator each; the others "
                f"would take {words.duration(left * self.student_s)} at that rate{fewer}"
            )

    def as_json(self) -> Mapping[str, object]:
        """Return the plan as plain values."""
        return {
            "study": self.study.name,
            "seeds": list(self.study.seeds),
            "axes": self.study.levels,
            "cells": self.cells,
            "stages": self.stages,
            "new": self.new,
            "student_s": self.student_s,
            "budget": self.study.budget.declared,
            "hypotheses": {h.name: h.claim for h in self.study.hypotheses},
            "hypotheses_elsewhere": [h.name for h in self.study.elsewhere],
            "hypotheses_sha256": declared_hash(self.study.declared),
            "sound": not self.unseen,
            "not_looked_at": list(self.unseen),
            "notes": list(self.notes),
        }


def plan_of(study: Study, workspace: Workspace) -> StudyPlan:
    """Return the plan of a study; raises UsageError for one that cannot work, BadInput for data
    that it cannot work on.

    Of the data that are there a glimpse is enough; what is already made is looked for only where
    the workspace holds a collection.
    """
    check_study(study, workspace.knows)
    seen: Glimpses = {}
    told = [look_first(one.recipe, data=False, seen=seen) for one in study.variants]
    check_reachable(study, [one.bounds for one in told])
    looks = next(iter(workspace.artifacts("collection")), None) is not None
    steps: dict[str, Step] = {}
    cells: dict[str, set[int]] = {}
    there, missing = set[str](), set[str]()
    found_only, opened = FoundOnly(workspace.root), Opened()
    spent: dict[str, float] = {}
    for number, variant in enumerate(study.variants):
        track = Track(variant, found_only, INLINE, opened)
        unknown = _NEED_STUDENTS if lacking(variant.recipe, workspace) else ()
        for step, used_by in _steps(study, number, track):
            steps.setdefault(step.key, step)
            cells.setdefault(step.key, set()).update(used_by)
            known = step.stage not in unknown and there.issuperset(step.needs)
            if looks and known and step.key not in missing:  # what another variant did not find
                (there if _found(step) else missing).add(step.key)
        spent |= {one.fingerprint: seconds_of(one) for one in track.students.values()}
    requests = (
        Planned(step.stage, step.name, frozenset(cells[key]), key in there)
        for key, step in steps.items()
    )
    unseen = dict.fromkeys(said for one in told for said in one.unseen)
    notes = dict.fromkeys(said for one in told for said in one.notes)
    mean = sum(spent.values()) / len(spent) if spent else None
    return StudyPlan(study, tuple(requests), tuple(unseen), tuple(notes), mean)


def _steps(study: Study, number: int, track: Track) -> Iterator[tuple[Step, list[int]]]:
    """Yield every step of a variant, with the cells that need it."""
    mine = study.of_variant(number)
    everyone = [cell.number for cell in mine]
    for step in track.shared():
        yield step, everyone
    for cell in mine:
        for step in track.drawn(cell):
            yield step, [cell.number]
    for step in track.referred():
        yield step, everyone
    for cell in mine:
        for place in range(len(study.seeds)):
            for step in track.trained(cell, place):
                yield step, [cell.number]
    for step in track.correlated(study.correlate):
        yield step, everyone


def _found(step: Step) -> bool:
    try:
        step.make()
    except NotThere:
        return False
    return True
