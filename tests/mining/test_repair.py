"""Parts that are computed again: `verify --deep` compares one, `repair` puts damaged ones back."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from every_kind import KINDS, one_of_each

from rankmill.mining.store import Workspace, attempts, files
from rankmill.mining.store.manifest import canonical_json
from rankmill.mining.upkeep.redo import faults_of_rows
from rankmill.mining.upkeep.repair import _named_one, repair_workspace
from rankmill.mining.upkeep.verify import verify_workspace
from rankmill.replay import replay

FOLDERS = {"comparison", "index", "student"}  # artifacts of files, which are made together


@pytest.fixture(scope="module")
def held(every_kind, tmp_path_factory):
    """A copy of the workspace with every kind, which the tests damage and repair."""
    place = tmp_path_factory.mktemp("held") / "work"
    shutil.copytree(every_kind.root, place)
    return Workspace(place)


def faults(workspace: Workspace) -> list[str]:
    return [str(fault) for one in verify_workspace(workspace) for fault in one.faults]


def repaired(workspace: Workspace, *asked: str) -> list[str]:
    return [
        one.what if one.error is None else f"not: {one.error}"
        for one in repair_workspace(workspace, asked, replay)
    ]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.unlink()  # as a rotten sector would: no process of ours wrote it
    path.write_bytes(data)


def test_scores_are_not_computed_from_themselves(held):
    """A stage takes known pairs from finished scores: never from those that are made anew."""
    teachers = set()
    for made in list(held.artifacts("scores")):
        teachers.add(made.parameters["teacher"].partition("(")[0])
        path = made.path / made.parts[0].file
        before = path.read_bytes()
        flip(path)  # the record stays, so the artifact opens
        assert repaired(held) == ["made part 0 of scores anew, with the same bytes"], made
        assert path.read_bytes() == before
    assert "stored" in teachers  # one that looks for known pairs; what a file says does not


def test_what_a_killed_repair_has_left_goes_with_the_next(held):
    """Also where that one finds nothing to mend: the killed one had got so far."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = held.root / "tmp" / f"redo-{attempts.here()}-{ended.pid}-0"
    folder.mkdir(parents=True)
    (folder / "LOCK").touch()
    run = held.find("bm25").path
    left = run / f".part-00000.json.{attempts.here()}-{ended.pid}-1.tmp"
    left.touch()
    assert repaired(held) == []
    assert not folder.exists()
    assert not left.exists()


@pytest.mark.parametrize("kind", sorted(KINDS - FOLDERS))
def test_a_damaged_part_is_made_anew_with_the_same_bytes(held, kind):
    made = one_of_each(held)[kind]
    path = made.path / made.parts[0].file
    before, root = path.read_bytes(), made.root_hash
    flip(path)
    (made.path / "part-00000.json").unlink()
    assert any(str(path) in fault for fault in faults(held))
    assert repaired(held) == [f"made part 0 of {kind} anew, with the same bytes"]
    assert path.read_bytes() == before
    assert held.open(kind, made.fingerprint).root_hash == root
    assert faults(held) == []


@pytest.mark.parametrize("kind", ["pool", "groups", "collection"])
def test_a_damaged_manifest_is_written_anew(held, kind):
    made = one_of_each(held)[kind]
    path = made.path / "manifest.json"
    before = path.read_bytes()
    flip(path)
    assert repaired(held) == ["wrote the manifest anew, with the same root hash"]
    assert path.read_bytes() == before
    assert faults(held) == []


def test_a_name_is_that_of_what_was_made_last_of_the_others(held):
    """Not of what a request made on its way, though that may have been made anew since."""
    every = one_of_each(held)
    keys, groups = every["copy-keys"], held.find("groups")
    made = [("2027-01-01T00:00:00Z", 2, keys), ("2026-01-01T00:00:00Z", 1, groups)]
    assert keys.fingerprint in groups.inputs.values()
    assert _named_one(made).kind == "groups"
    assert _named_one(made[:1]) is keys


def test_ledgers_and_names_are_written_anew(held):
    pool, groups = held.find("pool"), held.find("groups")
    cost, request = pool.cost()["cpu_s"], pool.cost()["request"]
    (pool.path / "ledger.json").write_bytes(b"{}")
    (held.root / "names" / "groups.json").write_bytes(b"\0")
    assert repaired(held) == [
        "summed the damaged ledger up from the attempts",
        f"the name 'groups' stands for groups {groups.fingerprint[:12]}",
    ]
    assert held.find("groups").root_hash == groups.root_hash
    assert pool.cost()["cpu_s"] == pytest.approx(cost, abs=0.5)
    assert pool.cost()["request"] == request  # the attempts tell it too
    assert faults(held) == []


