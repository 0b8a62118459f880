"""Commands that carry out recipes: demo, run, study, check, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.books import in_words
from rankmill.cli.estimates import tell_estimate
from rankmill.cli.recipes.given import (
    DeviceOption,
    NoAddress,
    NoWorkers,
    RecipeArgument,
    SetOption,
    overrides,
    refuse_elsewhere,
)
from rankmill.cli.runs.next_step import command as command_line
from rankmill.cli.session import (
    DEFAULT_WORKSPACE,
    AddressOption,
    JsonOption,
    MergeOption,
    Session,
    ShardOption,
    WaitOption,
    WorkersOption,
    WorkspaceOption,
    quiet,
    session,
)
from rankmill.mining.errors import BadInput, need
from rankmill.mining.parts.told import counted

if TYPE_CHECKING:
    from rankmill.study.grid.outcome import StudyOutcome
    from rankmill.study.grid.plan import StudyPlan
    from rankmill.study.outcome import Outcome
    from rankmill.study.plan import Plan
    from rankmill.study.recipe import Recipe


def demo(
    report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.html"),
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Take the built-in collection python-docs all the way to trained students and a report.

    Example: rankmill demo --report report.html
    """
    from rankmill.mining.store.places import check_place
    from rankmill.report import report_outcome
    from rankmill.study.recipe import builtin
    from rankmill.study.run import run_recipe

    need("matplotlib")
    check_place(report)
    recipe = builtin("demo", overrides(None, device))
    with session(workspace, workers, ray_address, json) as here:
        outcome = run_recipe(recipe, here.workspace, here.executor)
        report_outcome(outcome, report)
        here.next = command_line(shown_of(outcome), here.workspace.root)
        tell_outcome(here, outcome, report)


def run(
    recipe: RecipeArgument,
    set_: SetOption = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, print plan and estimate, and stop.")
    ] = False,
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    shard: ShardOption = None,
    wait: WaitOption = False,
    merge: MergeOption = False,
    json: JsonOption = False,
) -> None:
    """Run a recipe: collect, mine, pool, score, select, measure, train, evaluate, report.

    `rankmill recipes copy nfcorpus` writes one to begin with.
    Example: rankmill run nfcorpus.toml --set collection=beir:PATH
    """
    from rankmill.mining.store.places import check_place
    from rankmill.report import report_outcome
    from rankmill.study.recipe import load
    from rankmill.study.run import run_recipe

    said = overrides(set_, device)
    loaded = load(recipe, said)
    if report is not None:
        need("matplotlib")
        check_place(report)  # now, not after hours
    if dry_run:
        _dry_run(loaded, recipe, said, workspace, as_json=json)
        return
    with session(
        workspace, workers, ray_address, json, shard=shard, wait=wait, merge=merge
    ) as here:
        outcome = run_recipe(loaded, here.workspace, here.executor)
        if report is not None:
            report_outcome(outcome, report)
        words = shown_of(outcome)
        if report is None:
            words = ["run", str(recipe), *_again(set_, device), "--report", f"{loaded.name}.html"]
        here.next = command_line(words, here.workspace.root)
        tell_outcome(here, outcome, report)


