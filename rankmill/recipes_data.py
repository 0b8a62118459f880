"""Where the recipes are that come with rankmill: data of the package `rankmill.recipes`."""

from __future__ import annotations

import contextlib
from importlib import resources
from pathlib import Path

from rankmill.mining.errors import BadInput


def recipe_folder() -> Path:
    """Return the folder of the recipes: in the installed package, or `recipes/` of a checkout.

    Raises BadInput where neither is there.
    """
    checkout = Path(__file__).resolve().parents[1] / "recipes"
    places = [checkout]
    with contextlib.suppress(ModuleNotFoundError):  # an editable installation of an older checkout
        places.insert(0, Path(str(resources.files("rankmill.recipes"))))
    for place in places:
        if any(place.glob("*.toml")):
            return place
    raise BadInput(
        "the recipes that come with rankmill are missing",
        where=str(places[0]),
        do="install rankmill again: pip install --force-reinstall --no-deps rankmill",
    )
