"""Calls of the library that a signal does not outlast: they are waited for in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_LOOK_S = 0.2  # between two looks whether a signal has come
_GRACE_S = 2.0  # for a request under way when a signal comes


def interruptibly(work: Callable[[], T], seconds: float | None = None) -> T:
    """Return what `work` returns; a signal ends the wait for it, which the library's own calls
    would outlast by minutes. Raises TimeoutError where it takes longer than `seconds`.

    What was under way goes on for as long as the process does: nothing depends on its end.
    """
    if seconds is None and threading.current_thread() is not threading.main_thread():
        return work()  # signals are the main thread's
    ended = threading.Event()
    came: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            came.append(work())
        except BaseException as error:  # raised below, in the thread that waits
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="object store", daemon=True).start()
    try:
        until = None if seconds is None else time.monotonic() + seconds
        while not ended.wait(_LOOK_S):  # the library's handler of SIGINT lets waiting go on
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"no answer within {seconds} s")
    except BaseException:
        ended.wait(_GRACE_S if seconds is None else 0)  # mostly it is about to end
        raise
    if failed:
        raise failed[0]
    return came[0]
