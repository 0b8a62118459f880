"""Signal handlers beside Ray, which puts its own in their place and whose compiled code lets no
exception through."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, NoReturn


def in_main_thread() -> bool:
    """Whether this thread may set handlers."""
    return threading.current_thread() is threading.main_thread()


def put_back(handlers: Mapping[signal.Signals, Any]) -> None:
    """Set handlers as they were, but for those that are not Python's."""
    for number, handler in handlers.items():
        if handler is not None:  # else it is not Python's
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_after() -> Iterator[None]:
    """Keep signals that this process handles until the block has ended, then call their handlers.

    What a handler raises inside Ray's compiled code does not come out of it: that code goes on, or
    ends by a SystemError of its own. A second signal ends the process at once.
    """
    arrived: list[tuple[int, FrameType | None]] = []

    def keep(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))
        signal.signal(number, signal.SIG_DFL)

    handlers: dict[signal.Signals, Any] = {}
    if in_main_thread():
        now = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        handlers = {number: handler for number, handler in now.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, keep)
        yield
    finally:
        put_back(handlers)
        for sent, frame in arrived:
            handlers[signal.Signals(sent)](sent, frame)


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process in order while a private cluster runs, unless it is handled.

    Processes of Ray would outlive it by a minute otherwise.
    """
    if in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminated)


def terminated(number: int, frame: FrameType | None) -> NoReturn:
    """End the process in order, by the status of the signal."""
    sys.exit(128 + number)
