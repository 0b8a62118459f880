"""The Python of the documents runs: all blocks of a file in order, as one script of a user.

A block that needs what a test cannot have stands below a comment `<!-- not run: why -->`.
"""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest
from plugin_makers import on_path
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.mining.store import Workspace

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"(?:^<!-- not run: ([^\n]*) -->\n)?^```python\n(.*?)^```$", re.M | re.S)
NAMES = {  # in the documents → in the workspace of tests/every_kind.py
    "nf-bm25": "bm25",
    "nf-pool": "pool",
    "nf-scores": "scores",
    "nf-groups": "groups",
    "nf-student": "student",
    **dict.fromkeys(("h1", "h2", "h3"), "bm25-judged"),
    **dict.fromkeys(("e1", "e2", "e3"), "random-judged"),
}


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return the blocks of Python of a document, each with why it is not run."""
    return BLOCK.findall(path.read_text(encoding="utf-8"))


SHOWING = [path for path in sorted(DOCS.rglob("*.md")) if blocks(path)]


@pytest.fixture(scope="module")
def folder(every_kind: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a user: a workspace with the names of the documents, and a model."""
    place = tmp_path_factory.mktemp("user")
    shutil.copytree(every_kind.root, place / "rankmill-work")
    tiny_encoder(place / "models" / "encoder", max_position_embeddings=256)
    mine = Workspace(place / "rankmill-work")
    for name, made in NAMES.items():
        mine.alias(name, mine.find(made))
    encoder = f"bi_encoder(model={place / 'models' / 'encoder'})"
    for name in ("s-hard", "s-bm25", "s-random"):
        rm.stats("groups", encoder=encoder, name=name, workspace=mine)
    return place


@pytest.mark.models
@pytest.mark.filterwarnings("ignore:.*are queries that the student was trained on")
@pytest.mark.parametrize("path", SHOWING, ids=lambda path: path.name)
def test_the_python_of_a_document_runs(
    path: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [code for why, code in blocks(path) if not why]
    if not run:
        pytest.skip(f"{path.name}: {blocks(path)[0][0]}")
    place = tmp_path / "user"
    shutil.copytree(folder, place)
    script = place / f"{path.stem}.py"
    script.write_text("\n\n".join(run), encoding="utf-8")
    monkeypatch.chdir(place)
    with on_path():  # parts that the document registers are forgotten
        runpy.run_path(str(script), run_name="__main__")


def test_what_is_not_run_is_python_and_says_why() -> None:
    left_out = [(path.name, why, code) for path in SHOWING for why, code in blocks(path) if why]
    assert left_out, "the pattern finds none"
    for name, why, code in left_out:
        compile(code, name, "exec")
        assert why.startswith(("needs", "minutes")), (name, why)


def test_a_block_of_a_document_is_never_missed() -> None:
    for path in SHOWING:
        assert path.read_text(encoding="utf-8").count("```python") == len(blocks(path)), path.name
