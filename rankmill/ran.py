"""Recipes from Python: check, run, study, estimate and report, as the commands of these names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rankmill.handles import workspace_at
from rankmill.mining.actors import Execution
from rankmill.mining.errors import UsageError, extras_told
from rankmill.mining.inputs.bounds.guards import brief
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.parts.told import counted
from rankmill.mining.store import Workspace
from rankmill.objects import (
    Collection,
    Evaluation,
    Groups,
    Pool,
    Run,
    Scores,
    Statistics,
    Student,
    as_object,
)
from rankmill.objects.door import door
from rankmill.objects.showing import showing

if TYPE_CHECKING:
    import polars

    from rankmill.study.estimate.outcome import Estimate
    from rankmill.study.grid.outcome import StudyOutcome
    from rankmill.study.grid.plan import StudyPlan
    from rankmill.study.outcome import Outcome
    from rankmill.study.plan import Plan

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
Place: TypeAlias = Workspace | str | Path | None


@door
@extras_told()
def run(
    recipe: str | Path,
    overrides: Overrides = (),
    *,
    workspace: Place = None,
    report: str | Path | None = None,
    executor: Execution | None = None,
    progress: bool | None = None,
) -> Ran:
    """Run a recipe: collect, mine, pool, score, select, measure, train, evaluate; what is there
    already is found.

    `recipe`: a TOML file, or "demo", the one that comes with the package. `overrides`: values in
    the place of the file's, {"train.documents": 20000} or texts such as "train.documents=20000".
    `report`: where the report goes. The result has every artifact as an object, by the recipe's own
    names, and the systems in a frame. Raises UsageError before any work for what cannot work.

    Example:
        ran = rm.run("nfcorpus.toml", {"collection": "beir:nfcorpus"})
        ran.systems, ran.groups["uniform"].audit()
    """
    from rankmill.mining.store.places import check_place
    from rankmill.study.recipe import builtin, load
    from rankmill.study.run import run_recipe

    said = texts_of(overrides)
    loaded = builtin(DEMO) if _is_demo(recipe, said) else load(path_given(recipe), said)
    if report is not None:
        check_place(path_given(report))  # now, not after hours
    with showing(executor, progress) as shown:
        ran = Ran(run_recipe(loaded, workspace_at(workspace), shown or Execution()))
    if report is not None:
        ran.report(report)
    return ran


DEMO = "demo"


def _is_demo(recipe: str | Path, overrides: Sequence[str]) -> bool:
    """Say whether the recipe that comes with the package is meant, which takes no overrides."""
    own = str(recipe) == DEMO and not Path(recipe).exists()
    if own and overrides:
        raise UsageError("the recipe demo takes no overrides", do="copy it and run the copy")
    return own


class Ran:
    """What a recipe made, as objects under its own names; `outcome` says who beats whom."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome

    @cached_property
    def collection(self) -> Collection:
        """The collection."""
        return as_object(self.outcome.results.collection)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The run of each source."""
        return _objects(self.outcome.results.runs)

    @cached_property
    def pool(self) -> Pool:
        """The pool of all sources."""
        return as_object(self.outcome.results.pool)

    @cached_property
    def scores(self) -> Scores:
        """The teacher's scores of the pool."""
        return as_object(self.outcome.results.scores)

    @cached_property
    def groups(self) -> dict[str, Groups]:
        """The groups of each sampler."""
        return _objects(self.outcome.results.groups)

    @cached_property
    def statistics(self) -> dict[str, Statistics]:
        """The statistics of each sampler's groups."""
        return _objects(self.outcome.results.statistics)

    @cached_property
    def students(self) -> dict[str, Student]:
        """The students by sampler, and loss where there are several; those of further seeds end in
        -seed2 and so on."""
        made = {}
        for system, trained in self.outcome.results.students.items():
            for number, (seed, artifact) in enumerate(trained.seeds.items()):
                end = f"-seed{seed}" if number else ""
                made[system.trained_as + end] = as_object(artifact)
        return made

    @cached_property
    def evaluations(self) -> dict[tuple[str, str], Evaluation]:
        """The evaluation of each system on each domain; of a student the one of its first seed."""
        made: dict[tuple[str, str], Evaluation] = {}
        for judged in self.outcome.results.judged:
            made.setdefault((judged.system.name, judged.domain), as_object(judged.evaluation))
        return made

    @property
    def systems(self) -> polars.DataFrame:
        """A row for each system and domain: the mean of the first measure with its interval."""
        import polars

        told = self.outcome.as_json()["systems"]
        rows = [{k: v for k, v in one.items() if not isinstance(v, dict | list)} for one in told]
        return polars.DataFrame(rows)

    @door
    def report(self, to: str | Path = "report.html") -> Path:
        """Write the report, one HTML file, and return its path."""
        from rankmill.report import report_outcome

        place = path_given(to)
        report_outcome(self.outcome, place)
        return place

    def lines(self) -> list[str]:
        """The sentences that say what came out."""
        return list(self.outcome.lines())

    def __repr__(self) -> str:
        results = self.outcome.results
        return (
            f"<Ran {self.outcome.recipe.name}: {counted(len(results.runs), 'source')}, "
            f"{counted(len(results.groups), 'sampler')}, {counted(len(self.students), 'student')}>"
        )

    def _repr_html_(self) -> str:
        from html import escape

        said = "".join(f"<li>{escape(line)}</li>" for line in self.lines())
        return f"<b>{escape(repr(self)[1:-1])}</b><ul>{said}</ul>"


