"""Paths that are given where a name could stand, folders of shards, and paths that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from selection_world import write_collection

import rankmill as rm
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.shards import shards_in
from rankmill.mining.store import Workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paths")
    write_collection(root / "beir")
    rm.collect(f"beir:{root / 'beir'}", workspace=root / "rankmill-work", name="c")
    return root


def run_in(folder: Path, number: int, of: int) -> None:
    folder.mkdir(exist_ok=True)
    pairs = {"query_id": ["q0", "q1"], "doc_id": [f"d{number + 4}"] * 2, "score": [1.5, 1.0]}
    pq.write_table(pa.table(pairs), folder / f"train-{number:05d}-of-{of:05d}.parquet")


def test_eval_reads_the_folder_that_import_reads(
    place: Path, rankmill: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    run_in(place / "lists", 0, 2)
    run_in(place / "lists", 1, 2)
    asked = ("-c", "c", "--split", "train")
    status, _, err = rankmill("import", "lists", "--as", "run", *asked, "--tag", "t")
    assert status == 0, err
    status, out, err = rankmill("eval", "--run", "lists", *asked, "--measures", "nDCG@10")
    assert status == 0, err
    assert "nDCG@10" in out
    status, _, err = rankmill("eval", "--run", "nowhere", *asked)
    assert status != 0
    assert "nowhere" in err


def is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["train-00000-of-00001", "test-00000-of-00001"],
            "test-00000-of-00001.parquet and train-00000-of-00001.parquet",
        ),
        (["train-00000-of-00001", "more"], "more.parquet and train-00000-of-00001.parquet"),
        (["a-00000-of-00002", "a-00001-of-00002", "b-00000-of-00001"], "a-00000-of-00002"),
    ],
)
def test_shards_of_two_tables_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / f"{name}.parquet").touch()
    with pytest.raises(BadInput, match="shards of one table and files of another") as refused:
        shards_in(tmp_path, "Parquet", is_parquet, "")
    assert said in str(refused.value)
    assert "move those that are meant" in str(refused.value)


def test_shards_of_one_table_are_read(tmp_path: Path) -> None:
    for name in ("train-00001-of-00002", "train-00000-of-00002"):
        (tmp_path / f"{name}.parquet").touch()
    found = [path.name[:11] for path in shards_in(tmp_path, "Parquet", is_parquet, "")]
    assert found == ["train-00000", "train-00001"]
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in ("b", "a"):
        (plain / f"{name}.parquet").touch()
    assert [path.stem for path in shards_in(plain, "Parquet", is_parquet, "")] == ["a", "b"]


NUL = "a\0b"
WITH_NUL: dict[str, Callable[[Any], Any]] = {
    "workspace": lambda c: rm.collect("beir:x", workspace=NUL),
    "path of a run": lambda c: rm.import_run(NUL, c, split="train"),
    "path of scores": lambda c: rm.import_scores(NUL, c, kind="logit"),
    "run": lambda c: rm.evaluate(run=NUL, collection=c, split="train"),
    "student": lambda c: rm.evaluate(student=NUL, collection=c, split="train"),
    "student to search": lambda c: rm.retrieve(NUL, c, split="train"),
    "path of a source": lambda c: rm.mine(f"imported(path='{NUL}')", c, split="train", depth=5),
    "model": lambda c: rm.mine(f"dense(model='{NUL}')", c, split="train", depth=5),
    "recipe": lambda c: rm.study(NUL),
}


@pytest.mark.parametrize("what", WITH_NUL)
def test_a_path_with_a_nul_is_refused(place: Path, what: str) -> None:
    collection = Collection.open(Workspace(place / "rankmill-work"), "c")
    with pytest.raises((UsageError, BadInput)):
        WITH_NUL[what](collection)
