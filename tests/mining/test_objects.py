"""Workspaces on an object store: the bytes of a folder, whatever the network or a kill does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from object_store import BUCKET, Machines, Proxy, runs
from store_workers import squares, write_folder
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder
from toy_groups import publish_arrays

from rankmill import api
from rankmill.cli.entry import app_of
from rankmill.mining.errors import BadInput, Corrupt, Locked, RankmillError, UsageError
from rankmill.mining.groups.format import GroupArrays, Groups
from rankmill.mining.store import Artifact, Workspace, canonical_json, files
from rankmill.mining.store.objects import address, bucket, mirrors, reach
from rankmill.mining.store.objects.mirror import Stored
from rankmill.mining.store.sums import summed
from rankmill.mining.store.together import shares
from rankmill.mining.store.together.shares import Elsewhere, Share
from rankmill.mining.upkeep import removal
from rankmill.mining.upkeep.repair import repair_workspace
from rankmill.mining.upkeep.verify import verify_workspace
from rankmill.replay import replay
from rankmill.training.processes import Processes
from rankmill.training.stream import GroupStream

# `make reliability` runs forty more of the same races, `make chaos` two thousand.
RACES = int(os.environ.get("RANKMILL_TEST_STORE_RACES", "20"))


def on_disk(tmp_path: Path, queries: int = 40) -> Artifact:
    return Workspace(tmp_path / "disk").build(squares(queries))


# ---- addresses -----------------------------------------------------------------------------------


def test_an_address_is_read_and_a_path_of_it_too() -> None:
    told = address.parse("S3://bucket/a//b/")
    assert str(told) == "s3://bucket/a/b"
    assert address.parse(Path("s3://bucket/a/b")) == told
    assert not address.is_address("rankmill-work")
    assert not address.is_address("/data/a:/b")


def test_a_file_url_is_the_folder(tmp_path: Path) -> None:
    workspace = Workspace(f"file://{tmp_path}/a%20b")
    assert workspace.root == tmp_path / "a b"
    assert workspace.mirror is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://key:HIDDEN@bucket/p", "something beside bucket and prefix"),
        ("s3://bucket/p?secret=HIDDEN", "something beside bucket and prefix"),
        ("ftp://bucket/p", "ftp:// is no object store that is known"),
        ("s3://b/../HIDE", "prefix"),
        ("s3://", "bucket ''"),
        ("file://elsewhere/p", "of the host 'elsewhere'"),
    ],
)
def test_what_is_no_address_is_refused_and_no_secret_is_shown(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as refused:
        Workspace(text)
    assert "HIDDEN" not in str(refused.value)


def test_plain_http_is_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.9:9000")
    there = address.parse("s3://bucket/p")
    assert isinstance(there, address.Address)
    with pytest.raises(UsageError, match="plain HTTP on another machine: 10.0.0.9"):
        there.plain_http()
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert there.plain_http()


@pytest.mark.parametrize(("text", "size"), [("50GB", 50e9), ("7", 7), ("2 MiB", 2e6)])
def test_a_size_is_read(text: str, size: float) -> None:
    assert address.parse_size(text) == size


def test_a_missing_package_is_told_in_a_sentence(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(RankmillError, match=r"'obstore' is not installed[\s\S]*rankmill\[objects]"):
        machine().names()


# ---- the same artifacts --------------------------------------------------------------------------


def test_a_pipeline_has_the_roots_that_it_has_on_disk(machine: Machines, tmp_path: Path) -> None:
    beir = tiny_beir(tmp_path / "beir", docs=60, queries=16)
    cross = tiny_cross_encoder(tmp_path / "cross", seed=3)
    encoder = tiny_encoder(tmp_path / "encoder", max_position_embeddings=256)

    def made(workspace: Workspace) -> dict[str, str]:
        nf = api.collect(f"beir:{beir}", workspace=workspace)
        run = api.mine("bm25(k1=0.9,b=0.4)", nf, split="train", depth=8, name="run")
        pool = api.pool([run])
        scores = api.score(f"cross_encoder(model={cross},max_length=40)", pool)
        groups = api.select("uniform(source=bm25,last=8)", pool, scores, size=4, name="groups")
        api.stats(groups, scores=scores, encoder=str(encoder))
        return {f"{a.kind} {a.fingerprint}": a.root_hash for a in workspace.artifacts()}

    near, far = made(Workspace(tmp_path / "disk")), made(machine())
    assert near == far
    assert len(near) > 8
    other = machine()
    assert (
        other.find("groups")
        .to_arrow()
        .equals(Workspace(tmp_path / "disk").find("groups").to_arrow())
    )
    assert all(not one.faults for one in verify_workspace(other))


def test_another_machine_finds_and_resumes(machine: Machines, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(BadInput, match="a bad query"):
        machine().build(squares(mischief="fail:2"))
    made = machine().build(squares(trace=str(trace)))
    assert trace.read_text().split() == ["2", "3"]
    assert made.root_hash == on_disk(tmp_path).root_hash
    assert made.cost()["attempts"] == 4  # the books of both machines
    again = machine()
    assert again.build(squares(mischief="fail:0")).verify() == 4
    assert again.other_formats() == again.stray() == []


def test_a_folder_of_files_and_names(machine: Machines, tmp_path: Path) -> None:
    first = machine()
    student = first.build_folder("student", {}, {}, write_folder)
    first.alias("mine", student)
    second = machine()
    there = second.find("mine")
    assert there.root_hash == student.root_hash
    assert (there.check_content().path / "model" / "weights.bin").stat().st_size == 500
    with pytest.warns(RuntimeWarning, match="'mine' stood for student .*, and stands for run"):
        second.alias("mine", second.build(squares()))
    assert first.find("mine").kind == "run"
    assert (first.root.stat().st_mode & 0o777) == 0o700


def test_what_was_removed_from_the_store_is_made_again(machine: Machines) -> None:
    here = machine()
    made = here.build(squares())
    assert here.mirror is not None
    here.mirror.bucket.remove([one.name for one in here.mirror.bucket.below("run")])
    other = mirrors.Mirror(here.root, here.mirror.address)  # as another process sees it
    other.finished.pull(made.path)
    assert not (made.path / "manifest.json").exists()


def test_no_workspace_no_bucket_no_right(store: Proxy, machine: Machines) -> None:
    with pytest.raises(BadInput, match="nothing is stored below this address"):
        machine().check_there()
    for ask in (Workspace.check_there, lambda w: w.build(squares())):
        with pytest.raises(BadInput, match="there is no bucket 'nonesuch'"):
            ask(Workspace("s3://nonesuch/p"))
    with (
        store.doing(lambda method, path: "403"),
        pytest.raises(BadInput, match=r"refuses to get this[\s\S]*check the credentials"),
    ):
        machine().build(squares())
    assert len(store.seen) == 1  # not tried again


def test_a_store_that_overwrites_is_refused_before_any_work(
    store: Proxy, machine: Machines
) -> None:
    with (
        store.doing(lambda method, path: "unconditional"),
        pytest.raises(BadInput, match="lets a second put replace"),
    ):
        machine().build(squares())
    assert not any("/run/" in path for method, path in store.seen if method == "PUT")


def test_within_one_machine_the_second_is_told_who_works(machine: Machines) -> None:
    here = machine()
    folder = here.folder("run", squares().fingerprint)
    with files.lock(folder / "LOCK"), pytest.raises(Locked, match="another run is writing"):
        here.build(squares())


# ---- faults of the network -----------------------------------------------------------------------


MET = [  # the requests of which the first one meets a fault
    ("GET", r"manifest\.json"),
    ("GET", r"prefix="),
    ("PUT", r"part-00001\.arrow"),
    ("PUT", r"part-00001\.json"),
    ("PUT", r"attempts\.jsonl\."),
    ("PUT", r"ledger\.json"),
    ("PUT", r"manifest\.json"),
    ("GET", r"part-00001\.arrow"),
]


@pytest.mark.parametrize("fault", ["409", "500", "503", "slow", "torn", "lost"])
def test_faults_of_the_network_change_nothing(
    fault: str, store: Proxy, machine: Machines, tmp_path: Path
) -> None:
    rules = [store.once(fault, *met) for met in MET]
    met: list[str] = []

    def rule(method: str, path: str) -> str | None:
        does = next((done for one in rules if (done := one(method, path))), None)
        met.extend([path] if does else [])
        return does

    with store.doing(rule):
        made = machine().build(squares())
        assert made.root_hash == on_disk(tmp_path).root_hash
        assert machine().open("run", made.fingerprint).verify() == 4
    assert len(met) == len(MET)


def test_what_does_not_pass_ends_within_bounds_and_resumes(
    store: Proxy, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "RETRIES", 1)
    rule = store.once("503", "PUT", r"part-00002\.arrow", times=10**6)
    with (
        store.doing(rule),
        pytest.raises(RankmillError, match="does not answer as it should") as told,
    ):
        machine().build(squares())
    assert told.value.exit_status == 1
    assert machine().build(squares()).root_hash == on_disk(tmp_path).root_hash


def test_another_manifest_is_a_conflict_and_nothing_is_removed(machine: Machines) -> None:
    first = machine().build_folder("student", {}, {}, write_folder)

    def otherwise(folder: Path, scratch: Path) -> dict[str, float]:
        (folder / "card.json").write_text("[]")
        return {}

    second = machine()
    second.has = lambda kind, fingerprint: False  # type: ignore[method-assign]  # it had not seen it
    with pytest.raises(RankmillError, match="another run published a different manifest"):
        second.build_folder("student", {}, {}, otherwise)
    assert machine().open("student", first.fingerprint).faults() == []


@pytest.mark.parametrize("whole", [True, False])
def test_the_part_that_was_first_is_adopted_if_it_is_whole(
    whole: bool, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, here = on_disk(tmp_path), machine()
    table = near.table(1).replace_schema_metadata({"made": "on another processor"})
    facts = files.write_arrow(tmp_path / "theirs.arrow", table)
    record = json.loads((near.path / "part-00001.json").read_bytes())
    del record["sum"]
    theirs = canonical_json(summed(record | {"bytes": facts.bytes, "sha256": facts.sha256}))
    sent = bucket.Bucket.send

    def send(self: bucket.Bucket, path: Path, name: str) -> None:
        """Store ours, just after another machine has stored its own."""
        if "part-00001.arrow" in name:
            folder = name.rpartition("/")[0]
            if whole:
                sent(self, tmp_path / "theirs.arrow", f"{folder}/part-00001.arrow.{facts.sha256}")
            self.put(f"{folder}/part-00001.json", theirs)
        sent(self, path, name)

    monkeypatch.setattr(bucket.Bucket, "send", send)
    told = pytest.warns(RuntimeWarning, match="with other bytes, and was first")
    with told if whole else contextlib.nullcontext():
        made = here.build(squares())
    assert made.parts[1].sha256 == (facts.sha256 if whole else near.parts[1].sha256)
    assert (made.root_hash == near.root_hash) != whole
    assert machine().open("run", made.fingerprint).check_content()


def test_damage_in_the_store_is_told_and_repaired(machine: Machines) -> None:
    made = machine().build(squares())
    other = machine()
    assert other.mirror is not None
    part = made.parts[1]
    key = f"run/{made.fingerprint}/{part.file}.{part.sha256}"
    other.mirror.bucket.put(key, b"x" * part.bytes)
    with pytest.raises(Corrupt, match="is not in the object store as it was stored"):
        other.open("run", made.fingerprint).table(1)
    faults = [fault for one in verify_workspace(machine()) for fault in one.faults]
    assert [fault.where for fault in faults] == [f"{other.mirror.address}/{key}"]
    with pytest.raises(Corrupt, match="is not in the object store"):
        list(machine().open("run", made.fingerprint).tables())
    done = list(repair_workspace(machine(), [made.fingerprint], replay))
    assert "does not say by which command" in str(done[0].error)


def test_what_a_ledger_binds_is_written_inside_the_mirror_alone(
    machine: Machines, tmp_path: Path
) -> None:
    """Whoever may write to the bucket may write any ledger."""
    made, other = machine().build(squares()), machine()
    assert other.mirror is not None
    key, outside = f"run/{made.fingerprint}", tmp_path / "outside"
    told = json.loads((made.path / "ledger.json").read_bytes())
    digest = hashlib.sha256(b"mine").hexdigest()
    names = [str(outside), f"../../../{outside.name}", f"a/../../../../{outside.name}", "./x", "ok"]
    told["sums"] = dict.fromkeys(names, digest)
    for name in names:
        with contextlib.suppress(BadInput):  # a key that the library itself refuses
            other.mirror.bucket.put(f"{key}/{name}.{digest}", b"mine")
    other.mirror.bucket.put(f"{key}/ledger.json", canonical_json(told))
    artifact = other.open("run", made.fingerprint)
    assert (artifact.path / "ok").read_bytes() == b"mine"
    assert not (artifact.path / "x").exists()
    assert list(tmp_path.rglob(f"*{outside.name}*")) == []


# ---- kills, races, bounds ------------------------------------------------------------------------


def test_killed_at_each_call_of_the_store(store: Proxy, tmp_path: Path) -> None:
    told = runs(store, "sweep", f"s3://{BUCKET}/sweep", str(tmp_path / "caches"))
    disk = Workspace(tmp_path / "disk")
    roots = {
        "staged": disk.build(squares(20, 10)).root_hash,
        "folder": disk.build_folder("student", {}, {}, write_folder).root_hash,
    }
    assert {name: set(each) for name, each in told.items()} == {
        name: {root} for name, root in roots.items()
    }
    assert len(told["staged"]) > 15
    assert len(told["folder"]) > 8


def test_two_machines_at_one_artifact(store: Proxy, tmp_path: Path) -> None:
    told = runs(store, "race", f"s3://{BUCKET}/race", str(tmp_path / "caches"), str(RACES))
    root = Workspace(tmp_path / "disk").build(squares(8, 8)).root_hash
    assert len(told) == RACES
    assert {end for ends in told.values() for end in ends} == {f"0 {root}"}


def cached(workspace: Workspace) -> int:
    """The bytes of the parts in a mirror."""
    return sum(path.stat().st_size for path in workspace.root.glob("*/*/part-*.arrow"))


def test_a_stream_over_more_than_the_cache_holds(
    machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beir = tiny_beir(tmp_path / "beir", docs=20, queries=64)
    query = np.arange(64, dtype=np.uint32)
    doc = np.stack([(query + i) % 15 for i in range(4)], axis=1).astype(np.uint32)
    score = (doc * 0.5).astype(np.float32)
    grade = np.tile(np.arange(4) == 0, (64, 1)).astype(np.int8)
    arrays = GroupArrays(query, doc, score, grade, np.ones(doc.shape, np.float32))

    def batches(groups: Groups) -> list[list[int]]:
        stream = GroupStream(groups, batch=8, seed=3, stop=128, ahead=0)
        return [[*batch.groups.query.tolist(), *batch.rows.tolist()] for batch in stream]

    disk = api.collect(f"beir:{beir}", workspace=Workspace(tmp_path / "disk"))
    near = publish_arrays(disk, arrays, parts=8)
    there = publish_arrays(api.collect(f"beir:{beir}", workspace=machine()), arrays, parts=8)
    assert near.root_hash == there.root_hash
    bound = 2 * near.parts[0].bytes + near.parts[0].bytes // 2
    monkeypatch.setenv(address.CACHE_SIZE, str(bound))
    here = machine()
    groups = Groups(here.open("groups", near.fingerprint))
    assert batches(groups) == batches(Groups(near))
    assert 0 < cached(here) <= bound < near.bytes
    assert sum(near.parts[number].bytes for number in groups._parts) <= bound


def test_a_part_larger_than_the_cache_is_refused_before_work(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machine().build(squares())
    monkeypatch.setenv(address.CACHE_SIZE, "100")
    here = machine()
    after = replace(squares(20), inputs={"run": here.open("run", made.fingerprint)})
    with pytest.raises(BadInput, match=r"the local cache may hold 100[\s\S]*--cache-size"):
        here.build(after)
    assert not any(here.root.glob("*/*/part-*"))
    with pytest.raises(BadInput, match="the local cache may hold 100"):
        here.open("run", made.fingerprint).table(0)


def test_two_processes_with_one_cache(
    store: Proxy, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    made = here.build(squares())
    monkeypatch.setenv(address.CACHE_SIZE, str(max(p.bytes for p in made.parts) * 2))
    assert here.mirror is not None
    told = runs(store, "read", str(here.mirror.address), str(tmp_path / "one"), "3")
    assert told == {"ends": [f"0 {3 * made.rows}"] * 2}


def test_shares_on_two_machines_meet_in_the_store(machine: Machines, tmp_path: Path) -> None:
    first, second = machine(), machine()
    with shares.using(Share(0, 2)), pytest.raises(Elsewhere, match="2 parts of other shares"):
        first.build(squares())
    with shares.using(Share(1, 2)):
        made = second.build(squares())
    with shares.using(shares.MERGE):
        assert first.build(squares()).root_hash == made.root_hash
    assert made.root_hash == on_disk(tmp_path).root_hash
    assert made.cost()["attempts"] == 4


def test_removing_is_refused(machine: Machines) -> None:
    here = machine()
    made = here.build(squares())
    here.alias("squares", made)
    for ask in (
        lambda: removal.unneeded(here, removal.Kept()),
        lambda: list(removal.remove_unneeded(here, removal.Kept())),
        lambda: removal.of_name(here, "squares", removal.Kept()),
    ):
        with pytest.raises(UsageError, match="nothing is removed from an object store"):
            ask()
    assert machine().find("squares").verify() == 4


def test_training_on_several_machines_is_refused(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    nothing: Any = None
    with pytest.raises(UsageError, match="4 processes on several machines"):
        Processes(1, 4).build(machine(), "student", {}, {}, nothing, nothing)


def test_another_machine_stores_its_attempt_and_the_driver_brings_it(
    machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_elsewhere", {})
    driver = machine()
    assert driver.mirror is not None
    driver.mirror.begin()
    folder, attempts = driver.folder("run", "f" * 40), driver.root / "tmp" / "f"
    left = reach.leave(driver.mirror, folder, files.make_folder(attempts))
    assert left.is_here()
    left.path.unlink()
    there = machine()
    left.answer("n1")
    assert mirrors.here(attempts / "a") == there.root / "tmp" / "f" / "a"
    facts = left.attempt(
        attempts / "a.arrow", 3, lambda path: files.write_arrow(path, pa.table({"x": [1]}))
    )
    assert not (attempts / "a.arrow").exists()
    monkeypatch.setattr(mirrors, "_elsewhere", {})  # the driver again
    left.check_answer("n1")
    with pytest.raises(BadInput, match="node n2 has stored nothing that is found here"):
        left.check_answer("n2")
    reach.bring(driver.mirror, folder, attempts / "a.arrow", 3, facts)
    assert files.sha256_of(attempts / "a.arrow") == facts.sha256
    part = Stored("part-00003.arrow", facts.bytes + 1, facts.sha256)
    with pytest.raises(Corrupt, match="an attempt on another machine has stored"):
        driver.mirror.making.commit(folder, attempts / "gone", part, b"{}")
    left.end()
    with pytest.raises(BadInput, match="node n1 does not find there what the driver has stored"):
        left.answer("n1")


# ---- the command line ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*are queries that the student was trained on")
def test_the_commands_work_on_an_object_store(
    store: Proxy,
    machine: Machines,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(address.CACHE_SIZE, "2GB")  # restored afterwards, so what is said is too
    beir = tiny_beir(tmp_path / "beir", docs=120, queries=12)
    encoder = tiny_encoder(tmp_path / "encoder", max_position_embeddings=256)
    where = f"s3://{BUCKET}/{machine.name}"

    def rankmill(*words: str) -> str:
        cache = ["--cache-dir", str(tmp_path / words[0]), "--cache-size", "1GB"]
        app_of(words[0])([*words, "--workspace", where, *cache], standalone_mode=False)
        return capsys.readouterr().out

    rankmill("collect", f"beir:{beir}", "--name", "nf")
    words = ("-c", "nf", "--split", "train", "--depth", "10", "--name", "run")
    rankmill("mine", "bm25(k1=0.9,b=0.4)", *words)
    rankmill("pool", "run", "--name", "pool")
    rankmill("score", f"bi_encoder(model={encoder},max_length=32)", "--pool", "pool", "-n", "sc")
    words = ("--pool", "pool", "--scores", "sc", "--size", "3", "--name", "groups")
    rankmill("select", "uniform(source=bm25,last=10)", *words)
    student = tmp_path / "student"
    rankmill(
        *("train", f"bi_encoder(model={encoder},layers=1)", "--groups", "groups", "--loss", "kl"),
        *("--documents", "24", "--name", "student", "--to", str(student)),
    )
    assert (student / "config.json").exists()
    judged = json.loads(
        rankmill(
            *("eval", "--student", "student", "--first-stage", "run", "-c", "nf"),
            *("--split", "train", "--measures", "nDCG@10", "--json"),
        )
    )
    assert judged
    assert "q0" in rankmill("show", "groups", "--rows", "2", "--format", "csv")
    assert "groups" in rankmill("list")
    assert "student" in rankmill("cost", "student")
    out = tmp_path / "exported"
    rankmill("export", "colbert", "--groups", "groups", "--scores", "sc", "--to", str(out))
    assert any(out.iterdir())
    assert "good" in rankmill("verify", "student")
