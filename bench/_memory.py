"""How much memory a process takes meanwhile: its own, which no mapped file gives back."""

from __future__ import annotations

import threading
from typing import Any, Self

import psutil


def private_bytes(process: psutil.Process, children: bool = False) -> int:
    """Return the memory of a process (and its children) that no mapped file gives back; 0 for one
    that has ended."""
    total = 0
    try:
        for one in [process, *(process.children(recursive=True) if children else ())]:
            memory = one.memory_info()
            total += memory.rss - memory.shared
    except psutil.Error:
        return total  # it has just ended
    return total


class Watch:
    """The most private bytes of a process at one time while the block runs: `most`; `base`: those
    at its beginning.

    A thread looks every so often. The peak that the system keeps (`ru_maxrss`) cannot be used: the
    meter of stages starts it anew, and it counts the pages of mapped files.
    """

    def __init__(self, pid: int | None = None, *, children: bool = False, every: float = 0.01):
        self.process, self.children, self.every = psutil.Process(pid), children, every
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.base = self.most = private_bytes(self.process, self.children)
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(self.every):
            self.most = max(self.most, private_bytes(self.process, self.children))
