"""The steps in which anything changes the disk: each can be made to fail, and tells why it did.

Tests set `fault` to fail or to kill at any single one (docs/faults.md §1).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ...errors import BadInput, RankmillError

PUBLISHED = 0o444
TORN = 0o600  # until it is whole
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENOMEM}
# Called with (step, path) before each step that changes the disk; tests raise or kill from it.
fault: Callable[[str, Path], None] | None = None
# Syncing can be switched off for tests only: a kill does not need it, a power cut does.
_SYNC = os.environ.get("RANKMILL_TEST_NO_FSYNC") != "1"


def step(name: str, path: Path) -> None:
    """Say what is done to the disk next; a test may let it come to nothing."""
    if fault is not None:
        fault(name, path)


@contextlib.contextmanager
def created(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file, in the place of one that an earlier attempt left."""
    step("create", path)
    path.unlink(missing_ok=True)  # a stale attempt of ours; never a published name
    with open(path, "xb") as raw:
        yield raw


def sync(raw: IO[bytes], path: Path) -> None:
    """Return when what was written to a file would outlast a power cut."""
    step("fsync", path)
    if raw.writable():
        raw.flush()
    if _SYNC:
        os.fsync(raw.fileno())


def rename(temp: Path, final: Path, mode: int) -> None:
    """Give a finished file its final name and mode, in the place of what stands there."""
    temp.chmod(mode)
    step("rename", final)
    os.replace(temp, final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder would outlast a power cut."""
    step("fsync folder", folder)
    if _SYNC:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path, needed: int) -> Iterator[None]:
    """Turn an error of the disk into one that names path, bytes needed and bytes free."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            if str(error.filename).endswith(".tmp"):
                error.filename = str(path)  # what is meant: the attempt is nobody's but ours
            raise
        place = next(p for p in [path, *path.parents] if p.exists())
        if error.errno == errno.EROFS:
            raise BadInput(
                f"cannot write: the file system of {place} is read-only",
                where=path,
                do="choose another place, or make it writable, then run it again: a stage resumes",
            ) from error
        do = "free some space or choose another place"
        if error.errno == errno.EFBIG:
            do = "raise the limit on the size of files (ulimit -f), or choose another place"
        free = shutil.disk_usage(place).free
        known = f"{needed:,} bytes needed, " if needed else ""  # of a stream it is not known
        raise RankmillError(
            f"cannot write: {os.strerror(error.errno or 0)} ({known}{free:,} bytes free)",
            where=path,
            do=f"{do}, then run it again: a stage resumes",
        ) from error
