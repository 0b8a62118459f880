"""Commands that examine data: explain one query, audit groups, summarise statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.session import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, session

if TYPE_CHECKING:
    from rankmill.mining.audit.explain import Explained, Explanation

GroupsOption = Annotated[str, typer.Option("--groups", help="Name of groups.")]
_TEXT = 70  # characters of a text in a line for people


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (explain, audit, summary):
        app.command(command.__name__, rich_help_panel="Look")(command)


def explain(
    query_id: Annotated[str, typer.Argument(help="The query's external id.")],
    groups: GroupsOption,
    rows: Annotated[int, typer.Option(help="Candidates shown of each group; 0 = all.")] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Say of every candidate of a query who found it, what it scores, why it stayed or went.

    Example: rankmill explain PLAIN-3 --groups nf-groups
    """
    from dataclasses import asdict

    from rankmill.mining.audit.explain import explain_query

    with session(workspace, as_json=json) as here:
        found = explain_query(here.workspace, groups, query_id)
        if json:
            here.emit(asdict(found))
            return
        _print_explanation(found, rows)


def audit(
    groups: GroupsOption,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            help="A split to look for leakage, or COLLECTION:SPLIT; default: all other splits.",
        ),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="An evaluation run: how much is trained on?")
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option("--beside", help="Other groups: which negatives are shared?")
    ] = None,
    overlap: Annotated[float, typer.Option(help="Text overlap of near copies, 0.7 to 1.")] = 0.8,
    examples: Annotated[int, typer.Option(help="Examples of each kind to read.", min=0)] = 5,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Look for false negatives, copies, leakage and imbalance in groups.

    Ends with status 1 when something is there that must not be. Example: rankmill audit --groups
    nf-groups --against test
    """
    from rankmill import api
    from rankmill.mining.audit.checks import verdict

    with session(workspace, as_json=json) as here:
        artifact = here.workspace.find(groups, "groups")
        runs = [here.workspace.find(name, "run") for name in run or ()]
        others = [here.workspace.find(name, "groups") for name in beside or ()]
        found = api.audit(
            artifact,
            against=against,
            runs=runs,
            beside=others,
            overlap=overlap,
            examples=examples,
        )
        if json:
            here.emit(found)
        else:
            _print_audit(found)
        if verdict(found):
            raise typer.Exit(1)


def summary(
    name: Annotated[str, typer.Argument(help="Name of statistics, scores or vectors.")],
    correlate: Annotated[
        list[str] | None, typer.Option("--correlate", help="Columns of the matrix.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", help="More statistics of the same groups: joined row by row."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Summarise statistics: moments, deciles, nulls by reason, correlations with intervals.

    Of scores: how the teacher's probability falls with rank, a power law against others. Of
    vectors: their intrinsic dimension. Example: rankmill summary nf-stats        rankmill summary
    nf-stats --json
    """
    from rankmill.mining.statistics.summaries.dataset import describe_artifact

    with session(workspace, as_json=json) as here:
        others = [here.workspace.find(other, "statistics") for other in beside or ()]
        about = here.workspace.find(name, "statistics" if others else None)
        more = {"beside": others} if others else {}
        found = describe_artifact(about, correlate=correlate, **more)
        if json:
            here.emit(found)
        elif "columns" in found:
            _print_summary(found)
        else:
            for part in found.values():
                _print_values(part)


def _print_explanation(found: Explanation, rows: int) -> None:
    from rankmill.mining.score_kinds import name_of

    typer.echo(f"{found.query_id}  {found.text}")
    typer.echo(f"strategy {found.strategy}")
    for group in found.groups:
        typer.echo("")
        if group.dropped is not None:
            typer.echo(f"no group round {group.positive_id or 'any positive'}: {group.dropped}")
        for name, value in group.statistics.items():
            typer.echo(f"  {name:<48} {'undefined' if value is None else f'{value:.4f}'}")
        _print_candidates(group, name_of(found.score_kind), rows)


