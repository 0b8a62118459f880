"""What work takes: peaks of their own, nothing counted twice, nothing made up."""

import ctypes
import importlib
import mmap
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from rankmill.mining.meter import (
    Cost,
    accelerator,
    account,
    blocks,
    compiling,
    imports,
    measuring,
    memory,
)
from rankmill.mining.meter.energy import Devices, Packages
from rankmill.mining.meter.memory import KERNEL, SAMPLED, SO_FAR, Memory

MB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def burn(seconds: float) -> None:
    """Use the processor for so many of its seconds."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


# ---- memory --------------------------------------------------------------------------------------


def hold(size: int) -> None:
    """Touch so many bytes for a moment. Straight from the system: a trainer that ran in this
    process tells the C library to keep what is freed, and then an array adds nothing to it."""
    with mmap.mmap(-1, size) as held:
        view = np.frombuffer(held, np.uint8)
        view[:: mmap.PAGESIZE] = 1
        del view


@linux
def test_a_peak_is_that_of_its_own_block():
    with measuring() as large:
        hold(200 * MB)
    with measuring() as small:
        hold(10 * MB)
    assert large.peak_rss_bytes - small.peak_rss_bytes > 150 * MB
    assert large.memory in (KERNEL, SAMPLED)


@linux
def test_a_peak_before_and_after_an_inner_block_is_the_outer_ones():
    with account() as outer:
        with measuring() as inner:
            hold(200 * MB)
        spent = outer.take()
    assert inner.peak_rss_bytes - spent.peak_rss_bytes > 150 * MB


@linux
def test_mapped_file_pages_are_told_from_anonymous_memory(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(64 * MB))
    with measuring() as before:
        pass
    with measuring() as mapped, open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            assert np.frombuffer(view, np.uint8)[::4096].sum() == 0
            time.sleep(3 * memory.EVERY_S)  # let the thread look
    assert mapped.peak_file_bytes - before.peak_file_bytes > 50 * MB
    assert mapped.peak_anonymous_bytes - before.peak_anonymous_bytes < 30 * MB
    assert mapped.peak_anonymous_bytes <= mapped.peak_rss_bytes


@linux
def test_where_the_kernels_peak_cannot_be_started_anew_memory_is_sampled(tmp_path):
    (tmp_path / "statm").write_text("900 500 100 1 0 300 0\n")
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t    999999 kB\n")
    (tmp_path / "clear_refs").mkdir()  # refuses
    here = Memory(tmp_path)
    here.take()
    page = os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "statm").write_text("900 700 50 1 0 300 0\n")
    peak = here.take()
    assert (peak.method, peak.resident, peak.anonymous) == (SAMPLED, 700 * page, 650 * page)
    assert peak.files == 100 * page


def test_without_proc_the_peak_is_called_that_of_the_process_so_far(tmp_path, monkeypatch):
    here = Memory(tmp_path / "none")
    peak = here.take()
    assert peak.method == SO_FAR
    assert peak.resident > MB
    assert (peak.anonymous, peak.files) == (0, 0)
    here.watch()  # nothing to look at: no thread
    assert here._stop is None
    monkeypatch.setattr(blocks, "_IO_FILE", tmp_path / "none")
    with measuring() as before:
        pass
    with measuring() as cost:
        burn(0.02)
    assert before.pid == os.getpid()
    assert (cost.read_bytes, cost.disk_read_bytes) == (None, None)
    assert cost.cpu_s >= 0.02


@linux
def test_the_thread_that_looks_ends_with_the_last_block():
    def looking() -> bool:
        return any(t.name == "rankmill-memory" and t.is_alive() for t in threading.enumerate())

    with measuring():
        assert looking()
    until = time.monotonic() + 10
    while looking() and time.monotonic() < until:
        time.sleep(0.01)
    assert not looking()


# ---- seconds and bytes ---------------------------------------------------------------------------


@pytest.fixture
def counters(monkeypatch):
    """Counters that a test sets."""
    now = {"wall_s": 0.0, "cpu_s": 0.0, "compile_s": 0.0, "read_bytes": 0.0}
    monkeypatch.setattr(blocks, "_meter", blocks._Meter())
    monkeypatch.setattr(blocks, "_counters", lambda: dict(now))

    def pass_by(wall: float, cpu: float, compiled: float = 0.0) -> None:
        now["wall_s"] += wall
        now["cpu_s"] += cpu
        now["compile_s"] += compiled
        now["read_bytes"] += 8

    return pass_by


def test_what_is_inside_is_not_counted_twice_and_nothing_is_lost(counters):
    with account() as whole:
        counters(1, 2)
        with account() as other:
            counters(4, 8)
            with measuring(gpus=2) as part:
                counters(16, 32, 30)
            counters(64, 128)
            own = other.take()
        counters(256, 512)
        rest = whole.take()
    assert (rest.wall_s, own.wall_s, part.wall_s) == (257, 68, 16)
    assert (rest.cpu_s, own.cpu_s, part.cpu_s, part.compile_s) == (514, 136, 2, 30)
    assert (whole.elapsed_s, other.elapsed_s) == (257, 84)
    assert (rest.gpu_s, part.gpu_s) == (0, 32)
    assert (rest.read_bytes, own.read_bytes, part.read_bytes) == (16, 16, 8)


def test_blocks_that_end_out_of_order_add_up(counters):
    one, two = account(), account()
    first = one.__enter__()
    counters(1, 1)
    second = two.__enter__()
    counters(2, 2)
    a = first.take()
    one.__exit__(None, None, None)
    counters(4, 4)
    b = second.take()
    two.__exit__(None, None, None)
    assert (a.cpu_s, b.cpu_s) == (1, 6)


def test_the_clocks_are_those_of_this_process():
    before, began = time.process_time(), time.perf_counter()
    with measuring() as cost:
        burn(0.05)
    passed, wall = time.process_time() - before, time.perf_counter() - began
    assert 0.05 <= cost.cpu_s + cost.compile_s <= passed
    assert 0.05 <= cost.wall_s <= wall


def test_what_is_not_taken_goes_to_the_block_around_it():
    lost: list[Cost] = []

    def fails() -> None:
        with measuring() as cost:
            lost.append(cost)
            burn(0.03)
            raise ValueError("broken")

    with account() as outer:
        with account():
            burn(0.03)
        with pytest.raises(ValueError, match="broken"):
            fails()
        assert outer.take().cpu_s >= 0.06
    assert lost[0].cpu_s == 0.0


def test_blocks_of_several_threads_add_up():
    before = time.process_time()
    costs: list[Cost] = []

    def work() -> None:
        with measuring() as cost:
            burn(0.02)
        costs.append(cost)

    with account() as whole:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        costs.append(whole.take())
    passed = time.process_time() - before
    assert 0.02 <= sum(c.cpu_s + c.compile_s for c in costs) <= passed


def test_processes_that_a_block_starts_are_counted():
    loop = "import time\nwhile time.process_time() < 0.3: pass"
    with measuring() as cost:
        subprocess.run([sys.executable, "-c", loop], check=True)
    assert cost.cpu_s >= 0.3


@linux
def test_bytes_through_calls_are_counted(tmp_path):
    with measuring():
        pass
    with measuring() as cost:
        (tmp_path / "file").write_bytes(bytes(3 * MB))
        (tmp_path / "file").read_bytes()
    assert cost.written_bytes >= 3 * MB
    assert cost.read_bytes >= 3 * MB
    assert cost.disk_written_bytes is not None


@pytest.mark.forks
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_begins_with_no_block():
    with account() as outer:
        child = os.fork()
        if child == 0:
            fine = not blocks._meter.blocks
            with measuring() as cost:
                burn(0.01)
            blocks._meter.close(outer)  # the parent's: nothing happens
            os._exit(0 if fine and 0.01 <= cost.cpu_s < 5 else 1)
        assert os.waitpid(child, 0)[1] == 0


# ---- compiling -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_compiling_is_a_line_of_its_own():
    import numba

    @numba.njit
    def kernel(x):
        total = 0.0
        for i in range(x.size):
            total += x[i] * i
        return total

    before = time.process_time()
    with measuring() as first:
        kernel(np.ones(8))
    passed = time.process_time() - before
    with measuring() as second:
        kernel(np.ones(8))
    assert first.compile_s > 0.02
    assert second.compile_s == 0.0
    assert first.cpu_s + first.compile_s <= passed
    assert first.cpu_s < first.compile_s


def test_entering_the_compiler_twice_counts_once(monkeypatch):
    clock, now = compiling._Clock(), iter([1.0, 4.0])
    monkeypatch.setattr(compiling.time, "thread_time", lambda: next(now))
    clock.leave()  # entered before anyone listened
    for step in (clock.enter, clock.enter, clock.leave, clock.leave):
        step()
    assert clock.seconds == 3.0


# ---- imports ---------------------------------------------------------------------------------


def test_importing_large_packages_is_a_line_of_its_own(tmp_path, monkeypatch):
    """Packages and their modules, those inside others once; modules never see who timed them."""
    loop = "import time\nuntil = time.thread_time() + 0.05\n"
    loop += "while time.thread_time() < until: pass\n"
    for name, text in (("lrg", loop + "import lrg.inner"), ("sml", loop)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    for name in ("inner", "late"):
        (tmp_path / "lrg" / f"{name}.py").write_text(loop)
    (tmp_path / "lrg" / "broken.py").write_text(loop + "1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "LARGE", frozenset({"lrg"}))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    imports.watch()
    imports.watch()  # once is enough
    finders = [f for f in sys.meta_path if isinstance(f, imports._Finder)]
    assert len(finders) == 1

    def took(name: str) -> float:
        before = imports.seconds()
        importlib.import_module(name)
        return imports.seconds() - before

    with measuring() as cost:
        assert 0.1 <= took("lrg") < 0.2
    assert cost.start_s >= 0.1
    assert took("lrg.late") >= 0.05
    assert took("sml") == 0.0
    assert took("lrg") == 0.0  # there already
    before = imports.seconds()
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("lrg.broken")
    assert imports.seconds() - before >= 0.05
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lrg.nothing")
    for name in ("lrg", "lrg.inner", "lrg.late"):
        module = sys.modules.pop(name)
        assert type(module.__loader__).__name__ == "SourceFileLoader"
        assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    sys.modules.pop("sml")


# ---- accelerators --------------------------------------------------------------------------------


class FakeCuda:
    """Two devices; the second is not used."""

    def __init__(self) -> None:
        self.now, self.peak = [100, 50], [100, 50]

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def current_device(self) -> int:
        return 0

    def max_memory_allocated(self, device) -> int:
        return self.peak[getattr(device, "index", device) or 0]

    def memory_allocated(self, device) -> int:
        return self.now[device]

    def reset_peak_memory_stats(self, device) -> None:
        at = getattr(device, "index", device) or 0
        self.peak[at] = self.now[at]

    def get_device_properties(self, device) -> SimpleNamespace:
        return SimpleNamespace(uuid=f"abc{device}")


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=fake))
    monkeypatch.setattr(accelerator, "_before", {})
    monkeypatch.setattr(accelerator, "_seen", {})
    return fake


def test_the_peak_on_a_device_is_that_of_the_block(cuda):
    accelerator.take()
    assert accelerator.take() == (100, [])  # held, not used
    cuda.peak[0] = 900
    assert accelerator.take() == (900, [0])
    cuda.peak[0] = 700
    assert accelerator.take_peak(SimpleNamespace(index=0)) == 700  # a training step logs it
    cuda.peak[0] = 300
    assert accelerator.take_peak(SimpleNamespace(index=None)) == 300
    assert accelerator.take() == (700, [0])
    assert accelerator.take() == (100, [])


def test_a_block_is_charged_for_the_devices_that_it_used(cuda):
    with measuring():
        pass
    with measuring() as used:
        cuda.peak[0] = 900
        time.sleep(0.02)
    with measuring() as idle:
        time.sleep(0.02)
    with measuring(gpus=1) as held:
        time.sleep(0.02)
    assert used.gpu_s == pytest.approx(used.wall_s)
    assert used.peak_gpu_bytes == 900
    assert idle.gpu_s == 0.0
    assert held.gpu_s == pytest.approx(held.wall_s)


# ---- energy --------------------------------------------------------------------------------------


@pytest.fixture
def powercap(tmp_path):
    for zone, name in (("0", "package-0"), ("0:0", "core"), ("1", "psys")):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "energy_uj").write_text("4000000\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
    (tmp_path / "stat").write_text("cpu  100 0 0 5000 0 0 0 0 0 0\ncpu0 1\n")
    return tmp_path


def test_a_package_is_charged_by_the_share_of_processor_time(powercap):
    tick = os.sysconf("SC_CLK_TCK")
    counters = Packages(powercap, powercap / "stat")
    assert [zone.name for zone in counters.zones] == ["intel-rapl:0"]
    energy, stat = powercap / "intel-rapl:0" / "energy_uj", powercap / "stat"
    energy.write_text("9000000\n")
    stat.write_text("cpu  200 50 50 9000 0 0 0 0 0 0\n")
    busy = 200 / tick
    assert counters.take(busy / 4) == pytest.approx(5.0 / 4)
    assert counters.take(0.001) == 0.0  # too short for the kernel's clock: owed
    energy.write_text("1000000\n")  # it has come round: 9 → 10 = 0 → 1 joules
    stat.write_text("cpu  300 50 50 9000 0 0 0 0 0 0\n")
    assert counters.take(0.0) == pytest.approx(2.0 * 0.001 / (100 / tick))
    energy.unlink()
    assert counters.take(1.0) is None


def test_no_counter_no_joules(tmp_path):
    assert Packages(tmp_path / "none", tmp_path / "none").take(1.0) is None
    devices = Devices()
    assert devices.take([]) is None
    cost = Cost()
    cost.add(Cost(cpu_joules=None))
    assert cost.cpu_joules is None
    cost.add(Cost(cpu_joules=2.0))
    cost.add(Cost(cpu_joules=None))
    assert cost.cpu_joules == 2.0


class FakeNvml:
    """Counts 5 joules at each look."""

    def __init__(self) -> None:
        self.millijoules = 1_000_000
        self.refuses = False

    def nvmlDeviceGetHandleByUUID(self, name, handle) -> int:  # noqa: N802 (NVML's own)
        assert name == b"GPU-abc0"
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, told) -> int:  # noqa: N802
        self.millijoules += 5000
        told._obj.value = self.millijoules
        return int(self.refuses)


def test_joules_of_the_devices_in_use(cuda, monkeypatch):
    assert ctypes.c_ulonglong(3).value == 3
    devices = Devices(FakeNvml())
    assert devices.take([0]) == 0.0  # the first look
    assert devices.take([0]) == 5.0
    assert devices.take([]) is None
    devices.library.refuses = True
    assert devices.take([0]) is None


# ---- sums ----------------------------------------------------------------------------------------


def test_costs_add_up_and_peaks_do_not():
    cost = Cost(cpu_s=1.0, peak_rss_bytes=5, usage={"pairs": 2}, memory=KERNEL)
    cost.add(Cost(cpu_s=2.0, peak_rss_bytes=3, usage={"pairs": 1, "tokens": 4}, read_bytes=7))
    assert (cost.cpu_s, cost.peak_rss_bytes, cost.read_bytes) == (3.0, 5, 7)
    assert (cost.usage, cost.memory) == ({"pairs": 3, "tokens": 4}, KERNEL)
