"""Ledgers balance, break off, get lost and get damaged; none of it touches a hash."""

import json
import time
from typing import Any

import pytest
from store_workers import squares

from rankmill.mining.errors import BadInput
from rankmill.mining.meter import Cost
from rankmill.mining.store import Workspace, ledger

LINES = {"cpu_s", "compile_s", "overhead_s", "gpu_s", "wall_s", "shard_wall_s"}
LINES |= {"peak_rss_bytes", "peak_anonymous_bytes", "peak_file_bytes", "memory"}


def burn(seconds: float) -> None:
    """Use the processor for so many of its seconds."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


def test_an_artifact_tells_every_line(workspace):
    cost = workspace.build(squares()).cost()
    assert cost.keys() >= LINES
    assert 0 < cost["shard_wall_s"] <= cost["wall_s"]
    assert cost["attempts"] == 4
    assert "pid" not in cost


def test_what_is_made_on_the_way_is_no_part_of_an_artifact(workspace):
    def inner(_folder, _scratch):
        burn(0.3)
        (_folder / "a").write_bytes(b"a")

    def outer(folder, _scratch):
        workspace.build_folder("student", {"which": "inner"}, {}, inner)
        (folder / "b").write_bytes(b"b")

    before = time.process_time()
    made = workspace.build_folder("student", {"which": "outer"}, {}, outer).cost()
    passed = time.process_time() - before
    other = next(
        a for a in workspace.artifacts("student") if a.parameters["which"] == "inner"
    ).cost()
    assert other["cpu_s"] >= 0.3
    assert made["cpu_s"] < 0.2
    assert made["wall_s"] < other["wall_s"] + made["wall_s"] - 0.2
    together = sum(c[k] for c in (made, other) for k in ("cpu_s", "compile_s", "overhead_s"))
    assert together <= passed + 0.005


def test_what_this_process_spent_is_what_its_ledgers_say(workspace, monkeypatch):
    monkeypatch.setattr(ledger, "spent", ledger.Spent())
    costs = [workspace.build(squares(n)).cost() for n in (20, 40)]
    for line in ("cpu_s", "compile_s", "overhead_s", "wall_s"):
        assert getattr(ledger.spent, line) == pytest.approx(sum(c[line] for c in costs), abs=0.01)
    workspace.build(squares(40))  # found
    assert ledger.spent.cpu_s == pytest.approx(sum(c["cpu_s"] for c in costs), abs=0.01)


def test_what_another_process_did_is_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "spent", ledger.Spent())
    ledger.note(tmp_path, 0, 1, Cost(wall_s=3.0, cpu_s=2.0, compile_s=1.0, pid=1))
    assert ledger.spent == ledger.Spent(elsewhere_cpu_s=3.0)
    assert ledger._attempts(tmp_path)[0]["pid"] == 1


def test_a_run_that_breaks_off_leaves_its_overhead(workspace):
    with pytest.raises(BadInput, match="a bad query"):
        workspace.build(squares(mischief="fail:2"))
    stage = squares()
    folder = next((workspace.root / "run").iterdir())
    broken = [line for line in ledger._attempts(folder) if line["shard"] == -2]
    assert [line["cause"] for line in broken] == ["broken off: BadInput"]
    made = workspace.build(stage).cost()
    assert made["attempts"] == 4
    assert made["failed_attempts"] == 0
    assert made["overhead_s"] >= round(broken[0]["cpu_s"], 3)


def test_ledgers_are_outside_of_every_hash(workspace, tmp_path):
    one = workspace.build(squares())
    two = Workspace(tmp_path / "two").build(squares(mischief="delay:0"))
    assert one.cost() != two.cost()
    assert (one.fingerprint, one.root_hash) == (two.fingerprint, two.root_hash)
    (one.path / "ledger.json").write_text("{}")
    assert workspace.open("run", one.fingerprint).root_hash == two.root_hash


WRONG_USAGE: list[Any] = [[], {"a": "x"}, {"a": None}]
WRONG: list[Any] = ["x", None, -1.0, True, [], float("nan"), float("inf"), 10**400]
OLD: dict[str, Any] = {"wall_s": 2.0, "cpu_s": 3.0, "gpu_s": 0.0, "peak_rss_bytes": 7, "bytes": 5}
OLD["usage"] = {"a": 1}


def test_an_old_ledger_reads_and_tells_what_it_tells(tmp_path):
    (tmp_path / "ledger.json").write_text(json.dumps(OLD))
    assert ledger.state(tmp_path) == "whole"
    assert ledger.read(tmp_path) == OLD
    old = {"shard": 0, "attempt": 1, "cause": "done", "host": "h", "pid": 1, "wall_s": 1.0}
    (tmp_path / "attempts.jsonl").write_text(json.dumps(old) + "\n" + '{"shard": 1, "att')
    assert ledger._attempts(tmp_path) == [old]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "null", "\x00\xff", "[" * 100_000]
    + [json.dumps(OLD | {"wall_s": bad}) for bad in WRONG]
    + [json.dumps(OLD | {"compile_s": bad}) for bad in WRONG]
    + [json.dumps(OLD | {"usage": bad}) for bad in WRONG_USAGE]
    + [json.dumps(OLD | {"memory": 3})],
)
def test_a_damaged_ledger_is_as_good_as_none_and_is_called_so(tmp_path, text):
    nothing = {"wall_s": 0.0, "cpu_s": 0.0, "gpu_s": 0.0, "peak_rss_bytes": 0, "bytes": 0}
    assert ledger.state(tmp_path) == "missing"
    assert ledger.read(tmp_path) == nothing | {"usage": {}}
    (tmp_path / "ledger.json").write_text(text)
    assert ledger.state(tmp_path) == "damaged"
    assert ledger.read(tmp_path) == nothing | {"usage": {}}


def test_a_damaged_attempt_is_passed_over(workspace):
    with pytest.raises(BadInput):
        workspace.build(squares(mischief="fail:2"))
    folder = next((workspace.root / "run").iterdir())
    with open(folder / "attempts.jsonl", "a") as stream:
        for bad in ('"x"', "-3", "NaN", "[1]"):
            stream.write(f'{{"shard":0,"attempt":1,"cause":"done","host":"h","cpu_s":{bad}}}\n')
    assert workspace.build(squares()).cost()["attempts"] == 4
