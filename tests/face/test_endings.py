"""How commands end: what was made and where, the report, and the command to type next."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from test_cli import RECIPE
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny collection and two tiny models."""
    root = tmp_path_factory.mktemp("endings")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    return root


TRAINING = ("--batch", "4", "--doc-length", "40", "--query-length", "20")


def test_the_next_command_leads_from_a_collection_to_an_evaluation(rankmill, place):
    """Whatever `next:` says is typed, with a model for MODEL; nothing else is."""
    said, models = ["collect", "beir:tiny", "--name", "nf"], {"score": "cross", "train": "encoder"}
    taken = []
    for _ in range(12):
        taken.append(said[0])
        status, out, err = rankmill(*said)
        assert status == 0, (said, err)
        last = out.splitlines()[-1]
        if not last.startswith("next: rankmill "):
            break
        said = shlex.split(last.removeprefix("next: rankmill "))
        said = [word.replace("MODEL", models.get(said[0], "")) for word in said]
        said = [{"1M": "32", "16": "4"}.get(word, word) for word in said]
        said += TRAINING if said[0] == "train" else ()
    assert taken == ["collect", "mine", "pool", "score", "select", "stats", "train", "eval"]
    assert "nf-bm25 = run" in rankmill("list")[1] or "nf-bm25" in rankmill("list")[1]


def test_an_ending_says_name_rows_place_and_what_was_there_already(rankmill, place):
    words = ("mine", "random", "-c", "nf", "--split", "train", "--depth", "9", "-n", "nf-random")
    assert rankmill("collect", "beir:tiny", "--name", "nf")[0] == 0
    _, out, _ = rankmill(*words)
    assert out.startswith("nf-random = run ")
    assert "already there" not in out
    path = next(line for line in out.splitlines() if line.startswith("  in ")).removeprefix("  in ")
    assert (Path(path) / "manifest.json").exists()
    assert out.splitlines()[-1].startswith("next: rankmill pool nf-random ")
    _, out, err = rankmill(*words)
    assert out.splitlines()[0].endswith("  already there")
    assert err == "already there: run\n"
    _, out, _ = rankmill(*words, "--json")
    told = json.loads(out)
    assert told["already_there"] is True
    assert told["next"].startswith("rankmill pool nf-random")
    assert told["path"] == path


def test_another_workspace_is_part_of_the_next_command(rankmill, place, tmp_path, monkeypatch):
    there = ("--workspace", str(tmp_path / "a b"))
    _, out, _ = rankmill("collect", "beir:tiny", "--name", "nf", *there)
    said = shlex.split(out.splitlines()[-1].removeprefix("next: rankmill "))
    assert said[-2:] == list(there)
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(tmp_path / "a b"))
    _, out, _ = rankmill("collect", "beir:tiny", "--name", "nf")
    assert "--workspace" not in out


def test_quiet_leaves_the_result_and_errors(rankmill, place):
    status, out, err = rankmill("collect", "beir:tiny", "--name", "q", "--quiet")
    assert (status, err) == (0, "")
    assert out.startswith("q = collection ")
    assert "next:" not in out
    status, out, err = rankmill("mine", "bm52", "-c", "q", "--split", "train", "-q")
    assert (status, out) == (2, "")
    assert "bm25" in err
    assert "next:" in rankmill("collect", "beir:tiny", "--name", "q")[1]  # only where it is asked


def test_a_run_says_where_its_report_is(rankmill, place, tmp_path):
    recipe = tmp_path / "t.toml"
    recipe.write_text(RECIPE)
    status, out, err = rankmill("run", str(recipe), "--set", "depth=10")
    assert status != 0  # there is no such setting
    status, out, err = rankmill("run", str(recipe))
    assert status == 0, err
    assert out.splitlines()[-1] == f"next: rankmill run {recipe} --report t.html"
    assert "stages, in " in out
    _, out, err = rankmill("run", str(recipe), "--report", "t.html")
    assert f"report: {place / 't.html'}\n" in out
    assert "all of it was already there, in " in out
    assert out.splitlines()[-1] == "next: rankmill show t-random-groups --rows 3"
    assert err.startswith("already there: corpus, queries, ")
    assert rankmill("show", "t-random-groups", "--rows", "3")[0] == 0
    _, out, _ = rankmill("run", str(recipe), "--report", "t.html", "--json")
    told = json.loads(out)
    assert told["report"] == str(place / "t.html")
    assert told["next"] == "rankmill show t-random-groups --rows 3"
