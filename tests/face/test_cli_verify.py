"""`rankmill verify` and `rankmill repair`: every fault is told, of exports and students too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attacks
import pytest

from rankmill import api
from rankmill.mining.store import Workspace, files


@pytest.fixture(scope="module")
def place(every_kind, tmp_path_factory):
    """A folder with a copy of the workspace of every kind, an export and a student's model."""
    place = tmp_path_factory.mktemp("verify")
    shutil.copytree(every_kind.root, place / "rankmill-work")
    here = Workspace(place / "rankmill-work")
    api.export("trec", here.find("groups"), to=place / "trec", allow_lossy=True)
    files.copy_tree(here.find("student").path / "model", place / "model")
    return place


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.unlink()
    path.write_bytes(data)


def test_verify_tells_every_fault_and_repair_mends_what_it_can(rankmill, place):
    here = Workspace(place / "rankmill-work")
    pool, run, scores = (here.find(name).path for name in ("pool", "bm25", "scores"))
    damaged = [run / "part-00000.arrow", pool / "manifest.json", scores / "ledger.json"]
    for path in (*damaged, place / "rankmill-work" / "names" / "random.json"):
        flip(path)
    status, out, err = rankmill("verify", "--json")
    told = json.loads(out)
    assert status == 6
    places = {fault["where"] for fault in told["faults"]}
    assert places >= {str(path) for path in damaged}
    assert any(where.endswith("random.json") for where in places)
    assert all(fault["do"] for fault in told["faults"])
    assert "Traceback" not in err
    assert rankmill("verify", "groups", "nf")[0] == 6
    status, out, err = rankmill("repair")
    assert (status, err) == (0, "")
    assert "made part 0 of run anew, with the same bytes" in out
    assert "wrote the manifest anew, with the same root hash" in out
    assert rankmill("verify")[0] == 0
    assert rankmill("repair")[1] == "nothing is damaged\n"


def test_repair_ends_with_6_where_something_stays_damaged(rankmill, place):
    weights = Workspace(place / "rankmill-work").find("student").path / "model/model.safetensors"
    with attacks.replaced(weights, b"not weights"):
        status, out, err = rankmill("repair", "student", "--json")
        assert status == 6
        assert json.loads(out)["repaired"] == []
        assert "is a folder of files: its parts are not computed one by one" in err


def test_verify_deep_says_what_was_computed_again(rankmill):
    status, out, _ = rankmill("verify", "measured", "--deep", "--seed", "3")  # scores too
    assert status == 0
    assert out.count("(a part computed again)") == len(out.splitlines())


def test_an_export_is_verified_by_its_path(rankmill, place):
    assert rankmill("verify", "trec")[:2] == (0, "good  trec\n")
    sidecar = json.loads((place / "trec" / "export.json").read_text())
    names = ["export.json", *sidecar["files"]]
    for name in names:
        for changed in attacks.flips((place / "trec" / name).read_bytes(), 3):
            with attacks.replaced(place / "trec" / name, changed):
                status, _, err = rankmill("verify", "trec")
                assert (status, name in err) == (6, True)
    for _, edited in attacks.few(sidecar, 25):
        if "sum" in edited:  # without it an export is as earlier versions wrote them
            with attacks.replaced(place / "trec" / "export.json", json.dumps(edited).encode()):
                assert rankmill("verify", "trec")[0] == 6
    with attacks.added(place / "trec" / "more.tsv"):
        assert "does not list" in rankmill("verify", "trec")[2]
    with attacks.missing(place / "trec" / names[-1]):
        assert "a file is missing" in rankmill("verify", "trec")[2]
    status, _, err = rankmill("verify", "trec", "--workspace", "elsewhere")
    assert (status, err) == (0, "")  # nothing is known of its groups there


def test_a_students_folder_is_compared_with_the_student(rankmill, place):
    assert rankmill("verify", "model")[:2] == (0, "good  model\n")
    weights = place / "model" / "model.safetensors"
    for changed in attacks.flips(weights.read_bytes(), 3):
        with attacks.replaced(weights, changed):
            status, _, err = rankmill("verify", "model")
            assert (status, str(weights.name) in err) == (6, True)
    with attacks.added(place / "model" / "code.py"):
        assert "the student does not have" in rankmill("verify", "model")[2]
    (place / "empty").mkdir()
    status, _, err = rankmill("verify", "empty")
    assert status == 4
    assert "this is no export, and no copy of a student" in err
