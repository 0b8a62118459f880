"""How commands are given a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override: key=value, such as seed=3.")
]
RecipeArgument = Annotated[Path, typer.Argument(help="A recipe in TOML.")]
