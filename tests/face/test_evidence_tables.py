"""Evidence handed to `rankmill advise`: what no study writes is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rankmill.mining.errors import BadInput
from rankmill.study.advise.records import read_evidence
from rankmill.study.grid.answer.evidence import ABOUT

ROW: dict[str, Any] = {
    **{"study": "s", "collection": "other", "corpus": "c" * 64, "domain": "test"},
    **{"kind": "in-domain", "at": "loss kl", "measure": "nDCG@10"},
    **{"design": "bm25", "family": "bm25", "sampler": "top(source=bm25)", "size": 8},
    **{"queries": 40, "documents": 1000, "seeds": 2, "judged_queries": 20},
    **{"gain": 0.1, "gain_low": None, "gain_high": None, "cost_s": 3.0, "training_s": 2.0},
    "pair_entropy(T=1)": 0.4,
}
NAN, INF = float("nan"), float("inf")


def folder_of(root: Path, name: str, *changes: dict[str, Any]) -> Path:
    """Write a study's table: a row per change, of designs a, b, …"""
    folder = root / name
    folder.mkdir()
    rows = [ROW | {"design": f"design {n}"} | change for n, change in enumerate(changes)]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    pl.DataFrame(columns, strict=False).write_parquet(folder / "designs.parquet")
    return folder


def test_the_row_is_one_of_a_study(tmp_path: Path) -> None:
    assert {*ABOUT} < {*ROW}
    made = read_evidence([folder_of(tmp_path, "good", {}, {})], "nDCG@10", "mine")
    assert [one.design for one in made.records] == ["design 0", "design 1"]
    assert made.left_out == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        *((name, None, "null") for name in ("study", "corpus", "at", "measure", "design")),
        ("family", None, "null"),
        ("collection", None, "null"),
        ("kind", None, "null"),
        ("kind", "training queries", "'training queries'"),
        ("gain", None, "null"),
        ("gain", NAN, "nan"),
        ("gain", INF, "inf"),
        ("cost_s", None, "null"),
        ("cost_s", NAN, "nan"),
        ("cost_s", 0.0, "0.0"),
        ("cost_s", -1.0, "-1.0"),
        ("size", 0, "0"),
        ("size", None, "null"),
        ("queries", None, "null"),
        ("queries", -4, "-4"),
        ("documents", None, "null"),
        ("documents", -5, "-5"),
        ("training_s", None, "null"),
        ("training_s", NAN, "nan"),
        ("training_s", -1.0, "-1.0"),
    ],
)
def test_a_value_that_no_study_writes_is_refused_with_its_row(
    tmp_path: Path, column: str, value: Any, said: str
) -> None:
    folder = folder_of(tmp_path, "bad", {}, {column: value})
    with pytest.raises(BadInput, match=f"'{column}' is {said}") as refused:
        read_evidence([folder], "nDCG@10", "mine")
    assert refused.value.where == f"{folder / 'designs.parquet'}, row 2"


@pytest.mark.parametrize(
    ("column", "value"),
    [("gain", "much"), ("cost_s", [1.0]), ("study", 3), ("size", True), ("note", "hello")],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, column: str, value: Any) -> None:
    folder = folder_of(tmp_path, "bad", {column: value})
    with pytest.raises(BadInput, match=f"the column '{column}' holds "):
        read_evidence([folder], "nDCG@10", "mine")


def test_one_design_with_two_results_is_refused_and_a_copy_counts_once(tmp_path: Path) -> None:
    first = folder_of(tmp_path, "first", {}, {})
    copy = folder_of(tmp_path, "copy", {}, {})
    other = folder_of(tmp_path, "other", {}, {"gain": 0.3})
    assert len(read_evidence([first, copy], "nDCG@10", "mine").records) == 2
    apart = read_evidence([first, other], "nDCG@10", "mine").records  # two studies of one name
    assert len({(one.block, one.design) for one in apart}) == 3
    twice = folder_of(tmp_path, "twice", {"design": "d"}, {"design": "d", "cost_s": 9.0})
    with pytest.raises(BadInput, match="two results of “d”"):
        read_evidence([twice], "nDCG@10", "mine")
