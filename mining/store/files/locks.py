"""Locks between processes: on an artifact, on a moment, on a file of a cache."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ...errors import BadInput, Locked
from .folders import make_folder
from .small import own_file
from .steps import explained, step

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def lock(path: Path, *, shared: bool = False, make: bool = True) -> Iterator[None]:
    """Hold an exclusive flock on `path`, or one that others may share; raises Locked, naming the
    holder, when another process has it, BadInput where the file system has no locks.

    `make` makes its folder where there is none. The file goes only with its folder, by whoever
    holds it (`upkeep/removal.py`). Its descriptor is not inherited, so an orphaned worker cannot
    keep the lock.
    """
    if make:
        make_folder(path.parent)
    try:
        opened = open(path, "a+", encoding="utf-8", opener=own_file)
    except FileNotFoundError as error:
        raise _just_removed(path) from error
    with opened as stream:
        try:
            _flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, path)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "an unknown process"
            raise Locked(
                f"another run is writing this artifact: {holder}",
                where=path.parent,
                do="wait for it to end, or stop it, and run the same command again",
            ) from error
        if not _is_still(path, stream):
            raise _just_removed(path)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        holder = f"host {socket.gethostname()}, pid {os.getpid()}, since {started}"
        with explained(path, len(holder)):
            os.ftruncate(stream.fileno(), 0)
            os.write(stream.fileno(), holder.encode())
        yield


def _just_removed(path: Path) -> Locked:
    return Locked(
        "another process has just removed what stood here",
        where=path.parent,
        do="run the same command again",
    )


def _is_still(path: Path, stream: IO[Any]) -> bool:
    """Say whether an open file is the one that a path names: it may be gone with its folder."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for an exclusive flock on `path`, and hold it for a block: what takes a moment only."""
    make_folder(path.parent)
    with explained(path, 0):
        stream = open(path, "a+", opener=own_file)
    with stream:
        _flock(stream, fcntl.LOCK_EX, path)
        yield


def _flock(file: IO[Any] | int, how: int, path: Path) -> None:
    """Lock an open file; raises BlockingIOError where another process holds it, BadInput where its
    file system has no locks: without them two runs would write one artifact unseen."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise BadInput(
            f"this file system locks no files: {error.strerror}",
            where=path,
            do="mount it with locks (NFS: its lock service; Lustre: -o flock), or choose another "
            "place",
        ) from error


def hold(path: Path) -> int:
    """Open a file that `remove_unless_held` then leaves alone until the descriptor is closed, and
    note that it was used now. Raises FileNotFoundError, also for one that is just being removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _flock(descriptor, fcntl.LOCK_SH, path)
        there = os.fstat(descriptor)
        if not there.st_nlink:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        with contextlib.suppress(OSError):  # a read-only cache: nothing is removed there either
            os.utime(descriptor, ns=(time.time_ns(), there.st_mtime_ns))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_unless_held(path: Path) -> bool:
    """Remove a file of a cache unless a process holds it; says whether it is gone. What is mapped
    stays readable."""
    step("evict", path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        path.unlink(missing_ok=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
