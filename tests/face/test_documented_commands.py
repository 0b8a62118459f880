"""Every command line that the documents show is one: its command, options and what it needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rankmill.cli import commands as made
from rankmill.cli.entry import app_of
from rankmill.cli.stages import commands

ROOT = Path(__file__).parents[2]
PLACES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLACES += sorted((ROOT / "recipes").glob("*.toml"))
_SPAN = re.compile(r"`(rankmill [^`]*)`")


class Reached(Exception):
    """The command line was read, and nothing is missing."""


def blocks(text: str) -> Iterator[str]:
    """Yield the command lines of code blocks and of the comments of recipes, whole."""
    fenced = False
    for line in re.sub(r"\s*\\\n[ #]*", " ", text).splitlines():
        fenced ^= line.startswith("```")
        bare = line.removeprefix("#").strip().removeprefix("$ ")
        if bare.startswith("rankmill ") and (fenced or line.startswith(("    ", "#"))):
            for one in re.split(r"\s{2,}(?=rankmill )", bare):
                yield re.split(r"\s{3,}|\s+#\s", one)[0]


def shown() -> list[Any]:
    """Return the command lines with their file, and whether each stands there whole."""
    found: dict[tuple[str, str], bool] = {}
    for path in PLACES:
        text = path.read_text(encoding="utf-8")
        whole = set(blocks(text))
        rows = (line for line in text.splitlines() if line.startswith("|"))
        whole |= {span for row in rows for span in _SPAN.findall(row) if " -c " in span}
        spans = {span for span in _SPAN.findall(text) if " --" in span or " -c " in span}
        found |= {(path.name, line): line in whole for line in whole | spans}
    shown_lines = sorted(found.items())
    return [pytest.param(line, whole, id=f"{file}: {line}") for (file, line), whole in shown_lines]


@pytest.mark.parametrize(("line", "whole"), shown())
def test_a_command_line_of_a_document_is_read(line: str, whole: bool, monkeypatch) -> None:
    def session(**options: Any) -> Any:
        raise Reached

    monkeypatch.setattr(made, "session", session)
    _, name, *words = shlex.split(line)
    group: Any = typer.main.get_command(app_of(name))
    if name.startswith("--"):  # of no command
        assert name in {flag for parameter in group.params for flag in parameter.opts}
        return
    context = group.commands[name].make_context(name, list(words))
    if whole and name in commands() and words != ["list"]:
        with pytest.raises(Reached):
            group.commands[name].invoke(context)
