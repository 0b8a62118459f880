"""Text packed by xz, read with a bound on the memory that unpacking takes: a header may ask for
gigabytes before a byte of text comes."""

from __future__ import annotations

import io
import lzma
from typing import Any

MOST_BYTES = 256 << 20  # `xz -9` asks for 65 MiB
_READ = 1 << 16


class Unxz(io.RawIOBase):
    """The bytes that a raw file of one or several xz streams holds.

    Raises EOFError where the file ends within a stream, LZMAError for damage, and where more memory
    is asked for than the bound.
    """

    def __init__(self, raw: Any):
        super().__init__()
        self._raw, self._stream = raw, _begun()
        self._pending = b""  # packed bytes that were read and not given to the stream
        self._any = False

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes; returns how many, 0 at the end."""
        room = memoryview(buffer).cast("B")
        while len(room):
            if self._stream.eof and not self._next_stream():
                return 0
            data, self._pending = self._pending, b""
            if self._stream.needs_input and not (data := data or self._raw.read(_READ)):
                if self._any:
                    raise EOFError("the file ends within a stream")
                return 0
            self._any = True
            text = self._stream.decompress(data, len(room))
            if text:
                room[: len(text)] = text
                return len(text)
        return 0

    def _next_stream(self) -> bool:
        """Go on with the stream behind one that has ended, if any; zeros may lie between."""
        left = self._stream.unused_data.lstrip(b"\0")
        while not left:
            data = self._raw.read(_READ)
            if not data:
                return False
            left = data.lstrip(b"\0")
        self._stream = _begun()
        self._pending = left
        return True

    def close(self) -> None:
        """Close the file beneath, too."""
        self._raw.close()
        super().close()


def _begun() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_BYTES)
