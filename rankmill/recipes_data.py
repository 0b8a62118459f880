"""The recipes that come with rankmill: where their files are."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from rankmill.mining.errors import BadInput

_ENDING = ".toml"


def recipe_folder() -> Path:
    """Return the folder of the recipes: in an installed package `rankmill/recipes`, in a checkout
    `recipes/` at its top. Raises BadInput where neither is there."""
    package = Path(str(resources.files("rankmill")))
    for folder in (package / "recipes", package.parent / "recipes"):
        if any(folder.glob(f"*{_ENDING}")):
            return folder
    raise BadInput(
        "this installation has no recipes", where=package, do="install rankmill from its wheel"
    )
