"""Documents that the code cites are in the repository, and so is each section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("rankmill", "mining", "native", "training", "tests", "bench")
FILES = sorted(
    path
    for folder in CODE
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__).resolve()  # which has examples of mistakes
)
GUIDES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

PATH = r"(?<![\w/.-])(?:\.\./)?((?:docs/)?[\w-]+\.md)"
SECTIONS = rf"(?:{PATH}\)?,?\s§(\d+)|[;,]\s§(\d+))"


def citations(text: str) -> list[tuple[str, int]]:
    """Return documents and sections that a text cites: `docs/x.md §3, D1; §6, 2` cites two."""
    text = re.sub(r"\s*\n\s*(?:#\s)?", " ", text)
    cited: list[tuple[str, int]] = []
    for path, first, further in re.findall(SECTIONS, text):
        if path:
            cited.append((path, int(first)))
        elif cited:
            cited.append((cited[-1][0], int(further)))
    return cited


def headings(document: Path) -> set[int]:
    """Return the numbers of a document's sections: `## 3. Definitions` is 3."""
    text = document.read_text(encoding="utf-8")
    return {int(number) for number in re.findall(r"^## (\d+)\. ", text, re.M)}


def mistakes(text: str, folder: Path = ROOT) -> list[str]:
    """Return the citations whose document or section does not exist."""
    wrong = []
    for path, section in citations(text):
        document = folder / path
        if not document.is_file() or section not in headings(document):
            wrong.append(f"{path} §{section}")
    return wrong


def test_every_section_that_the_code_cites_exists() -> None:
    wrong = {path: mistakes(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: these for path, these in wrong.items() if these} == {}


def test_every_section_that_a_guide_cites_exists() -> None:
    wrong = {path: mistakes(path.read_text(encoding="utf-8"), path.parent) for path in GUIDES}
    assert {path: these for path, these in wrong.items() if these} == {}


def test_documents_that_the_code_names_exist() -> None:
    ours = re.compile(r"(?<![\w/])docs/[\w-]+\.md")
    named = {name for path in FILES for name in ours.findall(path.read_text(encoding="utf-8"))}
    assert named  # the pattern still finds them
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_quantities_and_faults_are_cited_by_section() -> None:
    # By path, so that a reader of an installed package knows where to look.
    bare = re.compile(r"(?<!docs/)\b(?:quantities|faults)\.md")
    assert [p for p in FILES if bare.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("see docs/quantities.md §3, D1", [("docs/quantities.md", 3)]),
        (
            "docs/quantities.md §3; §6, 1–5 and 21",
            [("docs/quantities.md", 3), ("docs/quantities.md", 6)],
        ),
        ("# (docs/faults.md\n        # §5).", [("docs/faults.md", 5)]),
        ("[quantities.md](quantities.md) §5", [("quantities.md", 5)]),
        ("Higham, §3.1", []),
    ],
)
def test_citations_are_found(text: str, cited: list[tuple[str, int]]) -> None:
    assert citations(text) == cited


def test_a_section_that_is_not_there_is_found() -> None:
    assert mistakes("docs/quantities.md §3; §99") == ["docs/quantities.md §99"]
    assert mistakes("nowhere.md §1") == ["nowhere.md §1"]
