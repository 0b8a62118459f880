"""The command advise: which designs a pool allows, in the order of predicted gain per cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.commands import settings
from rankmill.cli.recipes.given import NoDevice
from rankmill.cli.session import (
    DEFAULT_WORKSPACE,
    AddressOption,
    JsonOption,
    WorkersOption,
    WorkspaceOption,
    session,
)
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.options import count_of
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact, Workspace
    from rankmill.study.advise.advice import Advice, Design
    from rankmill.study.advise.pilots import Asked


EvidenceOption = Annotated[
    list[Path] | None,
    typer.Option(help="Folder written by `study --to` on other collections; may be repeated."),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(help="Processor and accelerator time per student, such as 45min or 2h."),
]
SamplerOption = Annotated[
    list[str] | None,
    typer.Option(help="A strategy; may be repeated. Default: those of the sources."),
]
SizeOption = Annotated[list[int] | None, typer.Option(help="Documents per group; may be repeated.")]
ScoresOption = Annotated[
    str | None, typer.Option(help="Teacher scores, where the pool has several.")
]
EncoderOption = Annotated[
    str | None, typer.Option(help="Model folder or bi_encoder(…), for locality.")
]
PilotOption = Annotated[
    str | None, typer.Option(help="Train a pilot on this many documents for every design.")
]
DevOption = Annotated[
    str | None, typer.Option(help="Development split that judges pilots; never test.")
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Of the pilots' training: doc_length=64; may be repeated."),
]


def advise(
    about: Annotated[str, typer.Argument(help="A pool, or a collection with one.")],
    evidence: EvidenceOption = None,
    budget: BudgetOption = None,
    sampler: SamplerOption = None,
    size: SizeOption = None,
    scores: ScoresOption = None,
    encoder: EncoderOption = None,
    documents: Annotated[str, typer.Option(help="Documents that a student will see.")] = "100k",
    by: Annotated[str, typer.Option(help="Order by rate (gain per cost) or gain.")] = "rate",
    measure: Annotated[str, typer.Option(help="The measure of gain.")] = "nDCG@10",
    pilot: PilotOption = None,
    student: Annotated[str | None, typer.Option(help="The pilots' student.")] = None,
    dev: DevOption = None,
    loss: Annotated[str, typer.Option(help="The pilots' loss.")] = "kl",
    set_: SettingOption = None,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 63) - 1, help="Seed of every draw.")] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    workers: WorkersOption = 0,
    ray_address: AddressOption = None,
    json: JsonOption = False,
    no_device: NoDevice = None,
) -> None:
    """Order the designs of a pool by predicted gain per cost, before any student is trained.

    Predicted from statistics by finished studies of other collections, and judged on them: what the
    prediction rests on and whether it beats «always BM25» is said (docs/advise.md).
    Example: rankmill advise nf-pool --evidence out/fiqa --evidence out/scifact --budget 2h
    Example: rankmill advise nf-pool --pilot 4k --student "bi_encoder(model=PATH)" --dev dev
    """
    from rankmill.study.advise import Question, advise_on

    _refuse_device(no_device)
    with session(workspace, workers, ray_address, json) as here:
        asked = Question(
            evidence=evidence or [],
            samplers=sampler or [],
            sizes=size or [16],
            encoder=encoder,
            documents=count_of(documents),
            budget=budget,
            measure=measure,
            by=by,
            pilots=_pilots(pilot, student, dev, loss, set_ or []),
            seed=seed,
        )
        named = None if scores is None else here.workspace.find(scores, "scores")
        artifact = _about(here.workspace, about)
        made = advise_on(artifact, asked, here.workspace, named, here.executor)
        if json:
            here.emit(made.as_json() | {"command": here.books.told()})
            return
        for sentence in made.sentences():
            streams.tell(sentence)
        streams.print_whole(_table(made))
        for line in made.lines():
            streams.tell(line)


def _refuse_device(given: str | None) -> None:
    """Raise UsageError, saying why, where a device is given."""
    if given is not None:
        raise UsageError(
            "advise takes no --device: it reads what is measured, and only pilots run models",
            do="leave it out; CUDA_VISIBLE_DEVICES= (empty) keeps those on the processor",
        )


def _about(workspace: Workspace, name: str) -> Artifact:
    """Return the pool or the collection of a name."""
    artifact = workspace.find(name)
    if artifact.kind not in ("pool", "collection"):
        raise BadInput(
            f"{name} is of kind {artifact.kind}, a pool or a collection was expected",
            where=artifact.path,
            do="`rankmill list pool` and `rankmill list collection` show those that are there"
            + (
                f"; of this run: rankmill pool {name} --name POOL" if artifact.kind == "run" else ""
            ),
        )
    return artifact


def _pilots(
    pilot: str | None, student: str | None, dev: str | None, loss: str, said: list[str]
) -> Asked | None:
    from rankmill.study.advise.pilots import Asked

    if pilot is None:
        if student is not None or dev is not None or said:
            raise UsageError(
                "--student, --dev and --set belong to pilots, and no pilot was asked for",
                do="add --pilot 4k",
            )
        return None
    if student is None or dev is None:
        raise UsageError(
            "a pilot needs a student and development queries",
            do='add --student "bi_encoder(model=PATH)" --dev SPLIT',
        )
    return Asked(count_of(pilot), student, dev, loss, settings(said))


def _table(made: Advice) -> Any:
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("design")
    columns = list(dict.fromkeys(n for one in made.designs for n in one.candidate.statistics))
    shown = [n for n in columns if n in made.features] or columns[:2]
    headings = [*shown, "before training", "training"]
    headings += ["predicted gain"] * (made.predictor is not None)
    headings += ["pilot gain", "beside the best"] * (made.pilots is not None)
    headings += ["per hour"] * any(one.per_hour is not None for one in made.designs)
    headings += ["budget"] * (made.budget is not None)
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in made.designs:
        table.add_row(one.candidate.name, *_cells(one, shown, headings))
    return table


def _cells(one: Design, shown: list[str], headings: list[str]) -> list[str]:
    cells = [_number(one.candidate.statistics.get(name), ".4f") for name in shown]
    cells.append(words.duration(one.candidate.spent))
    cells.append("unknown" if one.training is None else words.duration(one.training))
    if "predicted gain" in headings:
        cells.append(f"{_number(one.predicted, '+.4f')} ± {_number(one.reach, '.4f')}")
    if "pilot gain" in headings and one.pilot is not None:
        cells.append(f"{one.pilot.gain.mean:+.4f} ({words.between(one.pilot.gain, '+')})")
        cells.append(one.pilot.verdict)
    if "per hour" in headings:
        cells.append(_number(one.per_hour, "+.3g"))
    if "budget" in headings:
        cells.append("within" if one.fits else "over")
    return cells


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
