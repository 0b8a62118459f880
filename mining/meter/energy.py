"""Energy from the counters of the hardware, where they can be read.

Processors: RAPL packages below /sys/class/powercap (Intel, and AMD by the same driver; most systems
let only root read them). A package counts for every process of the machine, so a piece of work is
charged the share of the joules that it has of the processor time used meanwhile (/proc/stat): the
shares of all processes add up to what the package counted, the idle power divided among them.
Accelerators: NVML's total energy of the devices used.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_POWERCAP = Path("/sys/class/powercap")
_STAT = Path("/proc/stat")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal


class Packages:
    """Joules of the processors, charged by the share of processor time."""

    def __init__(self, powercap: Path = _POWERCAP, stat: Path = _STAT):
        self.stat = stat
        # `intel-rapl:0` is a package, `intel-rapl:0:0` a part of it, `psys` the whole board.
        zones = sorted(powercap.glob("intel-rapl:*")) if powercap.is_dir() else []
        self.zones = [z for z in zones if z.name.count(":") == 1 and _word(z / "name") != "psys"]
        self.last = self._joules()
        self.busy, self.owed = self._busy_s(), 0.0

    def take(self, cpu_s: float) -> float | None:
        """Return the joules since the last call of work that took `cpu_s`; None: not readable."""
        if not self.zones:
            return None
        now, busy = self._joules(), self._busy_s()
        if now is None or self.last is None or busy is None or self.busy is None:
            return None
        self.owed += cpu_s
        others = busy - self.busy
        if others <= 0:  # the kernel counts in hundredths of a second
            return 0.0
        spent = 0.0
        for zone, before, after in zip(self.zones, self.last, now, strict=True):
            wrapped = after < before
            spent += after - before + (self._range(zone) if wrapped else 0.0)
        share = min(1.0, self.owed / others)
        self.last, self.busy, self.owed = now, busy, 0.0
        return spent * share

    def _joules(self) -> list[float] | None:
        with contextlib.suppress(OSError, ValueError):
            return [int((zone / "energy_uj").read_bytes()) / 1e6 for zone in self.zones]
        return None

    def _range(self, zone: Path) -> float:
        with contextlib.suppress(OSError, ValueError):
            return int((zone / "max_energy_range_uj").read_bytes()) / 1e6
        return 0.0

    def _busy_s(self) -> float | None:
        """Return processor seconds of all processes since the machine started."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            numbers = self.stat.read_bytes().splitlines()[0].split()[1:]
            return sum(int(numbers[place]) for place in _BUSY) / os.sysconf("SC_CLK_TCK")
        return None


class Devices:
    """Joules of the accelerators that this process uses; the library is opened at first use."""

    def __init__(self, library: Any = None):
        self.library = library
        self.absent = False
        self.last: dict[int, float] = {}

    def take(self, used: Sequence[int]) -> float | None:
        """Return the joules of the devices in use since the last call; None: not readable."""
        if not used or self.absent:
            return None
        self.library = self.library or _nvml()
        if self.library is None:
            self.absent = True
            return None
        told = None
        for device in used:
            now = self._joules(device)
            if now is not None:
                told = (told or 0.0) + max(0.0, now - self.last.get(device, now))
                self.last[device] = now
        return told

    def _joules(self, device: int) -> float | None:
        torch = sys.modules.get("torch")
        name = getattr(torch.cuda.get_device_properties(device), "uuid", None) if torch else None
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        text = f"GPU-{name}".encode()
        if name is None or self.library.nvmlDeviceGetHandleByUUID(text, ctypes.byref(handle)):
            return None
        if self.library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            return None
        return millijoules.value / 1000


def _nvml() -> Any:
    """Return the management library of NVIDIA's driver, ready for use; None without it."""
    with contextlib.suppress(OSError):
        library = ctypes.CDLL("libnvidia-ml.so.1")
        return None if library.nvmlInit_v2() else library
    return None


def _word(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""
