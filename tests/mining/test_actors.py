from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from store_workers import squares

from rankmill.mining.actors import Execution, connection, decisions, supervisor
from rankmill.mining.errors import BadInput, Incomplete, RankmillError, UsageError
from rankmill.mining.store import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory) -> str:
    """Return the root hash of an undisturbed inline run."""
    return Workspace(tmp_path_factory.mktemp("oracle")).build(squares()).root_hash


def test_workers_are_a_number():
    with pytest.raises(UsageError, match="workers=-1 is negative"):
        Execution(workers=-1)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_actors_gives_the_same_bytes(workspace, oracle, workers):
    artifact = workspace.build(squares(mischief="delay:0"), Execution(workers=workers))
    assert artifact.root_hash == oracle
    assert artifact.cost()["usage"] == {"calls": 4}


def test_a_killed_actor_loses_nothing(workspace, oracle, tmp_path):
    stage = squares(mischief=f"die once:{tmp_path / 'died'}")
    artifact = workspace.build(stage, Execution(workers=2))
    assert (tmp_path / "died").exists()
    assert artifact.root_hash == oracle
    assert artifact.cost()["failed_attempts"] == 1


def test_a_hanging_actor_is_killed_and_its_shard_done_again(
    workspace, oracle, tmp_path, monkeypatch
):
    monkeypatch.setattr(decisions, "DEADLINE_S", 3.0)
    stage = squares(mischief=f"hang once:{tmp_path / 'hung'}")
    artifact = workspace.build(stage, Execution(workers=2))
    assert artifact.root_hash == oracle
    assert "no result after " in (artifact.path / "attempts.jsonl").read_text()


def test_a_query_that_kills_its_worker_is_found_and_the_rest_completes(workspace, tmp_path):
    with pytest.raises(Incomplete, match="1 keys of run killed their worker 3 times each: 5"):
        workspace.build(squares(16, size=4, mischief="poison:5"), Execution(workers=2))
    records = sorted(p.name for p in workspace.root.glob("run/*/part-*.json"))
    assert records == ["part-00000.json", "part-00002.json", "part-00003.json"]
    oracle = Workspace(tmp_path / "oracle").build(squares(16, size=4)).root_hash
    assert workspace.build(squares(16, size=4)).root_hash == oracle


def test_halves_rejoin_to_the_same_part(workspace, oracle, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "TRIES", 1)  # the first death halves the shard
    stage = squares(mischief=f"die once:{tmp_path / 'died'}")
    assert workspace.build(stage, Execution(workers=1)).root_hash == oracle


def test_a_users_error_comes_back_as_it_was_raised_and_is_not_retried(workspace):
    with pytest.raises(BadInput, match="a bad query\n  where: shard 1\n  do: mend it"):
        workspace.build(squares(mischief="fail:1"), Execution(workers=2))


def test_a_bug_names_shard_and_keys(workspace):
    with pytest.raises(
        RankmillError, match=r"ZeroDivisionError: by zero\n  where: .*run shard 2, keys"
    ):
        workspace.build(squares(mischief="bug:2"), Execution(workers=2))


def test_the_local_cluster_listens_on_loopback_only():
    family = psutil.Process().children(recursive=True)
    listening = [
        c.laddr.ip
        for process in family
        if process.is_running()
        for c in process.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {ip for ip in listening if not _is_loopback(ip)} == set()


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_a_cluster_that_is_not_there_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nothing answers
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BadInput, match=f"no Ray cluster answers[\\s\\S]*{address}"):
            connection._reached(address)


def test_inline_never_imports_ray(tmp_path):
    code = (
        "import sys; from store_workers import squares; "
        "from rankmill.mining.store import Workspace; "
        f"Workspace({str(tmp_path)!r}).build(squares()); "
        "sys.exit('ray' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd="/").returncode == 0


def test_a_killed_driver_loses_only_what_was_in_flight(workspace, tmp_path):
    """The driver of another cluster is killed in the middle; this process resumes what it left."""
    code = (
        "import sys; from store_workers import squares; "
        "from rankmill.mining.actors import Execution; "
        "from rankmill.mining.store import Workspace; "
        "Workspace(sys.argv[1]).build(squares(200, mischief='delay:0', trace=sys.argv[2]), "
        "Execution(workers=2))"
    )
    trace = tmp_path / "trace"
    tests = os.path.dirname(os.path.dirname(__file__))
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root), str(trace)],
        env=os.environ | {"PYTHONPATH": tests},
        cwd=tmp_path,
    )
    family = []
    try:
        while len(list(workspace.root.glob("run/*/part-*.json"))) < 3:
            assert driver.poll() is None
            time.sleep(0.005)
        family = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        done = {int(path.stem[5:]) for path in workspace.root.glob("run/*/part-*.json")}
        assert 3 <= len(done) < 20
        before = trace.read_text().split()
        stage = squares(200, mischief="delay:0", trace=str(trace))
        artifact = workspace.build(stage, Execution(workers=2))  # waits for nothing of the dead
    finally:
        for process in family:  # some processes of Ray outlive their driver by a minute
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    assert artifact.root_hash == Workspace(tmp_path / "oracle").build(squares(200)).root_hash
    again = [int(n) for n in trace.read_text().split()[len(before) :]]
    assert set(again) == set(range(20)) - done  # orphans may end one more of them
