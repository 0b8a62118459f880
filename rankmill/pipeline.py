"""A recipe carried out: every stage in order, each found or made, with handles to all results."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rankmill import api, shaping
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.sources.base import Run
from rankmill.mining.store import Artifact, Workspace
from rankmill.recipes import Domain, Recipe

FIRST_STAGE = "first stage"
TEACHER = "teacher"
START = "untrained start"


@dataclass(slots=True)
class Judged:
    """One system on one domain: the run that was judged and its per-query values."""

    system: str
    domain: str
    run: Artifact
    evaluation: Artifact


@dataclass(slots=True)
class Results:
    """Handles to everything that a recipe made; keys are the recipe's own short names."""

    collection: Collection
    runs: dict[str, Artifact] = field(default_factory=dict)
    pool: Artifact | None = None
    scores: Artifact | None = None
    groups: dict[str, Artifact] = field(default_factory=dict)
    statistics: dict[str, Artifact] = field(default_factory=dict)
    students: dict[str, Artifact] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)


class Pipeline:
    """Carries out one recipe in one workspace."""

    def __init__(self, recipe: Recipe, workspace: Workspace, how: Execution):
        self.recipe, self.workspace, self.how = recipe, workspace, how

    def run(self) -> Results:
        """Do, or find, every stage; the order is that of the data way."""
        results = Results(self._collect(None))
        self._mine(results)
        self._score(results)
        for sampler in self.recipe.groups.samplers:
            self._select(results, sampler)
        if self.recipe.train is not None:
            for sampler in self.recipe.groups.samplers:
                self._train(results, sampler)
            for domain, where in self.recipe.evaluate.domains.items():
                self._evaluate(results, domain, where)
        return results

    def _alias(self, what: str) -> str:
        return f"{self.recipe.name}-{what}"

    def _collect(self, spec: str | None) -> Collection:
        chosen = spec or self.recipe.collection
        name = self.recipe.name if spec is None else None
        return api.collect(
            chosen, workspace=self.workspace, title=self.recipe.text, name=name, how=self.how
        )

    def _mine(self, results: Results) -> None:
        mine = self.recipe.mine
        for name in mine.sources:
            results.runs[name] = api.mine(
                self.recipe.source(name),
                results.collection,
                split=mine.split,
                depth=mine.depth,
                seed=self.recipe.seed,
                name=self._alias(name),
                how=self.how,
            )

    def _score(self, results: Results) -> None:
        runs = list(results.runs.values())
        results.pool = api.pool(runs, name=self._alias("pool"), how=self.how)
        results.scores = api.score(
            self.recipe.teacher, results.pool, name=self._alias("scores"), how=self.how
        )

    def _select(self, results: Results, sampler: str) -> None:
        assert results.pool is not None
        assert results.scores is not None
        labels = {name: Run(run).label for name, run in results.runs.items()}
        wanted = self.recipe.groups
        strategy = with_labels(wanted.samplers[sampler], labels)
        groups = api.select(
            strategy,
            results.pool,
            results.scores,
            size=wanted.size,
            seed=self.recipe.seed,
            filters=wanted.filters,
            positives=wanted.positives,
            name=self._alias(f"{sampler}-groups"),
            how=self.how,
        )
        statistics = self._measured(groups, sampler)
        if wanted.cut is not None:
            name = self._alias(f"{sampler}-groups")
            groups = shaping.cut(groups, statistics, wanted.cut, name=name, how=self.how)
            statistics = self._measured(groups, sampler)
        results.groups[sampler], results.statistics[sampler] = groups, statistics

    def _measured(self, groups: Artifact, sampler: str) -> Artifact:
        wanted = self.recipe.statistics
        return api.stats(
            groups,
            statistics=wanted.columns,
            encoder=wanted.encoder,
            name=self._alias(f"{sampler}-stats"),
            how=self.how,
        )

    def _train(self, results: Results, sampler: str) -> None:
        train = self.recipe.train
        assert train is not None
        results.students[sampler] = api.train(
            train.student,
            results.groups[sampler],
            loss=train.loss,
            documents=train.documents,
            batch=train.batch,
            lr=train.lr,
            seed=self.recipe.seed,
            name=self._alias(f"{sampler}-student"),
            how=self.how,
            **train.settings,
        )

    def _evaluate(self, results: Results, domain: str, where: Domain) -> None:
        assert self.recipe.train is not None
        wanted = self.recipe.evaluate
        collection = self._collect(where.collection) if where.collection else results.collection
        first = api.mine(
            wanted.first_stage, collection, split=where.split, depth=wanted.depth, how=self.how
        )
        by_teacher = names.Call(
            "rerank",
            named=(("teacher", names.parse(self.recipe.teacher)), ("of", first.fingerprint)),
        )
        runs = {
            FIRST_STAGE: first,
            TEACHER: api.mine(
                str(by_teacher), collection, split=where.split, depth=wanted.depth, how=self.how
            ),
            START: self._reranked(self._start(), first),
        }
        for sampler, student in results.students.items():
            runs[sampler] = self._reranked(student, first)
        for system, run in runs.items():
            evaluation = api.evaluate(run, measures=wanted.measures, how=self.how)
            results.judged.append(Judged(system, domain, run, evaluation))

    def _start(self) -> Artifact:
        """Return the student as it was before its first step."""
        from rankmill.training.start import untrained

        train = self.recipe.train
        assert train is not None
        lengths = {k: v for k, v in train.settings.items() if k in ("query_length", "doc_length")}
        return untrained(self.workspace, train.student, seed=self.recipe.seed, **lengths)

    def _reranked(self, student: Artifact, first: Artifact) -> Artifact:
        wanted = self.recipe.evaluate
        return api.rerank(student, first, depth=wanted.depth, compute=wanted.compute, how=self.how)

    @cached_property
    def temperature(self) -> float:
        """The temperature of the loss, at which scores are drawn by rank; 1 when it has none."""
        call = names.parse(self.recipe.train.loss) if self.recipe.train else None
        named = dict(call.named) if isinstance(call, names.Call) else {}
        return float(named.get("T", 1.0))


def with_labels(strategy: str, labels: dict[str, str]) -> str:
    """Put the run's label where a strategy names a source by the recipe's short name."""
    call = names.parse(strategy)
    if not isinstance(call, names.Call):
        return strategy
    named = tuple(
        (key, labels.get(value, value) if key == "source" and isinstance(value, str) else value)
        for key, value in call.named
    )
    return str(names.Call(call.name, call.positional, named))


def run_recipe(recipe: Recipe, workspace: Workspace, how: Execution, report: Path | None) -> object:
    """Carry out a recipe; returns its outcome, and writes the report when a path is given."""
    from rankmill.outcome import Outcome, write_report

    pipeline = Pipeline(recipe, workspace, how)
    outcome = Outcome(recipe, pipeline.run(), pipeline.temperature)
    if report is not None:
        write_report(outcome, report)
    return outcome
