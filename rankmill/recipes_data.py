"""The recipes that come with rankmill: where their files are, and what each is about."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.names import nearest

_ENDING = ".toml"


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


@dataclass(frozen=True, slots=True)
class Sample:
    """A recipe that comes with rankmill: its file, what it is about, and whether it is a study."""

    path: Path
    title: str
    about: str
    study: bool

    @property
    def name(self) -> str:
        """What it is called: the file without its ending."""
        return self.path.stem


def samples() -> Iterator[Sample]:
    """Yield the recipes in the order of their names."""
    import tomllib

    for path in sorted(recipe_folder().glob(f"*{_ENDING}"), key=lambda one: one.stem):
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
        yield Sample(path, str(tables.get("title", "")), _about(text), "study" in tables)


def sample(name: str) -> Sample:
    """Return the recipe of a name; raises UsageError with the nearest names."""
    known = {one.name: one for one in samples()}
    word = name.removesuffix(_ENDING)
    if word not in known:
        raise UsageError(f"there is no recipe {name!r} to copy", do=nearest(word, known))
    return known[word]


def _about(text: str) -> str:
    """Return the first sentences of the comment that a recipe begins with, without commands."""
    lines = []
    for line in text.splitlines():
        said = line.removeprefix("#")
        if said == line or said.startswith("   ") or not said.strip():
            break
        lines.append(said.strip())
    return " ".join(lines)
