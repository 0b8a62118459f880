"""A recipe carried out: every stage in order, each found or made, with handles to all results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

from rankmill import stages
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.statistics import STATISTICS
from rankmill.mining.store import Artifact, Workspace
from rankmill.study.before import look_first
from rankmill.study.before.data import compare_held, made_for, specs_of
from rankmill.study.before.glimpse import Glimpse
from rankmill.study.before.splits import check_splits
from rankmill.study.check import check_recipe, encoder_of, looks_at_vectors
from rankmill.study.judge import Judging
from rankmill.study.outcome import Outcome
from rankmill.study.recipe import Domain, Recipe, cut_with_labels, with_labels
from rankmill.study.results import STUDENT, Results, System, Trained
from rankmill.training.blend import opened

Opened = dict[tuple[str, str], Collection]  # by what is read, and how


class Pipeline:
    """Carries out one recipe in one workspace.

    `opened` holds the collections that were read, so that files are looked at once; the recipes of
    a study share it.
    """

    def __init__(
        self,
        recipe: Recipe,
        workspace: Workspace,
        executor: Execution,
        opened: Opened | None = None,
    ):
        self.recipe = with_folders(recipe, workspace)
        self.workspace, self.executor = workspace, executor
        self.opened: Opened = {} if opened is None else opened

    def run(self) -> Results:
        """Do, or find, every stage; the order is that of the data way."""
        check_recipe(self.recipe, self.workspace.knows)
        refuse_lacking(self.recipe, self.workspace)
        collected = self.recipe.name in self.workspace.names()
        told = look_first(self.recipe, fetch=True, collected=collected)
        results = Results(self.collect())
        check_splits(self.recipe, results.collection)
        if not isinstance(told.looked.get(self.recipe.collection), Glimpse):
            compare_held(self.recipe, results.collection, told.looked)
        for name in self.recipe.sources:
            results.runs[name] = self.mine(results, name)
        results.pool = self.pool(results)
        results.scores = self.score(results)
        results.other = {label: self.score_other(results, label) for label in self.recipe.other}
        for sampler in self.recipe.strategies:
            results.groups[sampler], results.statistics[sampler] = self.select(results, sampler)
        if self.recipe.trains:
            self.refuse_unlike(results)
            for sampler in self.recipe.samplers:
                for loss in self.recipe.losses:
                    trained = self.train(results, sampler, loss)
                    results.students[trained.system] = trained
            self.judge(results)
        return results

    def _named(self, what: str) -> dict[str, Any]:
        """Return the alias of a result and the executor, as keywords of a request."""
        return {"name": f"{self.recipe.name}-{what}", "executor": self.executor}

    def collect(self, spec: str | None = None) -> Collection:
        """Return the recipe's collection, or that of a domain with the splits that judge."""
        what, options = spec or self.recipe.collection, self.recipe.options["collect"]
        if what != self.recipe.collection:  # whose splits are others
            domains = self.recipe.domains.values()
            judging = {domain.split for domain in domains if domain.collection == what}
            options = {**options, "divide": (), "splits": sorted(judging)}
        if spec is None:
            self._look_at_borrowed()
        key = what, str(options)
        if key not in self.opened:
            with made_for(self.recipe, self._reads(what)):
                self.opened[key] = stages.Collect(
                    what, workspace=self.workspace, **options, executor=self.executor
                ).make()
        if spec is None:
            self.workspace.alias(self.recipe.name, self.opened[key].artifact)
        return self.opened[key]

    def _reads(self, spec: str) -> str:
        """Return the key that names what is read."""
        return next(key for key, named in specs_of(self.recipe).items() if named == spec)

    def _look_at_borrowed(self) -> None:
        """Refuse groups of the workspace that no blend of the recipe can hold, before any work."""
        size = self.recipe.option("groups", "size")
        for name in self.recipe.borrowed:
            held = Groups.open(self.workspace, name)
            if held.size != size:
                raise UsageError(
                    f"groups of {held.size} documents cannot be blended with those of {size}",
                    where=f"{self.recipe.where}: {name}",
                    do="subsample the larger ones (rankmill subsample --size …)",
                )

    def refuse_unlike(self, results: Results) -> None:
        """Raise UsageError for a blend of groups that no student can be trained on, before the
        first one is trained."""
        for sampler in self.recipe.samplers:
            if (blend := self.recipe.blend(sampler)) is not None:
                parts = self.trained_on(results, sampler, self.recipe.seeds[0])
                opened([Groups(one) for one in parts], blend.weights)

    def mine(self, results: Results, name: str) -> Artifact:
        """Return the run of one source."""
        with made_for(self.recipe, f"mine.sources.{name}"):
            return stages.Mine(
                self.recipe.source(name),
                results.collection,
                **self.recipe.options["mine"],
                seed=self.recipe.seed,
                **self._named(name),
            ).make()

    def pool(self, results: Results) -> Artifact:
        """Return the pool of all runs."""
        runs = list(results.runs.values())
        return stages.Pool(runs, **self.recipe.options["pool"], **self._named("pool")).make()

    def score(self, results: Results) -> Artifact:
        """Return the teacher's scores of the pool."""
        return self._scored(results, self.recipe.teacher, "scores")

    def score_other(self, results: Results, label: str) -> Artifact:
        """Return the scores of the pool by one of the other teachers."""
        return self._scored(results, self.recipe.other[label], f"{label}-scores")

    def _scored(self, results: Results, teacher: str, name: str) -> Artifact:
        assert results.pool is not None
        options = self.recipe.options["score"]
        key = "teacher" if name == "scores" else f"statistics.other.{name.removesuffix('-scores')}"
        with made_for(self.recipe, key):
            return stages.Score(teacher, results.pool, **options, **self._named(name)).make()

    def select(self, results: Results, sampler: str) -> tuple[Artifact, Artifact]:
        """Return a sampler's groups and their statistics."""
        with made_for(self.recipe, f"groups.samplers.{sampler}"):
            return self._drawn(results, sampler, self.recipe.seed, f"{sampler}-groups")

    def _drawn(
        self, results: Results, sampler: str, seed: int, name: str
    ) -> tuple[Artifact, Artifact]:
        """Return a sampler's groups, drawn with a seed, and their statistics."""
        assert results.pool is not None
        assert results.scores is not None
        labels = {name: Run(run).label for name, run in results.runs.items()}
        options = dict(self.recipe.options["groups"])
        options["filters"] = [with_labels(f, FILTERS, labels) for f in options["filters"]]
        strategy = with_labels(self.recipe.samplers[sampler], STRATEGIES, labels)
        if looks_at_vectors(STRATEGIES.parse(strategy)):
            options["encoder"] = encoder_of(self.recipe)
        groups = stages.Select(
            strategy, results.pool, results.scores, **options, seed=seed, **self._named(name)
        ).make()
        statistics = self._measured(results, groups, name, labels)
        if self.recipe.cut is not None:
            cut = cut_with_labels(self.recipe.cut, labels)
            groups = stages.Cut(groups, statistics, cut, **self._named(name)).make()
            statistics = self._measured(results, groups, name, labels)
        return groups, statistics

    def trained_on(self, results: Results, sampler: str, seed: int) -> list[Artifact]:
        """Return the groups that a student of a sampler and seed sees: of a blend several."""
        return [self.groups_for(results, part, seed) for part in self.recipe.parts(sampler)]

    def groups_for(self, results: Results, part: str, seed: int) -> Artifact:
        """Return the groups that a training seed sees: the sampler's, or drawn anew for it, or
        those of the workspace; with the recipe's own target in place of the teacher's scores."""
        name = f"{part}-groups"
        drawn = part in self.recipe.strategies
        groups = results.groups[part] if drawn else self.workspace.find(part, "groups")
        if drawn and self.recipe.redraw and seed != self.recipe.seed:
            name += f"-seed{seed}"
            groups = self._drawn(results, part, seed, name)[0]
        if self.recipe.target is None:
            return groups
        return stages.Retarget(groups, self.recipe.target, **self._named(f"{name}-target")).make()

    def _measured(
        self, results: Results, groups: Artifact, name: str, labels: dict[str, str]
    ) -> Artifact:
        options = dict(self.recipe.options["statistics"])
        if options["statistics"] is not None:
            options["statistics"] = [
                with_labels(s, STATISTICS, labels) for s in options["statistics"]
            ]
        alias = name.replace("-groups", "-stats")
        other = results.other or None
        return stages.Stats(groups, other=other, **options, **self._named(alias)).make()

    def measured_on(self, results: Results, domain: str) -> dict[str, Artifact]:
        """Return by sampler the statistics of groups that it draws for the queries of a domain.

        They are mined, pooled and scored as the groups that students are trained on; nothing is
        trained on them.
        """
        where, options = self.recipe.domains[domain], dict(self.recipe.options)
        options["mine"] = {**options["mine"], "split": where.split}
        there = copy(self)
        there.recipe = replace(self.recipe, name=f"{self.recipe.name}-{domain}", options=options)
        own = Results(self.judging.held(results, domain))
        own.runs = {name: there.mine(own, name) for name in self.recipe.sources}
        own.pool = there.pool(own)
        own.scores = there.score(own)
        own.other = {label: there.score_other(own, label) for label in self.recipe.other}
        return {sampler: there.select(own, sampler)[1] for sampler in self.recipe.strategies}

    def train(self, results: Results, sampler: str, loss: str) -> Trained:
        """Return the students of one sampler and loss, one per training seed."""
        students = {s: self.student(results, sampler, loss, s) for s in self.recipe.seeds}
        return Trained(self.system(sampler, loss), sampler, loss, students)

    def student(self, results: Results, sampler: str, loss: str, seed: int) -> Artifact:
        """Return the student of one training seed."""
        alias = self.system(sampler, loss).trained_as.replace(", ", "-")
        first = seed == self.recipe.seeds[0]
        groups, blend = self.trained_on(results, sampler, seed), self.recipe.blend(sampler)
        with made_for(self.recipe, f"train, {sampler}, {loss}"):
            return stages.Train(
                **self.recipe.options["train"],
                groups=groups[0] if blend is None else groups,
                weights=None if blend is None else blend.weights,
                loss=self.recipe.losses[loss],
                seed=seed,
                **self._named(f"{alias}-student" + ("" if first else f"-seed{seed}")),
            ).make()

    def system(self, sampler: str, loss: str) -> System:
        """Return what results call the students of one sampler and loss."""
        return System(STUDENT, sampler, loss if len(self.recipe.losses) > 1 else "")

    def judge(self, results: Results) -> None:
        """Evaluate every system on every domain, and compare."""
        self.judging.judge(results)

    @property
    def judging(self) -> Judging:
        """What judges the recipe's systems."""
        return Judging(self.recipe, self.workspace, self.executor, self.collect)

    @cached_property
    def temperature(self) -> float:
        """The first temperature of a loss, at which scores are drawn by rank; 1 without one."""
        calls = [names.parse(loss) for loss in self.recipe.losses.values()]
        named = (dict(call.named).get("T") for call in calls if isinstance(call, names.Call))
        return next((float(t) for t in named if t is not None), 1.0)