def study(
    recipe: RecipeArgument,
    set_: SetOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the report and every number.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its estimate, and stop.")
    ] = False,
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Run a recipe for every combination of the axes of its [study]: plan, budgets, cost and gain.

    What cells share is made once; run a study that was stopped again, and it goes on.
    Example: rankmill study nfcorpus-study.toml --to study
    """
    from rankmill.report.study.facts import check_study_place
    from rankmill.report.study.files import write_study
    from rankmill.study.grid import load_study, run_study
    from rankmill.study.grid.plan import plan_of

    loaded = load_study(recipe, overrides(set_, device))
    if to is not None:
        check_study_place(to, loaded.name)  # now, not after hours
    with session(workspace, workers, ray_address, json) as here:
        plan = plan_of(loaded, here.workspace)
        if not json:
            _tell_lines(plan)
        if dry_run:
            _tell_cost(here, plan, recipe, overrides(set_, device))
            return
        outcome = run_study(loaded, here.workspace, here.executor)
        here.told.tell_found()
        files = [] if to is None else write_study(outcome, to)
        if to is None:
            words = ["study", str(recipe), *_again(set_, device), "--to", loaded.name]
            here.next = command_line(words, here.workspace.root)
        pages = [path for path in files if path.suffix == ".html"]
        if json:
            facts = {"plan": plan.as_json(), **outcome.as_json()}
            facts |= {"files": [str(path) for path in files], "command": here.books.told()}
            facts |= {"report": str(pages[0].absolute()) if pages else None, "next": here.next}
            here.emit(facts)
            return
        _tell_lines(outcome)
        if not quiet():
            streams.tell(in_words(here.books.told()))
        for path in files:
            streams.tell(str(path))
        for page in pages:
            streams.tell(f"report: {page.absolute()}")


def _tell_cost(here: Session, plan: StudyPlan, recipe: Path, said: list[str]) -> None:
    """Print what measured samples say that the rest of a plan will take, or why they cannot yet;
    refuses what cannot fit."""
    from rankmill.study.estimate import estimate_recipe
    from rankmill.study.estimate.asked import without_estimate

    made, why = None, "everything is there already"
    if not all(request.there for request in plan.requests):
        why = without_estimate(plan.study, here.workspace)
    if not why:
        made = estimate_recipe(recipe, here.workspace, said, progress=here.executor.progress)
    if here.as_json:
        estimated = None if made is None else made.as_json()
        here.emit({**plan.as_json(), "estimate": estimated, "no_estimate": why or None})
    elif made is None:
        streams.tell(f"no estimate: {why}")
    else:
        streams.tell("")
        tell_estimate(made)
    if made is not None:
        made.refuse()


def _again(settings: Sequence[str] | None, device: str | None) -> list[str]:
    """Return the words that say the same settings and the same device again."""
    words = [word for one in settings or () for word in ("--set", one)]
    return words if device is None else [*words, "--device", device]


def _tell_lines(told: StudyPlan | StudyOutcome) -> None:
    for line in told.lines():
        streams.tell(line)


def check(
    recipe: RecipeArgument,
    set_: SetOption = None,
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
    no_workers: NoWorkers = None,
    no_address: NoAddress = None,
) -> None:
    """Check a recipe against its data, and print the plan: stages, what is there already.

    Every name and value of the recipe is looked at, and of data that are on this machine the first
    documents and all judgements; nothing is made. What was not looked at is said.
    Example: rankmill check nfcorpus.toml --set collection=beir:PATH
    """
    from rankmill.study.grid import load_study
    from rankmill.study.grid.plan import plan_of as plan_of_study
    from rankmill.study.plan import plan_of
    from rankmill.study.recipe import STUDY, recipe_of, tables_of

    why = "nothing is made, so there is nothing to share out"
    refuse_elsewhere("check", why, workers=no_workers, address=no_address)
    tables = tables_of(recipe, overrides(set_, device))
    if STUDY in tables:
        asked = load_study(recipe, overrides(set_, device))
        with session(workspace, json=json) as here:
            cells = plan_of_study(asked, here.workspace)
            if json:
                here.emit(dict(cells.as_json()))
                return
            _tell_lines(cells)
            streams.tell(f"the study is {'well formed' if cells.unseen else 'sound'}")
        return
    loaded = recipe_of(tables, str(recipe))
    with session(workspace, json=json) as here:
        plan = plan_of(loaded, here.workspace)
        if json:
            here.emit(_facts(loaded, plan))
        else:
            _tell_plan(loaded, plan)


def _facts(recipe: Recipe, plan: Plan) -> dict[str, Any]:
    from rankmill.study.before.missing import missing_data, to_download

    lacks = [f"{one.where}: {one.what}" for one in missing_data(recipe)]
    stages = [asdict(step) for step in plan]
    return {
        "recipe": recipe.name,
        "stages": stages,
        "missing": lacks,
        "to_download": [] if lacks else to_download(recipe),
        "sound": not plan.unseen,
        "not_looked_at": list(plan.unseen),
        "notes": list(plan.notes),
    }


def _tell_plan(recipe: Recipe, plan: Plan) -> None:
    from rankmill.study.before.data import NOT_HERE, lines_of_looking
    from rankmill.study.before.missing import missing_data, to_download

    wide = max(len(step.name) for step in plan)
    for step in plan:
        state = f"there, {counted(step.rows, 'row')}" if step.rows is not None else "to be made"
        streams.tell(f"{step.stage:<10}  {step.name:<{wide}}  {state}")
    made = sum(step.rows is None for step in plan)
    lacks = missing_data(recipe)
    state = "well formed" if plan.unseen or lacks else "sound"
    said = f"the recipe is {state}: {counted(len(plan), 'stage')}, {made} of them to be made"
    streams.tell(said)
    for one in lacks:
        streams.tell(f"not on this machine: {one.where}: {one.what}; {one.do}")
    for spec in () if lacks else to_download(recipe):
        streams.tell(f"not on this machine yet, downloaded by the first stage: {spec}")
    unseen = [one for one in plan.unseen if not one.endswith(NOT_HERE)]  # which is said above
    for line in lines_of_looking(unseen, plan.notes):
        streams.tell(line)


def _dry_run(
    loaded: Recipe, recipe: Path, said: list[str], workspace: Path, *, as_json: bool
) -> None:
    """Print the plan, and what measured samples say that it will take; refuses what cannot fit."""
    from rankmill.study.before import look_first
    from rankmill.study.before.missing import to_download
    from rankmill.study.estimate import estimate_recipe
    from rankmill.study.plan import plan_of

    with session(workspace, json=as_json) as here:
        look_first(loaded)
        plan = plan_of(loaded, here.workspace)
        if not as_json:
            _tell_plan(loaded, plan)
        if all(step.rows is not None for step in plan):
            if as_json:
                here.emit(_facts(loaded, plan) | {"estimate": None})
            else:
                streams.tell("nothing to make: everything is there already")
            return
        if remote := to_download(loaded):
            raise BadInput(
                "the estimate measures samples of the collections, and some are not on this "
                f"machine yet: {', '.join(remote)}",
                where=str(recipe),
                do=f"download first: rankmill collect {remote[0]}",
            )
        made = estimate_recipe(recipe, here.workspace, said, progress=here.executor.progress)
        if as_json:
            here.emit(_facts(loaded, plan) | {"estimate": made.as_json()})
        else:
            streams.tell("")
            tell_estimate(made)
        made.refuse()


def figures(
    recipe: RecipeArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder for the figures.")],
    form: Annotated[str, typer.Option("--format", help="svg, pdf or png.")] = "svg",
    set_: SetOption = None,
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the figures of the paper from what a recipe stored (what is missing is made first).

    Score against rank ratio, loss and gradient norm, the grid of losses and samplers, and their
    numbers in figures.json. Example: rankmill figures nfcorpus.toml --to figures
    """
    from rankmill.mining.store.places import check_folder_place
    from rankmill.report.figures import check_form, draw
    from rankmill.study.recipe import load
    from rankmill.study.run import run_recipe

    need("matplotlib")
    loaded = load(recipe, overrides(set_, device))
    check_form(form)
    check_folder_place(to, empty=False)
    with session(workspace, workers, ray_address, json) as here:
        paths = draw(run_recipe(loaded, here.workspace, here.executor), to, form)
        if json:
            here.emit({"files": [str(path) for path in paths]})
            return
        for path in paths:
            streams.tell(str(path))


def shown_of(outcome: Outcome) -> list[str] | None:
    """Return the words of the command that shows what a run has made: groups, or the pool."""
    from rankmill.mining.store.parts.titles import names_in

    results = outcome.results
    made = [*results.groups.values(), *([results.pool] if results.pool else [])]
    if not made:
        return None
    first = made[0]
    name = names_in(first.workspace).get(first.fingerprint, first.fingerprint[:12])
    return ["show", name, "--rows", "3"]


def tell_outcome(here: Session, outcome: Outcome, report: Path | None) -> None:
    """Print the table of systems and the sentences that close a run, and where the report is."""
    here.told.tell_found()
    page = None if report is None else report.absolute()
    if here.as_json:
        told = {"command": here.books.told(), "next": here.next}
        here.emit(outcome.as_json() | told | {"report": None if page is None else str(page)})
        return
    streams.print_whole(outcome.table())
    for line in outcome.lines():
        streams.tell(line)
    made = here.told.stages_done
    streams.tell(
        f"made: {counted(made, 'stage')}, in {here.workspace.root}"
        if made
        else f"all of it was already there, in {here.workspace.root}"
    )
    if not quiet():
        streams.tell(in_words(here.books.told()))
    if page is not None:
        streams.tell(f"report: {page}")
