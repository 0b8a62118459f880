"""Small files of a workspace, read and written in place: never through a link, never a pipe."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import Corrupt
from .steps import explained, step

_NO_FILE = {errno.EISDIR, errno.ELOOP, errno.ENXIO}  # a folder, a circle of links, a socket


class NoFile(OSError):
    """What stands at a path is no regular file."""


def read_small(path: Path) -> bytes:
    """Return the bytes of a small file of a workspace; raises NoFile for what is none: a pipe would
    never be read to its end, and a device has none."""
    try:
        with open(path, "rb", opener=_at_once) as raw:
            if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                return raw.read()
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
    raise NoFile(errno.EINVAL, "this is no regular file", str(path))


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line; a torn last line after a kill is ignored by readers."""
    with explained(path, 200):
        step("append", path)
        with open(path, "a", encoding="utf-8", opener=own_file) as stream:
            stream.write(json.dumps(record, sort_keys=True) + "\n")


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines at once, after one that a kill may have torn."""
    data = b"".join(line + b"\n" for line in lines)
    with explained(path, len(data)):
        step("append", path)
        with open(path, "ab+", buffering=0, opener=own_file) as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                data = (b"" if stream.read(1) == b"\n" else b"\n") + data
            stream.write(data)


def own_file(path: str, flags: int) -> int:
    """Open a file that is written in place: never through a link, which may lead anywhere."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _none_of_ours(path)
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _none_of_ours(path) from error


def _none_of_ours(path: str) -> Corrupt:
    return Corrupt(
        "this would be written to, and is a link, a pipe or a folder: none of ours",
        where=path,
        do="remove it: nothing that it holds is needed",
    )
