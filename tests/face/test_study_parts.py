"""A study in parts, on different days: claims judged where all of their cells are, and what its
folder says of itself."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from synthetic_claims import judged, one, values
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.processors import processor_name
from rankmill.report.study.facts import check_study_place, machines_of
from rankmill.study.grid.design import study_of
from rankmill.study.grid.hypotheses import declared_hash
from rankmill.training.significance import holm

CLAIMS = """
[study.hypotheses.small-gains]
claim = "of small students BM25 negatives teach more"
expect = "more"
margin = 0.02
a = { sampler = "bm25" }
b = { sampler = "random" }
within = { "train.student" = "small" }
[study.hypotheses.all-gain]
claim = "BM25 negatives teach more"
expect = "more"
margin = 0.02
a = { sampler = "bm25" }
b = { sampler = "random" }
[study.hypotheses.large-is-better]
claim = "large students are better"
expect = "more"
margin = 0.02
a = { "train.student" = "large" }
b = { "train.student" = "small" }
within = { sampler = "bm25" }
"""
SMALL = 'study.part=[{"train.student"="small"}]'


def study(part: str = "") -> Any:
    return study_of(tomllib.loads(RECIPE + CLAIMS + f"[study]\npart = [{part}]\n"), "t.toml")


def test_a_claim_is_judged_where_all_of_its_cells_are() -> None:
    whole, small = study(), study('{ "train.student" = "small" }')
    assert [cell.name for cell in whole.cells if cell.levels["train.student"] == "small"] == [
        cell.name for cell in small.cells
    ]
    assert [cell.number for cell in small.cells] == [0, 1]
    assert [h.name for h in whole.hypotheses] == ["small-gains", "all-gain", "large-is-better"]
    assert whole.elsewhere == []
    assert [h.name for h in small.hypotheses] == ["small-gains"]
    assert [h.name for h in small.elsewhere] == ["all-gain", "large-is-better"]
    # whichever part it is, the same was declared
    assert declared_hash(small.declared) == declared_hash(whole.hypotheses)
    assert [h.name for h in study('{ sampler = "bm25" }').hypotheses] == ["large-is-better"]


def test_a_change_of_a_claim_needs_its_cells_too() -> None:
    """Else the choices beside a claim would depend on the part that judged it."""
    instead = '[study.hypotheses.small-gains.instead.large]\nwithin = { "train.student" = "large" }'
    text = f'{RECIPE}{CLAIMS}{instead}\n[study]\npart = [{{ "train.student" = "small" }}]\n'
    assert study_of(tomllib.loads(text), "t.toml").hypotheses == []


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ('{ sampler = "bm52" }', r"study\.part: axis 'sampler' has no level 'bm52'"),
        ('{ samplers = "bm25" }', r"study\.part: 'samplers' is no axis"),
        ('"bm25"', r"study\.part is a list of tables"),
        ('{ sampler = "bm25", loss = [] }', r"study\.part has none of the 4 cells"),
    ],
)
def test_a_part_that_is_none_is_refused(part: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        study(part)


def test_claims_of_other_parts_can_only_raise_p() -> None:
    """Holm over k claims of m at hand is never below Holm over all m, whatever the others' p."""
    a, b = values(3, 0.11, 0.1)
    alone, among = (judged(one("more"), {"a": a, "b": b}, elsewhere=n)[0] for n in (0, 4))
    assert among.judgement.p_holds == pytest.approx(min(1.0, 5 * alone.judgement.p_holds))
    assert alone.effect == among.effect
    p = alone.judgement.p_holds
    for others in ([0.5] * 4, [p, p / 2, p / 3, p * 2], [1e-9] * 4):
        assert holm([p, *others])[0] <= among.judgement.p_holds + 1e-15


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("parts"))
    (root / "p.toml").write_text(RECIPE + CLAIMS)
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_part_is_carried_out_then_the_whole_in_its_place(place: Path) -> None:
    part = rm.study("p.toml", [SMALL], workspace="work", to="out")
    facts = json.loads(Path("out/study.json").read_text())
    assert facts["study"] == "t"
    assert facts["overrides"] == [SMALL]
    assert (facts["claims"], facts["claims_elsewhere"]) == (
        ["small-gains"],
        ["all-gain", "large-is-better"],
    )
    (machine,) = facts["machines"]
    assert machine["processor"] == processor_name()
    assert machine["students"] == 4
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", machine["first"])
    text = Path("out/study.md").read_text()
    assert "2 more were declared about cells outside this part of the study: all-gain" in text
    assert processor_name() in text
    students = {s for roots in part.cells["student_root"] for s in roots}

    # a part without a claim: no table of claims of the run before is left in the folder
    rm.study("p.toml", [SMALL, "study.hypotheses={}"], workspace="work", to="out")
    assert not list(Path("out").glob("hypotheses.*"))

    whole = rm.study("p.toml", workspace="work", to="out")
    assert len(pl.read_parquet("out/hypotheses.parquet")["hypothesis"].unique()) == 3
    assert json.loads(Path("out/study.json").read_text())["cells"] == 4
    assert students < {s for roots in whole.cells["student_root"] for s in roots}
    assert sum(one["students"] for one in machines_of(whole)) == 8


def test_a_folder_of_another_study_is_refused_before_any_work(place: Path) -> None:
    folder = place / "other"
    folder.mkdir()
    (folder / "study.json").write_text('{"study": "u"}')
    with pytest.raises(UsageError, match="the results of the study 'u', this one is 't'"):
        rm.study("p.toml", workspace="nothing", to=folder)
    assert not Path("nothing", "collection").exists()
    for damaged in ("{", "[]", "{}"):
        (folder / "study.json").write_text(damaged)
        with pytest.raises(BadInput, match=r"this is no study\.json of a study"):
            check_study_place(folder, "t")
    assert os.listdir(folder) == ["study.json"]
