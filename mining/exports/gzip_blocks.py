"""gzip in blocks: each a member of its own (RFC 1952, section 2.2), packed by threads side by side.

Blocks are cut by size alone, so that the bytes do not depend on the number of threads. Readers take
the members of a file for one stream.
"""

from __future__ import annotations

import io
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from ..processors import processors

_BLOCK = 1 << 20
_GZIP = 31  # zlib's window bits for a gzip member, which carries no time


class GzipBlocks(io.RawIOBase):
    """Packs what is written to it into `out`; the last block goes out at `finish`."""

    def __init__(self, out: IO[bytes]):
        self._out, self._rest = out, bytearray()
        threads = min(processors(), 8)
        self._pool = ThreadPoolExecutor(threads)
        self._ahead = 2 * threads
        self._packed: deque[Future[bytes]] = deque()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes; returns how many."""
        view = memoryview(data).cast("B")
        taken, at = len(view), 0
        while at < taken:
            piece = view[at : at + _BLOCK - len(self._rest)]
            self._rest += piece  # a copy: the writer may use its memory again
            at += len(piece)
            if len(self._rest) == _BLOCK:
                self._pack()
        return taken

    def finish(self) -> None:
        """Write out all that was taken."""
        self._pack()
        while self._packed:
            self._out.write(self._packed.popleft().result())

    def close(self) -> None:
        """Let the threads go; what `finish` did not write is lost."""
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def _pack(self) -> None:
        self._packed.append(self._pool.submit(_member, self._rest))
        self._rest = bytearray()
        while len(self._packed) > self._ahead:
            self._out.write(self._packed.popleft().result())


def _member(block: bytearray) -> bytes:
    work = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return work.compress(block) + work.flush()
