"""The most memory that this process held between two moments, not since it began.

Linux keeps the peak of resident memory (VmHWM of /proc/self/status), and starts it anew where it
may be told to (a 5 to /proc/self/clear_refs; proc(5)). Anonymous memory and mapped file pages have
no peak of their own there: a thread looks at /proc/self/statm twenty times a second, and at both
ends; where the kernel's peak cannot be started anew, that is all there is. Between two looks, or
while a kernel holds the interpreter, a peak of the two can be missed: they are lower bounds.
Elsewhere than on Linux only the peak of the process so far is known, and is called that.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

KERNEL = "kernel peak (VmHWM)"
SAMPLED = "sampled (statm)"
SO_FAR = "process so far (ru_maxrss)"
EVERY_S = 0.05
_PROC = Path("/proc/self")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes: resident in all, anonymous, file pages (shared memory among them); how they were
    found."""

    resident: int = 0
    anonymous: int = 0
    files: int = 0
    method: str = ""


class Memory:
    """Tells the peak since it was last asked; `proc`: where the kernel describes this process."""

    def __init__(self, proc: Path = _PROC):
        self.proc = proc
        self._guard = threading.Lock()
        self._high = (0, 0, 0)  # resident, anonymous, file pages
        self._stop: threading.Event | None = None
        self._begun_anew = False  # the kernel's peak is one since we last asked

    def take(self) -> Peak:
        """Return the peak since the last call (the first: since the process began)."""
        held = self._held()
        if held is None:
            largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
            return Peak(largest, method=SO_FAR)
        with self._guard:
            resident, anonymous, files = map(max, self._high, held)
            self._high = held
        kernel = self._kernel_peak() if self._begun_anew else None
        self._begun_anew = self._begin_anew()
        if kernel is None:
            return Peak(resident, anonymous, files, SAMPLED)
        return Peak(max(kernel, resident), anonymous, files, KERNEL)

    def watch(self) -> None:
        """Look at the memory from a thread of its own until `rest`."""
        if self._stop is None and self._held() is not None:
            stop = threading.Event()
            looking = threading.Thread(
                target=self._look, args=(stop,), name="rankmill-memory", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # no more threads here: both ends are looked at
                looking.start()
                self._stop = stop

    def rest(self) -> None:
        """Let the thread end."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY_S):
            held = self._held()
            if held is None:
                return
            with self._guard:
                high, files = max(self._high[0], held[0]), max(self._high[2], held[2])
                self._high = (high, max(self._high[1], held[1]), files)

    def _held(self) -> tuple[int, int, int] | None:
        """Return bytes resident, anonymous and of file pages now; None where nobody says."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (self.proc / "statm").read_bytes().split()
            resident, files = int(words[1]) * _PAGE, int(words[2]) * _PAGE
            return resident, resident - files, files
        return None

    def _kernel_peak(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (self.proc / "status").read_bytes().splitlines():
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
        return None

    def _begin_anew(self) -> bool:
        """Tell the kernel to start the peak anew; say whether it did."""
        with contextlib.suppress(OSError):
            with open(self.proc / "clear_refs", "wb", buffering=0) as told:
                told.write(b"5")
            return True
        return False
