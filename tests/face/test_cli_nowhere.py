"""The command line where nothing is there yet: its version, and the workspace that is missing."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from rankmill.mining.errors import BadInput
from rankmill.mining.options import Field, Handle, options_of
from rankmill.mining.store import Workspace
from rankmill.stages import REQUESTS

LOOKS = {
    "show": ["it"],
    "list": [],
    "verify": [],
    "verify it": [],
    "gc": [],
    "rm": ["it"],
    "cost": [],
    "cost it": [],
    "hash": ["it"],
    "summary": ["it"],
    "doctor": ["it"],
}
IMPORTED = {"import_run": ["--split", "x"], "import_scores": ["--kind", "logit"]}
IMPORTED["import_groups"] = ["--format", "colbert", *IMPORTED["import_scores"]]
GIVEN = {  # what a command needs beside names of artifacts
    "mine": ["random", "--split", "train"],
    "score": ["random"],
    "select": ["top"],
    "cross": ["--encoder", "x"],
    "cut": ["keep_below(q=0.75)"],
    "subsample": ["--size", "4"],
    "train": ["bi_encoder(model=x)"],
    "retrieve": ["--student", "x", "--split", "test"],
    "rewrite": ["rewrites.tsv", "--split", "train"],
    "explain": ["q1"],
    "export": ["colbert", "--to", "out"],
    "evaluate": ["--run", "it"],
    "stats": ["--groups", "it"],
    "diagnose": ["--student", "x", "--groups", "it"],
}


def said(field: Field) -> list[str]:
    """Return the words of a required option that names an artifact."""
    if field.option.argument:
        return ["a=it" if field.form == "mapping" else "it"]
    flag = "--" + field.name.removesuffix("s" if field.form == "list" else "").replace("_", "-")
    return [flag, "it"]


def lines() -> dict[str, list[str]]:
    """Return a command line for every command that reads what is in a workspace."""
    made = {name: [*name.split(), *rest] for name, rest in LOOKS.items()}
    for verb, request in REQUESTS.items():
        if verb == "collect":
            continue
        words = [request.command or verb, *GIVEN.get(verb, [])]
        if verb in IMPORTED:
            words += ["file", "--as", verb.removeprefix("import_"), *IMPORTED[verb]]
        for field in options_of(request):
            known = {"evaluate", "stats", "diagnose", "retrieve"} & {verb}
            if field.type is Handle and field.required and not (known and field.name == "student"):
                words += said(field)
        made[verb] = words
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder that commands run in."""
    return tmp_path


@pytest.mark.parametrize("line", lines().values(), ids=lines())
def test_a_workspace_that_is_not_there_is_said(rankmill, tmp_path, line) -> None:
    status, out, err = rankmill(*line, "--workspace", str(tmp_path / "nowhere"))
    assert (status, out) == (BadInput.exit_status, "")
    assert err.startswith("rankmill: there is no workspace here\n")
    assert f"where: {tmp_path / 'nowhere'}\n" in err
    assert "do: name the folder of one (--workspace DIR), or begin one" in err
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="this is no folder"):
        Workspace(tmp_path / "file").find("it")


def test_an_empty_workspace_holds_nothing(rankmill, tmp_path) -> None:
    status, out, err = rankmill("list", "--workspace", str(tmp_path))
    assert (status, err) == (0, "")
    assert out == f"nothing in {tmp_path} yet; begin with rankmill collect SPEC\n"
    with pytest.raises(BadInput, match="nothing is called 'it'"):
        Workspace(tmp_path).find("it")


def test_the_version_is_told(rankmill) -> None:
    told = f"rankmill {importlib.metadata.version('rankmill')}\n"
    assert rankmill("--version") == (0, told, "")
    assert "--version" in rankmill("--help")[1]


def test_a_file_in_the_place_of_a_workspace_is_told_before_any_work(rankmill, place):
    (place / "file").write_text("")
    status, _, err = rankmill("collect", "python-docs", "-w", "file")
    assert status == 4
    assert err.startswith("rankmill: this is no folder")
