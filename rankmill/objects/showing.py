"""How a verb in Python shows how it gets on: as the command line does, where it is wanted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from rankmill.mining.actors import Execution
from rankmill.mining.store.execution import Silent


def executor_for(executor: Any, progress: bool | None) -> Any:
    """Return the executor with a display of its progress where one is wanted and it has none.

    `progress=None`: in a notebook. What is no executor is returned as it is, for the request to
    refuse.
    """
    wanted = in_notebook() if progress is None else progress
    own = Execution() if executor is None else executor
    if not wanted or not isinstance(own, Execution) or type(own.progress) is not Silent:
        return executor
    # Of the command line, which may stand on the verbs: so it is no import of this folder.
    display = import_module("rankmill.cli.runs.progress")
    return replace(own, progress=display.for_stream(sys.stderr))


@contextlib.contextmanager
def showing(executor: Any, progress: bool | None) -> Iterator[Any]:
    """Yield the executor of `executor_for`; a display that was opened here is closed at the end,
    also of a stage that was stopped."""
    shown = executor_for(executor, progress)
    try:
        yield shown
    finally:
        close = getattr(getattr(shown, "progress", None), "close", None)
        if shown is not executor and close is not None:
            close()


def in_notebook() -> bool:
    """Say whether this is a notebook's kernel: output goes to a page, not to a terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
