"""The experiments on reliability: their smallest forms, and faults that they must not pass over."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from environment import ROOT

sys.path.insert(0, str(ROOT / "bench"))
from reliability import page, registry, run  # noqa: E402
from reliability.registry import EXPERIMENTS, QUICK, Experiment  # noqa: E402

SMALLEST = run.Asked(QUICK, {"races": 8}, 600.0, 1)
PLANTED = """
from reliability import races
from rankmill.mining.store import files

def overwriting(path, data):
    path.write_bytes(data)

def run(form):
    files.create_only = overwriting
    return races.run(form)

def broken(form):
    raise ZeroDivisionError("by zero")

def idle(form):
    from reliability.outcome import Result
    return Result()
"""


def performed(place: Path, *experiments: Experiment) -> dict[str, Any]:
    place.mkdir()
    return run.perform(experiments, SMALLEST, place, lambda one: None)


def named(*names: str) -> list[Experiment]:
    return [one for one in EXPERIMENTS if one.name in names]


def test_the_smallest_forms_of_two_experiments(tmp_path: Path) -> None:
    outcomes = performed(tmp_path / "tried", *named("golden", "races"))
    assert {name: one["wrong"] for name, one in outcomes.items()} == {"golden": 0, "races": 0}
    assert outcomes["races"]["injected"] == {
        f"races for {what}": 2 for what in ("an artifact", "a manifest", "a folder", "a name")
    }
    assert [len(one["roots"]) for one in outcomes.values()] == [1, 1]


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text(PLANTED)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("run", "2 published"),  # a manifest that a second writer overwrites
        ("broken", "ZeroDivisionError: by zero"),
        ("idle", "nothing was tried"),
    ],
)
def test_a_planted_fault_is_wrong(tmp_path: Path, function: str, said: str) -> None:
    experiment = Experiment("planted", "Planted", f"planted:{function}", {QUICK: 8})
    outcome = performed(tmp_path / "tried", experiment)["planted"]
    assert outcome["wrong"] > 0
    assert said in " ".join(outcome["first_wrong"])


@pytest.mark.parametrize(("wrong", "status"), [(0, 0), (2, 1)])
def test_the_command_fails_where_anything_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, wrong: int, status: int
) -> None:
    told = OUTCOME | {"wrong": wrong}
    monkeypatch.setattr(run, "_in_process", lambda target, form: dict(told))
    (tmp_path / "page.md").write_text(f"by hand\n{page.BEGIN}\n{page.END}\nby hand too\n")
    away = dataclasses.replace(named("objects")[0], reason=lambda: "not installed here: moto")
    monkeypatch.setattr(run, "EXPERIMENTS", [*named("golden"), away])
    words = ["quick", "--only", "golden", "objects"]
    places = ["--results", str(tmp_path / "kept"), "--page", str(tmp_path / "page.md")]
    assert run.main([*words, *places]) == status
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["figures"]["golden"]["wrong"] == wrong
    assert "wrong" not in line["figures"]["objects"]  # not run is neither right nor wrong
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("by hand\n")
    assert text.endswith("by hand too\n")
    assert "**not run**" in text
    assert ("| **2** |" in text) == bool(wrong)


@pytest.mark.parametrize("text", [None, "a page without a place"])
def test_a_page_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, text: str | None
) -> None:
    monkeypatch.setattr(run, "perform", lambda *_: pytest.fail("work has begun"))
    path = tmp_path / "page.md"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        run.main(["quick", "--only", "golden", "--page", str(path)])
    assert "--page: " in capsys.readouterr().err


OUTCOME = {
    "cases": 3,
    "injected": {"kills": 3},
    "wrong": 0,
    "first_wrong": [],
    "roots": ["ab" * 32],
    "notes": ["a note"],
    "figures": {"shards": 1000},
}


def test_what_is_kept_of_one_experiment_stays_beside_another(tmp_path: Path) -> None:
    for name in ("golden", "races"):
        told = OUTCOME | {"form": QUICK, "title": name, "seconds": 1.0, "cpu_seconds": 1.0}
        told |= {"machine": run.machine(), "commit": "abc", "date": "2026-11-30"}
        run.keep({name: told}, tmp_path)
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())[QUICK].keys() == {"golden", "races"}
    table = page.figures(tmp_path)
    assert "| races | 3 | 3 kills | 0 | `abababababab` |" in table
    assert "- *golden*: Shards: 1,000. A note." in table


def test_one_that_cannot_be_done_here_is_never_passed(tmp_path: Path) -> None:
    needs = Experiment("x", "X", "planted:run", {QUICK: 1}, reason=registry._needs("no_such_thing"))
    outcome = performed(tmp_path / "tried", needs)["x"]
    assert outcome["not_run"] == "not installed here: no_such_thing"
    assert "cases" not in outcome


def test_the_page_of_the_repository_is_what_the_kept_figures_say() -> None:
    text = (ROOT / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")
    between = text.partition(page.BEGIN)[2].partition(page.END)[0]
    assert between.strip() == page.figures(run.RESULTS).strip()
