"""The commands that are made from requests, and what each of them prints."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rankmill import stages
from rankmill.cli.commands import command_of
from rankmill.cli.render import artifacts, designs, groups, judged

Command = Callable[..., None]


def _command(verb: str, request: Any, tell: Any = artifacts.tell_artifact, **more: Any) -> Command:
    return command_of(verb, {verb: request}, tell, **more)


def _own(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    """Return an option that only the command line has: of what is printed, not of the stage."""
    annotation = Annotated[kind, option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


PER_QUERY = _own(
    "per_query",
    Path | None,
    typer.Option("--per-query", help="Also write all queries' values: .csv, .jsonl, .parquet."),
    None,
)
ALONE = _own("alone", bool, typer.Option("--alone", help="No BM25 and first stage beside."), False)
ROWS = _own(
    "rows",
    int,
    typer.Option("--rows", help="Candidates shown of each group; 0 = all.", min=0),
    0,
)


def _check_per_query(*, per_query: Path | None, **said: Any) -> bool:
    if per_query is not None:
        judged.form_of(per_query)  # a wrong one is refused before any work
    return False


def _list_formats(*, format: str, **said: Any) -> bool:
    if format != "list":
        return False
    for line in artifacts.formats():
        typer.echo(line)
    return True


_IMPORT = """Bring a run, teacher scores or training groups of another tool into the workspace.

Example: rankmill import run.txt --as run -c nf --split test --name their-run
Example: rankmill import scores.jsonl --as scores --kind logit -c nf --name their-scores
Example: rankmill import DIR --as groups --format colbert --kind logit -c nf --name theirs
"""
STAGES: dict[str, tuple[Command, ...]] = {
    "Stage by stage": (
        _command("collect", stages.Collect, artifacts.tell_collection),
        _command("mine", stages.Mine),
        _command("pool", stages.Pool),
        _command("score", stages.Score),
        _command("select", stages.Select),
        _command("stats", stages.Stats),
        _command("cross", stages.Cross, designs.tell_design),
        _command("train", stages.Train),
        _command("rerank", stages.Rerank),
        _command("retrieve", stages.Retrieve),
        _command(
            "eval",
            stages.Evaluate,
            judged.tell_evaluation,
            own=(PER_QUERY, ALONE),
            check=_check_per_query,
        ),
        _command("compare", stages.Compare, judged.tell_comparison),
        _command("diagnose", stages.Diagnose, judged.tell_diagnosis),
        _command("terms", stages.OrderDesigns, designs.tell_terms),
    ),
    "Other groups from the same ones": (
        _command("cut", stages.Cut),
        _command("cells", stages.CutCells, designs.tell_cells),
        _command("subsample", stages.Subsample),
        _command("retarget", stages.Retarget),
        _command("rewrite", stages.Rewrite, artifacts.tell_collection),
    ),
    "Exchange": (
        _command("export", stages.Export, artifacts.tell_export, check=_list_formats),
        command_of(
            "import",
            {
                "run": stages.ImportRun,
                "scores": stages.ImportScores,
                "groups": stages.ImportGroups,
            },
            artifacts.tell_artifact,
            help=_IMPORT,
        ),
    ),
    "Examine": (
        _command("explain", stages.Explain, groups.tell_explanation, own=(ROWS,)),
        _command("audit", stages.Audit, groups.tell_audit),
    ),
}
