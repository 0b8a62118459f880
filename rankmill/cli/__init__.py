"""The command line: commands made from the requests, what they print, progress, doctor."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rankmill.cli.entry import app_of

__all__ = ["app_of", "main"]


def main() -> NoReturn:
    """Run the command line; a signal ends it in order from the beginning, while it loads."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_before_work)
    from rankmill.cli import entry

    entry.main()


def _stop_before_work(number: int, frame: FrameType | None) -> NoReturn:
    """End at once: nothing has begun, and what is raised during imports can be lost."""
    name = signal.Signals(number).name
    said = f"rankmill: stopped by {name}\n  do: nothing has begun: run the same command again\n"
    os.write(2, said.encode())
    os._exit(75)


def __getattr__(name: str) -> Any:
    if name == "app_of":
        from rankmill.cli import entry

        return entry.app_of
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
