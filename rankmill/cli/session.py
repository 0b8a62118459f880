"""What the commands share: workspace, executor, output; and how an artifact is told."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperOption

from rankmill.cli import streams
from rankmill.cli.books import CommandBooks, keeping_books
from rankmill.cli.runs import progress, status
from rankmill.cli.runs.next_step import next_step
from rankmill.mining.errors import UsageError
from rankmill.mining.parts.told import counted
from rankmill.stages import DEFAULT_WORKSPACE as WORKSPACE
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Artifact, Workspace
    from rankmill.mining.store.together.shares import Share

DEFAULT_WORKSPACE = Path(WORKSPACE)


def _folder_of(given: str) -> Path:
    """Return the folder of a workspace: of an object store, that of its mirror."""
    from rankmill.mining.store.objects.mirrors import root_of

    return root_of(given) or Path(given)


WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        envvar="RANKMILL_WORKSPACE",
        help="Folder of artifacts, or s3://…, gs://…, az://… (docs/object-stores.md).",
        parser=_folder_of,
        metavar="FOLDER",
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Ray actors; 0 = this process, every core.")
]
AddressOption = Annotated[
    str | None, typer.Option("--ray-address", help="Use this existing Ray cluster.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Make only share I of N of every stage, as I/N: for arrays of batch systems.",
    ),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="With --shard: wait for the other shares and go on.")
]
MergeOption = Annotated[
    bool, typer.Option("--merge", help="Put the shares together; make nothing new.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def cache_options() -> list[TyperOption]:
    """Return the options that say where parts of an object store are cached, and how many: they go
    into the environment, where child processes and actors on this machine find them."""
    return [
        TyperOption(
            param_decls=[flag],
            type=str,
            is_eager=True,  # the place of the mirror follows from them
            expose_value=False,
            callback=partial(_keep, variable),
            envvar=variable,
            show_envvar=True,
            help=help,
        )
        for flag, variable, help in (
            ("--cache-dir", "RANKMILL_CACHE", "Folder for cached parts of an object store."),
            ("--cache-size", "RANKMILL_CACHE_SIZE", "The most it holds, such as 50GB."),
        )
    ]


_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def quiet_option() -> TyperOption:
    """Return the option that leaves nothing on the terminal but errors and the result."""
    return TyperOption(
        param_decls=["--quiet", "-q"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda context, parameter, value: _QUIET.set(bool(value)) and None,
        help="Print only errors and the result.",
    )


def quiet() -> bool:
    """Whether the command was asked to say nothing but errors and the result."""
    return _QUIET.get()


def _keep(variable: str, context: Any, parameter: Any, value: str | None) -> None:
    from rankmill.mining.store.objects.address import CACHE_SIZE, parse_size

    if value is None:
        return
    if variable == CACHE_SIZE:
        parse_size(value)
    os.environ[variable] = value


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


COMMON = {
    "workspace": _option("workspace", WorkspaceOption, DEFAULT_WORKSPACE),
    "json": _option("json", JsonOption, False),
}
CONNECTIONS = {
    "workers": _option("workers", WorkersOption, 0),
    "ray_address": _option("ray_address", AddressOption, None),
    "shard": _option("shard", ShardOption, None),
    "wait": _option("wait", WaitOption, False),
    "merge": _option("merge", MergeOption, False),
}


@dataclass(slots=True)
class Session:
    """One command's workspace, executor and output."""

    workspace: Workspace
    executor: Execution
    as_json: bool
    books: CommandBooks
    told: status.Told
    began: float = field(default_factory=time.perf_counter)
    next: str | None = None  # the command to type after this one

    def tell(self, artifact: Artifact, name: str | None = None, **more: Any) -> None:
        """Print what came out; `more` goes beside it for machines."""
        seconds = time.perf_counter() - self.began
        step = next_step(artifact, name)
        if self.as_json:
            told = {"name": name, "seconds": round(seconds, 3), "command": self.books.told()}
            told |= {"already_there": not self.told.stages_done, "next": step}
            self.emit(facts_of(artifact) | told | more)
            return
        label = f"{name} = " if name else ""
        streams.tell(
            f"{label}{artifact.kind} {artifact.fingerprint[:12]}  {rows_of(artifact)}  "
            f"{words.size(artifact.bytes)}  {words.duration(seconds)}"
            + ("" if self.told.stages_done else "  already there")
        )
        for reason, queries in artifact.dropped.items():
            streams.tell(f"  dropped {counted(len(queries), 'query', 'queries')}: {reason}")
        for line in counts_of(artifact):
            streams.tell(f"  {line}")
        streams.tell(f"  root {artifact.root_hash}")
        streams.tell(f"  in {artifact.path}")
        self.next = step

    def tell_next(self) -> None:
        """Print the command to type next, where there is one and somebody wants to know: last."""
        if self.next is not None and not self.as_json and not quiet():
            streams.tell(f"next: {self.next}")

    def emit(self, facts: dict[str, Any]) -> None:
        """Print one JSON object."""
        streams.tell(streams.json_text(facts, allow_nan=False))