def _print_candidates(group: Explained, score: str, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    headings = ("", "document", f"teacher: {score}", "grade", "π", "why", "found by", "text")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for one in group.candidates[: rows or None]:
        found = ", ".join(
            f"{label.partition('(')[0]} #{rank} ({score:.4g})"
            for label, (rank, score) in one.found.items()
        )
        text = " ".join(one.text.split())
        cells = (
            "●" if one.kept else "",
            one.doc_id,
            "–" if one.teacher is None else f"{one.teacher:.4g}",
            str(one.grade),
            "" if one.inclusion is None else f"{one.inclusion:.3g}",
            one.why,
            found or "judgements only",
            text if len(text) <= _TEXT else text[: _TEXT - 1] + "…",
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
    if rows and len(group.candidates) > rows:
        typer.echo(f"{rows} of {len(group.candidates)} candidates")


def _print_audit(found: dict[str, Any]) -> None:
    typer.echo("must be zero")
    for name, count in found["must_be_zero"].items():
        typer.echo(f"  {'ok ' if not count else 'BAD'} {name.replace('_', ' '):<44} {count:>10,}")
    for section in ("counts", "suspects", "copies", "imbalance"):
        typer.echo(f"\n{section}")
        _print_values(found[section])
    for title in ("coverage of", "overlap with"):
        for name, values in found[title.partition(" ")[0]].items():
            typer.echo(f"\n{title} {name}")
            _print_values(values)
    for split, values in found["leakage"].items():
        typer.echo(f"\nleakage into {split}")
        _print_values(values)


def _print_values(values: dict[str, Any]) -> None:
    for name, value in values.items():
        label = name.replace("_", " ")
        if isinstance(value, list):
            for example in value:
                typer.echo(f"  {label}:")
                for key, part in example.items():
                    text = f"{part:.4g}" if isinstance(part, float) else " ".join(part.split())
                    typer.echo(f"    {key.replace('_', ' '):<18} {text[:160]}")
        elif isinstance(value, dict):
            for key, part in value.items():
                typer.echo(f"  {label} {key:<{max(1, 47 - len(label))}} {part:>10.3f}")
        else:
            typer.echo(f"  {label:<48} {_number(value):>10}")


def _print_summary(found: dict[str, Any]) -> None:
    typer.echo(f"{found['rows']:,} rows")
    heads = ("n", "mean", "sd", "10 %", "median", "90 %", "unit")
    typer.echo(f"{'column':<50}" + "".join(f"{h:>10}" for h in heads))
    for name, column in found["columns"].items():
        if not column["n"]:
            typer.echo(f"{name:<50}{0:>10}")
        else:
            deciles = [column["deciles"][i] for i in (1, 5, 9)]
            spread = column.get("variance", float("nan")) ** 0.5
            cells = (column["n"], column.get("mean"), spread, *deciles)
            row = "".join(f"{_number(cell):>10}" for cell in cells)
            typer.echo(f"{name:<50}{row}  {column['unit']}")
            if infinite := column["histogram"]["infinite"]:
                typer.echo(f"    infinite: {infinite:,}, not in mean and sd")
        for reason, count in column["nulls"].items():
            typer.echo(f"    undefined: {count:,} {reason}")
    matrix = found["correlation"]
    if "spearman" in matrix:
        typer.echo(f"\nSpearman over {matrix['rows']:,} rows, 95 % bootstrap over queries")
        for i, one in enumerate(matrix["names"]):
            for j, other in enumerate(matrix["names"][:i]):
                ends = [matrix[f"spearman{end}"][i][j] for end in ("", "_low", "_high")]
                if ends[0] is not None:
                    low, high = (_number(end) for end in ends[1:])
                    typer.echo(f"  {_number(ends[0]):>8} [{low}, {high}]  {one} × {other}")


def _number(value: Any) -> str:
    if value is None or isinstance(value, str):
        return str(value) if value is not None else "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
