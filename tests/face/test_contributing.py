"""The diffs of CONTRIBUTING.md apply to this tree, touch no more than is said there, and work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("rankmill", "mining", "training", "native")
DIFFS = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)

USED = """
import inspect
from types import SimpleNamespace
import rankmill as rm
from rankmill.cli.entry import app_of
from rankmill.mining.sources.base import SOURCES

commands = {c.name: inspect.signature(c.callback).parameters for c in app_of().registered_commands}
assert "trec" in commands["rerank"] and "trec" in inspect.signature(rm.rerank).parameters
assert "scores" in commands["rank"] and "scores" in inspect.signature(rm.rank).parameters
assert "rank" in rm.__dir__()

class Corpus(list):
    def texts(self, docs):
        return [self[doc] for doc in docs]

source = SOURCES.parse("shared_words(least=2)")
search = source.searcher(SimpleNamespace(corpus=Corpus(["a b c", "a", "b a", "x"])))
assert search("a b c", 10) == ([0, 2], [3, 2])
print("used", rm.__file__)
"""


def touched(diff: str) -> dict[str, Counter[str]]:
    """Return for each file how many lines are added and removed."""
    files: dict[str, Counter[str]] = {}
    for line in diff.splitlines():
        if line.startswith("+++ b/"):
            here = files[line.removeprefix("+++ b/")] = Counter[str]()
        elif line[:1] in ("+", "-") and not line.startswith("--- "):
            here[line[0]] += 1
    return files


def test_an_option_a_verb_and_a_source_touch_two_places_at_most() -> None:
    option, verb, source = map(touched, DIFFS)
    assert set(option) == {"rankmill/stages.py"}
    assert set(verb) == {"rankmill/stages.py", "rankmill/api.py"}
    assert verb["rankmill/api.py"] == {"+": 2}
    assert set(source) == {"mining/sources/base.py", "mining/sources/shared_words.py"}
    assert source["mining/sources/base.py"] == {"+": 1}


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources with all the diffs applied."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    copy = tmp_path_factory.mktemp("patched")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room)  # with their bytecode, which stays valid
    for diff in DIFFS:
        done = subprocess.run(
            ["git", "apply", "--whitespace=error", "-"],
            cwd=copy,
            input=diff,
            text=True,
            capture_output=True,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)},
        )
        assert done.returncode == 0, done.stderr
    return copy


def test_what_they_add_works(patched: Path, tmp_path: Path) -> None:
    for room in ROOMS[1:]:  # as they are installed
        shutil.move(patched / room, patched / "rankmill" / room)
    done = subprocess.run(
        [sys.executable, "-c", USED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(patched)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["used", str(patched / "rankmill" / "__init__.py")], done.stderr
