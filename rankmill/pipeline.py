"""A recipe carried out: every stage in order, each found or made, with handles to all results."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from rankmill import api, crossing, shaping
from rankmill.judging import Judging
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.store import Artifact, Workspace
from rankmill.recipes import Recipe
from rankmill.results import Results, Trained


class Pipeline:
    """Carries out one recipe in one workspace."""

    def __init__(self, recipe: Recipe, workspace: Workspace, executor: Execution):
        self.recipe, self.workspace, self.executor = recipe, workspace, executor

    def run(self) -> Results:
        """Do, or find, every stage; the order is that of the data way."""
        self._check()
        results = Results(self._collect(None))
        self._mine(results)
        self._score(results)
        for sampler in self.recipe.groups.samplers:
            self._select(results, sampler)
        if self.recipe.train is not None:
            for sampler in self.recipe.groups.samplers:
                for loss in self.recipe.losses:
                    self._train(results, sampler, loss)
            Judging(self.recipe, self.workspace, self.executor, self._collect).judge(results)
        return results

    def _check(self) -> None:
        """Refuse names that only the last stages read, before the first does any work."""
        from rankmill.training.losses import LOSSES
        from rankmill.training.measures import parse_measures
        from rankmill.training.pair_risk import PairRisk

        first = parse_measures(self.recipe.measured)[0]
        if isinstance(first, PairRisk):
            raise UsageError(
                f"{first} cannot be the first measure: the best student is the one with the most",
                where="evaluate.measures",
                do="name another first, such as nDCG@10, and the risk after it",
            )
        for loss in self.recipe.losses.values():
            LOSSES.parse(loss)

    def _alias(self, what: str) -> str:
        return f"{self.recipe.name}-{what}"

    def _collect(self, spec: str | None) -> Collection:
        chosen = spec or self.recipe.collection
        name = self.recipe.name if spec is None else None
        return api.collect(
            chosen,
            workspace=self.workspace,
            title=self.recipe.text,
            name=name,
            executor=self.executor,
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
                executor=self.executor,
            )

    def _score(self, results: Results) -> None:
        runs = list(results.runs.values())
        results.pool = api.pool(
            runs,
            min_grade=self.recipe.groups.min_grade,
            name=self._alias("pool"),
            executor=self.executor,
        )
        results.scores = api.score(
            self.recipe.teacher,
            results.pool,
            direction=self.recipe.direction,
            name=self._alias("scores"),
            executor=self.executor,
        )

    def _select(self, results: Results, sampler: str) -> None:
        groups, statistics = self._drawn(results, sampler, self.recipe.seed, f"{sampler}-groups")
        results.groups[sampler], results.statistics[sampler] = groups, statistics

    def _drawn(
        self, results: Results, sampler: str, seed: int, name: str
    ) -> tuple[Artifact, Artifact]:
        """Return a sampler's groups, drawn with a seed, and their statistics."""
        assert results.pool is not None
        assert results.scores is not None
        labels = {name: Run(run).label for name, run in results.runs.items()}
        wanted = self.recipe.groups
        strategy, request = with_labels(wanted.samplers[sampler], labels), self._request(seed)
        candidates, alias = (results.pool, results.scores), self._alias(name)
        if crossing.is_cell(strategy):
            encoder = self.recipe.statistics.encoder
            groups = crossing.cell_named(
                strategy,
                *candidates,
                encoder=encoder,
                name=alias,
                executor=self.executor,
                **request,
            )
        else:
            groups = api.select(
                strategy, *candidates, name=alias, executor=self.executor, **request
            )
        statistics = self._measured(groups, name)
        if wanted.cut is not None:
            groups = shaping.cut(groups, statistics, wanted.cut, name=alias, executor=self.executor)
            statistics = self._measured(groups, name)
        return groups, statistics

    def _request(self, seed: int) -> dict[str, Any]:
        """Return what the recipe says of all its groups, as `select` and `cross` take it."""
        wanted = self.recipe.groups
        return {
            "size": wanted.size,
            "seed": seed,
            "filters": wanted.filters,
            "positives": wanted.positives,
            "min_grade": wanted.min_grade,
        }

    def _groups_for(self, results: Results, sampler: str, seed: int) -> Artifact:
        """Return the groups that a training seed sees: the sampler's, or drawn anew for it."""
        assert self.recipe.train is not None
        if not self.recipe.train.redraw or seed == self.recipe.seed:
            return results.groups[sampler]
        return self._drawn(results, sampler, seed, f"{sampler}-groups-seed{seed}")[0]

    def _measured(self, groups: Artifact, name: str) -> Artifact:
        wanted = self.recipe.statistics
        return api.stats(
            groups,
            statistics=wanted.columns,
            encoder=wanted.encoder,
            name=self._alias(name.replace("-groups", "-stats")),
            executor=self.executor,
        )

    def _train(self, results: Results, sampler: str, loss: str) -> None:
        train = self.recipe.train
        assert train is not None
        system = sampler if len(self.recipe.losses) == 1 else f"{sampler}, {loss}"
        alias = system.replace(", ", "-")
        students = {}
        for place, seed in enumerate(self.recipe.seeds):
            students[seed] = api.train(
                train.student,
                self._groups_for(results, sampler, seed),
                loss=self.recipe.losses[loss],
                documents=train.documents,
                batch=train.batch,
                lr=train.lr,
                threads=train.threads,
                seed=seed,
                name=self._alias(f"{alias}-student" + (f"-seed{seed}" if place else "")),
                executor=self.executor,
                **train.settings,
            )
        results.students[system] = Trained(system, sampler, loss, students)

    @cached_property
    def temperature(self) -> float:
        """The first temperature of a loss, at which scores are drawn by rank; 1 without one."""
        calls = [names.parse(loss) for loss in self.recipe.losses.values()]
        named = (dict(call.named).get("T") for call in calls if isinstance(call, names.Call))
        return next((float(t) for t in named if t is not None), 1.0)


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


def run_recipe(
    recipe: Recipe, workspace: Workspace, executor: Execution, report: Path | None
) -> object:
    """Carry out a recipe; returns its outcome, and writes the report when a path is given."""
    from rankmill.outcome import Outcome, write_report

    pipeline = Pipeline(recipe, workspace, executor)
    outcome = Outcome(recipe, pipeline.run(), pipeline.temperature)
    if report is not None:
        write_report(outcome, report)
    return outcome
