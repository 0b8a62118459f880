"""Text files as blocks of whole lines: plain, gzip, zstd, bzip2 or xz; UTF-8, checked.

Memory is a few blocks, whatever the size of the file. The next block is read and decompressed
while the caller works on the one before.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ...native.text_fields import find_byte
from ..ahead import Ahead
from ..errors import BadInput
from .bounds.guards import LINE_BYTES, named, refuse_unless_file
from .bounds.unxz import MOST_BYTES, Unxz

BLOCK_BYTES = 32 << 20
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
"""Endings of compressed files. What a file holds decides; the ending is for finding it."""

_PACKED = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"\xfd7zXZ": ".xz",
}
_OTHERS = {
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x04\x22\x4d\x18": "packed by lz4: unpack it, or pack it by gzip, zstd, bzip2 or xz",
    b"PAR1": "a Parquet file: give it the ending .parquet, or read it as parquet",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"\xff\xfe": "text in UTF-16: convert it to UTF-8, for example with iconv",
    b"\xfe\xff": "text in UTF-16: convert it to UTF-8, for example with iconv",
    b"\x80\x02": "a pickle: rankmill unsafe-convert-pickle turns scores into JSON Lines",
    b"\x80\x03": "a pickle: rankmill unsafe-convert-pickle turns scores into JSON Lines",
    b"\x80\x04": "a pickle: rankmill unsafe-convert-pickle turns scores into JSON Lines",
    b"\x80\x05": "a pickle: rankmill unsafe-convert-pickle turns scores into JSON Lines",
}
"""How files begin that are no lines of text → what they are, and what to do with them."""

_BOM = b"\xef\xbb\xbf"
_NEWLINE = 10
_APART = 24  # bytes from one end of a line or field to the next, on average or more
_SMALL = 1 << 20  # bytes on disk: not worth a thread


class Block(NamedTuple):
    """Whole lines of a file: `data` uint8, valid UTF-8; the last line may lack its line end.

    `feeds` int64: where the line feeds stand, ascending.
    """

    data: np.ndarray
    first_line: int  # counted from 1
    path: Path
    feeds: np.ndarray

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the lines begin and end (int64, without the line feed)."""
        feeds = self.feeds
        if not len(self.data) or self.data[-1] != _NEWLINE:
            feeds = np.append(feeds, len(self.data))
        return np.concatenate([[0], feeds[:-1] + 1]).astype(np.int64), feeds.astype(np.int64)

    def places(self, byte: int) -> np.ndarray:
        """Return where an ASCII character stands: int64, ascending."""
        return places_of(self.data, byte)

    def where(self, line: int) -> str:
        """Name a line, counted from 0 within the block, for an error."""
        return f"{self.path}, line {self.first_line + line}"


