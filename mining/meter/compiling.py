"""Processor seconds that numba takes to compile kernels, or to load them from its cache.

Whichever stage calls a kernel first pays for it, and the next process pays nothing: so it is no
cost of the stage. Numba tells its listeners when a thread enters and leaves the compiler
(numba.core.event, "numba:compiler_lock"). Seconds are those of that thread's processor clock:
waiting for the lock costs none.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

_DISPATCHER = "numba.core.dispatcher"  # there once numba is imported to its end


class _Clock:
    """Adds up what threads spend between entering the compiler and leaving it."""

    def __init__(self) -> None:
        self.seconds, self.guard = 0.0, threading.Lock()
        self.listener: Any = None
        self.of_thread = threading.local()

    def enter(self) -> None:
        depth = getattr(self.of_thread, "depth", 0)
        if depth == 0:
            self.of_thread.began = time.thread_time()
        self.of_thread.depth = depth + 1

    def leave(self) -> None:
        depth = getattr(self.of_thread, "depth", 0)
        if depth == 1:
            spent = time.thread_time() - self.of_thread.began
            with self.guard:
                self.seconds += spent
        self.of_thread.depth = max(0, depth - 1)  # 0: it entered before we listened


_clock = _Clock()


def seconds() -> float:
    """Return the seconds so far; begins to listen as soon as numba is there."""
    if _clock.listener is None and _DISPATCHER in sys.modules:
        _clock.listener = _listener()
    return _clock.seconds


def _listener() -> Any:
    from numba.core import event

    class Entering(event.Listener):  # type: ignore[misc] # numba has no types
        """Passes on what numba says about its compiler."""

        def on_start(self, event: Any) -> None:
            """A thread wants to compile."""
            _clock.enter()

        def on_end(self, event: Any) -> None:
            """A thread is done."""
            _clock.leave()

    listener = Entering()
    event.register("numba:compiler_lock", listener)
    return listener
