"""The command describe, and what is printed of parts: parameters, cost, example, source."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.session import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption
from rankmill.named.meanings import Other, Published, meaning_of

if TYPE_CHECKING:
    from rankmill.mining.parts.description import Described, Parameter

_NEEDS = {
    "vectors": "vectors of an encoder (--encoder)",
    "query_vectors": "the queries' vectors (--encoder)",
    "student": "a student's scores",
    "others": "another teacher's scores (--other)",
    "texts": "the texts of the collection",
    "selection": "how the groups were selected",
    "labels": "which documents are positive",
}

_SHORT = {
    "vectors": "vectors",
    "query_vectors": "vectors",
    "student": "a student",
    "others": "other teacher",
    "texts": "texts",
    "selection": "selection",
}


def describe(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="A part, a preset or a whole spec: dense, kl, monot5, …; a command, a recipe, a "
            "data set of ir_datasets, a name of the workspace.",
        ),
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", help="Where several are called so: sources, losses, …")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Say what a source, teacher, statistic, loss … takes, needs and costs, with an example.

    Example: rankmill describe dense        rankmill describe random --kind strategies
    """
    told = [_looked_up(name, kind, context, workspace) for name in names]
    if json:
        facts = [one for one, _ in told]
        streams.tell(streams.json_text(facts[0] if len(facts) == 1 else facts, allow_nan=False))
        return
    tells = [tell for _, several in told for tell in several]
    for number, tell in enumerate(tells):
        if number:
            streams.tell("")
        tell()


def _looked_up(
    name: str, kind: str | None, context: typer.Context, workspace: Path
) -> tuple[dict[str, Any], list[Callable[[], None]]]:
    """Return what `--json` says of a name, and what prints it."""
    group = context.parent.command if context.parent is not None else None
    commands = {n: one.help or "" for n, one in getattr(group, "commands", {}).items()}
    meaning = meaning_of(name, kind, commands, workspace)
    if (published := meaning.published) is not None:
        said = {"name": meaning.word, "preset": published.as_json()}
        return said, [partial(_tell_preset, published)]
    facts: dict[str, Any] = {"name": meaning.word}
    if meaning.parts:
        facts |= {"parts": [facts_of_part(one, part) for one, part in meaning.parts]}
    if meaning.others:
        facts |= {"means": [one.as_json() for one in meaning.others]}
    tells = [partial(_tell, one, part) for one, part in meaning.parts]
    return facts, [*tells, *(partial(_tell_other, one) for one in meaning.others)]


def _tell_other(other: Other) -> None:
    """Print what a word means that names no part."""
    streams.tell(f"{other.noun} {other.name}")
    for line in _wrapped(other.summary, "  "):
        streams.tell(line)
    if other.facts:
        streams.tell("")
    _print_facts(list(other.facts.items()))
    streams.tell("\nnext")
    streams.tell(f"  {other.command}")
    streams.tell(f"more: {other.more}")


def facts_of_part(kind: str, part: Described) -> dict[str, Any]:
    """Return what `--json` says of a part."""
    facts = asdict(part) | {"kind": kind, "needs": sorted(part.needs), "about": list(part.about)}
    return facts | {"command": command_of(kind, part)}


def tell_parts(kind: str, parts: Sequence[Described], presets: Mapping[str, str]) -> None:
    """Print a line for each part of a family, and the names of its presets."""
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False, box=None)
    table.add_column(kind, no_wrap=True)
    needs = [_short_needs(part) for part in parts]
    named = len(set(needs)) > 1
    if named:
        table.add_column("needs", no_wrap=True)
    table.add_column("what it is")
    for part, short in zip(parts, needs, strict=True):
        table.add_row(part.name, *([short] if named else []), _first_sentence(part))
    streams.print_table(table)
    if presets:
        streams.tell("\npublished teachers, teacher(NAME,model=PATH):")
        for line in _wrapped(", ".join(presets), "  "):
            streams.tell(line)
    example = parts[0].name if parts else "NAME"
    streams.tell(f"\nrankmill describe {example} says what one takes, needs and costs")


