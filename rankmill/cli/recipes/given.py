"""How commands are given a recipe, and where they run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rankmill.mining.errors import UsageError

SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override: key=value, such as seed=3.")
]
RecipeArgument = Annotated[Path, typer.Argument(help="A recipe in TOML.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device", help="Where every model of the recipe runs: auto, cpu, cuda, or cuda:1 for one."
    ),
]
NoWorkers = Annotated[int | None, typer.Option("--workers", hidden=True)]
NoAddress = Annotated[str | None, typer.Option("--ray-address", hidden=True)]
NoDevice = Annotated[str | None, typer.Option("--device", hidden=True)]


def overrides(set_: Sequence[str] | None, device: str | None) -> list[str]:
    """Return what takes the place of a recipe's values: a device goes into every section that runs
    models, but for those whose device --set says."""
    said = list(set_ or [])
    if device is None:
        return said
    from rankmill.study.recipe import SECTIONS

    own = {text.partition("=")[0].strip() for text in said}
    keys = (f"{name}.device" for name, section in SECTIONS.items() if "device" in section.options)
    return [*(f"{key}={device}" for key in keys if key not in own), *said]


def refuse_elsewhere(command: str, why: str, *, workers: int | None, address: str | None) -> None:
    """Raise UsageError, saying why, where a command that runs here alone is told to run on Ray."""
    for flag, value in (("--workers", workers), ("--ray-address", address)):
        if value is not None:
            raise UsageError(
                f"{command} takes no {flag}: {why}",
                do="leave it out; rankmill run and study take it",
            )