@pytest.mark.parametrize("kind", sorted(FOLDERS))
def test_damaged_files_of_a_folder_are_made_anew_with_the_same_bytes(held, kind):
    made = one_of_each(held)[kind]
    assert faults_of_rows(made, replay, lambda n: 0) == ([], "")
    number = len(made.parts) - 1
    path = made.path / made.parts[number].file
    before = path.read_bytes()
    flip(path)
    assert repaired(held) == [f"made part {number} of {kind} anew, with the same bytes"]
    assert path.read_bytes() == before
    assert faults(held) == []


def test_a_student_is_trained_again_only_if_that_was_asked_for(held):
    faults, why = faults_of_rows(held.find("student"), replay, lambda n: 0, train=False)
    assert (faults, why) == ([], "that is to train it again: name it to have it done")


def test_a_manifest_that_is_gone_is_made_anew_where_something_needs_it(held):
    for name in ("pool", "student"):
        made = held.find(name)
        (made.path / "manifest.json").unlink()
        assert any("cannot be opened" in fault for fault in faults(held))
        assert repaired(held) == ["wrote the manifest anew, with the same root hash"]
        assert held.find(name).root_hash == made.root_hash
        assert faults(held) == []


def test_a_repair_that_is_killed_leaves_the_damaged_manifest(held, monkeypatch):
    """What has no manifest would be looked at no more."""
    made = held.find("pool")
    path = made.path / "manifest.json"
    flip(path)
    damaged = path.read_bytes()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("rankmill.mining.store.ledger.close", killed)
        with pytest.raises(Killed):
            repaired(held)
    assert path.read_bytes() == damaged
    assert repaired(held) == ["wrote the manifest anew, with the same root hash"]
    assert faults(held) == []


def test_what_another_run_holds_is_told_and_the_rest_is_repaired(held):
    pool, groups = held.find("pool"), held.find("groups")
    for one in (pool, groups):
        (one.path / "ledger.json").write_bytes(b"{}")
    with files.lock(pool.path / "LOCK"):
        told = repaired(held)
    assert "summed the damaged ledger up from the attempts" in told
    assert any("another run is writing this artifact" in one for one in told)
    assert repaired(held) == ["summed the damaged ledger up from the attempts"]


def test_a_server_is_not_asked_again(held, tmp_path):
    here = Workspace(tmp_path / "work")
    made = here.build_folder("endpoint", {}, {}, lambda folder, scratch: _answer(folder))
    flip(made.path / "said.json")
    assert any("what a server said when it was first asked" in one for one in repaired(here))


def _answer(folder: Path) -> None:
    (folder / "said.json").write_text("{}")


def test_rows_that_do_not_follow_from_the_inputs_are_found(held, tmp_path):
    """A part with other rows, whose record, manifest and ledger all were made to fit."""
    place = tmp_path / "work"
    shutil.copytree(held.root, place)
    run = Workspace(place).find("bm25")
    table = files.read_arrow(run.path / "part-00000.arrow")
    scores = [[score + 1 for score in row] for row in table["score"].to_pylist()]
    table = pa.table({**table.to_pydict(), "score": scores}, schema=table.schema)
    assert faults_of_rows(run, replay, lambda n: 0) == ([], "")
    forge(run.path, table)
    forged = Workspace(place).open("run", run.fingerprint)
    assert forged.faults() == []
    ((fault,), why) = faults_of_rows(forged, replay, lambda n: 0)
    assert not why
    assert "part 0 of run, computed again, has the SHA-256" in str(fault)


def forge(folder: Path, table: object) -> None:
    """Give part 0 other rows, and let everything beside it say so."""
    from rankmill.mining.store import ledger
    from rankmill.mining.store.sums import spelled, summed, sums_beside

    facts = files.write_arrow(folder / "part-00000.arrow", table)
    fresh = {"rows": facts.rows, "bytes": facts.bytes, "sha256": facts.sha256}
    said = json.loads((folder / "part-00000.json").read_bytes()) | fresh
    record = summed({key: value for key, value in said.items() if key != "sum"})
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["parts"][0] |= fresh
    told = ledger.read(folder)
    for name, value in (("part-00000.json", record), ("manifest.json", manifest)):
        (folder / name).unlink()
        (folder / name).write_bytes(canonical_json(value))
    data = (folder / "manifest.json").read_bytes()
    told["sums"] = sums_beside(folder, data, manifest["parts"])
    del told["sum"]
    (folder / "ledger.json").write_bytes(spelled(summed(told)))


def test_a_request_that_nobody_can_perform_again_is_told(held, tmp_path):
    place = tmp_path / "work"
    shutil.copytree(held.root, place)
    run = Workspace(place).find("bm25")
    (run.path / "ledger.json").unlink()
    (run.path / "attempts.jsonl").unlink()
    flip(run.path / "part-00000.arrow")
    told = repaired(Workspace(place), "bm25")
    ledger, part = sorted(told, key=lambda one: "not: its ledger" in one)
    assert "not: its ledger does not say by which command it was made" in part
    assert ledger == "summed the missing ledger up from the attempts"
