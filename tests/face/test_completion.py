"""Completion in shells: the script, commands, options, and the names of artifacts by their kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_collection import tiny_beir

MINE = ("--split", "train", "--depth", "5")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny collection."""
    return tiny_beir(tmp_path_factory.mktemp("completion") / "tiny").parent


@pytest.fixture
def completed(rankmill, monkeypatch):
    """Return a function that says what could stand in the place of the last word."""

    def ask(*words: str) -> list[str]:
        with monkeypatch.context() as shell:
            shell.setenv("_RANKMILL_COMPLETE", "complete_bash")
            shell.setenv("COMP_WORDS", " ".join(("rankmill", *words)))
            shell.setenv("COMP_CWORD", str(len(words)))
            status, out, err = rankmill()
        assert (status, err) == (0, "")
        return out.split()

    return ask


def test_names_are_completed_by_the_kind_that_an_option_takes(rankmill, completed, tmp_path):
    assert rankmill("collect", "beir:tiny", "--name", "nf", "-q")[0] == 0
    for name in ("nf-random", "nf-other"):
        seed = ("--seed", str(len(name)))
        assert rankmill("mine", "random", "-c", "nf", *MINE, *seed, "-n", name, "-q")[0] == 0
    assert rankmill("pool", "nf-random", "--name", "nf-pool", "-q")[0] == 0
    assert completed("mine", "bm25", "--collection", "n") == ["nf"]
    assert completed("pool", "nf-random", "n") == ["nf-other", "nf-random"]
    assert completed("score", "x", "--pool", "nf-p") == ["nf-pool"]
    assert completed("score", "x", "--pool", "nf-r") == ["nf-random"]  # a run does, too
    assert completed("select", "x", "--pool", "nf-r") == []
    assert completed("show", "nf-") == ["nf-other", "nf-pool", "nf-random"]
    assert completed("pool", "nf-random", "--name", "nf-") == []  # a new one
    assert completed("show", "-w", str(tmp_path / "none"), "nf-") == []


def test_commands_options_and_choices_are_completed(completed):
    assert completed("sel") == ["select"]
    assert completed("select", "--when-s") == ["--when-short"]
    assert completed("eval", "--ties", "t") == ["trec"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(rankmill, shell):
    status, out, err = rankmill("--show-completion", shell)
    assert (status, err) == (0, "")
    assert "_RANKMILL_COMPLETE" in out
