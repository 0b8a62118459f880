"""Which cluster a call uses, what it leaves behind, and whose signal handlers stay."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from rankmill.mining.actors import cluster, connection, handlers
from rankmill.mining.actors.connection import connected
from rankmill.mining.errors import RankmillError, UsageError
from rankmill.mining.limits import Limit


class FakeRay:
    """Counts what is started and stopped; `init` takes the signals, as Ray's does."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.started: list[dict[str, Any]] = []
        self.killed: list[Any] = []
        self.during_init: Any = lambda: None

    def init(self, **options: Any) -> None:
        assert self.address is None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.during_init()
        self.started.append(options)
        self.address = f"127.0.0.1:{len(self.started)}"

    def is_initialized(self) -> bool:
        return self.address is not None

    def shutdown(self) -> None:
        self.address = None

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.address)

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(connection, "here", None)
    monkeypatch.setattr(connection, "_blocks", 0)
    monkeypatch.setattr(connection, "processors", lambda: 4)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield fake
    connection._end(fake)
    for number, handler in before.items():
        signal.signal(number, handler)


def call(workers: int = 2, address: str | None = None) -> None:
    """Do what `Execution.execute` does, and leave an actor waiting."""
    with connected(workers, address, keep=True):
        assert connection.here is not None
        connection.here.idle.setdefault((1, 0), []).append("actor")


# ---- which cluster -----------------------------------------------------------------------------


def test_calls_share_one_private_cluster_and_its_actors(ray: FakeRay) -> None:
    for _ in range(3):
        call()
    assert len(ray.started) == 1
    assert ray.started[0]["num_cpus"] == 4
    assert ray.is_initialized()
    assert ray.killed == []
    assert connection.here is not None
    assert connection.here.idle == {(1, 0): ["actor"] * 3}


def test_more_workers_than_it_has_processors_need_a_larger_one(ray: FakeRay) -> None:
    call(4)
    call(6)
    call(5)
    assert [options["num_cpus"] for options in ray.started] == [4, 6]


def test_ray_that_does_not_start_is_no_bug_of_ours(ray: FakeRay) -> None:
    def late() -> None:
        raise Exception("The current node timed out during startup. This could happen…\nmore")

    ray.during_init = late
    with pytest.raises(
        RankmillError, match="Ray did not start: The current node timed out"
    ) as told:
        call()
    assert "run the same command again" in str(told.value)
    assert connection.here is None
    ray.during_init = lambda: None
    call()


def test_more_processes_than_memory_can_hold_are_refused(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "memory_limit", lambda: Limit(8 * 2.0**30, "the cgroup"))
    call(48)
    with pytest.raises(
        UsageError, match=r"--workers 64 takes 10\.6 GiB .* there are 8\.0 \(the cg"
    ):
        call(64)


def test_a_block_ends_the_cluster_it_uses(ray: FakeRay) -> None:
    call()
    with cluster(2):
        call()
        with cluster(9):  # an inner block changes nothing
            call()
        assert ray.is_initialized()
    assert len(ray.started) == 1
    assert not ray.is_initialized()
    assert connection.here is None


def test_the_end_of_the_process_ends_it(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Any] = []
    monkeypatch.setattr(connection.atexit, "register", lambda *given: at_exit.append(given))
    call()
    place = Path(ray.started[0]["_temp_dir"])
    here = connection.here
    assert here is not None
    assert place.is_dir()
    monkeypatch.setattr(connection.os, "getpid", lambda: -1)  # a fork of ours ends first
    for end, *given in at_exit:
        end(*given)
    assert ray.is_initialized()
    connection.here = here
    monkeypatch.setattr(connection.os, "getpid", lambda: here.process)
    for end, *given in at_exit:
        end(*given)
    assert not ray.is_initialized()
    assert not place.exists()


def test_a_cluster_of_the_caller_keeps_nothing_of_ours(ray: FakeRay) -> None:
    ray.init()
    call()
    assert ray.killed == ["actor"]
    with cluster(2):
        call()
        call()
        assert ray.killed == ["actor"]  # they wait for the next stage of the block
    assert ray.killed == ["actor"] * 3
    assert ray.is_initialized()
    assert len(ray.started) == 1


