"""Commands that make artifacts, one per stage, and the two that run them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rankmill.cli_groups import select, stats
from rankmill.session import (
    DEFAULT_WORKSPACE,
    AddressOption,
    JsonOption,
    NameOption,
    SeedOption,
    Session,
    WorkersOption,
    WorkspaceOption,
    session,
)

CollectionOption = Annotated[str, typer.Option("--collection", "-c", help="Name of a collection.")]
SplitOption = Annotated[str, typer.Option("--split", help="Which judged queries: train, test, …")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    whole: tuple[Callable[..., None], ...] = (demo, run)
    stages: tuple[Callable[..., None], ...]
    stages = (collect, mine, pool, score, select, stats, train)
    for command in whole:
        app.command(command.__name__, rich_help_panel="The whole way")(command)
    for command in stages:
        app.command(command.__name__, rich_help_panel="Stage by stage")(command)


def demo(
    report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("report.html"),
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Take the built-in collection python-docs all the way to trained students and a report.

    Example: rankmill demo --report report.html
    """
    from rankmill.pipeline import run_recipe
    from rankmill.recipes import builtin

    with session(workspace, workers, ray_address, json) as here:
        _tell_outcome(here, run_recipe(builtin("demo"), here.workspace, here.executor, report))


def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe in TOML.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override: key=value, such as seed=3.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Run a recipe: collect, mine, pool, score, select, measure, train, evaluate, report.

    Example: rankmill run recipes/nfcorpus.toml --set collection=beir:PATH
    """
    from rankmill.pipeline import run_recipe
    from rankmill.recipes import load

    loaded = load(recipe, set_ or [])
    with session(workspace, workers, ray_address, json) as here:
        _tell_outcome(here, run_recipe(loaded, here.workspace, here.executor, report))


def collect(
    spec: Annotated[
        str,
        typer.Argument(help="beir:PATH, ir:ID, tsv:PATH, jsonl:PATH, parquet:PATH, python-docs"),
    ],
    name: NameOption = None,
    title: Annotated[
        str,
        typer.Option(
            help="What a document's text is: 'title text', 'title+text' (BM25 can weigh the"
            " title), 'text' or 'title'."
        ),
    ] = "title text",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Read documents, queries and judgements into memory-mapped Arrow.

    Example: rankmill collect beir:../shared/data/nfcorpus --name nf
    """
    from rankmill import api

    with session(workspace, as_json=json) as here:
        found = api.collect(spec, workspace=here.workspace, title=title, executor=here.executor)
        here.tell(found.artifact, name)
        if not json:
            typer.echo(
                f"  {len(found.corpus):,} documents, {_queries(found):,} queries, "
                f"splits: {', '.join(found.splits) or 'none'}"
            )