def places_of(data: np.ndarray, byte: int) -> np.ndarray:
    """Return where a byte stands in `data` (uint8): int64, ascending."""
    words, places = _words(data), np.empty(len(data) // _APART + 1, dtype=np.int64)
    count = find_byte(data, words, byte, places)
    if count > len(places):
        places = np.empty(count, dtype=np.int64)
        find_byte(data, words, byte, places)
    return places[:count]


def _words(data: np.ndarray) -> np.ndarray:
    """Return the same memory as uint64, without what is left over at the end; nothing where it does
    not begin at a whole word."""
    whole = len(data) // 8 * 8 if data.ctypes.data % 8 == 0 else 0
    return data[:whole].view(np.uint64)


def read_blocks(
    path: str | Path, *, digest: Any = None, size: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Yield the file as blocks of about `size` bytes of text, cut at line feeds only.

    A byte order mark at the start is dropped. `digest` (hashlib) is fed the file's own bytes, as
    they lie on disk, and is complete when the last block has been taken. Raises BadInput for a file
    that is not there, is damaged or cut off, or is not UTF-8, with the line.
    """
    path, line = Path(path), 1
    pieces = partial(_pieces_of, path, digest, size)
    small = path.exists() and path.stat().st_size < _SMALL
    for data, feeds in pieces() if small else Ahead(pieces, 1, "reader"):
        if line == 1 and not len(feeds):
            refuse_returns(data.tobytes(), path)
        block = Block(data, line, path, feeds)
        _check_utf8(block)
        yield block
        line += len(feeds)


@contextlib.contextmanager
def open_text(path: Path, digest: Any = None) -> Iterator[IO[bytes]]:
    """Open a file's bytes, decompressed by what it holds; raises BadInput where there is no such
    file. Reading may raise what `explained` turns into BadInput."""
    with contextlib.ExitStack() as opened:
        refuse_unless_file(path)
        raw: Any = opened.enter_context(open(path, "rb", buffering=0))
        with named(path):
            start = raw.read(8) or b""
            raw.seek(0)
        packed_as = _packing(start, path)
        source: Any = io.BufferedReader(_Fed(raw, digest) if digest is not None else raw, 1 << 20)
        opened.enter_context(source)
        if packed_as == ".gz":
            yield opened.enter_context(gzip.open(source, "rb"))  # type: ignore[arg-type]
        elif packed_as == ".bz2":
            unpacked: Any = bz2.open(source, "rb")
            yield opened.enter_context(unpacked)
        elif packed_as == ".xz":
            yield opened.enter_context(io.BufferedReader(Unxz(source), 1 << 20))  # type: ignore[arg-type]
        elif packed_as == ".zst":
            packed = pa.PythonFile(source, "r")
            yield opened.enter_context(pa.CompressedInputStream(packed, "zstd"))
        else:
            yield source
        while digest is not None and source.read(1 << 20):
            pass  # what stands behind the last packed piece belongs to the file


def _packing(start: bytes, path: Path) -> str:
    """Return how a file is packed, by how it begins: "" for plain text, whatever its name says.

    Raises BadInput for what is known to be no text. What is neither is taken by its ending.
    """
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            what, _, do = what.partition(": ")
            raise BadInput(f"this is {what}, not lines of text", where=path, do=do)
    held = next((end for magic, end in _PACKED.items() if start.startswith(magic)), None)
    if held is not None:
        return held
    plain = len(start) == 8 and start.isascii() and not any(byte < 9 for byte in start)
    return "" if plain or path.suffix not in COMPRESSED else path.suffix


def line_too_long(path: Path, line: int) -> BadInput:
    """Return the refusal of a line that nobody wrote as one."""
    what = f"the line has more than {LINE_BYTES.most:,} bytes"
    return LINE_BYTES.refused(what, f"{path}, line {line}")


def refuse_returns(first: bytes, path: Path) -> None:
    """Refuse a file whose first line has no end, but carriage returns inside: all of its rows would
    be taken for one."""
    if not first.endswith(b"\n") and b"\r" in first[:-1]:
        raise BadInput(
            "the lines end with carriage returns alone, and no line feed",
            where=f"{path}, line 1",
            do="end lines with line feeds: tr '\\r' '\\n' < FILE > OTHER",
        )


@contextlib.contextmanager
def explained(path: Path, line: list[int]) -> Iterator[None]:
    """Turn what a damaged file raises into BadInput that says after which line, `line[0]`."""
    try:
        yield
    except EOFError as error:
        raise BadInput(
            f"the compressed file ends too early, after line {line[0]}",
            where=path,
            do="the file is truncated: fetch or compress it again",
        ) from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, pa.ArrowInvalid) as error:
        if isinstance(error, lzma.LZMAError) and "emory" in str(error):
            raise BadInput(
                f"unpacking this takes more than {MOST_BYTES >> 20} MiB of memory",
                where=path,
                do="pack it again by xz -9 or less, or by gzip, zstd or bzip2",
            ) from error
        raise _damaged(path, line[0], error) from error
    except OSError as error:
        if error.errno is not None:  # the disk's or the system's, not the decompressor's
            error.filename = error.filename or str(path)
            raise
        raise _damaged(path, line[0], error) from error


def _damaged(path: Path, line: int, error: Exception) -> BadInput:
    return BadInput(
        f"bad compressed data after line {line}: {error}",
        where=path,
        do="the file is damaged: fetch or compress it again",
    )


Piece = tuple[np.ndarray, np.ndarray]


def _pieces_of(path: Path, digest: Any, size: int) -> Generator[Piece, None, None]:
    with open_text(path, digest) as stream:
        yield from _pieces(stream, path, size)


def _pieces(stream: Any, path: Path, size: int) -> Iterator[Piece]:
    """Yield bytes (uint8, read-only) that end with a line feed, but the last, and where their line
    feeds stand (int64); nothing for an empty file.

    They are read to where they stay: what is large and fresh costs more than what is done with it.
    """
    counted, read, most = [0], 1, LINE_BYTES.most
    with explained(path, counted):
        rest = np.frombuffer(stream.read(len(_BOM)).removeprefix(_BOM), np.uint8)
        while read:
            data = np.empty(len(rest) + max(size, len(rest)), dtype=np.uint8)
            data[: len(rest)] = rest
            read = _fill(stream, data[len(rest) :])
            data = data[: len(rest) + read]
            data.flags.writeable = False
            feeds = places_of(data, _NEWLINE)
            cut = int(feeds[-1]) + 1 if len(feeds) else 0
            rest = data[cut:].copy()
            if len(data) > most:
                lengths = np.diff(np.concatenate([[-1], feeds, [len(data)]])) - 1
                if lengths.max() > most:
                    raise line_too_long(path, counted[0] + int(lengths.argmax()) + 1)
            counted[0] += len(feeds)
            if cut:
                yield data[:cut], feeds
    if len(rest):
        rest.flags.writeable = False
        yield rest, np.empty(0, dtype=np.int64)


def _fill(stream: Any, room: np.ndarray) -> int:
    """Read until `room` is full or the stream is at its end; returns how many bytes."""
    view, done = room.data, 0
    while done < len(view) and (count := stream.readinto(view[done:])):
        done += count
    return done


_SMALL = 1 << 20  # bytes that Python checks in less time than it takes to load polars


def _check_utf8(block: Block) -> None:
    if len(block.data) > _SMALL and _is_utf8(block.data):
        return
    data = block.data.tobytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise BadInput(
            f"invalid UTF-8: byte 0x{data[error.start]:02x} at position "
            f"{error.start - before.rfind(10)}",
            where=block.where(before.count(b"\n")),
            do="convert the file to UTF-8, for example with iconv",
        ) from error


def _is_utf8(data: np.ndarray) -> bool:
    """Whether bytes are UTF-8: polars looks at 32 at a time, Arrow at one where it is no ASCII."""
    import polars as pl

    ends = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    whole = [None, ends, pa.py_buffer(data)]
    try:
        pl.from_arrow(pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, whole)).cast(pl.String)  # type: ignore[union-attr]
    except pl.exceptions.PolarsError:
        return False
    return True


class _Fed(io.RawIOBase):
    """A raw file whose bytes go through a digest on the way."""

    def __init__(self, raw: io.RawIOBase, digest: Any):
        super().__init__()
        self.raw, self.digest = raw, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.raw.readinto(buffer)  # type: ignore[attr-defined]
        self.digest.update(memoryview(buffer)[:count])
        return int(count)

    def close(self) -> None:
        self.raw.close()
        super().close()