@contextlib.contextmanager
def session(
    workspace: Path,
    workers: int = 0,
    ray_address: str | None = None,
    json: bool = False,
    *,
    shard: str | None = None,
    wait: bool = False,
    merge: bool = False,
) -> Iterator[Session]:
    """Open the workspace; a Ray cluster asked for lives as long as the block.

    `shard`, `wait`, `merge`: which share of every stage is made, see `mining.store.shares`.
    """
    from rankmill.mining.actors import Execution, cluster
    from rankmill.mining.store import Workspace
    from rankmill.mining.store.together import shares
    from rankmill.mining.store.together.failures import Neighbours, told_to_others

    place = Workspace(workspace)
    if place.root.exists():
        place.check_there()  # a file in its place is told before any work
    shown = progress.for_stream(sys.stderr, quiet=quiet())
    told = status.Told(Path(workspace).absolute(), shown)
    executor = Execution(workers, ray_address, told)
    with contextlib.ExitStack() as stack:
        share = _share(shard, told, wait=wait, merge=merge)
        if share is not None and not share.merges:
            neighbours = Neighbours(place.root, place.mirror, share, _command())
            stack.enter_context(told_to_others(neighbours))
            share = replace(share, neighbours=neighbours)
        stack.enter_context(shares.using(share))
        stack.callback(told.close)
        books = stack.enter_context(keeping_books())
        if workers or ray_address:
            stack.enter_context(cluster(max(workers, 1), ray_address))
        here = Session(place, executor, json, books, told)
        yield here
        here.tell_next()


def _command() -> str:
    """Return the words of the command line that all shares of a command have in common."""
    words, kept = iter(sys.argv[1:]), list[str]()
    for word in words:
        if word in _OF_ONE_SHARE:
            next(words, None)
        elif word.partition("=")[0] not in _OF_ONE_SHARE:
            kept.append(word)
    return "\0".join(kept)


_OF_ONE_SHARE = ("--shard", "--workspace", "-w", "--cache-dir", "--workers")


def _share(shard: str | None, told: status.Told, *, wait: bool, merge: bool) -> Share | None:
    """Return the share that options say; raises UsageError."""
    from rankmill.mining.store.together import shares

    if merge and shard is not None:
        raise UsageError(
            f"--merge puts shares together, --shard {shard} makes one", do="choose one of them"
        )
    if wait and shard is None:
        raise UsageError("--wait is for --shard I/N", do="leave it out, or say which share")
    if merge:
        return shares.MERGE
    return None if shard is None else shares.parse(shard, wait=wait, tell=told.announce)


def rows_of(artifact: Artifact) -> str:
    """Say how many rows an artifact has; those of a collection are its splits."""
    return counted(artifact.rows, "split" if artifact.kind == "collection" else "row")


def counts_of(artifact: Artifact, *only: str) -> list[str]:
    """Return a line for every count of an artifact (or for some), with the first of what was
    counted, and what can be done."""
    shown = {key: n for key, n in artifact.counts.items() if not only or key in only}
    lines = [
        f"{key.replace('_', ' ')}: {n:,}{_first(artifact, key)}{_advice(artifact, key)}"
        for key, n in shown.items()
    ]
    others = artifact.examples.keys() - artifact.counts.keys() if not only else set()
    return lines + [f"{key.replace('_', ' ')}{_first(artifact, key)}" for key in sorted(others)]


def _first(artifact: Artifact, key: str) -> str:
    first = artifact.examples.get(key, [])
    shown = "; ".join(map(streams.example, first[:3])) + (", …" if len(first) > 3 else "")
    return f": {shown}" if first else ""


def remarks(artifact: Artifact) -> Iterator[str]:
    """Yield what was odd about an artifact's rows, by kind with the first ten, and what that
    means for its scores."""
    from rankmill.mining.teachers.contract import told

    for kind, first in artifact.examples.items():
        count = artifact.counts.get(kind)
        yield kind.replace("_", " ") + (", the first:" if count is None else f": {count:,}")
        yield from (f"  {streams.example(one)}" for one in first)
    if artifact.kind in ("scores", "groups"):
        yield from told(artifact).values()


def _advice(artifact: Artifact, key: str) -> str:
    if key != "queries_ranked_against_scores":
        return ""
    if artifact.parameters.get("order") == "rank":
        return " (a lower rank has the lower score; the ranks decided)"
    return (
        " (a lower rank has the lower score; the scores decided: say --sign -1 if lower scores are "
        "better, --order rank if the ranks are right)"
    )


def facts_of(artifact: Artifact) -> dict[str, Any]:
    """Return what `--json` says of an artifact."""
    return {
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "root": artifact.root_hash,
        "rows": artifact.rows,
        "bytes": artifact.bytes,
        "parts": len(artifact.parts),
        "dropped": {reason: len(queries) for reason, queries in artifact.dropped.items()},
        "counts": artifact.counts,
        **({"first": artifact.examples} if artifact.examples else {}),
        "path": str(artifact.path),
    }