def _objects(made: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_object(one) for name, one in made.items()}


@door
@extras_told()
def check(
    recipe: str | Path, overrides: Overrides = (), *, workspace: Place = None
) -> Plan | StudyPlan:
    """Check a recipe or a study: every name and value of it, and of data that are on this machine
    the first documents and all judgements. "demo" is the recipe that comes with the package.

    Returns the plan: the stages in order, with the `rows` of what is there already (None: to be
    made); of a study its plan of cells. `unseen` says what was not looked at, and why: only a plan
    without any is sound; `notes` what may surprise. Raises UsageError or BadInput for the first
    thing that cannot work.

    Example:
        [step.name for step in rm.check("nfcorpus.toml") if step.rows is None]
    """
    from rankmill.study.grid import load_study
    from rankmill.study.grid.plan import plan_of as plan_of_study
    from rankmill.study.plan import plan_of
    from rankmill.study.recipe import STUDY, builtin, recipe_of, tables_of

    said, place = texts_of(overrides), workspace_at(workspace)
    if _is_demo(recipe, said):
        return plan_of(builtin(DEMO), place)
    path = path_given(recipe)
    tables = tables_of(path, said)
    if STUDY in tables:
        return plan_of_study(load_study(path, said), place)
    return plan_of(recipe_of(tables, str(path)), place)


@door
@extras_told()
def report(ran: Ran | StudyOutcome, to: str | Path | None = None) -> Path:
    """Write the report of a recipe that was run, one HTML file; of a study, a folder with every
    number. Returns its path.

    Example:
        rm.report(rm.run("nfcorpus.toml"), "report.html")
    """
    if isinstance(ran, Ran):
        return ran.report("report.html" if to is None else to)
    if not hasattr(ran, "cells"):
        raise UsageError(
            f"{brief(ran)} has no report",
            do="give what rm.run or rm.study returned",
        )
    from rankmill.report.study.files import write_study

    place = path_given("study" if to is None else to)
    write_study(ran, place)
    return place


@door
@extras_told()
def study(
    recipe: str | Path,
    overrides: Overrides = (),
    *,
    workspace: Place = None,
    to: str | Path | None = None,
    executor: Execution | None = None,
    progress: bool | None = None,
) -> StudyOutcome:
    """Run a recipe for every combination of the axes of its `[study]` (docs/studies.md).

    `overrides` are texts such as "train.documents=20000", or a mapping; `to` is a folder for the
    report and every number. The result has them as polars frames, such as `cells`, `queries` and
    `worth`, and the findings: `answer`, `gains`, `effects`, `notes`. Raises UsageError, before any
    data is read, for what cannot work.

    Example:
        rm.study("nfcorpus-study.toml", to="study").cells
    """
    from rankmill.report.study.facts import check_study_place
    from rankmill.report.study.files import write_study
    from rankmill.study.grid import load_study, run_study

    asked = load_study(path_given(recipe), texts_of(overrides))
    if to is not None:
        check_study_place(to, asked.name)  # now, not after hours
    with showing(executor, progress) as shown:
        outcome = run_study(asked, workspace_at(workspace), shown or Execution())
    if to is not None:
        write_study(outcome, to)
    return outcome


@door
@extras_told()
def estimate(
    recipe: str | Path,
    overrides: Overrides = (),
    *,
    workspace: Place = None,
    sample: int = 64,
    documents: int = 2_000,
    machine: str | None = None,
    prices: str | Path | None = None,
    scratch: str | Path | None = None,
) -> Estimate:
    """Say what a recipe or study will take, from measured samples of its stages (docs/estimate.md).

    `sample`: queries of a split in the largest sample. `documents`: of the largest slice; a corpus
    of no more is taken whole. `machine`: "8xH100" or a TOML file; None is this one. The result has
    `rows` with intervals, their `total`, what cannot fit in `refusals`, and `refuse()`, which
    raises BadInput for it. The workspace is only read.

    Example:
        rm.estimate("nfcorpus-study.toml", machine="8xH100").total
    """
    from rankmill.study.estimate import estimate_recipe

    return estimate_recipe(
        path_given(recipe),
        workspace_at(workspace),
        texts_of(overrides),
        queries=sample,
        documents=documents,
        machine=machine,
        prices=None if prices is None else path_given(prices),
        scratch=None if scratch is None else path_given(scratch),
    )


def texts_of(overrides: Overrides) -> list[str]:
    """Return overrides as the command line says them, `key=value`; a mapping's values in TOML."""
    if isinstance(overrides, str):
        raise UsageError(
            f"overrides={overrides!r} is one text", do='write {"train.documents": 20000}'
        )
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={_toml(key, value)}" for key, value in overrides.items()]


def _toml(key: str, value: Any) -> str:
    """Return a value as TOML writes it."""
    import json

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(key, one) for one in value) + "]"
    if isinstance(value, Mapping):
        own = (f"{json.dumps(str(k))} = {_toml(key, one)}" for k, one in value.items())
        return "{" + ", ".join(own) + "}"
    raise UsageError(
        f"{key}: a {type(value).__name__} has no place in a recipe",
        do="give a text, a number, true or false, a list, or a mapping",
    )
