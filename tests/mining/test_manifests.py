"""Nothing is trusted blindly: each edit of any small file of a workspace is found by `verify`, and
a reader compares what it reads with what its user recorded."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import attacks
import pytest
from every_kind import KINDS, one_of_each
from store_workers import small_pipeline, squares

from rankmill.mining.errors import BadInput, Corrupt, RankmillError
from rankmill.mining.store import Workspace, attempts, files
from rankmill.mining.store.manifest import canonical_json
from rankmill.mining.store.sums import summed
from rankmill.mining.upkeep.repair import repair_workspace
from rankmill.mining.upkeep.verify import verify_artifacts, verify_folder, verify_workspace
from rankmill.replay import replay

EDITS, FLIPS = 40, 6  # of each file; all 6,500 edits of this workspace were found too


def faults_of(workspace: Workspace, folder: Path) -> list[str]:
    return [str(fault) for fault in verify_folder(workspace, folder).faults]


def all_faults(workspace: Workspace) -> list[str]:
    return [str(fault) for one in verify_workspace(workspace) for fault in one.faults]


def test_the_workspace_has_every_kind_and_is_sound(every_kind):
    assert one_of_each(every_kind).keys() == KINDS
    assert all_faults(every_kind) == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_edit_and_no_flipped_bit_of_a_small_file_is_missed(every_kind, kind):
    folder = one_of_each(every_kind)[kind].path
    missed = []
    small = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".jsonl")]
    assert {"manifest.json", "ledger.json", "attempts.jsonl"} <= {path.name for path in small}
    for path in small:
        data = path.read_bytes()
        with contextlib.suppress(ValueError):  # attempts are lines, and a checkpoint's files ours
            for where, changed in attacks.few(json.loads(data), EDITS):
                for spelling in (attacks.as_written(changed), attacks.as_ledger(changed)):
                    with attacks.replaced(path, spelling):
                        missed += [] if faults_of(every_kind, folder) else [f"{path.name}{where}"]
        for number, flipped in enumerate(attacks.flips(data, FLIPS)):
            with attacks.replaced(path, flipped):
                missed += [] if faults_of(every_kind, folder) else [f"{path.name} flip {number}"]
    assert missed == []
    assert faults_of(every_kind, folder) == []  # all was put back


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_that_is_missing_renamed_or_too_many_is_named(every_kind, kind):
    folder = one_of_each(every_kind)[kind].path
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name in ("LOCK", "manifest.json"):  # without a manifest there is no artifact
            continue
        with attacks.missing(path):
            assert any(str(path) in fault for fault in faults_of(every_kind, folder)), path
        with attacks.renamed(path, f"other-{path.name}"):
            said = faults_of(every_kind, folder)
            assert any(str(path) in fault for fault in said), path
            # Without a ledger nothing says what may stand beside the parts.
            assert any(f"other-{path.name}" in f for f in said) or path.name == "ledger.json", path
    for name in ("part-00099.arrow", "part-00099.json", "notes.txt", "timing.arrow.bak"):
        with attacks.added(folder / name):
            assert any(name in fault for fault in faults_of(every_kind, folder)), name


@pytest.mark.parametrize("host", ["", f"{attempts.here()}-99999999-", "node-7.lan+f00d-4711-"])
def test_what_a_kill_leaves_beside_a_manifest_is_no_fault(workspace, host):
    made = workspace.build(squares())
    (made.path / f".manifest.json.{host}0.tmp").write_bytes(b"{}")
    assert made.faults() == []


def test_a_manifest_that_a_kill_tore_counts_as_absent_and_stops_nothing(workspace):
    run, *_ = small_pipeline(workspace.root)
    path = run.path / "manifest.json"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:20])
    path.chmod(0o600)  # where there are no hard links it is written under its own name
    (said,) = all_faults(workspace)  # of what was made from it, and of nothing else
    assert "its input 'of' cannot be opened: there is no finished artifact here" in said


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("put", [_pipe, _link_to_itself, _endless, _folder])
@pytest.mark.parametrize(
    "name", ["manifest.json", "ledger.json", "attempts.jsonl", "part-00000.json", "LOCK"]
)
def test_what_is_no_file_is_told_and_blocks_nobody(workspace, name, put):
    run, *_ = small_pipeline(workspace.root)
    put(run.path / name)
    assert any(str(run.path) in fault for fault in all_faults(workspace))
    told = list(repair_workspace(workspace, [], replay))
    assert any(str(run.path) in str(one.where) for one in told)
    assert all(one.error is None or one.error.do for one in told)
    if name == "LOCK" and put is not _folder:  # that may hold what is somebody's
        assert all_faults(workspace) == []


@pytest.mark.parametrize("put", [_pipe, _link_to_itself, _endless, _folder])
def test_a_name_that_is_no_file_closes_nothing(workspace, put):
    small_pipeline(workspace.root)
    put(workspace.root / "names" / "last.json")
    assert len(list(workspace.artifacts())) == 3
    with pytest.raises(RankmillError):
        workspace.find("last")


@pytest.mark.parametrize("name", ["LOCK", "attempts.jsonl"])
def test_nothing_is_written_through_a_link(workspace, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    stage = squares()
    folder = files.make_folder(workspace.folder(stage.kind, stage.fingerprint))
    (folder / name).symlink_to(precious)
    with pytest.raises(Corrupt, match="none of ours"):
        workspace.build(stage)
    assert precious.read_text() == "precious"


def test_names_that_are_no_folder_are_told(workspace):
    workspace.build(squares())
    (workspace.root / "names").write_text("")
    assert any("this is no folder" in fault for fault in all_faults(workspace))


def test_exchanged_files_are_found_in_both_places(every_kind):
    runs = [one.path for one in every_kind.artifacts("run")][:2]
    for name in ("manifest.json", "ledger.json", "part-00000.arrow", "part-00000.json"):
        with attacks.exchanged(runs[0] / name, runs[1] / name):
            assert all(faults_of(every_kind, folder) for folder in runs), name


# ---- what a reader compares ----------------------------------------------------------------------


def edited(path: Path, **changed: object) -> None:
    """Edit a manifest as somebody would who knows its spelling, and what binds it beside it."""
    said = json.loads(path.read_bytes()) | changed
    path.unlink()
    path.write_bytes(canonical_json(said))
    (path.parent / "ledger.json").unlink()


def test_an_input_that_is_another_than_recorded_is_refused_where_it_is_read(workspace):
    run, on_top, folder = small_pipeline(workspace.root)
    edited(run.path / "manifest.json", metadata={"kind": "similarity"})
    with pytest.raises(Corrupt, match=r"its input 'of' has the root hash \w{12}, but it was made"):
        workspace.open("run", on_top.fingerprint).input("of")
    workspace.open("student", folder.fingerprint).input("run")  # that one is as it was
    faults = [fault for one in verify_artifacts(workspace, ["last"]) for fault in one.faults]
    assert {fault.where for fault in faults} >= {str(run.path / "manifest.json")}


def test_a_manifest_is_refused_where_it_is_opened_if_the_ledger_knows_better(workspace):
    run = workspace.build(squares())
    path = run.path / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | {"metadata": {"kind": "x"}}))
    with pytest.raises(Corrupt, match=r"has the root hash \w{12}, \w{12} was published here"):
        workspace.open("run", run.fingerprint)
    with pytest.raises(Corrupt, match="was published here"):
        workspace.build(squares())


def test_an_alias_holds_the_root_hash_that_it_was_given_to(workspace):
    run = workspace.build(squares())
    workspace.alias("mine", run)
    edited(run.path / "manifest.json", metadata={"kind": "similarity"})
    with pytest.raises(Corrupt, match="the name 'mine' was given to run"):
        workspace.find("mine")
    assert any("the name 'mine' was given" in fault for fault in all_faults(workspace))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"parameters": {"queries": 41}}, "from its kind, parameters and inputs follows"),
        ({"kind": "pool"}, "is that of pool"),
        ({"fingerprint": "0" * 40}, "is that of run 000000000000"),
        ({"counts": {"pairs": 53}}, "counts that are not the sums of its parts': ['pairs']"),
        ({"dropped": {"seventh": [6, 6]}}, "drops a query twice"),
        ({"inputs": {"of": {"kind": "run"}}}, "says of 'inputs' what cannot be"),
        ({"parts": []}, "counts that are not the sums"),
        ({"more": 1}, "says ['more'], which none of ours does"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_never_opened(workspace, changed, said):
    run = workspace.build(squares())
    edited(run.path / "manifest.json", **changed)
    with pytest.raises(Corrupt) as caught:
        workspace.open("run", run.fingerprint)
    assert said in str(caught.value)
    assert caught.value.exit_status == 6


@pytest.mark.parametrize(
    "name", ["../../names/mine.json", "/etc/passwd", "a//b", "", "LOCK", "./x"]
)
@pytest.mark.parametrize("kind", ["run", "student"])
def test_no_part_climbs_out_of_its_artifact(workspace, kind, name):
    made = {one.kind: one for one in small_pipeline(workspace.root)}[kind]
    parts = json.loads((made.path / "manifest.json").read_bytes())["parts"]
    parts[0]["file"] = name
    edited(made.path / "manifest.json", parts=parts)
    with pytest.raises(Corrupt, match="names (the file of part 0|a file)"):
        workspace.open(kind, made.fingerprint)


# ---- names ---------------------------------------------------------------------------------------


def test_no_edit_of_a_name_is_missed_or_closes_the_workspace(every_kind):
    path = every_kind.root / "names" / "pool.json"
    data, missed = path.read_bytes(), []
    changed = [attacks.as_written(one) for _, one in attacks.edits(json.loads(data))]
    for other in (*changed, *attacks.flips(data, 60), b"", b"\xff", b"[" * 100_000):
        with attacks.replaced(path, other):
            assert every_kind.find("groups").kind == "groups"
            said = [f for f in all_faults_of_names(every_kind) if "pool.json" in f]
            missed += [] if said else [other]
            with contextlib.suppress(RankmillError):
                assert every_kind.find("pool").kind == "pool"
    assert missed == []


def all_faults_of_names(workspace: Workspace) -> list[str]:
    from rankmill.mining.upkeep.verify import stray_files, verify_names

    told = [fault for one in verify_names(workspace) for fault in one.faults]
    return [str(fault) for fault in [*told, *stray_files(workspace)]]


def test_names_of_earlier_versions_are_read(workspace):
    run = workspace.build(squares())
    path = files.make_folder(workspace.root / "names") / "old.json"
    path.write_bytes(canonical_json({"kind": run.kind, "fingerprint": run.fingerprint}))
    assert workspace.find("old").root_hash == run.root_hash
    assert all_faults(workspace) == []


def test_two_names_that_changed_places_are_found(every_kind):
    names = every_kind.root / "names"
    with attacks.exchanged(names / "pool.json", names / "groups.json"):
        with pytest.raises(Corrupt, match="it was written as 'groups'"):
            every_kind.find("pool")
        assert sum("was written as" in fault for fault in all_faults_of_names(every_kind)) == 2


def test_names_that_are_a_link_are_not_written_through(workspace, tmp_path):
    run = workspace.build(squares())
    (tmp_path / "elsewhere").mkdir()
    (workspace.root / "names").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="a name would be written outside the workspace"):
        workspace.alias("mine", run)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert any("the names stand outside the workspace" in fault for fault in all_faults(workspace))


# ---- old workspaces ------------------------------------------------------------------------------


def test_an_artifact_of_an_earlier_version_has_no_sums_and_is_good(workspace):
    for made in small_pipeline(workspace.root):
        path = made.path / "ledger.json"
        told = json.loads(path.read_bytes())
        path.write_text(json.dumps({k: v for k, v in told.items() if k not in ("sum", "sums")}))
        assert made.faults() == []


def test_a_damaged_ledger_closes_nothing_and_is_named(workspace):
    made = workspace.build(squares())
    (made.path / "ledger.json").write_bytes(b"{")
    assert workspace.open("run", made.fingerprint).rows == 35
    (fault,) = made.faults()
    assert "the ledger is damaged" in str(fault)


def test_a_query_that_came_out_and_was_dropped_is_found(workspace):
    made = workspace.build(squares())
    manifest, record = made.path / "manifest.json", made.path / "part-00000.json"
    said = json.loads(record.read_bytes())
    said["dropped"]["seventh"].append(7)
    del said["sum"]
    record.chmod(0o644)
    record.write_bytes(canonical_json(summed(said)))
    edited(manifest, dropped={"seventh": [6, 7, 13, 20, 27, 34]})
    (ledger, books) = workspace.open("run", made.fingerprint).faults()
    assert "the ledger is missing" in str(ledger)
    assert "the books do not balance: 1 queries came out and were dropped" in str(books)
