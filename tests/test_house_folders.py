"""The house rules about folders: no circle of imports at any level, about a dozen files in each."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from test_house_rules import MODULES, ROOMS, ROOT, Module, sample

MOST_FILES = 14  # about a dozen
MORE_FILES = {
    "native": "one file per kernel and its variants: flat by decision",
    "training": "one room, kept flat until the trainer grows again",
}

Name = tuple[str, ...]


def name_of(module: Module) -> Name:
    """Return a module's place as folders and file: `("mining", "store", "files")`."""
    return module.path.relative_to(ROOT).with_suffix("").parts


def typing_only(module: Module) -> set[int]:
    """Return the lines below `if TYPE_CHECKING`: read by type checkers, never imported."""
    blocks = [
        node
        for node in module.nodes
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    return {
        line
        for block in blocks
        for node in block.body
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def imported(module: Module, known: Mapping[Name, Module]) -> Iterator[Name]:
    """Yield the modules of ours that a module imports, inside functions too."""
    unread = typing_only(module)
    for line, path in module.imports():
        if line in unread:
            continue
        whole = path if path[0] in ROOMS else ()
        for stop in range(len(whole), 0, -1):
            for found in (whole[:stop], (*whole[:stop], "__init__")):
                if found in known:
                    yield found
                    break
            else:
                continue
            break


def graphs(modules: Iterable[Module]) -> dict[Name, dict[str, set[str]]]:
    """Return for each folder which of its files and folders import which others of it."""
    known = {name_of(module): module for module in modules}
    made: dict[Name, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for own, module in known.items():
        for other in imported(module, known):
            depth = next((i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), 0)
            if depth and own != other:
                made[own[:depth]][own[depth]].add(other[depth])
    return made


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the names along one circle, or nothing."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node not in done:
            for other in sorted(graph.get(node, ())):
                if found := walk(other, [*way, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


@cache
def whole_graphs() -> dict[Name, dict[str, set[str]]]:
    """Return the graphs of all folders: seconds, so not while tests are collected."""
    return graphs(MODULES)


FOLDERS = {name_of(module)[:depth] for module in MODULES for depth in range(1, 9)}
FOLDERS -= {name_of(module) for module in MODULES}


@pytest.mark.parametrize("folder", sorted(FOLDERS), ids="/".join)
def test_no_circle_among_the_files_and_folders_of_a_folder(folder: Name) -> None:
    assert " → ".join(circle(whole_graphs().get(folder, {}))) == ""


def test_every_graph_belongs_to_a_folder_that_is_looked_at() -> None:
    assert len(whole_graphs()) > 20
    assert set(whole_graphs()) <= FOLDERS


def test_about_a_dozen_files_in_a_folder() -> None:
    counts: dict[str, int] = defaultdict(int)
    for module in MODULES:
        if module.path.name != "__init__.py":
            counts["/".join(name_of(module)[:-1])] += 1
    crowded = {f: n for f, n in counts.items() if n > MOST_FILES and f not in MORE_FILES}
    assert crowded == {}


def rooms_as_told() -> dict[str, set[str]]:
    """Return the folders of each room that CONTRIBUTING.md names, and those within one of them."""
    told: dict[str, set[str]] = {}
    room = ""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = next(one for one in text.split("```") if one.startswith("\nrankmill/   "))
    for line in block.splitlines():
        begins = re.match(r"(\w+)/ {2,}| +within (\w+)/:", line)
        if begins:
            room = begins[1] or f"{room}/{begins[2]}"
        if line:
            rest = line[begins.end() :] if begins else line
            told.setdefault(room, set()).update(re.findall(r"(\w+)/", rest))
    return told


def folders_in(place: Path) -> set[str]:
    return {path.parent.name for path in place.glob("*/__init__.py")}


def test_the_list_of_rooms_names_every_folder() -> None:
    told = rooms_as_told()
    assert {name for name in told if "/" not in name} == set(ROOMS)
    # What stands deeper is named with the folder that it is in, as `grid/` with `study/`.
    study = folders_in(ROOT / "rankmill" / "study") | {"render"}
    for name, folders in told.items():
        assert folders - study == folders_in(ROOT / name), name


def test_a_circle_of_two_folders_is_found_and_typing_is_no_import() -> None:
    files = {
        "mining/a/one.py": "from ..b.two import x",
        "mining/b/two.py": "from typing import TYPE_CHECKING",
        "mining/b/three.py": "def f():\n    from ..a.one import x",
    }
    found = graphs(sample(name, text) for name, text in files.items())
    assert circle(found["mining",]) == ["a", "b", "a"]
    files["mining/b/three.py"] = "if TYPE_CHECKING:\n    from ..a.one import x"
    found = graphs(sample(name, text) for name, text in files.items())
    assert circle(found["mining",]) == []