def test_a_cluster_at_an_address_is_left_after_the_call(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_reached", lambda _: None)
    call()
    call(2, "somewhere:1")  # the private one is not what was asked for
    assert not ray.is_initialized()
    assert [options["address"] for options in ray.started] == ["local", "somewhere:1"]


def test_ray_shut_down_by_the_caller_is_noticed(ray: FakeRay) -> None:
    call()
    ray.shutdown()
    call()
    assert len(ray.started) == 2
    ray.shutdown()
    ray.init()  # the caller's own now
    call()
    assert ray.killed == ["actor"]
    assert ray.is_initialized()


def test_a_cluster_started_by_a_thread_ends_with_the_call(ray: FakeRay) -> None:
    """The kernel would end it with the thread."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(ray.started) == 1
    assert not ray.is_initialized()


# ---- signals -----------------------------------------------------------------------------------


def test_the_handlers_of_the_process_stay(ray: FakeRay) -> None:
    def mine(*_: Any) -> None: ...

    def other(*_: Any) -> None: ...

    signal.signal(signal.SIGTERM, mine)
    signal.signal(signal.SIGINT, other)
    call()
    assert signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGINT) is other
    with cluster(2):
        assert signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_signal_while_ray_starts_goes_to_the_handler_of_the_process(ray: FakeRay) -> None:
    class Stopped(BaseException):
        pass

    def mine(*_: Any) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, mine)
    ray.during_init = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        call()
    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_signal_that_ray_would_swallow_while_it_starts_is_kept(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a handler raises inside `ray.init` may be printed and forgotten there."""

    class Stopped(BaseException):
        pass

    def mine(*_: Any) -> None:
        raise Stopped

    def init(**options: Any) -> None:
        with contextlib.suppress(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        ray.address = "127.0.0.1:1"

    signal.signal(signal.SIGINT, mine)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(Stopped):
        call()
    assert signal.getsignal(signal.SIGINT) is mine
    assert connection._blocks == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_raises_after_compiled_code_has_ended(number: signal.Signals) -> None:
    """Ray's compiled code makes a SystemError of what a handler raises inside it."""

    class Stopped(BaseException):
        pass

    def mine(*_: Any) -> None:
        raise Stopped

    def compiled() -> None:
        try:
            os.kill(os.getpid(), number)
        except Stopped as error:
            raise SystemError("returned a result with an exception set") from error
        ended.append(signal.getsignal(number))

    ended: list[Any] = []
    before = signal.signal(number, mine)
    try:
        with pytest.raises(Stopped), handlers.signals_after():
            compiled()
        assert ended == [signal.SIG_DFL]  # a second one ends the process
        assert signal.getsignal(number) is mine
        with handlers.signals_after():
            pass
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


def test_a_signal_while_ray_is_imported_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import runs code that goes on after whatever a handler raises."""

    class Stopped(BaseException):
        pass

    def mine(*_: Any) -> None:
        raise Stopped

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
            if name != "ray":
                return None
            with contextlib.suppress(Stopped):
                os.kill(os.getpid(), signal.SIGINT)
            return spec_from_loader(name, loader=None)

    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.setattr(connection, "_connect", lambda *_, **__: False)
    monkeypatch.setattr(connection, "_leave", lambda *_: None)
    before = signal.signal(signal.SIGINT, mine)
    try:
        with pytest.raises(Stopped), connected(1, None, keep=False):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
        sys.modules.pop("ray", None)


STOPPED = """
import os, signal, sys, threading, time
from pathlib import Path
from store_workers import squares
from rankmill.mining.actors import Execution
from rankmill.mining.errors import Interrupted
from rankmill.mining.store import Workspace

def stop(number, frame):
    raise Interrupted(f"stopped by {signal.Signals(number).name}")

def send():
    flag = Path(sys.argv[1], "flag")
    while not flag.exists():
        time.sleep(0.05)
    time.sleep(0.5)  # the supervisor waits inside Ray by now
    os.kill(os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, stop)
threading.Thread(target=send, daemon=True).start()
try:
    stage = squares(20, mischief=f"hang once:{sys.argv[1]}/flag")
    Workspace(Path(sys.argv[1], "work")).build(stage, Execution(workers=1))
except Interrupted as error:
    print(error, signal.getsignal(signal.SIGTERM) is stop)
"""


@pytest.mark.ray
def test_a_signal_while_the_supervisor_waits(tmp_path: Path) -> None:
    tests = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED, str(tmp_path)],
        env=tests,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped by SIGTERM True\n"), ended.stderr


def test_an_unhandled_sigterm_ends_the_process_in_order(ray: FakeRay) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with cluster(2):
        with pytest.raises(SystemExit, match="143"):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# ---- no process is left ------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys, time
from store_workers import squares
from rankmill.mining.actors import Execution, connection
from rankmill.mining.store import Workspace

workspace, how = Workspace(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in a background
handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
found = []
for queries in (20, 30):
    workspace.build(squares(queries), Execution(workers=1))
    actor, = connection.here.idle[connection.processors(), 0]
    import ray
    found.append((connection.here.address, ray.get(actor.ready.remote())))
assert found[0] == found[1], found  # the same cluster, the same actor
assert signal.getsignal(signal.SIGINT) is handlers[0]
print(connection.here.place.path, flush=True)
if how != "exit":
    time.sleep(600)
"""


@pytest.mark.ray
@pytest.mark.parametrize("how", ["exit", "SIGINT", "SIGTERM"])
def test_no_process_and_no_file_is_left(tmp_path: Path, how: str) -> None:
    tests = str(Path(__file__).parents[1])
    with open(tmp_path / "stderr", "wb") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "work"), how],
            env=os.environ | {"PYTHONPATH": tests},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    family: list[psutil.Process] = []
    try:
        assert driver.stdout is not None
        place = driver.stdout.readline().strip()
        assert place, (tmp_path / "stderr").read_text()
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(driver.pid).children(recursive=True)
        if how != "exit":
            assert family
            driver.send_signal(getattr(signal, how))
        status = driver.wait(60)
        _, left = psutil.wait_procs(family, timeout=20)
        assert left == []
        assert not Path(place).exists()
        assert status in {"exit": [0], "SIGINT": [1, -signal.SIGINT], "SIGTERM": [143]}[how]
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.kill()
        driver.communicate()