def mine(
    source: Annotated[str, typer.Argument(help="Such as bm25(k1=0.9,b=0.4), random, dense(…).")],
    collection: CollectionOption,
    split: SplitOption,
    depth: Annotated[int, typer.Option(help="Documents per query.", min=1)] = 100,
    name: NameOption = None,
    trec: Annotated[Path | None, typer.Option(help="Also write a TREC run here.")] = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Mine candidates for every query of a split.

    Example: rankmill mine "bm25(k1=0.9,b=0.4)" -c nf --split train --depth 200 --name nf-bm25
    """
    from rankmill import api
    from rankmill.mining.collection import Collection
    from rankmill.mining.runs.trec import to_trec

    with session(workspace, workers, ray_address, json) as here:
        opened = Collection.open(here.workspace, collection)
        found = api.mine(
            source, opened, split=split, depth=depth, seed=seed, executor=here.executor
        )
        here.tell(found, name)
        if trec is not None:
            to_trec(found, trec)


def pool(
    runs: Annotated[list[str], typer.Argument(help="Runs over one collection and split.")],
    positives: Annotated[bool, typer.Option(help="Add judged positives no run found.")] = True,
    min_grade: Annotated[int, typer.Option(help="Grade from which a document is positive.")] = 1,
    depth: Annotated[int | None, typer.Option(help="Only the first so many of each run.")] = None,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Join runs: one row per query with every source's rank and score.

    Example: rankmill pool nf-bm25 nf-dense --name nf-pool
    """
    from rankmill import api

    with session(workspace, workers, ray_address, json) as here:
        found = [here.workspace.find(r, "run") for r in runs]
        made = api.pool(
            found, positives=positives, min_grade=min_grade, depth=depth, executor=here.executor
        )
        here.tell(made, name)


def score(
    teacher: Annotated[str, typer.Argument(help="cross_encoder(model=PATH), causal_lm(…), …")],
    pool: Annotated[str, typer.Option("--pool", help="Name of a pool.")],
    allow: Annotated[
        int, typer.Option(help="Queries that may be left out for scores that are not finite.")
    ] = 0,
    direction: Annotated[
        str, typer.Option(help="judged: refuse scores that run the wrong way; trusted: do not ask.")
    ] = "judged",
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Score every pair of a pool with a teacher, each pair once.

    Example: rankmill score "cross_encoder(model=PATH)" --pool nf-pool --name nf-scores
    """
    from rankmill import api

    with session(workspace, workers, ray_address, json) as here:
        found = here.workspace.find(pool, "pool")
        made = api.score(teacher, found, allow=allow, direction=direction, executor=here.executor)
        here.tell(made, name)


def train(
    student: Annotated[str, typer.Argument(help="bi_encoder(model=PATH), cross_encoder(…)")],
    groups: Annotated[str, typer.Option("--groups", help="Name of groups.")],
    loss: Annotated[str, typer.Option(help="lce, kl, margin_mse, ranknet_soft, …")] = "kl",
    documents: Annotated[str, typer.Option(help="Budget in documents seen: 50000, 1M.")] = "100k",
    batch: Annotated[int, typer.Option(help="Groups per optimiser step.", min=1)] = 16,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-5,
    query_length: Annotated[int, typer.Option(help="Tokens kept of a query.", min=1)] = 32,
    doc_length: Annotated[int, typer.Option(help="Tokens kept of a document.", min=1)] = 128,
    compute: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, or auto: the faster one here.")
    ] = "float32",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of a step; another number, another student.", min=1),
    ] = None,
    validation: Annotated[
        str | None, typer.Option("--validation", help="Held-out groups: keep the best weights.")
    ] = None,
    settings: Annotated[
        str, typer.Option("--settings", help="More of them: micro=4,patience=3; docs/training.md.")
    ] = "",
    to: Annotated[
        Path | None, typer.Option(help="Also copy the checkpoint to this folder.")
    ] = None,
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Train a student on groups; killed, it resumes from its last checkpoint.

    Example: rankmill train "bi_encoder(model=PATH)" --groups nf-groups --loss kl --documents 1M
    --to DIR
    """
    from rankmill import api
    from rankmill.mining.store import files
    from rankmill.training.settings import read_settings

    with session(workspace, as_json=json) as here:
        options: dict[str, Any] = {
            "documents": count_of(documents),
            "batch": batch,
            "lr": lr,
            "query_length": query_length,
            "doc_length": doc_length,
            "compute": compute,
            "threads": threads,
            "seed": seed,
            "validation": here.workspace.find(validation, "groups") if validation else None,
        }
        options |= read_settings(settings)
        found = here.workspace.find(groups, "groups")
        made = api.train(student, found, loss=loss, executor=here.executor, **options)
        here.tell(made, name)
        if to is not None:
            files.copy_tree(made.check_content().path / "model", to)


def count_of(text: str) -> int:
    """Read a count such as 50000, 100k or 1.5M."""
    from rankmill.mining.errors import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmM]?)", text.strip().replace("_", ""))
    if not match:
        raise UsageError(f"{text!r} is not a count", do="write 50000, 100k or 1M")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


def _queries(collection: object) -> int:
    artifact = collection.artifact  # type: ignore[attr-defined]
    return artifact.input("queries").rows if "queries" in artifact.inputs else 0


def _tell_outcome(here: Session, outcome: object) -> None:
    if here.as_json:
        here.emit(outcome.as_json())  # type: ignore[attr-defined]
        return
    from rich.console import Console

    table, console = outcome.table(), Console()  # type: ignore[attr-defined]
    if not console.is_terminal:  # nothing is cut off in a file
        console.width = max(console.width, 200)
    console.print(table)
    for line in outcome.lines():  # type: ignore[attr-defined]
        typer.echo(line)
