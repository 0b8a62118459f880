"""The commands that are made from requests, and what each of them prints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rankmill import stages
from rankmill.cli import streams
from rankmill.cli.commands import Tell, command_of
from rankmill.cli.render import artifacts, designs, groups, inputs, judged
from rankmill.mining.errors import UsageError
from rankmill.mining.options import options_of
from rankmill.request import Request

Command = Callable[..., None]


def _own(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    """Return an option that only the command line has: of what is printed, not of the stage."""
    annotation = Annotated[kind, option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


PER_QUERY = _own(
    "per_query",
    Path | None,
    typer.Option(
        "--per-query", help="Also write the values of every query: .csv, .jsonl, .parquet."
    ),
    None,
)
ALONE = _own(
    "alone", bool, typer.Option("--alone", help="Leave out BM25 and the first stage."), False
)
ROWS = _own(
    "rows",
    int,
    typer.Option(
        "--rows", help="Candidates shown per group, besides its positives; 0 = all.", min=0
    ),
    20,
)
ALL = _own("every", bool, typer.Option("--all", help="Show every candidate and statistic."), False)
SHOW_INPUT = _own(
    "show_input",
    bool,
    typer.Option(
        "--show-input", help="Print the first pair as the teacher reads it, and score nothing."
    ),
    False,
)


def _check_per_query(*, per_query: Path | None, **said: Any) -> bool:
    if per_query is not None:  # a wrong one is refused before any work
        from rankmill.mining.store.places import check_place

        judged.form_of(per_query)
        check_place(per_query)
    return False


def _list_formats(*, format: str, **said: Any) -> bool:
    if format != "list":
        return False
    for line in artifacts.formats():
        streams.tell(line)
    return True


_IMPORT = """Bring a run, teacher scores or training groups of another tool into the workspace.

Example: rankmill import run.txt --as run -c nf --split test --name their-run
Example: rankmill import scores.jsonl --as scores --kind logit -c nf --name their-scores
Example: rankmill import DIR --as groups --format colbert --kind logit -c nf --name theirs
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command does beside its request: how it prints, options of its own, a first check, a
    look in place of the work."""

    tell: Tell
    own: tuple[inspect.Parameter, ...] = ()
    check: Callable[..., bool] | None = None
    look: Callable[..., bool] | None = None


SHOWN = {  # others print the artifact that was made
    "collect": Shown(artifacts.tell_collection),
    "survey": Shown(artifacts.tell_overview),
    "rewrite": Shown(artifacts.tell_collection),
    "score": Shown(inputs.tell_scores, (SHOW_INPUT,), look=inputs.tell_input),
    "select": Shown(artifacts.tell_groups),
    "cross": Shown(designs.tell_design),
    "cells": Shown(designs.tell_cells),
    "terms": Shown(designs.tell_terms),
    "evaluate": Shown(judged.tell_evaluation, (PER_QUERY, ALONE), _check_per_query),
    "compare": Shown(judged.tell_comparison),
    "diagnose": Shown(judged.tell_diagnosis),
    "export": Shown(artifacts.tell_export, check=_list_formats),
    "explain": Shown(groups.tell_explanation, (ROWS, ALL)),
    "audit": Shown(groups.tell_audit),
}


ELSEWHERE = (  # of stages that run here alone: said why, not refused as unknown
    _own("no_workers", int | None, typer.Option("--workers", hidden=True), None),
    _own("no_ray_address", str | None, typer.Option("--ray-address", hidden=True), None),
)
DEVICE = _own("no_device", str | None, typer.Option("--device", hidden=True), None)


def _explained(name: str, requests: Mapping[str, type[Request[Any]]], shown: Shown) -> Shown:
    """Give a command that cannot run elsewhere, or runs no model, the options that say so."""
    every = list(requests.values())
    alone = not any(one.sharded for one in every)
    no_model = not any(o.name == "device" for one in every for o in options_of(one))
    more = (*(ELSEWHERE if alone else ()), *((DEVICE,) if no_model else ()))
    if not more:
        return shown
    names = [one.name for one in more]

    def check(**said: Any) -> bool:
        for option in ("workers", "ray_address") if alone else ():
            if said[f"no_{option}"] is not None:
                raise UsageError(
                    f"{name} takes no --{option.replace('_', '-')}: {every[0].alone}",
                    do="leave it out; the stages that are shared out are mine, pool, score, "
                    "select, stats, rerank and retrieve",
                )
        if no_model and said["no_device"] is not None:
            raise UsageError(
                f"{name} takes no --device: it runs no model",
                do="leave it out; mine, score, stats, train and eval take it",
            )
        return shown.check(**_without(said, names)) if shown.check is not None else False

    def tell(*arguments: Any, **mine: Any) -> None:
        shown.tell(*arguments, **_without(mine, names))

    look = shown.look
    looked = look and (lambda *arguments, **mine: look(*arguments, **_without(mine, names)))
    return Shown(tell, (*shown.own, *more), check, looked)


def _without(said: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in names}


IMPORTED = {"run": "import_run", "scores": "import_scores", "groups": "import_groups"}


def commands() -> dict[str, tuple[str, str, Callable[[], Command]]]:
    """Return the commands of all requests: name → panel, help, and what makes the command."""
    made: dict[str, tuple[str, str, Callable[[], Command]]] = {}
    for verb, request in stages.REQUESTS.items():
        name = request.command or verb
        if name == "import":  # one command for three requests
            made[name] = (request.panel, _IMPORT, _import)
        else:
            made[name] = (request.panel, request.__doc__ or "", partial(_command, name, verb))
    return made


def _command(name: str, verb: str) -> Command:
    requests = {name: stages.REQUESTS[verb]}
    shown = _explained(name, requests, SHOWN.get(verb, Shown(artifacts.tell_artifact)))
    return command_of(name, requests, shown.tell, own=shown.own, check=shown.check, look=shown.look)


def _import() -> Command:
    requests = {kind: stages.REQUESTS[verb] for kind, verb in IMPORTED.items()}
    shown = _explained("import", requests, Shown(artifacts.tell_artifact))
    return command_of(
        "import", requests, shown.tell, own=shown.own, check=shown.check, help=_IMPORT
    )
