"""Folders into which a library writes by itself: its errors explained, its files made durable."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .arrow import read_arrow
from .hashing import Facts, sha256_of
from .steps import explained, sync


@contextlib.contextmanager
def by_library(folder: Path, needed: int = 0) -> Iterator[None]:
    """Explain what a library raises that writes into `folder` itself: libraries in Rust tell a full
    disk in an exception of their own, `… (os error 28)`."""
    with explained(folder, needed):
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            _raise_as_told(error, folder)
            raise


def _raise_as_told(error: Exception, folder: Path) -> None:
    """Raise the error of the system that an exception tells of; return where it tells none."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    if told is not None:
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(folder)) from error


def sync_tree(folder: Path) -> dict[str, Facts]:
    """Sync every file that a library wrote below `folder`; returns facts by relative name,
    sorted."""
    facts = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with explained(path, 0), open(path, "rb") as raw:
            sync(raw, path)
        relative = path.relative_to(folder).as_posix()
        rows = read_arrow(path).num_rows if path.suffix == ".arrow" else 0
        facts[relative] = Facts(rows, path.stat().st_size, sha256_of(path))
    return facts
