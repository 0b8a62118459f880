"""Tables on the disk: written whole, and mapped rather than read."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

import pyarrow as pa

from .hashing import Facts, HashingSink
from .steps import created, explained, step, sync

_PAGE = 4096
_PUNCH_HOLE_AND_KEEP_SIZE = 0x02 | 0x01


def write_arrow(path: Path, table: pa.Table) -> Facts:
    """Write `table` as one Arrow IPC file (uncompressed, one batch where offsets allow) and sync
    it."""
    with explained(path, table.nbytes), created(path) as raw:
        sink = HashingSink(raw)
        options = pa.ipc.IpcWriteOptions(compression=None)
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema, options=options) as writer:
            writer.write_table(table.combine_chunks())
        sync(raw, path)
    return Facts(table.num_rows, sink.count, sink.digest.hexdigest())


def read_arrow(path: Path) -> pa.Table:
    """Open an Arrow IPC file by memory map, zero copy; ArrowInvalid and OSError pass to the
    caller."""
    with pa.memory_map(str(path), "r") as source:
        return pa.ipc.open_file(source).read_all()


def mapped_arrow(path: Path) -> tuple[pa.Table, int]:
    """Open an Arrow IPC file by memory map; returns the address at which the file begins too."""
    with pa.memory_map(str(path), "r") as source:
        table = pa.ipc.open_file(source).read_all()
        source.seek(0)
        return table, int(source.read_buffer(1).address)


def give_back(path: Path, start: int, stop: int) -> None:
    """Free the disk pages of an own scratch file that lie wholly between two offsets, where the
    system can (Linux); they read as zeros from then on, and the size of the file stays.
    """
    first, last = -(-start // _PAGE) * _PAGE, stop // _PAGE * _PAGE
    if first >= last or not sys.platform.startswith("linux"):
        return
    step("free", path)
    free = ctypes.CDLL(None, use_errno=True).fallocate
    free.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    with open(path, "r+b") as raw:
        if free(raw.fileno(), _PUNCH_HOLE_AND_KEEP_SIZE, first, last - first):
            code = ctypes.get_errno()
            if code not in (errno.EOPNOTSUPP, errno.ENOSYS):  # then the pages just stay
                raise OSError(code, os.strerror(code), str(path))
