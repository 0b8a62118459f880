"""What a recipe or study would make: every request once, with what it grows with and what is there.

Requests of one *class* cost alike per unit of work and are measured once: students of one model,
loss and settings (whatever sampler and seed), their evaluations on one set, groups of one sampler
drawn anew for other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rankmill.mining.actors import INLINE
from rankmill.mining.store import Workspace
from rankmill.mining.store.workspace import FoundOnly, NotThere
from rankmill.study.before import look_first
from rankmill.study.before.missing import missing_data, to_download
from rankmill.study.check import check_recipe
from rankmill.study.grid.declared import Budget
from rankmill.study.grid.design import Cell, Study, Variant, study_of
from rankmill.study.grid.refusals import check_study, documents_of
from rankmill.study.grid.steps import Step, Track, key_of
from rankmill.study.recipe import Recipe, recipe_of
from rankmill.study.run import Opened, lacking, refuse_lacking


@dataclass(frozen=True, slots=True)
class Work:
    """What a request grows with: queries of a split of a collection (`spec`), or, where `documents`
    is given, documents that a student sees."""

    spec: str
    split: str = ""
    documents: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the plan: its step, the variant that first asks for it, what it grows with,
    its class, and whether it is the one of its class that a sample makes."""

    step: Step
    variant: int
    work: Work
    alike: str
    sampled: bool


def study_from(tables: Mapping[str, Any], where: str) -> Study:
    """Read a recipe with or without `[study]` and `[train]` as a study."""
    if "train" in tables or "study" in tables:
        return study_of(tables, where)
    recipe = replace(recipe_of(tables, where), domains={})  # nothing is judged
    cells = [Cell(n, 0, s, "", {"sampler": s}) for n, s in enumerate(recipe.strategies)]
    return Study(
        where=where,
        name=recipe.name,
        title=recipe.title,
        axes=[],
        variants=[Variant(recipe, {})],
        cells=cells,
        budget=Budget(),
        race=None,
        factors=[],
        written=tables,
    )


def check(study: Study, workspace: Workspace) -> None:
    """Raise UsageError for what `rankmill check` refuses."""
    if all(variant.recipe.trains for variant in study.variants):
        check_study(study, workspace.knows)
    for variant in study.variants:
        check_recipe(variant.recipe, workspace.knows)
        refuse_lacking(variant.recipe, workspace)
        look_first(variant.recipe)


def without_estimate(study: Study, workspace: Workspace) -> str:
    """Return why nothing of a study can be measured yet, students or data that are not there; an
    empty text where all of it can."""
    for variant in study.variants:
        for name in lacking(variant.recipe, workspace):
            return f"the student {name!r}, which it names, is not in the workspace: train it first"
        for one in missing_data(variant.recipe):
            return f"{one.what} ({one.where})"
        for spec in to_download(variant.recipe):
            return f"{spec} is not on this machine yet: rankmill collect {spec}"
    return ""


def requests(study: Study, tracks: Sequence[Track]) -> list[Asked]:
    """Return every request once, in the order in which it would be made; `tracks` carry them
    out."""
    seen: set[str] = set()
    classes: set[str] = set()
    made = []
    for asked in every_step(study, tracks):
        if asked.step.key not in seen:
            seen.add(asked.step.key)
            made.append(replace(asked, sampled=asked.alike not in classes))
            classes.add(asked.alike)
    return made


def every_step(study: Study, tracks: Sequence[Track]) -> Iterator[Asked]:
    """Yield the steps of every variant, those that variants share once for each of them."""
    for number, track in enumerate(tracks):
        mined = Work(track.recipe.collection, track.recipe.option("mine", "split"))
        for step in track.shared():
            yield Asked(step, number, mined, step.key, True)
        for cell in study.of_variant(number):
            first: dict[str, str] = {}  # by whose groups they are, the first step's key
            for step in track.drawn(cell):
                alike = first.setdefault(step.name, step.key)
                yield Asked(step, number, mined, alike, True)
    for number, track in enumerate(tracks):
        if track.recipe.trains:
            for step in track.referred():
                yield Asked(step, number, _judged(track.recipe, step.name), step.key, True)
    for place in range(len(study.seeds)):
        for cell in study.cells:
            if tracks[cell.variant].recipe.trains:
                yield from _trained(tracks[cell.variant], cell, place)
    for number, track in enumerate(tracks):
        for step in track.correlated(study.correlate):
            yield Asked(step, number, _judged(track.recipe, step.name), step.key, True)


def _trained(track: Track, cell: Cell, place: int) -> Iterator[Asked]:
    """Yield a student and its evaluations; students of one model, loss and settings are alike."""
    recipe = track.recipe
    train = {key: value for key, value in recipe.options["train"].items() if key != "documents"}
    judged_by = [recipe.options["evaluate"], recipe.retrieve, recipe.measured]
    judged_by += [recipe.collection, {d: str(where) for d, where in recipe.domains.items()}]
    size = recipe.option("groups", "size")
    alike = key_of("alike", train, recipe.losses[cell.loss], size, judged_by)
    student, *judged = track.trained(cell, place)
    seen = Work(recipe.collection, documents=documents_of(recipe))
    yield Asked(student, cell.variant, seen, alike, True)
    for domain, step in zip(recipe.domains, judged, strict=True):
        yield Asked(step, cell.variant, _judged(recipe, domain), key_of(alike, domain), True)


def _judged(recipe: Recipe, domain: str) -> Work:
    where = recipe.domains[domain]
    return Work(where.collection or recipe.collection, where.split)


def found(study: Study, workspace: Workspace) -> set[str]:
    """Return the keys of the requests whose results are in the workspace; nothing is made."""
    found_only, opened = FoundOnly(workspace.root), Opened()
    tracks = [Track(one, found_only, INLINE, opened) for one in study.variants]
    there, missing = set[str](), set[str]()
    for asked in every_step(study, tracks):
        step = asked.step
        if there.issuperset(step.needs) and step.key not in missing:
            try:
                step.make()
            except NotThere:
                missing.add(step.key)
            else:
                there.add(step.key)
    return there
