"""Folders for the work of one process: removed at its end, or after a kill by the next one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import Locked
from . import attempts, files

_LOCK = "LOCK"


@contextlib.contextmanager
def own_folder(place: Path, noun: str) -> Iterator[Path]:
    """Yield a new folder `place/noun-…` of this process, whose LOCK is held until it is removed.

    Others of that noun whose LOCK nobody holds were left by processes that were killed: they are
    removed first.
    """
    files.make_folder(place)
    sweep(place, noun)
    folder = place / f"{noun}-{attempts.own()}"
    begun = files.beside(place / noun)
    with files.lock(begun / _LOCK):
        files.rename_folder(begun, folder)  # only now do others look at it, and its lock is held
        try:
            yield folder
        finally:
            _remove(folder, noun)


def sweep(place: Path, noun: str) -> None:
    """Remove the folders `place/noun-…` of processes that have ended, also what has the name no
    more, or never had it."""
    files.sweep_left(place, noun)
    for left in sorted(place.iterdir()):
        if left.name.startswith(f"{noun}-") and left.is_dir() and not left.is_symlink():
            # Another one may be sweeping too, or the folder may be another user's.
            with contextlib.suppress(Locked, OSError), files.lock(left / _LOCK):
                _remove(left, noun)


def _remove(folder: Path, noun: str) -> None:
    """Remove a folder whose lock is held: the lock goes last, where nobody looks for it, so that
    no other process takes a new one in a folder that is half gone."""
    for one in folder.iterdir():
        if one.name != _LOCK:
            files.remove_tree(one)
    unseen = files.beside(folder.with_name(noun))
    files.rename_folder(folder, unseen)
    files.remove_tree(unseen)
