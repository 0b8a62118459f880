"""Temporary names beside what they will become, and what a kill leaves under them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import attempts
from ..places import LONGEST_NAME
from .steps import step


def beside(path: Path) -> Path:
    """Return the temporary name of an attempt at a file or folder, in the same folder."""
    return path.with_name(f"{_beginning(path.name)}{attempts.own()}.tmp")


def _beginning(name: str) -> str:
    """Return how the temporary names of attempts at a file begin."""
    return f".{os.fsencode(name)[: LONGEST_NAME - 120].decode('utf-8', 'ignore')}."


@contextlib.contextmanager
def attempt_at(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file; on an error nothing stays under it. What a kill leaves
    there, `sweep_left` removes."""
    temp = beside(path)
    try:
        yield temp
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise


def sweep_left(folder: Path, name: str | None = None) -> None:
    """Remove temporary files and folders (those of one file, or all) that ended processes of this
    host left in a folder, where we may; what another host has begun stays."""
    begin = "." if name is None else _beginning(name)
    try:
        left = [
            one
            for one in os.scandir(folder)
            if one.name.startswith(begin)
            and one.name.endswith(".tmp")
            and attempts.is_left(one.name)
        ]
    except OSError:  # no such folder yet, or not ours to read
        return
    for one in left:
        with contextlib.suppress(OSError):
            step("sweep", Path(one.path))
            if one.is_dir(follow_symlinks=False):
                shutil.rmtree(one.path, ignore_errors=True)
            else:
                os.unlink(one.path)


def sweep(path: Path) -> None:
    """Remove attempts of a run that ended between publishing and removing them, where we may; of
    what is published nobody makes attempts any more, another process may only be sweeping too."""
    if path.is_dir():
        step("sweep", path)
        shutil.rmtree(path, ignore_errors=True)
