"""The command that crosses locality with entropy within every query, and what it prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer

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


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("cross", rich_help_panel="Stage by stage")(cross)


LocalityOption = Annotated[
    str, typer.Option("--locality", help="radius, radius(of=max) or diameter: the rows.")
]
EntropyOption = Annotated[
    str | None,
    typer.Option("--entropy", help="A pair_entropy, the columns; by default the first of stats."),
]
SpanOption = Annotated[
    float, typer.Option("--span", help="Share of a query's range between its outer levels.")
]
ToleranceOption = Annotated[
    float, typer.Option("--tolerance", help="How far a group may be off, in steps between levels.")
]
FilterOption = Annotated[
    list[str] | None, typer.Option("--filter", help="Such as margin(gap=0.5); may be repeated.")
]
GradeOption = Annotated[
    int | None, typer.Option("--min-grade", help="Grade of a positive; default: the pool's.")
]
MissingOption = Annotated[
    str, typer.Option("--missing", help="Without a score: error, drop_doc or drop_query.")
]


def cross(
    pool: Annotated[str, typer.Option("--pool", help="Name of a pool.")],
    scores: Annotated[str, typer.Option("--scores", help="Name of teacher scores.")],
    encoder: Annotated[
        str, typer.Option("--encoder", help="For locality: folder or bi_encoder(…).")
    ],
    locality: LocalityOption = "radius",
    entropy: EntropyOption = None,
    bins: Annotated[int, typer.Option(help="Levels of each.", min=2)] = 2,
    size: Annotated[int, typer.Option(help="Documents per group.", min=2)] = 16,
    span: SpanOption = 0.5,
    tolerance: ToleranceOption = 0.1,
    filter_: FilterOption = None,
    positives: Annotated[str, typer.Option(help="first; together: all in each group.")] = "first",
    min_grade: GradeOption = None,
    missing: MissingOption = "error",
    name: NameOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Give every query a group in each locality × entropy cell; compare with unblocked cells.

    Example: rankmill cross --pool P --scores S --encoder PATH --name nf makes the design nf and the
    groups nf-near0-sure0, nf-near0-sure1, …
    """
    from rankmill import crossing

    with session(workspace, workers, ray_address, json) as here:
        made = crossing.cross(
            here.workspace.find(pool, "pool"),
            here.workspace.find(scores, "scores"),
            encoder=encoder,
            locality=locality,
            entropy=entropy,
            bins=bins,
            size=size,
            seed=seed,
            filters=filter_ or (),
            positives=positives,
            min_grade=min_grade,
            missing=missing,
            span=span,
            tolerance=tolerance,
            name=name,
            executor=here.executor,
        )
        _tell(made, here, name)


def _tell(made: Any, here: Session, name: str | None) -> None:
    """Say what was made, what it achieved, and what unblocked cells would have confounded."""
    from rankmill import crossing

    against, why = _unblocked(made, here)
    found = crossing.orthogonality(made, against) | ({"no_unblocked": why} if why else {})
    if here.as_json:
        here.emit(_facts(made, found))
        return
    here.tell(crossing.design_of(made), name)
    for (near, sure), artifact in made.items():
        here.tell(artifact, f"{name}-near{near}-sure{sure}" if name else None)
    _print(found)


def _unblocked(made: Any, here: Session) -> tuple[Any, str | None]:
    """Return cells of the same pool as `cells` makes them, or why there are none."""
    from rankmill import crossing
    from rankmill.mining.errors import BadInput

    try:
        return crossing.unblocked(made, executor=here.executor), None
    except BadInput as error:
        return None, str(error)


def _facts(made: Any, found: dict[str, Any]) -> dict[str, Any]:
    from rankmill.mining.derive.blocks.confounding import label_of_cell

    cells = {
        label_of_cell(*place): {"root": artifact.root_hash, "rows": artifact.rows}
        for place, artifact in made.items()
    }
    return {"groups": cells, **found}


def _print(found: dict[str, Any]) -> None:
    """Print blocks, cells, correlations, and what cells of other queries would confound."""
    typer.echo(f"queries in all cells: {found['blocks']:,} of {found['asked']:,}")
    if not found["blocks"]:
        return
    typer.echo("cell          groups  distinct pairs  documents  locality ± sd    entropy ± sd")
    for cell in found["cells"]:
        typer.echo(
            f"near{cell['near']}-sure{cell['sure']}  {cell['groups']:8,}  "
            f"{cell['distinct_pairs']:14,}  {cell['distinct_documents']:9,}  "
            f"{cell['locality']:.3f} ± {cell['locality_sd']:.3f}   "
            f"{cell['entropy']:.3f} ± {cell['entropy_sd']:.3f}"
        )
    said = {name: _number(value) for name, value in found["correlation"].items()}
    typer.echo(
        f"locality with entropy: Pearson {said['pearson']}, Spearman {said['spearman']}; "
        f"within queries {said['within_pearson']}, {said['within_spearman']}"
    )
    overlap = {n: " ".join(f"{v:.2f}" for v in values) for n, values in found["overlap"].items()}
    typer.echo(
        "overlap of neighbouring levels (0 apart, 1 alike): "
        f"locality {overlap['locality_between_locality_levels']} between its own levels, "
        f"{overlap['locality_between_entropy_levels']} between those of entropy; "
        f"entropy {overlap['entropy_between_entropy_levels']} and "
        f"{overlap['entropy_between_locality_levels']}"
    )
    typer.echo(
        f"ordered as intended: {found['ordered']:.1%} of the blocks; two cells of a query share "
        f"{found['shared_negatives']:.1%} of their negatives"
    )
    _print_confounding(found)


def _print_confounding(found: dict[str, Any]) -> None:
    other = found.get("against")
    if other is None:
        typer.echo(f"no unblocked cells to compare with: {found.get('no_unblocked')}")
        return
    typer.echo(
        f"unblocked cells of the same pool: {other['queries_in_all_cells']:,} of "
        f"{other['queries']:,} queries are in all; what they confound, blocks in brackets:"
    )
    for name, apart in other["covariates"].items():
        if "spread" not in apart:
            continue
        own = found["confounding"]["covariates"][name]
        parts = [
            f"{word} {_number(apart[key])} ({_number(own.get(key))})"
            for key, word in (
                ("locality_effect", "far − near"),
                ("entropy_effect", "high − low entropy"),
                ("spread", "largest difference of cells"),
                ("eta2", "η²"),
            )
        ]
        typer.echo(f"  {name}: {', '.join(parts)}; by chance η² {_number(apart['by_chance'])}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 3) + 0.0:.3f}"  # + 0: no minus zero
