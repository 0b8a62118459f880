"""Words of the command line that are empty, as `"$DIR"` is with a variable that is not set: none
stands for the current folder, and none is taken for an option that was left out. Words and ids that
are very long."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

from rankmill.mining.errors import UsageError
from rankmill.mining.teachers.scores import teacher_of

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that is itself a collection, a place for exports, and no model."""
    root = tmp_path_factory.mktemp("empty")
    tiny_beir(root)
    return root


LINES = {
    "mine random -c t --split train --depth 3 --trec ''": "--trec",
    "mine random -c t --split train --depth 3 --workspace ''": "--workspace",
    "mine random -c t --split train --depth 3 -w ''": "--workspace",
    "mine \"imported(path='')\" -c t --split train --depth 3": "'' is no path",
    "mine \"dense(model='')\" -c t --split train --depth 3": "'' is no path",
    "collect beir:": "'' is no path",
    "collect jsonl:": "'' is no path",
    "import '' --as run -c t --split train": "PATH",
    "export sentence-transformers --groups r --to ''": "--to",
    "show t --to ''": "--to",
    "run ''": "RECIPE",
    "study ''": "RECIPE",
    "estimate ''": "RECIPE",
    "figures r.toml --to ''": "--to",
}


@pytest.fixture
def held(place: Path, rankmill: Command) -> Path:
    if not (place / "rankmill-work").exists():
        assert rankmill("collect", "beir:.", "--name", "t")[0] == 0
    return place


@pytest.mark.parametrize("line", LINES)
def test_an_empty_path_is_not_the_current_folder(held: Path, rankmill: Command, line: str) -> None:
    before = sorted(held.iterdir())
    status, out, err = rankmill(*shlex.split(line))
    assert (status, out) == (2, "")
    assert LINES[line] in err
    assert "it is empty" in err
    assert sorted(held.iterdir()) == before


def test_an_empty_name_is_not_the_current_folder(held: Path, rankmill: Command) -> None:
    for verb in ("verify", "show", "hash"):
        status, out, err = rankmill(verb, "")
        assert (status, out) == (4, "")
        assert "nothing is called ''" in err


@pytest.mark.parametrize("text", ["", " "])
def test_no_text_is_no_teacher(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is no teacher"):
        teacher_of(text)


def test_the_current_folder_has_a_name(held: Path, rankmill: Command) -> None:
    assert rankmill("collect", "beir:.", "--name", "again")[0] == 0


def test_an_id_as_long_as_a_book_is_not_printed_whole(
    held: Path, rankmill: Command, tmp_path: Path
) -> None:
    row = '{"_id":"' + "A" * 100_000 + '","text":"x"}\n'
    (tmp_path / "a.jsonl").write_text(row * 2)
    status, out, _ = rankmill("collect", f"jsonl:{tmp_path}/a.jsonl")
    assert (status, "1 duplicate row: AAA" in out) == (0, True)
    assert max(map(len, out.splitlines())) < 500


@pytest.mark.parametrize("fields", ["", " ", ","])
def test_no_field_is_no_choice_of_fields(held: Path, rankmill: Command, fields: str) -> None:
    status, _, err = rankmill("collect", "beir:.", "--fields", fields)
    assert (status, "names no field" in err) == (2, True)


@pytest.mark.parametrize("line", ["show t --rows", "verify t --deep --seed", "advise t --seed"])
def test_a_number_of_thirty_digits_is_no_bug(held: Path, rankmill: Command, line: str) -> None:
    status, _, err = rankmill(*line.split(), "9" * 30)
    assert status == (0 if line.startswith("show") else 2)
    assert "is a bug" not in err
