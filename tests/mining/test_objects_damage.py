"""What is damaged in a cache or in a store is noticed and brought again, or told; what a store says
of us is not repeated."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from object_store import BUCKET, Machines, Proxy, _asked
from store_workers import squares, write_folder

from rankmill.mining.errors import BadInput, Corrupt, RankmillError, UsageError
from rankmill.mining.store import Artifact, Workspace, artifact, canonical_json, files, sums
from rankmill.mining.store import workspace as workspaces
from rankmill.mining.store.making import ending
from rankmill.mining.store.objects import address, bucket, cache, interruptible, mirrors, refusals
from rankmill.mining.store.objects.mirror import Mirror, address_in
from rankmill.mining.store.workspace import open_artifact
from rankmill.mining.upkeep.repair import repair_workspace
from rankmill.mining.upkeep.verify import verify_workspace
from rankmill.replay import replay


def in_another_process(workspace: Workspace) -> Workspace:
    """The same workspace and cache, of which this process has seen nothing yet."""
    del mirrors._made[workspace.root]
    for known in (artifact._checked, artifact._shaped, sums._whole):
        known.clear()
    return Workspace(str(mirrors._given[workspace.root]))


def scribble(path: Path, data: bytes) -> None:
    """Let a published file hold something else."""
    path.chmod(0o644)
    path.write_bytes(data)


# ---- a damaged cache -----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, None])
def test_damaged_parts_in_a_cache_are_brought_again(machine: Machines, length: int | None) -> None:
    here = machine()
    made = here.build(squares())
    student = here.build_folder("student", {}, {}, write_folder)
    for path in (made.path / "part-00001.arrow", student.path / "model" / "weights.bin"):
        scribble(path, bytes(path.stat().st_size if length is None else length))
    here = in_another_process(here)
    again = here.open("run", made.fingerprint)
    assert again.table(1).num_rows == made.parts[1].rows
    weights = here.open("student", student.fingerprint).file("model/weights.bin")
    assert weights.read_bytes() == b"begun" * 100
    assert not files.remove_unless_held(weights)  # the new one stays, as the old one would have


def test_a_file_that_stays_is_kept_when_it_is_brought_again(machine: Machines) -> None:
    here = machine()
    student = here.build_folder("student", {}, {}, write_folder)
    weights = student.file("model/weights.bin")
    scribble(weights, b"x")
    assert student.file("model/weights.bin").read_bytes() == b"begun" * 100
    assert not files.remove_unless_held(weights)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff"])
def test_damaged_small_files_in_a_cache_are_brought_again(machine: Machines, data: bytes) -> None:
    here = machine()
    made = here.build(squares())
    here.alias("squares", made)
    assert here.find("squares").root_hash == made.root_hash
    cost, named = made.cost(), here.root / "names" / "squares.json"
    for path in sorted(made.path.glob("*.json*")):
        scribble(path, data)
        here = in_another_process(here)
        again = here.open("run", made.fingerprint)
        assert (again.root_hash, again.cost()) == (made.root_hash, cost), path.name
        assert again.faults() == []
    for path in (named, here.root / "names.tags.json", here.root / "mirror.json"):
        scribble(path, data)
        assert in_another_process(here).find("squares").root_hash == made.root_hash, path.name


@pytest.mark.parametrize("data", [b"", b"[]", b'{"fingerprint":"0"}'])
def test_damaged_records_of_an_unfinished_artifact(machine: Machines, data: bytes) -> None:
    here = machine()
    with pytest.raises(BadInput, match="a bad query"):
        here.build(squares(mischief="fail:2"))
    folder = here.folder("run", squares().fingerprint)
    scribble(folder / "part-00001.json", data)
    made = in_another_process(here).build(squares())
    assert made.faults() == []
    assert made.cost()["attempts"] == 4  # part 1 was not made again


def test_a_damaged_mark_of_a_mirror_is_told_where_the_address_is_not_known(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machine().build(squares())
    root = made.path.parent.parent
    mark = root / "mirror.json"
    whole = mark.read_bytes()
    told = json.loads(whole)
    for data in (
        b"",
        b"[1]",
        canonical_json(told | {"scheme": "file"}),
        canonical_json(told | {"bucket": 7}),
    ):
        scribble(mark, data)
        with pytest.raises(Corrupt, match="does not say of which object store"):
            address_in(root)
    scribble(mark, whole)
    monkeypatch.setattr(mirrors, "_made", {})
    monkeypatch.setattr(mirrors, "_given", {})
    assert open_artifact(made.path).workspace.mirror is not None
    scribble(mark, canonical_json(told | {"endpoint": "https://elsewhere.example"}))
    with pytest.raises(BadInput, match=r"an endpoint that the environment does not name[\s\S]*set"):
        address_in(root)


# ---- one cache, several processes ----------------------------------------------------------------


def beside(work: Any, *given: Any) -> threading.Thread:
    """Let something go on at the same time, for half a second at least or to its end."""
    thread = threading.Thread(target=work, args=given)
    thread.start()
    thread.join(0.5)
    return thread


def test_names_are_looked_at_while_one_is_given(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    old, new = here.build(squares()), here.build(squares(20))
    here.alias("squares", old)
    assert here.mirror is not None
    other = Mirror(here.root, here.mirror.address)
    looking: list[threading.Thread] = []
    write = workspaces.write_alias

    def written(root: Path, name: str, given: Artifact) -> bool:
        done = write(root, name, given)
        looking.append(beside(other.names.bring))
        return done

    monkeypatch.setattr(workspaces, "write_alias", written)
    for name in ("squares", "new"):
        here.alias(name, new)
    for one in looking:
        one.join()
    assert {machine().find(name).root_hash for name in ("squares", "new")} == {new.root_hash}


def test_an_artifact_is_looked_for_while_it_is_published(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    assert here.mirror is not None
    other = Mirror(here.root, here.mirror.address)
    looking: list[threading.Thread] = []
    create = files.create_only

    def created(path: Path, data: bytes) -> None:
        if not looking and path.name == "manifest.json":
            looking.append(beside(other.finished.pull, path.parent))
        create(path, data)

    monkeypatch.setattr(files, "create_only", created)
    made = here.build(squares())
    looking[0].join()
    assert made.faults() == []
    assert made.cost()["attempts"] == 4


def test_what_another_process_is_writing_is_not_cleared(machine: Machines) -> None:
    made, here = machine().build(squares()), machine()
    folder = here.folder("run", made.fingerprint)
    files.make_folder(folder)
    temp = files.temporary.beside(folder / "part-00001.json")
    temp.write_bytes(b"half")
    (folder / "attempts.jsonl").write_bytes(b"torn")
    assert here.open("run", made.fingerprint).cost()["attempts"] == 4
    assert temp.exists()


# ---- two machines --------------------------------------------------------------------------------


def test_of_two_results_the_first_is_whole_whichever_ledger_came_first(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model can come out otherwise on another processor: two ledgers and two manifests meet."""
    first, second = machine(), machine()
    create, waiting = bucket.Bucket.create, list[Any]()

    def other(folder: Path, scratch: Path) -> dict[str, float]:
        (folder / "card.json").write_text("[]")
        return {}

    def created(self: bucket.Bucket, name: str, data: bytes) -> bytes | None:
        """Before the first manifest is stored, the second run stores its ledger."""
        if name.endswith("manifest.json") and not waiting:
            waiting.append((self, name, data))
            with pytest.raises(RankmillError, match="another run published a different manifest"):
                second.build_folder("student", {}, {}, other)
            return None
        if name.endswith("manifest.json"):
            assert create(*waiting[0]) is None
        return create(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(bucket.Bucket, "create", created)
        made = first.build_folder("student", {}, {}, write_folder)
    there = machine().open("student", made.fingerprint)
    assert there.faults() == []
    assert there.cost()["attempts"] == 1
    assert there.file("card.json").read_bytes() == b"{}"


# ---- a damaged store -----------------------------------------------------------------------------


def test_a_damaged_ledger_in_the_store_is_summed_up_again(machine: Machines) -> None:
    here = machine()
    made = here.build(squares())
    assert here.mirror is not None
    key = f"run/{made.fingerprint}"
    here.mirror.bucket.put(f"{key}/attempts.jsonl.{'0' * 64}", b"cut")  # of a killed run
    here.mirror.bucket.put(f"{key}/ledger.json", b"{}")
    told = [fault.what for one in verify_workspace(machine()) for fault in one.faults]
    assert [what.partition(":")[0] for what in told] == ["the ledger is damaged"]
    assert [one.error for one in repair_workspace(machine(), [], replay)] == [None]
    again = machine().open("run", made.fingerprint)
    assert again.faults() == []
    assert again.cost()["attempts"] == 4


def test_keys_of_other_people_below_the_address(machine: Machines, store: Proxy) -> None:
    here = machine()
    made = here.build(squares())
    here.alias("squares", made)
    assert here.mirror is not None

    def ask(method: str, key: str) -> None:
        _asked(store.backend, method, f"/{BUCKET}/{here.mirror.address.key(quote(key))}", b"theirs")  # type: ignore[union-attr]

    for key in ("run/", "", "a%2Fb", "ü b", f"names/{'x' * 250}.json", "names/x/y.json", "names/x"):
        ask("PUT", key)
    other = machine()
    assert other.find("squares").root_hash == made.root_hash
    assert [one.fingerprint for one in other.artifacts()] == [made.fingerprint]
    assert [fault for one in verify_workspace(other) for fault in one.faults] == []
    for key in ("x//y", "./x", "x/../y"):
        ask("PUT", key)
        with pytest.raises(BadInput, match=r"has a key that cannot be used[\s\S]*remove that obj"):
            machine().manifests()
        assert machine().find("squares").root_hash == made.root_hash
        ask("DELETE", key)


def test_odd_names_of_files_come_back(machine: Machines) -> None:
    odd = [
        "a b.txt",
        "ü.bin",
        "100%.txt",
        "a#b?c",
        "x+y=z@.json",
        "~t",
        "a%2Fb",
        'q"',
        "back\\slash",
    ]

    def write(folder: Path, scratch: Path) -> dict[str, float]:
        for name in odd:
            (folder / name).write_text(name)
        (folder / "empty").touch()
        return {}

    made = machine().build_folder("student", {}, {}, write)
    there = machine().open("student", made.fingerprint)
    assert [there.file(name).read_text() for name in odd] == odd
    assert there.faults() == []
    with pytest.raises(BadInput, match="has a key that cannot be used"):
        machine().build_folder("student", {"a": 1}, {}, lambda f, s: (f / "a\nb").touch())


# ---- what the store refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("400 ExpiredToken", "credentials have expired: renew them"),
        ("403 RequestTimeTooSkewed", "clock of this machine is wrong"),
        ("403 InvalidAccessKeyId", "check the credentials of the environment"),
        ("404 NoSuchBucket", "there is no bucket 'bucket'"),
    ],
)
def test_refused_in_the_middle_and_resumed(
    machine: Machines, store: Proxy, tmp_path: Path, fault: str, said: str
) -> None:
    began: list[str] = []

    def rule(method: str, path: str) -> str | None:
        began.extend([path] if "part-00002" in path else [])
        return fault if began else None

    with store.doing(rule), pytest.raises(BadInput, match=said):
        machine().build(squares())
    trace = tmp_path / "trace"
    assert machine().build(squares(trace=str(trace))).faults() == []
    assert trace.read_text().split() == ["2", "3"]


