"""What running a recipe would do: its stages in order, and which of them are there already.

The recipe is carried out in a workspace in which nothing is made; what it does not find there would
be made, and so would all that follows from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import Collection
from rankmill.mining.parts.told import Told, aligned_rows
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.workspace import FoundOnly, NotThere
from rankmill.study.before import look_first
from rankmill.study.before.data import Looked, compare_held, lines_of_looking
from rankmill.study.before.splits import check_splits
from rankmill.study.check import check_recipe
from rankmill.study.recipe import Recipe
from rankmill.study.results import Results
from rankmill.study.run import Pipeline, lacking

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: what it does, what for, and the rows of its result where that is there already."""

    stage: str
    name: str
    rows: int | None = None


class Plan(list[Step], Told):
    """The stages of a recipe in order, and what looking at its data gave; it prints as a table.

    `unseen`: what was not looked at, and why; where it is empty the recipe is sound, else only well
    formed. `notes`: what is other than one may think, such as the epochs of a budget.
    """

    def __init__(self, steps: Iterable[Step], looked: Looked):
        super().__init__(steps)
        self.unseen, self.notes = looked.unseen, looked.notes

    def lines(self) -> Iterator[str]:
        """Yield a line for each stage, with the rows of what is there already, then what looking
        at the data gave."""
        rows = [["stage", "name", "rows there"]]
        rows += [[s.stage, s.name, "to be made" if s.rows is None else f"{s.rows:,}"] for s in self]
        yield from aligned_rows(rows)
        yield from lines_of_looking(self.unseen, self.notes)

    __repr__ = Told.__repr__


def plan_of(recipe: Recipe, workspace: Workspace) -> Plan:
    """Return the stages of a recipe; raises UsageError for a recipe that cannot work, BadInput for
    data that it cannot work on.

    Of the data that are there a glimpse is enough (`before.glimpse`); what is already made is
    looked for only where the workspace holds a collection of the recipe's name.
    """
    check_recipe(recipe, workspace.knows)
    told = look_first(recipe, data=False)
    steps = [Step(stage, name) for stage, name in _stages(recipe)]
    if recipe.name in workspace.names() and not lacking(recipe, workspace):
        walk = _there(recipe, workspace)
        there = walk.rows
        if walk.held is not None and isinstance(told.looked[recipe.collection], str):
            told = compare_held(recipe, walk.held, told.looked)
    else:
        there = {}
    return Plan((Step(s.stage, s.name, there.get((s.stage, s.name))) for s in steps), told)


def _stages(recipe: Recipe) -> list[tuple[str, str]]:
    steps = [("collect", recipe.name), *(("mine", name) for name in recipe.sources)]
    steps += [("pool", "all sources"), ("score", recipe.teacher)]
    steps += [("score", text) for text in recipe.other.values()]
    steps += [(stage, name) for name in recipe.strategies for stage in ("select", "stats")]
    if recipe.trains:
        steps += [("train", f"{s}, {loss}") for s in recipe.samplers for loss in recipe.losses]
        steps += [("evaluate", domain) for domain in recipe.domains]
    return steps


def _there(recipe: Recipe, workspace: Workspace) -> _Walk:
    """Return how far a recipe's stages are there, with the rows of each."""
    walk = _Walk(recipe, Pipeline(recipe, FoundOnly(workspace.root), INLINE))
    with contextlib.suppress(NotThere):  # what follows needs what is not there
        walk.to_scores()
        walk.groups()
        walk.students()
    return walk


class _Walk:
    """Goes through a recipe's stages as far as they are there."""

    def __init__(self, recipe: Recipe, pipeline: Pipeline):
        self.recipe, self.pipeline = recipe, pipeline
        self.rows: dict[tuple[str, str], int] = {}
        self.held: Collection | None = None
        self.results: Results

    def to_scores(self) -> None:
        """Look for what all samplers share; raises NotThere at the first that is missing."""
        self.held = held = self.pipeline.collect()
        check_splits(self.recipe, held)
        self.rows["collect", self.recipe.name] = held.artifact.rows
        self.results = results = Results(held)
        for name in self.recipe.sources:
            if (run := self._found(lambda: self.pipeline.mine(results, name))) is not None:  # noqa: B023
                results.runs[name] = self._noted("mine", name, run)
        if len(results.runs) < len(self.recipe.sources):
            raise NotThere("a run is missing")
        results.pool = self._noted("pool", "all sources", self.pipeline.pool(results))
        results.scores = self._noted("score", self.recipe.teacher, self.pipeline.score(results))
        for label, text in self.recipe.other.items():
            made = self.pipeline.score_other(results, label)
            results.other[label] = self._noted("score", text, made)

    def groups(self) -> None:
        """Look for the groups and statistics of every sampler."""
        results = self.results
        for name in self.recipe.strategies:
            drawn = self._found(lambda: self.pipeline.select(results, name))  # noqa: B023
            if drawn is not None:
                results.groups[name] = self._noted("select", name, drawn[0])
                results.statistics[name] = self._noted("stats", name, drawn[1])

    def students(self) -> None:
        """Look for the students of the groups that are there, and for what judges them."""
        for name in self.recipe.samplers if self.recipe.trains else ():
            own = [part for part in self.recipe.parts(name) if part in self.recipe.strategies]
            if not self.results.groups.keys() >= set(own):
                continue
            for loss in self.recipe.losses:
                trained = self._found(lambda: self.pipeline.train(self.results, name, loss))  # noqa: B023
                if trained is not None:
                    self.results.students[trained.system] = trained
                    self._noted("train", f"{name}, {loss}", trained.artifact)
        wanted = len(self.recipe.samplers) * len(self.recipe.losses) if self.recipe.trains else None
        if len(self.results.students) == wanted:
            self.pipeline.judge(self.results)
            for judged in self.results.judged:
                self._noted("evaluate", judged.domain, judged.evaluation)

    def _noted(self, stage: str, name: str, artifact: Artifact) -> Artifact:
        self.rows[stage, name] = artifact.rows
        return artifact

    @staticmethod
    def _found(make: Callable[[], Made]) -> Made | None:
        try:
            return make()
        except NotThere:
            return None
