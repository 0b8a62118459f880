"""Processor seconds that importing large packages takes: what starting costs the first user.

`watch` makes the import system tell when one of them, or a module of one, is being imported: a
finder in front of the others finds nothing itself, but wraps what loads them. It is for processes
of our own (a command, an actor); a program that uses the library keeps its import system as it is,
and there imports count for the block in which they happen.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

LARGE = frozenset(
    {"faiss", "matplotlib", "numba", "polars", "pyarrow", "ray", "rich", "scipy", "sklearn"}
    | {"sentence_transformers", "tokenizers", "torch", "transformers"}
)


class _Clock:
    """Adds up what threads spend in imports, those inside others once."""

    def __init__(self) -> None:
        self.seconds, self.guard = 0.0, threading.Lock()
        self.of_thread = threading.local()

    def busy(self) -> bool:
        """Say whether this thread is in the middle of an import that counts."""
        return bool(getattr(self.of_thread, "busy", False))

    def spend(self, loader: Any, module: ModuleType) -> None:
        """Load a module."""
        if self.busy():
            loader.exec_module(module)
            return
        self.of_thread.busy, began = True, time.thread_time()
        try:
            loader.exec_module(module)
        finally:
            self.of_thread.busy = False
            with self.guard:
                self.seconds += time.thread_time() - began


_clock = _Clock()


class _Timed(importlib.abc.Loader):
    """Loads as another loader does, by the clock; the module never sees it."""

    def __init__(self, loader: Any):
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Make the module as the other loader does."""
        made: ModuleType | None = self.loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Load it, and leave the other loader as the one that did."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        _clock.spend(self.loader, module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the loaders of large packages and of their modules; finds what the others find."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return what the finders behind this one find, by the clock; None for other names, and
        while the clock runs."""
        if name.partition(".")[0] not in LARGE or _clock.busy():
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Timed(spec.loader)
                return spec
        return None


def watch() -> None:
    """Count imports of large packages in this process from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def seconds() -> float:
    """Return the seconds so far."""
    return _clock.seconds