def test_what_stands_in_the_way_is_not_taken_for_a_damaged_artifact(
    machine: Machines, store: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine().build(squares())

    def full(path: Path, data: bytes, mode: int = 0) -> None:
        raise RankmillError("cannot write: No space left on device")

    with (
        store.doing(lambda method, path: "403" if path.endswith("manifest.json") else None),
        pytest.raises(BadInput, match="refuses to get this"),
    ):
        list(machine().artifacts())
    here = machine()
    assert here.mirror is not None
    here.mirror.begin()
    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(RankmillError, match="No space left on device"):
        here.stray()


@pytest.mark.parametrize("fault", ["501 NotImplemented", "400 If-None-Match"])
def test_a_store_without_conditional_puts(machine: Machines, store: Proxy, fault: str) -> None:
    with (
        store.doing(lambda method, path: fault if method == "PUT" else None),
        pytest.raises(BadInput, match=r"has no put that fails where[\s\S]*conditional writes"),
    ):
        machine().build(squares())


def test_a_word_in_the_address_is_none_of_the_stores(
    store: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are told by words, and the library puts the URL among them."""
    monkeypatch.setattr(bucket, "RETRIES", 0)
    here = Workspace(f"s3://{BUCKET}/credentials/{tmp_path.name}")
    with store.doing(store.once("503", "PUT", r"part-00002\.arrow", times=2)):
        assert here.build(squares()).faults() == []


# ---- secrets -------------------------------------------------------------------------------------


def test_secrets_are_not_repeated(
    machine: Machines, store: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "HIDDEN-token-of-nobody"
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    echo = f"400 InvalidToken</Code><Token-0>{token}</Token-0><More>{token}</More><Code>"
    with (
        store.doing(lambda method, path: echo if "part-00001" in path else None),
        pytest.raises(BadInput, match="cannot be used") as told,
    ):
        machine().build(squares())
    assert "HIDDEN" not in str(told.value)
    assert "InvalidToken" in str(told.value)
    for secret in ("http://key:HIDDEN@127.0.0.1:9", "https://host/?sig=HIDDEN"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", secret)
        with pytest.raises(UsageError, match="holds something beside host, port and path") as named:
            address.parse("s3://bucket/p")
        assert "HIDDEN" not in str(named.value)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if b"HIDDEN" in path.read_bytes()] == []


def test_urls_lose_what_signs_them() -> None:
    said = refusals.harmless(OSError("GET https://key:HIDDEN@a.b/c?sig=HIDDEN&se=1 (403)\nmore"))
    assert said == "GET https://a.b (403)"


def test_without_a_home_the_cache_has_to_be_named(
    store: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(address.CACHE)
    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(UsageError, match=r"no home folder[\s\S]*--cache-dir"):
        Workspace(f"s3://{BUCKET}/p")


# ---- a store that does not answer ----------------------------------------------------------------


def test_a_signal_ends_the_wait_for_an_answer(
    machine: Machines, store: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    def hanging(method: str, path: str) -> str | None:
        if "part-00002.arrow" in path and not sent:
            sent.append(path)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return "hang" if sent else None

    monkeypatch.setattr(interruptible, "_GRACE_S", 0.1)
    monkeypatch.setattr(ending, "_NOTE_WITHIN_S", 0.1)
    before = signal.signal(signal.SIGTERM, stop)
    began = time.monotonic()
    try:
        with store.doing(hanging), pytest.raises(Stopped):
            machine().build(squares())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 40  # of a minute in which nothing comes, five times
    assert machine().build(squares()).faults() == []


def test_what_takes_too_long_is_not_waited_for() -> None:
    with pytest.raises(TimeoutError, match="no answer within 0.1 s"):
        interruptible.interruptibly(lambda: time.sleep(5), 0.1)
    with pytest.raises(ZeroDivisionError):
        interruptible.interruptibly(lambda: 1 / 0)


# ---- many parts ----------------------------------------------------------------------------------


def test_parts_are_not_counted_again_for_each_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def parts(self: cache.Cache) -> list[Any]:
        counted.append(1)
        return []

    monkeypatch.setenv(address.CACHE_SIZE, "1000")
    monkeypatch.setattr(cache.Cache, "_parts", parts)
    monkeypatch.setattr(cache, "_LOOK_S", 1e9)
    held = cache.Cache(tmp_path)
    assert all(held.make_room(1) for _ in range(500))
    assert len(counted) == 1
    assert held.make_room(1)
    assert len(counted) == 2  # half is full: others may fill the rest
    monkeypatch.setenv(address.CACHE_SIZE, "10")
    assert held.make_room(1)
    assert len(counted) == 3
    assert not held.make_room(11)
