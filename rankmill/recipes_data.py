"""The recipes that come with rankmill: where their files are, and what each is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.names import nearest

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
