"""Commands about groups: choose them, measure them, and make others from them."""

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

GroupsOption = Annotated[str, typer.Option("--groups", help="Name of groups.")]
StatisticsOption = Annotated[str, typer.Option("--statistics", help="Name of their statistics.")]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="Model folder or bi_encoder(…), for locality.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands that make groups from groups; `select` and `stats` are stages."""
    for command in (cut, cells, subsample, retarget, rewrite):
        app.command(command.__name__, rich_help_panel="Other groups from the same ones")(command)


def select(
    strategy: Annotated[
        str, typer.Argument(help="Such as uniform(source=bm25,last=100), top, stratified.")
    ],
    pool: Annotated[str, typer.Option("--pool", help="Name of a pool.")],
    scores: Annotated[str, typer.Option("--scores", help="Name of teacher scores.")],
    size: Annotated[int, typer.Option(help="Documents per group.", min=2)] = 16,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Such as margin(gap=0.5); may be repeated."),
    ] = None,
    positives: Annotated[
        str,
        typer.Option(help="first; all: a group each; together: one group; best: the teacher's."),
    ] = "first",
    min_grade: Annotated[
        int | None,
        typer.Option(help="Grade of a positive, in all that follows; default: the pool's."),
    ] = None,
    when_short: Annotated[str, typer.Option(help="drop_query, error or fill.")] = "drop_query",
    missing: Annotated[
        str, typer.Option(help="Without a score: error, drop_doc or drop_query.")
    ] = "error",
    encoder: EncoderOption = None,
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Choose a training group for every query, the positive first.

    Example: rankmill select "uniform(source=bm25,last=100)" --pool POOL --scores SCORES --filter
    "margin(gap=0.5)"
    """
    from rankmill import api

    with session(workspace, workers, ray_address, json) as here:
        made = api.select(
            strategy,
            here.workspace.find(pool, "pool"),
            here.workspace.find(scores, "scores"),
            size=size,
            seed=seed,
            when_short=when_short,
            filters=filter_ or (),
            encoder=encoder,
            positives=positives,
            min_grade=min_grade,
            missing=missing,
            executor=here.executor,
        )
        here.tell(made, name)


def stats(
    groups: Annotated[str | None, typer.Option("--groups", help="Name of groups.")] = None,
    scores: Annotated[
        str | None,
        typer.Option("--scores", help="Without --groups: measure whole lists of candidates."),
    ] = None,
    encoder: EncoderOption = None,
    statistic: Annotated[
        list[str] | None, typer.Option("--statistic", "-s", help="One column; may be repeated.")
    ] = None,
    compat: Annotated[
        str | None, typer.Option(help="locality-and-entropy: the reference's variants.")
    ] = None,
    min_grade: Annotated[
        int | None, typer.Option(help="With --scores: grade of a positive; default: the pool's.")
    ] = None,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Measure every group, or every query's whole list: teacher entropy, locality, agreement.

    Example: rankmill stats --groups nf-groups --encoder PATH --name nf-stats        rankmill stats
    --scores nf-scores
    """
    from rankmill import api
    from rankmill.mining.errors import UsageError

    if groups is None and scores is None:
        raise UsageError("nothing to measure", do="add --groups NAME, or --scores NAME for a pool")
    with session(workspace, workers, ray_address, json) as here:
        kind = "groups" if groups is not None else "scores"
        found = here.workspace.find(str(groups if groups is not None else scores), kind)
        made = api.stats(
            found,
            statistics=statistic,
            encoder=encoder,
            compat=compat,
            min_grade=min_grade,
            executor=here.executor,
        )
        here.tell(made, name)


