"""Commands that exchange data with other tools: export, import, and what makes imports safe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill import progress
from rankmill.cli_stages import CollectionOption
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
    app.command("unsafe-convert-pickle", rich_help_panel=panel)(unsafe_convert_pickle)


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
    from rankmill import exchange
    from rankmill.mining.errors import UsageError

    if format == "list":
        for line in _formats():
            typer.echo(line)
        return
    if groups is None or to is None:
        raise UsageError("export needs --groups and --to", do="add --groups NAME --to DIR")
    with session(workspace, as_json=json) as here:
        made = exchange.export(
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
    split: Annotated[str | None, typer.Option("--split", help="Of a run: its queries.")] = None,
    as_: Annotated[str, typer.Option("--as", help="What it holds: run, scores or groups.")] = "run",
    kind: Annotated[
        str | None,
        typer.Option(help="Of teacher scores: logit, log-prob, probability, similarity, rank."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="Of scores: json, jsonl, tsv, parquet, trec; else by ending. Of groups: triple, "
            "colbert, tevatron, flag-embedding, trove, rankers, flat."
        ),
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Of scores: ids that the collection lacks: error, skip.")
    ] = "error",
    sign: Annotated[int, typer.Option(help="Of scores: -1 where lower is better.")] = 1,
    system: Annotated[
        str | None, typer.Option(help="Of a sentence-transformers hard-negatives file: which.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Of groups: documents kept of each.")] = None,
    name: NameOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Bring somebody else's run, teacher scores or training groups into the workspace.

    Example: rankmill import run.txt --as run -c nf --split test --name their-run
    Example: rankmill import scores.jsonl --as scores --kind logit -c nf --name their-scores
    Example: rankmill import DIR --as groups --format colbert --kind logit -c nf --name theirs
    """
    from rankmill import exchange
    from rankmill.mining.collection import Collection
    from rankmill.mining.errors import UsageError

    kinds = {"--kind": kind}
    needed = {"run": {"--split": split}, "scores": kinds, "groups": kinds | {"--format": format}}
    if as_ not in needed:
        raise UsageError(f"cannot import {as_!r}", do="import --as run, scores or groups")
    for option, value in needed[as_].items():
        if value is None:
            raise UsageError(f"import --as {as_} needs {option}", do=f"add {option} …")
    with session(workspace, as_json=json) as here:
        opened = Collection.open(here.workspace, collection)
        executor, of = here.executor, str(kind)
        if as_ == "run":
            made = exchange.import_run(
                path, opened, split=str(split), system=system, executor=executor
            )
        elif as_ == "groups":
            form = str(format)
            made = exchange.import_groups(
                path, opened, format=form, kind=of, size=size, executor=executor
            )
        else:
            rules: dict[str, Any] = {"format": format, "unknown": unknown, "sign": sign}
            made = exchange.import_scores(path, opened, kind=of, **rules, executor=executor)
        here.tell(made, name)


def unsafe_convert_pickle(
    path: Annotated[Path, typer.Argument(help="A score pickle of sentence-transformers.")],
    to: Annotated[Path, typer.Option("--to", help="The JSON Lines file to write.")],
    trust: Annotated[
        bool, typer.Option("--i-trust-this-file", help="Needed: a pickle can hold code.")
    ] = False,
) -> None:
    """UNSAFE INPUT: turn a pickle of scores into JSON Lines for `rankmill import --as scores`.

    A pickle can carry code. None of it is run here: the file is read as data, and refused where it
    holds anything but numbers, texts and dictionaries. No other command of rankmill reads pickles.

    Example: rankmill unsafe-convert-pickle scores.pkl.gz --to scores.jsonl --i-trust-this-file
    """
    from rankmill.mining.errors import BadInput, UsageError
    from rankmill.mining.teachers.files.pickles import convert_score_pickle

    if not trust:
        raise UsageError(
            "a pickle can hold code, and this file was not said to be trusted",
            where=str(path),
            do="look where it comes from, then add --i-trust-this-file; no code of it is run",
        )
    if not path.is_file():
        raise BadInput("there is no such file", where=path, do="check the path")
    pairs = convert_score_pickle(path, to)
    typer.echo(f"{to}: {pairs:,} scores")


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

    members: list[tuple[str, Any]] = [(name, EXPORTS.member(name)) for name in EXPORTS.names()]
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
