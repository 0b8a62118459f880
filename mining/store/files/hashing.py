"""What a file holds: its size and its SHA-256, of what is there and of what is being written."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from ...inputs.bounds.guards import named, refuse_unless_file


@dataclass(frozen=True, slots=True)
class Facts:
    """What a written file holds: rows, size in bytes, SHA-256 in hexadecimal."""

    rows: int
    bytes: int
    sha256: str


class HashingSink(io.RawIOBase):
    """A file that hashes what passes through: `digest` (SHA-256) and `count` of bytes."""

    def __init__(self, raw: IO[bytes]):
        self.raw, self.digest, self.count = raw, hashlib.sha256(), 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on; returns how many were taken."""
        self.digest.update(data)
        self.count += len(data)
        return self.raw.write(data)


Stamp = tuple[int, int, int, int]  # device, inode, time of the last change, size


def stamp_of(path: Path) -> Stamp:
    """Return what changes when the content of a file does, by a look at its entry alone."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file's content in hexadecimal; BadInput for what never ends
    or would have to be read twice, a device or a pipe."""
    if path.exists():
        refuse_unless_file(path)
    with named(path), open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_SETTLED_NS = 2_000_000_000  # a file that changed later may change again within one tick of clock


def sha256_once(path: Path) -> str:
    """Return the SHA-256 of a file, whose bytes this process reads once for each of its states, as
    its entry tells them (`stamp_of`). A file that changed only just now is read every time."""
    stamp = stamp_of(path)
    if time.time_ns() - stamp[2] < _SETTLED_NS:
        return sha256_of(path)
    return _sha256_at(path, stamp)


@lru_cache(maxsize=1024)
def _sha256_at(path: Path, stamp: Stamp) -> str:
    return sha256_of(path)


def holds(path: Path, data: bytes) -> bool:
    """Say whether a file is there and holds just these bytes."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
