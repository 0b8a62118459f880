"""Other people's parts for tests: the package of tests/plugin_package, as if it were installed."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rankmill.mining import foreign, names

PACKAGE = Path(__file__).parent / "plugin_package"


def install(folder: Path, changes: dict[str, str] | None = None) -> Path:
    """Copy the package and its metadata into a folder, as pip would; `changes` edit its source."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    folder.mkdir(parents=True, exist_ok=True)
    for module in PACKAGE.glob("*.py"):
        text = module.read_text()
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        (folder / module.name).write_text(text)
    write_metadata(folder, project["name"], project["version"], project["entry-points"])
    return folder


def write_metadata(
    folder: Path, name: str, version: str, entry_points: dict[str, dict[str, str]]
) -> None:
    """Write the dist-info of a package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines: list[str] = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """Put folders on the path of modules; afterwards nothing of other people is known any more."""
    before = list(sys.path)
    _forget()
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before
        _forget()


def _forget() -> None:
    foreign._installed.cache_clear()
    for module in [name for name in sys.modules if name.startswith("rankmill_")]:
        del sys.modules[module]
    for family, name, _ in names.foreigners():
        del family._members[name]