def cut(
    keep: Annotated[
        str, typer.Argument(help="keep_below(q=0.75), keep_above, where('\"ties\" = 0'), …")
    ],
    groups: GroupsOption,
    statistics: StatisticsOption,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Keep some groups by their statistics; a cut is named by what it keeps.

    Example: rankmill cut "keep_below(of=pair_entropy(T=1),q=0.75)" --groups G --statistics S
    """
    from rankmill import shaping

    with session(workspace, as_json=json) as here:
        found = here.workspace.find(groups, "groups")
        measured = here.workspace.find(statistics, "statistics")
        here.tell(shaping.cut(found, measured, keep, executor=here.executor), name)


def cells(
    groups: GroupsOption,
    statistics: StatisticsOption,
    locality: Annotated[str, typer.Option(help="The statistic of the rows.")] = "radius",
    entropy: Annotated[str, typer.Option(help="That of the columns.")] = "pair_entropy",
    bins: Annotated[int, typer.Option(help="Bins of each.", min=2)] = 2,
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Cut groups into locality × entropy cells, equal in groups, documents, pairs and positives.

    Cells hold other queries: an effect of a cell may be one of its queries' difficulty. `rankmill
    cross` makes cells of the same queries. Example: rankmill cells --groups G --statistics S --name
    nf makes nf-near0-sure0 …
    """
    from rankmill import crossing, shaping

    with session(workspace, as_json=json) as here:
        made = shaping.cells(
            here.workspace.find(groups, "groups"),
            here.workspace.find(statistics, "statistics"),
            locality=locality,
            entropy=entropy,
            bins=bins,
            seed=seed,
            executor=here.executor,
        )
        common, queries = crossing.queries_in_all(made)
        if json:
            facts = {
                f"near{near}-sure{sure}": {"root": artifact.root_hash, "rows": artifact.rows}
                for (near, sure), artifact in made.items()
            }
            here.emit({"cells": facts, "queries": queries, "queries_in_all_cells": common})
        for (near, sure), artifact in made.items():
            alias = f"{name}-near{near}-sure{sure}" if name else None
            if not json:
                here.tell(artifact, alias)
            elif alias:
                here.workspace.alias(alias, artifact)
        if not json:
            typer.echo(
                f"{common:,} of {queries:,} queries are in all cells: the cells differ in their "
                "queries too; `rankmill cross` makes cells of the same queries"
            )


def subsample(
    groups: GroupsOption,
    size: Annotated[int, typer.Option(help="Documents per new group.", min=2)],
    times: Annotated[int, typer.Option(help="Draws of each group.", min=1)] = 1,
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Draw smaller groups out of larger ones; positives stay.

    Example: rankmill subsample --groups nf-groups --size 8 --times 2 --name nf-small
    """
    from rankmill import shaping

    with session(workspace, as_json=json) as here:
        found = here.workspace.find(groups, "groups")
        made = shaping.subsample(found, size=size, times=times, seed=seed, executor=here.executor)
        here.tell(made, name)


def retarget(
    groups: GroupsOption,
    target: Annotated[
        str | None, typer.Argument(help="temperature(T=2), smooth, rank_labels, minmax, zscore")
    ] = None,
    scores: Annotated[
        str | None, typer.Option("--scores", help="Another teacher's scores of the same pairs.")
    ] = None,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Give the same groups other labels; documents, Δ and κ stay as they are.

    Example: rankmill retarget "temperature(T=2)" --groups nf-groups --name nf-soft
    """
    from rankmill import shaping

    with session(workspace, as_json=json) as here:
        found = here.workspace.find(groups, "groups")
        other = here.workspace.find(scores, "scores") if scores is not None else None
        here.tell(shaping.retarget(found, target, scores=other, executor=here.executor), name)


def rewrite(
    path: Annotated[Path, typer.Argument(help="Lines: query_id, tab, text; or .jsonl.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Name of a collection.")],
    split: Annotated[str, typer.Option("--split", help="The split of the queries.")],
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Add query rewrites to a split: q7~1 is the first of q7, with its judgements.

    Example: rankmill rewrite rewrites.tsv -c nf --split train --name nf-wide
    """
    from rankmill import shaping
    from rankmill.mining.collection import Collection

    with session(workspace, as_json=json) as here:
        opened = Collection.open(here.workspace, collection)
        made = shaping.rewrite(opened, path, split=split, executor=here.executor)
        here.tell(made.artifact, name)
