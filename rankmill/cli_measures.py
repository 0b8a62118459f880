"""Commands that judge designs and students beyond effectiveness: terms, diagnose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.training.ordering import Agreement, Design, Terms


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (diagnose, terms):
        app.command(command.__name__, rich_help_panel="Stage by stage")(command)


def diagnose(
    student: Annotated[str, typer.Option("--student", help="A student's name, or a model folder.")],
    groups: Annotated[str | None, typer.Option("--groups", help="Name of groups.")] = None,
    scores: Annotated[
        str | None, typer.Option("--scores", help="Without --groups: a teacher's, whole lists.")
    ] = None,
    statistic: Annotated[
        list[str] | None, typer.Option("--statistic", "-s", help="One column; may be repeated.")
    ] = None,
    compute: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
) -> None:
    """Compare a student with the teacher group by group: KL, Kendall's τ, variance, collapse.

    Statistics like the others: show, summary (--beside other statistics) and cut read them.
    Example: rankmill diagnose --student nf-student --groups nf-groups --name nf-diagnosis
    """
    from rankmill import measures
    from rankmill.mining.errors import UsageError

    if (groups is None) == (scores is None):
        raise UsageError("name what to compare on", do="give --groups or --scores, one of them")
    with session(workspace, workers, ray_address, json) as here:
        kind = "groups" if groups is not None else "scores"
        found = here.workspace.find(str(groups or scores), kind)
        who = here.workspace.find(student, "student") if _is_name(here, student) else student
        made = measures.diagnose(
            who, found, statistics=statistic, compute=compute, executor=here.executor
        )
        here.tell(made, name)
        if not json:
            _tell_means(made)


def terms(
    designs: Annotated[
        list[str], typer.Argument(help="Statistics of groups, with an encoder: LABEL=NAME.")
    ],
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="LABEL=EVAL+EVAL: evaluations of the design's students."),
    ] = None,
    measure: Annotated[str, typer.Option(help="Which measure is the observed order.")] = "nDCG@10",
    locality: Annotated[
        str | None, typer.Option(help="Column of Δ; default: the first diameter, or radius.")
    ] = None,
    entropy: Annotated[
        str | None, typer.Option(help="Column of H; default: the first pair_entropy.")
    ] = None,
    n: Annotated[
        str, typer.Option("--n", help="n under the root: queries, groups, documents, pairs.")
    ] = "queries",
    weights: Annotated[str, typer.Option(help="Of the two terms in the combined order.")] = "1,1",
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Order designs by the measured terms of Theorem 2.1, beside the order that was observed.

    Δ, H, κ, n and our reconstruction of the theorem (docs/quantities.md): an order, not a bound.
    Example: rankmill terms near=s1 far=s2 rand=s3 --against near=e1 --against far=e2
    """
    from rankmill import evaluating, measures

    with session(workspace, as_json=json) as here:
        named = evaluating.labelled(here, designs, "statistics")
        observed = evaluating.labelled(here, against or (), "evaluation")
        found = measures.terms(
            {label: _only(label, made) for label, made in named.items()},
            against=observed,
            measure=measure,
            locality=locality,
            entropy=entropy,
            n=n,
            weights=_weights(weights),
            seed=seed,
        )
        if json:
            here.emit(measures.plain_terms(found))
        else:
            _print_terms(found)


def _is_name(here: Session, text: str) -> bool:
    return text in here.workspace.names()


def _only(label: str, made: list[Artifact]) -> Artifact:
    from rankmill.mining.errors import UsageError

    if len(made) > 1:
        raise UsageError(f"{label!r} names {len(made)} statistics", do="a design has one")
    return made[0]


def _weights(text: str) -> tuple[float, float]:
    from rankmill.mining.errors import UsageError

    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--weights {text!r} is not two numbers", do="write 1,1") from error
    return first, second


def _tell_means(made: Artifact) -> None:
    """Print the mean of every column, and the collapse alarm as a warning."""
    from rankmill.mining.statistics import summarise

    for column, found in summarise(made)["columns"].items():
        mean = found.get("mean")
        typer.echo(f"  {column}: {'–' if mean is None else f'{mean:.4f}'} {found['unit']}")
        if column.startswith("student_collapsed(") and mean:
            rows = round(mean * found["n"])
            typer.echo(
                f"  warning: the student collapsed in {rows:,} of {found['n']:,} rows: it scores "
                "their documents nearly alike"
            )


def _print_terms(found: Terms) -> None:
    for name, design in found.designs.items():
        typer.echo(f"{name}")
        for line in _design_lines(design, found.n):
            typer.echo(f"  {line}")
    typer.echo(f"\norders, lowest predicted risk first (combined: weights {found.weights[0]:g} "
               f"locality, {found.weights[1]:g} entropy, declared, not known)")  # fmt: skip
    for kind, order in found.orders.items():
        values = found.predicted[kind] if kind in found.predicted else found.observed or {}
        said = " < ".join(f"{name} {values[name]:.4g}" for name in order)
        label = f"{kind}, {found.measure}" if kind == "observed" else kind
        typer.echo(f"  {label:<22} {said.replace(' < ', ', ') if kind == 'observed' else said}")
    _print_agreement(found)
    typer.echo("An order by our reconstruction of Theorem 2.1, not the value of a bound.")


def _design_lines(design: Design, n: str) -> list[str]:
    h, d = design.entropy_bits, design.diameter
    lines = [
        f"Δ {d.column}: mean {d.mean:.4f}, median {d.median:.4f}, .95 {d.q95:.4f}, "
        f"largest {d.largest:.4f}",
        f"H {h.column}: mean {h.mean:.4f} bits = {design.entropy_nats:.4f} nats, "
        f".95 {h.q95:.4f}, undefined in {h.undefined:,} groups",
    ]
    lines += [
        f"κ {r.column}: median {r.median:.4g}, infinite in {r.infinite:.0%} of {r.groups:,} groups"
        + (f", covers {r.coverage:.3g} of the target" if r.coverage is not None else "")
        + (f", unknown in {r.undefined:,}" if r.undefined else "")
        for r in design.ratios
    ] or ["κ not measured: rankmill stats -s 'density_ratio(target=…)'"]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in design.amount.items())
    lines.append(f"n {counts} (one epoch); under the root: {n}")
    lines.append(f"terms: locality {design.locality:.4g}, entropy {design.entropy:.4g}")
    return lines


def _print_agreement(found: Terms) -> None:
    if found.chance is None or found.observed is None:
        return
    count = len(found.observed)
    for kind, one in (found.agreement or {}).items():
        typer.echo(f"  {kind:<22} {_correlation(one)}")
    if found.too_few:
        typer.echo(
            f"too few designs: {count} can be in the same or the opposite order by chance with "
            f"probability {min(found.chance, 1.0):.3g}"
        )


def _correlation(one: Agreement) -> str:
    if one.kendall is None or one.spearman is None:
        return "does not vary"
    return (
        f"Kendall τ {one.kendall:+.3f} ({one.kendall_low:+.3f} to {one.kendall_high:+.3f}), "
        f"Spearman ρ {one.spearman:+.3f} ({one.spearman_low:+.3f} to {one.spearman_high:+.3f}) "
        "with the observed risk"
    )
