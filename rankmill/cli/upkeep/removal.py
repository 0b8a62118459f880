"""Commands that remove: gc, what nothing needs; rm, a name and what it alone held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.look import NameArgument
from rankmill.cli.session import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    facts_of,
    rows_of,
    session,
)
from rankmill.mining.parts.told import counted
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.upkeep.removal import Folder

YesOption = Annotated[
    bool, typer.Option("--yes", help="Remove them; without it, only list what would go.")
]
ExportsOption = Annotated[
    list[Path] | None,
    typer.Option("--export", help="Folder of an export: what it was made of stays."),
]


def gc(
    yes: YesOption = False,
    hours: Annotated[
        float, typer.Option(help="Keep what was finished within this many hours.", min=0)
    ] = 24.0,
    export: ExportsOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """List the artifacts that no name, ledger or other artifact needs; with --yes, remove them.

    Needed is what has a name, and all that this was made from; what is not finished, and all that
    its command asked for. Exports are not known to a workspace: name them.
    Example: rankmill gc        rankmill gc --yes --hours 0 --export nf-export
    """
    from rankmill.mining.errors import Locked
    from rankmill.mining.upkeep import removal

    with session(workspace, json=json) as here:
        kept = removal.Kept(_roots(export or []), hours)
        free = removal.unneeded(here.workspace, kept)
        failed: list[Locked] = []
        if yes:
            free = []
            for one, error in removal.remove_unneeded(here.workspace, kept):
                if error is None:
                    free.append(one)
                    _tell(here, f"removed  {_said(one)}")
                else:
                    failed.append(error)
                    streams.say(f"rankmill: {error}")
        else:
            for one in free:
                _tell(here, f"not needed  {_said(one)}")
        size, seconds = removal.bytes_of(free), removal.seconds_of(free)
        if json:
            told = [facts_of(one.artifact) for one in free if one.artifact is not None]
            here.emit({"removed" if yes else "unneeded": told, "bytes": size, "seconds": seconds})
        else:
            streams.tell(_sum(free, size, seconds, yes=yes))
        if failed:
            raise typer.Exit(Locked.exit_status)


def _roots(exports: Sequence[Path]) -> frozenset[str]:
    if not exports:
        return frozenset()
    from rankmill.mining.exports.verify import roots_of

    return frozenset().union(*map(roots_of, exports))


def _tell(here: Any, line: str) -> None:
    if not here.as_json:
        streams.tell(line)


def _said(one: Folder) -> str:
    artifact = one.artifact
    assert artifact is not None  # others are kept
    return f"{one.said}  {rows_of(artifact)}  {words.size(artifact.bytes)}"


def _sum(free: Sequence[Folder], size: int, seconds: float, *, yes: bool) -> str:
    if not free:
        return "nothing to remove: every artifact is needed, or was finished recently (--hours)"
    told = f"{counted(len(free), 'artifact')}, {words.size(size)}, which took "
    told += f"{words.duration(seconds)} of processors to make"
    return told if yes else f"{told}; nothing was removed: add --yes"


def rm(
    name: NameArgument,
    yes: YesOption = False,
    export: ExportsOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Say what goes when a name is removed: its artifact, unless something else needs it; with
    --yes, remove it. What the artifact was made from stays: see gc.

    Example: rankmill rm nf-groups        rankmill rm nf-groups --yes
    """
    from rankmill.mining.upkeep import removal

    with session(workspace, json=json) as here:
        if yes:  # what was killed may have removed this very name
            removal.sweep(here.workspace)
        what = removal.of_name(here.workspace, name, removal.Kept(_roots(export or [])))
        gone = what.folder if what.why is None else None
        if yes:
            removal.remove_named(here.workspace, what)
        if json:
            artifact = None if gone is None or gone.artifact is None else facts_of(gone.artifact)
            alias = name if what.alias is not None else None
            here.emit({"name": alias, "artifact": artifact, "kept": what.why, "removed": yes})
            return
        verb = "removed" if yes else "would remove"
        if what.alias is not None:
            streams.tell(f"{verb}  the name {name!r}")
        if gone is not None:
            streams.tell(f"{verb}  {_said(gone)}")
        elif what.folder is not None:
            streams.tell(f"stays  {what.folder.said}: {what.why}")
        if not yes:
            streams.tell("nothing was removed: add --yes")
