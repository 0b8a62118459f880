"""Where outputs go, looked at before any work: whether something can be written there."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput

LONGEST_NAME = 255  # bytes, on Linux's file systems


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output goes: `path` without links; `through`, for what is no regular file, says
    what it is opened by: the number of an open descriptor, or the path."""

    path: Path
    through: int | Path | None = None


_DESCRIPTORS = re.compile(r"/proc/(\d+)/(task/\d+/)?fd")
_MOST_LINKS = 40  # as Linux has it


def check_place(path: str | Path) -> Place:
    """Look, before any work, whether a file can be written at `path`; returns where it really is.

    Raises BadInput, with the place and the next step, for a folder, a folder that is missing or
    no folder, a place that may not be written, a chain of links without an end.
    """
    place = _followed(Path(path))
    if place.through is not None:
        return place
    try:
        there = place.path.stat()
        if stat.S_ISDIR(there.st_mode):
            where = str(path) or "''"
            raise BadInput("this is a folder, a file is wanted", where=where, do="add a file name")
        if not stat.S_ISREG(there.st_mode):
            _refuse_unless(os.access(place.path, os.W_OK), path, place.path)
            return Place(place.path, place.path)
    except FileNotFoundError:
        _check_parent(path, place.path.parent)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _no_place(path, error) from error
    if len(os.fsencode(place.path.name)) > LONGEST_NAME:
        raise BadInput("the file name is too long", where=path, do="choose a shorter one")
    _refuse_unless(os.access(place.path.parent, os.W_OK | os.X_OK), path, place.path.parent)
    return place


def check_folder_place(path: str | Path, *, empty: bool = True) -> None:
    """Look, before any work, whether a folder can be made at `path`; raises BadInput.

    With `empty` one that is there must be empty, without it files are added to it.
    """
    target = Path(path)
    try:
        if empty:
            refuse_existing(target)
        if "\0" in str(path):
            raise ValueError("a name cannot hold NUL")
        above = next(p for p in (target, *target.absolute().parents) if p.exists())
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from error
    if not above.is_dir():
        raise BadInput("this is no folder", where=above, do="choose another place")
    _refuse_unless(os.access(above, os.W_OK | os.X_OK), path, above)


def _followed(path: Path) -> Place:
    """Follow the links of a path, one by one: a link to an open descriptor is not followed, for
    opening what it names would begin the file anew."""
    try:
        for _ in range(_MOST_LINKS):
            folder = Path(os.path.realpath(path.parent))
            path = folder / path.name
            number = _DESCRIPTORS.fullmatch(str(folder))
            if number and path.name.isdecimal():
                own = int(number[1]) == os.getpid()
                return Place(path, int(path.name) if own else path)
            if not path.is_symlink():
                return Place(path)
            path = folder / os.readlink(path)
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from error
    raise _no_place(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))


def _check_parent(path: str | Path, parent: Path) -> None:
    if not parent.exists():
        raise BadInput(
            f"there is no folder {parent}", where=path, do=f"make it first: mkdir -p {parent}"
        )
    if not parent.is_dir():
        raise BadInput(f"{parent} is no folder", where=path, do="choose another place")


def _refuse_unless(writable: bool, path: str | Path, place: Path) -> None:
    if not writable:
        raise BadInput(f"no permission to write to {place}", where=path, do="choose another place")


def _no_place(path: str | Path, error: OSError | ValueError) -> BadInput:
    what = (error.strerror if isinstance(error, OSError) else None) or str(error)
    said = repr(str(path))  # it may hold what cannot be printed
    return BadInput(f"nothing can be written here: {what}", where=said, do="check the path")


def refuse_existing(target: Path) -> None:
    """Raise BadInput when a target folder exists and is not an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "folder is not empty" if target.is_dir() else "is a file"
        raise BadInput(f"the target {what}", where=target, do="choose another folder")