def run_recipe(recipe: Recipe, workspace: Workspace, executor: Execution) -> Outcome:
    """Carry out a recipe; returns its outcome."""
    pipeline = Pipeline(recipe, workspace, executor)
    return Outcome(recipe, pipeline.run(), pipeline.temperature)


# ---- students of the workspace in texts of a recipe: cross_encoder(model=student:NAME) -----------

_NAMED = re.compile(r"student:([\w.+@-]+)")
_PLAIN = re.compile(r"[\w./+@-]+")  # needs no quotes in a text


def named_in(recipe: Recipe) -> list[str]:
    """Return the students of the workspace that a recipe names, each once."""
    called = (name for text in _texts(recipe) for name in _NAMED.findall(text))
    return list(dict.fromkeys(called))


def _texts(recipe: Recipe) -> Iterator[str]:
    yield from (recipe.teacher, recipe.first_stage, *recipe.sources.values())
    yield from recipe.other.values()
    yield from (one.first_stage or "" for one in recipe.domains.values())
    for section, key in _ENCODERS:
        yield str(recipe.options.get(section, {}).get(key) or "")


_ENCODERS = (("train", "student"), ("groups", "encoder"), ("statistics", "encoder"))


def lacking(recipe: Recipe, workspace: Workspace) -> list[str]:
    """Return the students that a recipe names and the workspace does not have."""
    return [name for name in named_in(recipe) if _folder(workspace, name) is None]


