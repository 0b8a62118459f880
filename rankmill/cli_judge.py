"""Commands that judge: evaluate a run or a student, compare evaluations, draw figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankmill.session import (
    DEFAULT_WORKSPACE,
    AddressOption,
    JsonOption,
    NameOption,
    SeedOption,
    WorkersOption,
    WorkspaceOption,
    session,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("eval", rich_help_panel="Stage by stage")(evaluate)
    app.command("compare", rich_help_panel="Stage by stage")(compare)
    app.command("figures", rich_help_panel="The whole way")(figures)


def evaluate(
    collection: Annotated[str | None, typer.Option("--collection", "-c")] = None,
    split: Annotated[str | None, typer.Option("--split")] = None,
    run: Annotated[str | None, typer.Option("--run", help="A run, scores, or a TREC file.")] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="A student's name, or a model folder.")
    ] = None,
    first_stage: Annotated[
        str | None, typer.Option("--first-stage", help="The run that the student orders anew.")
    ] = None,
    depth: Annotated[int, typer.Option(help="How much of the first stage; or of a search.")] = 100,
    measures: Annotated[
        str, typer.Option(help="ir_measures names, PairRisk(…); the first is compared.")
    ] = "nDCG@10 AP R@100 Judged@10",
    ties: Annotated[str, typer.Option(help="list: as ranked; trec: as trec_eval.")] = "list",
    per_query: Annotated[
        Path | None, typer.Option(help="Also write every query's values: .csv, .jsonl, .parquet.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="No BM25 and first stage beside.")] = False,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Evaluate a run, a student on a first stage, or a student's own search of the corpus.

    BM25 and the first stage stand beside, with paired differences in the first measure.

    Example: rankmill eval --run run.txt -c nf --split test --measures "nDCG@10 AP R@100"
    Example: rankmill eval --student nf-student --first-stage nf-bm25
    Example: rankmill eval --student DIR -c nf --split test
    """
    from rankmill import api, evaluating

    if per_query is not None:
        evaluating.form_of(per_query)  # a wrong one is refused before any work
    with session(workspace, workers, ray_address, json) as here:
        judged = evaluating.run_to_judge(here, run, student, first_stage, collection, split, depth)
        runs = {"student" if student else "run": judged}
        if not alone:
            runs |= evaluating.beside(here, judged, first_stage if student else None, depth)
        made = {
            system: api.evaluate(one, measures=measures, ties=ties, executor=here.executor)
            for system, one in runs.items()
        }
        if name:
            here.workspace.alias(name, next(iter(made.values())))
        if per_query is not None:
            evaluating.write_per_query(made, per_query)
        evaluating.tell(here, made)


def compare(
    systems: Annotated[
        list[str], typer.Argument(help="Names of evaluations; seeds as LABEL=NAME+NAME+NAME.")
    ],
    measure: Annotated[str, typer.Option(help="Which of the measures is compared.")] = "nDCG@10",
    pair: Annotated[
        list[str] | None, typer.Option("--pair", help="A:B of the family; default: all pairs.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Also test whether the difference is within ±margin.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Level of the equivalence tests.")] = 0.05,
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Compare evaluations of the same queries pair by pair, adjusted by Holm over the family.

    Example: rankmill compare nf-a nf-b --measure nDCG@10 --margin 0.02
    Example: rankmill compare hard=h1+h2+h3 easy=e1+e2+e3 --margin 0.02
    """
    from rankmill import api, evaluating

    with session(workspace, as_json=json) as here:
        made = api.compare(
            evaluating.named_systems(here, systems),
            pairs=evaluating.pairs_of(pair) if pair else None,
            measure=measure,
            margin=margin,
            alpha=alpha,
            seed=seed,
            name=name,
        )
        evaluating.tell_comparison(here, made)


def figures(
    recipe: Annotated[Path, typer.Argument(help="A recipe that was run.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the figures.")],
    form: Annotated[str, typer.Option("--format", help="svg, pdf or png.")] = "svg",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override: key=value, as in the run.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the figures of the paper from what a recipe stored (what is missing is made first).

    Score against rank ratio, loss and gradient norm, the grid of losses and samplers, and their
    numbers in figures.json. Example: rankmill figures recipes/nfcorpus.toml --to figures
    """
    from rankmill.figures import draw
    from rankmill.outcome import Outcome
    from rankmill.pipeline import run_recipe
    from rankmill.recipes import load

    loaded = load(recipe, set_ or [])
    with session(workspace, workers, ray_address, json) as here:
        outcome = run_recipe(loaded, here.workspace, here.executor, None)
        assert isinstance(outcome, Outcome)
        paths = draw(outcome, to, form)
        if json:
            here.emit({"files": [str(path) for path in paths]})
            return
        for path in paths:
            typer.echo(str(path))
