"""`~` in a path is the home folder wherever paths come in, also where no shell has expanded it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.models.folder import resolve
from rankmill.mining.store import Workspace
from rankmill.mining.teachers import teacher_of
from rankmill.study.toml_files import read_toml


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with a model in it; the working folder is another."""
    made = tmp_path / "home"
    tiny_cross_encoder(made / "cross")
    tiny_encoder(made / "encoder")
    monkeypatch.setenv("HOME", str(made))
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    return made


def test_what_is_there_by_the_name_stays(home: Path) -> None:
    assert path_given("~/x") == home / "x"
    assert path_given("a/~/x") == Path("a/~/x")
    assert path_given("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    Path("~").mkdir()
    Path("~/x").touch()
    assert path_given("~/x") == Path("~/x")


@pytest.mark.parametrize(
    "text",
    [
        "~/cross",
        "cross_encoder(model=~/cross)",
        'cross_encoder(model="~/cross")',
        "bi_encoder(model=~/encoder)",
        "teacher(minilm,model=~/cross)",
    ],
)
def test_models_in_the_home_folder(home: Path, text: str) -> None:
    teacher: Any = teacher_of(text)
    assert resolve(teacher.model).path.parent == home
    assert resolve(Path(teacher.model)).path.parent == home


def test_what_is_not_there_is_shown_whole(home: Path) -> None:
    with pytest.raises(BadInput, match="there is no model folder") as refused:
        resolve("~/lost")
    assert str(home / "lost") in str(refused.value)


WRITTEN: dict[str, Callable[[Any], Any]] = {
    "run.txt": lambda c: rm.mine("random", c, split="train", depth=3, trec="~/run.txt"),
    "work/runs": lambda c: Workspace("~/work").root.joinpath("runs").mkdir(parents=True),
}


@pytest.mark.parametrize("place", WRITTEN)
def test_what_is_written_goes_there(home: Path, place: str) -> None:
    collection = rm.collect(f"beir:{tiny_beir(home / 'beir', docs=30, queries=4)}")
    WRITTEN[place](collection)
    assert (home / place).exists()
    assert not Path("~").exists()


def test_what_is_read_is_looked_for_there(home: Path) -> None:
    tiny_beir(home / "beir", docs=30, queries=4)
    collection = rm.collect("beir:~/beir")
    (home / "r.toml").write_text("seed = 3\n")
    assert read_toml(Path("~/r.toml"), "the recipe is", "none") == {"seed": 3}
    train = collection.queries.query_ids(collection.split_queries("train"))
    (home / "new.tsv").write_text(f"{train[0]}\tanother way to say it\n")
    assert len(rm.rewrite(collection, "~/new.tsv", split="train").queries) == 5


@pytest.mark.parametrize("odd", [5, None, [], {}, ""])
def test_what_is_no_path_is_said(odd: Any) -> None:
    with pytest.raises(UsageError, match="is no path"):
        path_given(odd)
    with pytest.raises(UsageError, match="is no path"):
        rm.run(odd)
