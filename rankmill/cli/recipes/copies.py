"""The command recipes: those that come with rankmill, listed or copied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rankmill.cli import streams
from rankmill.cli.session import JsonOption
from rankmill.mining.errors import UsageError


def recipes(
    what: Annotated[str, typer.Argument(help="list, or copy.")] = "list",
    name: Annotated[str | None, typer.Argument(help="With copy: which recipe.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="With copy: the new file; default: NAME.toml here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the recipes that come with rankmill, or copy one to change it.

    Example: rankmill recipes list        rankmill recipes copy nfcorpus --to mine.toml
    """
    if what == "copy":
        _copy(name, to, as_json=json)
        return
    if what != "list":
        raise UsageError(f"recipes has no action {what!r}", do="say list, or copy NAME")
    if name is not None or to is not None:
        raise UsageError("recipes list takes no name and no --to", do="say copy NAME, or leave out")
    _list(as_json=json)


def _list(*, as_json: bool) -> None:
    from rich.table import Table

    from rankmill.recipes_data import recipe_folder, samples

    every = list(samples())
    if as_json:
        facts = [
            {"name": one.name, "title": one.title, "about": one.about, "study": one.study}
            for one in every
        ]
        told = {"folder": str(recipe_folder()), "recipes": facts}
        streams.tell(streams.json_text(told, allow_nan=False))
        return
    table = Table(show_edge=False, header_style="bold", pad_edge=False, box=None)
    table.add_column("recipe", no_wrap=True)
    table.add_column("with", no_wrap=True)
    table.add_column("what it asks")
    for one in every:
        table.add_row(one.name, "study" if one.study else "run", one.title or one.about)
    streams.print_table(table)
    streams.tell(f"\nrankmill recipes copy {every[0].name} writes {every[0].name}.toml here")


def _copy(name: str | None, to: Path | None, *, as_json: bool) -> None:
    from rankmill.mining.errors import BadInput
    from rankmill.mining.store import files
    from rankmill.mining.store.places import check_place
    from rankmill.recipes_data import sample, samples

    if name is None:
        known = ", ".join(one.name for one in samples())
        raise UsageError("copy which recipe?", do=f"`rankmill recipes copy NAME`, one of: {known}")
    one = sample(name)
    target = to if to is not None else Path(f"{one.name}.toml")
    through = check_place(target).through is not None  # then it may be standard output
    if target.exists() and not through:
        raise BadInput(
            "there is a file already", where=target.absolute(), do="name another with --to FILE"
        )
    with files.replacing(target) as stream:
        stream.write(one.path.read_text(encoding="utf-8"))
    command = f"rankmill {'study' if one.study else 'run'} {target} --dry-run"
    if as_json:
        facts = {"recipe": one.name, "file": str(target.absolute()), "command": command}
        streams.tell(streams.json_text(facts, allow_nan=False))
        return
    streams.tell(f"{target}: {one.title or one.about}", err=through)
    streams.tell(f"what it would do: {command}", err=through)