def refuse_lacking(recipe: Recipe, workspace: Workspace) -> None:
    """Raise BadInput for a student that is named and not there, before any work."""
    for name in named_in(recipe):
        try:
            workspace.find(name, "student")
        except BadInput as error:
            raise BadInput(
                error.what,
                where=f"{recipe.where}: student:{name}",
                do="train it first, with the recipe that makes it and the same --workspace; "
                "`rankmill list student` names those that are there",
            ) from error


def with_folders(recipe: Recipe, workspace: Workspace) -> Recipe:
    """Return the recipe with the folder of every student that is there in the place of its name."""
    if not named_in(recipe):
        return recipe

    def written(text: str) -> str:
        return _NAMED.sub(lambda match: _folder(workspace, match[1]) or match[0], text)

    def domain(one: Domain) -> Domain:
        return replace(one, first_stage=one.first_stage and written(one.first_stage))

    options = {name: dict(table) for name, table in recipe.options.items()}
    for section, key in _ENCODERS:
        if options.get(section, {}).get(key):
            options[section][key] = written(options[section][key])
    return replace(
        recipe,
        teacher=written(recipe.teacher),
        first_stage=written(recipe.first_stage),
        sources={name: written(text) for name, text in recipe.sources.items()},
        other={label: written(text) for label, text in recipe.other.items()},
        domains={name: domain(one) for name, one in recipe.domains.items()},
        options=options,
    )


def _folder(workspace: Workspace, name: str) -> str | None:
    try:
        path = str(workspace.find(name, "student").path.absolute())
    except BadInput:
        return None
    return path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)
