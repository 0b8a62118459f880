"""`rankmill watch`: what runs in a workspace, on whichever machine, and how far it is."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from rankmill.cli import streams
from rankmill.cli.runs import status
from rankmill.cli.runs.prometheus import as_prometheus
from rankmill.cli.runs.words import line
from rankmill.cli.session import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, session
from rankmill.mining.errors import Corrupt, Interrupted
from rankmill.mining.parts.told import counted
from rankmill.study.words import duration, size

AGAIN_S = 2.0


def watch(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Once, in the text format of Prometheus.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what runs in a workspace: stage, share done, rate, time left, failures.

    On a terminal every two seconds until nothing runs; elsewhere once. Runs on other machines that
    share the workspace are seen too.
    Example: rankmill watch        rankmill watch --prometheus > rankmill.prom
    """
    with session(workspace, json=json) as here:
        here.workspace.check_there()
        if prometheus or json:
            told = list(status.runs(here.workspace.root))
            odd = status.damaged(here.workspace.root)
            if prometheus:  # a metric tells of damage: what collects it should not stop for that
                for line in as_prometheus(told, len(odd)):
                    streams.write_data(f"{line}\n")
                return
            runs = [{**run.facts, "alive": run.alive} for run in told]
            here.emit({"runs": runs, "damaged": [str(path) for path in odd]})
        else:
            with contextlib.suppress(Interrupted):  # it was watched for long enough
                _watch(here.workspace.root, once=once)
        _refuse_damaged(here.workspace.root)


def _refuse_damaged(workspace: Path) -> None:
    """Raise Corrupt where files among the statuses tell of no run: something may run unseen."""
    odd = status.damaged(workspace)
    if not odd:
        return
    one = len(odd) == 1
    raise Corrupt(
        "a status file cannot be read, so a run may go on that is not shown"
        if one
        else f"{len(odd)} status files cannot be read, so runs may go on that are not shown",
        where=odd[0] if one else f"{odd[0]} and others beside it",
        do="a run of this version writes its own anew within seconds: look again; if it is still "
        "there, delete the file",
    )


def _watch(workspace: Path, *, once: bool) -> None:
    """Print what runs, again and again on a terminal, until nothing does."""
    while True:
        told = list(status.runs(workspace))
        for said in lines(told):
            streams.tell(said)
        if once or not sys.stdout.isatty() or not any(run.alive for run in told):
            return
        time.sleep(AGAIN_S)


def lines(told: list[status.Run]) -> Iterator[str]:
    """Yield what is said of runs."""
    if not told:
        yield "nothing runs here"
    now = time.time()
    for run in told:
        facts = run.facts
        state = f"for {_since(facts['began'], now)}"
        if not run.alive:
            state = f"gone without a word; last heard from {_since(facts['updated'], now)} ago"
        yield f"{facts['host']} process {int(facts['process'])}, {state}"
        yield f"  rankmill {facts['command']}"
        for stage in facts["stages"]:
            yield f"  {line(stage)}"
        written = size(int(facts["bytes_written"] or 0))
        yield f"  {counted(facts['stages_done'], 'stage')} done, {written} written"
        if facts["failures"]:
            tries = (
                "1 failed try" if facts["failures"] == 1 else f"{facts['failures']} failed tries"
            )
            yield f"  {tries}, the last: {facts['last_failure']}"


def _since(moment: float, now: float) -> str:
    return duration(max(now - moment, 0.0))