def command_of(kind: str, part: Described) -> str:
    """Return a command that takes the part, with what else it needs."""
    from rankmill.named.families import KINDS

    command = KINDS[kind].command.format(_quoted(part.example))
    if "student" in part.needs:
        command = command.replace("rankmill stats", "rankmill diagnose --student STUDENT")
    if part.needs & {"vectors", "query_vectors"}:
        command += " --encoder MODEL"
    if "others" in part.needs:
        command += " --other SCORES"
    return command


def _quoted(spec: str) -> str:
    """Return a spec as a shell reads it."""
    if "(" not in spec:
        return spec
    return f'"{spec}"' if not set(spec) & set('"$`\\') else shlex.quote(spec)


def _tell(kind: str, part: Described) -> None:
    from rankmill.named.families import KINDS

    whose = f"  ({part.package})" if part.package else ""
    streams.tell(f"{part.noun} {part.name}{whose}")
    for paragraph in (part.summary, *part.about):
        for line in _wrapped(paragraph, "  "):
            streams.tell(line)
        streams.tell("")
    _print_facts(list(_facts(kind, part)))
    if part.parameters:
        streams.tell("")
        _print_parameters(part.parameters)
    streams.tell("\nexample")
    streams.tell(f"  {command_of(kind, part)}")
    streams.tell(f"more: {KINDS[kind].page}")


def _print_facts(rows: Sequence[tuple[str, str]]) -> None:
    wide = max((len(head) for head, _ in rows), default=0)
    for head, text in rows:
        first, *more = _wrapped(text, " " * (wide + 4))
        streams.tell(f"  {head:<{wide}}  {first.strip()}")
        for line in more:
            streams.tell(line)


def _facts(kind: str, part: Described) -> Iterator[tuple[str, str]]:
    """Yield what stands above the parameters: unit, needs, work, source."""
    if part.unit:
        yield "unit", part.unit
    if part.costs is None:
        yield "needs", "the package does not say"
    else:
        needs = [part.costs.needs, *(_NEEDS.get(one, one) for one in sorted(part.needs))]
        if "vectors" in part.needs and part.costs.needs.startswith("vectors"):
            needs = needs[:1]
        advised = "; a GPU is advisable" if part.costs.gpu else ""
        yield "needs", f"{', '.join(needs)}{advised}"
        yield "work", f"grows with {part.costs.grows}"
    if part.source:
        yield "source", part.source


def _print_parameters(parameters: Sequence[Parameter]) -> None:
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False, box=None)
    table.add_column("parameter", no_wrap=True)
    table.add_column("default", max_width=16, overflow="fold")
    table.add_column("what it says")
    for one in parameters:
        default = "required" if one.default is None else _shown(one.default)
        table.add_row(one.name, default, _help(one))
    streams.print_table(table)


def _shown(default: str) -> str:
    """Return a default, a long prompt cut."""
    text = streams.on_one_line(default)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _help(one: Parameter) -> str:
    """Return the help of a parameter with its type, unit and range."""
    kind = one.type.replace(" or none", "").replace("a whole number", "whole number")
    kind = kind.removeprefix("a ")
    said = [part for part in (kind, one.unit, one.within) if part]
    return f"{one.help} ({', '.join(said)})".strip()


def _short_needs(part: Described) -> str:
    """Return what a part needs in a word or two: what it reads besides scores, or what runs it."""
    read = [_SHORT[need] for need in sorted(part.needs) if need in _SHORT]
    if part.noun == "statistic":
        return ", ".join(dict.fromkeys(read)) or "scores"
    return part.costs.needs if part.costs else "?"


def _first_sentence(part: Described) -> str:
    text = part.summary.partition(". ")[0].rstrip(".")
    return text or "(no description)"


def _wrapped(text: str, indent: str) -> list[str]:
    """Return the lines of a paragraph, as wide as the terminal."""
    import textwrap

    return textwrap.wrap(
        text,
        _width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [indent]


def _width() -> int:
    return min(streams.width(), 100)


def _tell_preset(published: Published) -> None:
    """Print a published teacher: what runs it, what it reads and answers."""
    streams.tell(f"published teacher {published.name}")
    for head, text in published.facts.items():
        first, *more = _wrapped(streams.on_one_line(text), " " * 16)
        streams.tell(f"  {head:<12}  {first.strip()}")
        for line in more:
            streams.tell(line)
    streams.tell("\nexample")
    streams.tell(f"  {published.as_json()['command']}")
    streams.tell("more: docs/teachers.md; `rankmill describe teacher` has the parameters")
