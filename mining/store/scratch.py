"""Folders for the work of one process: removed at its end, or after a kill by the next one."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import Locked
from . import files

_LOCK = "LOCK"
_numbers = itertools.count()


@contextlib.contextmanager
def own_folder(place: Path, noun: str) -> Iterator[Path]:
    """Yield a new folder `place/noun-…` of this process, whose LOCK is held until it is removed.

    Others of that noun whose LOCK nobody holds were left by processes that were killed: they are
    removed first.
    """
    files.make_folder(place)
    sweep(place, noun)
    name = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
    folder = place / f"{noun}-{name}"
    begun = _unseen(folder)
    files.remove_tree(begun)
    with files.lock(begun / _LOCK):
        files.rename_folder(begun, folder)  # only now do others look at it, and its lock is held
        try:
            yield folder
        finally:
            _remove(folder)


def sweep(place: Path, noun: str) -> None:
    """Remove the folders `place/noun-…` of processes that have ended."""
    for left in sorted(place.iterdir()):
        if left.name.startswith(f"{noun}-") and left.is_dir() and not left.is_symlink():
            # Another one may be sweeping too, or the folder may be another user's.
            with contextlib.suppress(Locked, OSError), files.lock(left / _LOCK):
                _remove(left)


def _unseen(folder: Path) -> Path:
    """Return the name under which nobody looks for a folder."""
    return folder.with_name(f".new-{folder.name}")


def _remove(folder: Path) -> None:
    """Remove a folder whose lock is held: the lock goes last, where nobody looks for it, so that
    no other process takes a new one in a folder that is half gone."""
    for one in folder.iterdir():
        if one.name != _LOCK:
            files.remove_tree(one)
    files.rename_folder(folder, _unseen(folder))
    files.remove_tree(_unseen(folder))
