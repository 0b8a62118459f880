"""`rankmill verify` and `rankmill repair`: every fault is told, of exports and students too."""

from __future__ import annotations

import json
import os
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
    student = Workspace(place / "rankmill-work").find("student").path
    with attacks.added(student / "notes"):
        status, out, err = rankmill("repair", "student", "--json")
        assert status == 6
        assert json.loads(out)["repaired"] == []
        assert "a file that no part and no ledger tells of" in err
    with files.lock(student / "LOCK"), attacks.replaced(student / "ledger.json", b"{"):
        status, _, err = rankmill("repair", "student")
        assert status == 5
        assert "another run is writing this artifact" in err


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
        with attacks.replaced(place / "trec" / "export.json", json.dumps(edited).encode()):
            assert rankmill("verify", "trec")[0] == 6
    for lost, status in ((("sum",), 6), (("version",), 6), (("sum", "version"), 0)):
        first = {key: value for key, value in sidecar.items() if key not in lost}
        with attacks.replaced(place / "trec" / "export.json", json.dumps(first).encode()):
            assert rankmill("verify", "trec")[0] == status  # 0: as the first version wrote them
    with attacks.added(place / "trec" / "more.tsv"):
        assert "does not list" in rankmill("verify", "trec")[2]
    with attacks.missing(place / "trec" / names[-1]):
        assert "a file is missing" in rankmill("verify", "trec")[2]
    status, _, err = rankmill("verify", "trec", "--workspace", "elsewhere")
    assert (status, err) == (0, "")  # nothing is known of its groups there


def test_a_name_that_is_an_export_too_means_two_things(rankmill, place):
    here = Workspace(place / "rankmill-work")
    shutil.copytree(place / "trec", place / "groups")
    try:
        status, out, err = rankmill("verify", "groups")
        assert (status, out) == (2, "")
        assert "'groups' means two things" in err
        assert f"write ./groups for the export, or {here.find('groups').fingerprint[:12]}" in err
        assert rankmill("verify", "./groups")[:2] == (0, "good  ./groups\n")
        (place / "groups" / "export.json").unlink()
        assert "good  groups" in rankmill("verify", "groups")[1]
    finally:
        shutil.rmtree(place / "groups")


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


def test_gc_and_rm_say_what_they_would_do_and_do_it_when_told(rankmill, place, tmp_path):
    shutil.copytree(place / "rankmill-work", tmp_path / "w")
    here, at = Workspace(tmp_path / "w"), ("-w", str(tmp_path / "w"))
    statistics, groups = here.find("measured"), here.find("cut")
    before = set(here.fingerprints())
    status, out, err = rankmill("rm", "compared", *at)
    assert (status, err) == (0, "")
    assert "would remove  the name 'compared'" in out
    assert "would remove  comparison" in out
    assert "nothing was removed: add --yes" in out
    status, out, _ = rankmill("rm", "measured", "--yes", *at)
    assert status == 0
    assert "removed  the name 'measured'" in out
    assert "stays  statistics" in out
    assert rankmill("gc", *at)[1].startswith("nothing to remove")  # the cut groups need them
    assert set(here.fingerprints()) == before
    status, out, _ = rankmill("rm", "cut", "--yes", "--json", *at)
    assert json.loads(out)["artifact"]["fingerprint"] == groups.fingerprint
    told = json.loads(rankmill("gc", "--hours", "0", "--json", *at)[1])
    assert statistics.fingerprint in {one["fingerprint"] for one in told["unneeded"]}
    assert told["bytes"] > 0
    status, out, err = rankmill("gc", "--hours", "0", "--yes", "--export", str(place / "trec"), *at)
    assert (status, err) == (0, "")
    assert f"removed  statistics {statistics.fingerprint[:12]}" in out
    assert set(here.fingerprints()) == before - {groups.fingerprint} - {
        one["fingerprint"] for one in told["unneeded"]
    }
    assert rankmill("verify", *at)[0] == 0
    assert rankmill("gc", "--export", str(tmp_path), *at)[0] == 4
    status, _, err = rankmill("gc", "--hours", "nan", "--yes", *at)
    assert (status, "hours=nan must be at least 0" in err) == (2, True)


@pytest.mark.parametrize("put", ["pipe", "/dev/zero", "/etc", "/nowhere"])
def test_what_is_no_file_in_an_export_is_told(rankmill, place, put):
    path = place / "trec" / "more"
    os.mkfifo(path) if put == "pipe" else path.symlink_to(put)
    try:
        status, _, err = rankmill("verify", str(place / "trec"))
    finally:
        path.unlink()
    assert status == 6
    assert "a file that export.json does not list" in err


def test_a_sidecar_that_names_no_root_hash_is_told(rankmill, place):
    path = place / "trec" / "export.json"
    said = json.loads(path.read_bytes())
    del said["sum"]
    said["inputs"]["groups"] = []
    with attacks.replaced(path, json.dumps(said).encode()):
        status, _, err = rankmill("verify", str(place / "trec"))
    assert status == 6
    assert "does not say what was written, and of which groups" in err
