"""Commands that exchange data with other tools: export and import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill import progress
from rankmill.cli_stages import CollectionOption, SplitOption
from rankmill.session import (
    DEFAULT_WORKSPACE,
    JsonOption,
    NameOption,
    SeedOption,
    WorkspaceOption,
    session,
)

if TYPE_CHECKING:
    from rankmill.mining.exports import Exported


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    panel = "Exchange"
    app.command("export", rich_help_panel=panel)(export)
    app.command("import", rich_help_panel=panel)(import_)


def export(
    format: Annotated[
        str, typer.Argument(help="Such as sentence-transformers, colbert; 'list' names them all.")
    ],
    groups: Annotated[str | None, typer.Option("--groups", help="Name of groups.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="A folder, new or empty.")] = None,
    scores: Annotated[
        str | None, typer.Option("--scores", help="Accepted; groups hold them.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Documents per group, if fewer.")] = None,
    allow_lossy: Annotated[
        bool, typer.Option("--allow-lossy", help="Write formats without teacher scores.")
    ] = False,
    missing: Annotated[str, typer.Option(help="Groups without a score: error, drop_group.")] = (
        "error"
    ),
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter of the format: key=value.")
    ] = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write groups in the layout of another trainer; `--seed` draws which negatives stay.

    Example: rankmill export sentence-transformers --groups nf-groups --to DIR
    Example: rankmill export tevatron --set titles=true --groups nf-groups --to DIR
    """
    from rankmill import api
    from rankmill.mining.errors import UsageError

    if format == "list":
        for line in _formats():
            typer.echo(line)
        return
    if groups is None or to is None:
        raise UsageError("export needs --groups and --to", do="add --groups NAME --to DIR")
    with session(workspace, as_json=json) as here:
        made = api.export(
            format,
            here.workspace.find(groups, "groups"),
            to=to,
            allow_lossy=allow_lossy,
            size=size,
            seed=seed,
            missing=missing,
            **_settings(set_ or []),
        )
        if json:
            here.emit({"path": str(made.path), **made.facts})
            return
        _tell(made)


def import_(
    path: Annotated[Path, typer.Argument(help="The file.")],
    collection: CollectionOption,
    split: SplitOption,
    as_: Annotated[str, typer.Option("--as", help="What it holds: run.")] = "run",
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Bring somebody else's TREC run into the workspace.

    Example: rankmill import run.txt --as run -c nf --split test --name their-run
    """
    from rankmill import api
    from rankmill.mining.collection import Collection
    from rankmill.mining.errors import UsageError

    if as_ != "run":
        raise UsageError(f"cannot import {as_!r}", do="this version imports --as run")
    with session(workspace, as_json=json) as here:
        opened = Collection.open(here.workspace, collection)
        here.tell(api.import_run(path, opened, split=split, how=here.how), name)


def _settings(pairs: list[str]) -> dict[str, Any]:
    """Read `--set key=value`."""
    from rankmill.mining.errors import UsageError
    from rankmill.mining.names import parse

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key.isidentifier()):
            raise UsageError(f"--set {pair!r} is not key=value", do="write --set layout=lists")
        found[key] = parse(value)
    return found


def _formats() -> list[str]:
    """Return a line for each export format: its name, what becomes of scores, what it is."""
    from rankmill.mining.exports import EXPORTS

    members = [(name, EXPORTS.member(name)) for name in EXPORTS.names()]
    return [f"{name:28} scores {m.scores:8} {(m.__doc__ or '').strip()}" for name, m in members]


def _tell(made: Exported) -> None:
    facts = made.facts
    typer.echo(
        f"{made.path}: {facts['format']}, {facts['groups']:,} groups of {facts['group_size']}, "
        f"{len(facts['files'])} files, {progress.size(made.bytes)}"
    )
    if facts["scores"] != "raw":
        typer.echo(f"  teacher scores: {facts['scores']}")
    for reason, count in facts["dropped_groups"].items():
        typer.echo(f"  dropped {count:,} groups: {reason}")
    if "id_map" in facts:
        typer.echo(f"  ids renumbered: {facts['id_map']}")
