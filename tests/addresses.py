"""Writes the addresses of repository and site into README, mkdocs.yml and documents.

    python tests/addresses.py

They are set in one place, `[project.urls]` of pyproject.toml: Source and Documentation. What stands
elsewhere is what mkdocs.yml has, and is replaced; a test compares.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RAW = "https://raw.githubusercontent.com"


def declared(root: Path = ROOT) -> tuple[str, str]:
    """Return the addresses of the repository and of the site, both without a slash at the end."""
    urls = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    return urls["Source"].rstrip("/"), urls["Documentation"].rstrip("/")


def written(root: Path = ROOT) -> tuple[str, str]:
    """Return the addresses that mkdocs.yml has."""
    text = (root / "mkdocs.yml").read_text(encoding="utf-8")
    said = dict(re.findall(r"^(repo_url|site_url): *(\S+)$", text, re.M))
    return said["repo_url"].rstrip("/"), said["site_url"].rstrip("/")


def files(root: Path = ROOT) -> Iterator[Path]:
    """Yield every file that may say an address."""
    yield from (root / name for name in ("README.md", "mkdocs.yml", "pyproject.toml"))
    yield from sorted(one for end in ("*.md", "*.txt") for one in (root / "docs").rglob(end))


def raw_of(repository: str) -> str:
    """Return where a repository of GitHub serves files as they are; others serve their own."""
    return re.sub(r"^https://github\.com", RAW, repository)


def write(root: Path = ROOT) -> list[Path]:
    """Replace what is written by what is declared; return the files that changed."""
    (old, old_site), (new, new_site) = written(root), declared(root)
    pairs = ((raw_of(old), raw_of(new)), (old_site, new_site), (old, new))
    changed = []
    for path in files(root):
        text = made = path.read_text(encoding="utf-8")
        for before, after in pairs:
            made = made.replace(before, after)
        if made != text:
            path.write_text(made, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for changed_file in write():
        print(changed_file.relative_to(ROOT))
