"""How commands end: what was made and where, the report, and the command to type next."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder
from tiny_recipe import RECIPE


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
        said = [{"16": "4"}.get(word, word) for word in said]
        budget = said.index("--documents") + 1 if "--documents" in said else len(said)
        said[budget : budget + 1] = ["32"] * (budget < len(said))
        said += TRAINING if said[0] == "train" else ()
    assert taken == ["collect", "mine", "pool", "score", "select", "stats", "train", "eval"]
    assert "nf-bm25 = run" in rankmill("list")[1] or "nf-bm25" in rankmill("list")[1]


def test_what_is_proposed_fits_short_lists_and_few_groups(rankmill, place):
    """Groups of 16 from lists of 7 would be none, a million documents thousands of passes."""
    assert rankmill("collect", "beir:tiny", "--name", "nf")[0] == 0
    few = ("-c", "nf", "--split", "train", "--depth", "6", "--name", "few-random")
    assert rankmill("mine", "random", *few)[0] == 0
    assert rankmill("pool", "few-random", "--name", "few-pool")[0] == 0
    words = ("cross_encoder(model=cross)", "--pool", "few-pool", "--name", "few-scores")
    status, out, _ = rankmill("score", *words)
    assert status == 0
    said = shlex.split(out.splitlines()[-1].removeprefix("next: rankmill "))
    assert said[said.index("--size") + 1] == "4"
    status, out, err = rankmill(*said)
    assert status == 0, err
    groups = int(out.split("  ")[1].split(" ")[0].replace(",", ""))
    status, out, err = rankmill("stats", "--groups", "few-groups", "--name", "few-stats")
    assert status == 0, err
    said = shlex.split(out.splitlines()[-1].removeprefix("next: rankmill "))
    assert said[said.index("--documents") + 1] == str(10 * 4 * groups)


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
    both = subprocess.run(
        [sys.executable, "-m", "rankmill", *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert both.stdout.startswith("already there: run\nnf-random = run ")  # what was found is first
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
    assert heavy_modules_of(["run", str(recipe), "--report", "t.html"], place) == set()


HEAVY = {"torch", "ray", "matplotlib", "transformers", "polars", "faiss", "scipy.stats"}
LOADED = """
import sys
from rankmill.cli import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, "scipy.stats" in sys.modules)
"""


def heavy_modules_of(words: list[str], folder: Path) -> set[str]:
    """Return what a command loads of all that takes long to load."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *loaded, statistics = done.stdout.splitlines()[-1].split()
    assert "pyarrow" in loaded or "typer" in loaded  # it was a command that ran
    return HEAVY & {*loaded, *(["scipy.stats"] if statistics == "True" else [])}


@pytest.mark.parametrize("words", [["--help"], ["list"]])
def test_a_look_loads_nothing_heavy(words, place, rankmill):
    assert rankmill("collect", "beir:tiny", "--name", "nf", "-q")[0] == 0
    assert heavy_modules_of(words, place) == set()


ENDLESS = """
import signal, sys, time
from rankmill.cli import entry
from rankmill.mining.errors import Interrupted
signal.signal(signal.SIGINT, entry._interrupt)
sys.argv = ["rankmill", "score", "a teacher", "--pool", "nf-pool"]
try:
    print("under way", flush=True)
    time.sleep(60)
except Interrupted as error:
    print(str(error).replace("\\n", " "), error.exit_status, flush=True)
    time.sleep(60)  # an end in order that takes long
"""


def test_one_interrupt_ends_in_order_and_says_how_to_go_on_a_second_ends_at_once(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "under way\n"
    os.kill(process.pid, signal.SIGINT)
    said = process.stdout.readline()
    assert said.startswith("stopped by SIGINT")
    assert "to resume: rankmill score 'a teacher' --pool nf-pool 75\n" in said
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT
    process.stdout.close()
