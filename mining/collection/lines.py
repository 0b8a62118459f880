"""Lines of plain or gzip text files, decoded strictly; a refusal names the file and the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import BadInput

_BOM = b"\xef\xbb\xbf"


def existing(folder: Path, *names: str) -> Path | None:
    """Return the first of the named files that exists, plain before `.gz`, or None."""
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, plain or gzip by content.

    Only a line feed ends a line, so U+2028 and form feeds stay inside; a carriage return before it
    belongs to the line end, and a byte order mark at the start of the file is dropped. Empty lines
    are skipped.
    """
    number = 0
    try:
        with _opened(path) as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1:
                    line = line.removeprefix(_BOM)
                if line:
                    yield number, line.decode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"invalid UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start + 1}",
            where=f"{path}, line {number}",
            do="convert the file to UTF-8, for example with iconv",
        ) from error
    except EOFError as error:
        raise BadInput(
            f"the gzip file ends too early, after line {number}",
            where=path,
            do="the file is truncated: fetch or compress it again",
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(
            f"bad gzip data after line {number}: {error}",
            where=path,
            do="the file is damaged: fetch or compress it again",
        ) from error
    except FileNotFoundError as error:
        raise missing(path) from error


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file."""
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(
                f"invalid JSON: {error.msg} at column {error.colno}",
                where=f"{path}, line {number}",
                do="one JSON object per line; if it is the last line, the file may be truncated",
            ) from error
        if not isinstance(value, dict):
            raise BadInput(
                f"the line holds a JSON {type(value).__name__}, not an object",
                where=f"{path}, line {number}",
                do='write lines such as {"_id": "d1", "title": "", "text": "…"}',
            )
        yield number, value


def field(row: dict[str, Any], names: tuple[str, ...], path: Path, number: int) -> str:
    """Return the first of the named fields as text; of other types only whole numbers pass."""
    for name in names:
        if name in row:
            value = row[name]
            if isinstance(value, str):  # the place is spelled out only when there is a fault
                return value if value.isascii() else checked_text(value, path, number)
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            raise BadInput(
                f"{name!r} is a {type(value).__name__}, not text",
                where=f"{path}, line {number}",
                do="write it as a JSON string",
            )
    raise BadInput(
        f"the field {names[0]!r} is missing; this line has {', '.join(map(repr, row)) or 'none'}",
        where=f"{path}, line {number}",
        do=f"name it one of: {', '.join(names)}",
    )


def checked_text(value: str, path: Path | str, number: int) -> str:
    """Return the text if it can be written as UTF-8; a lone surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the text holds half a character: lone surrogate \\u{ord(value[error.start]):04x}",
            where=f"{path}, line {number}",
            do="repair the escape sequence; such text has no UTF-8 form",
        ) from error
    return value


def grade_of(text: Any, where: str) -> int:
    """Return a judgement's grade; raises BadInput for anything but a whole number of 16 bits."""
    try:
        if isinstance(text, bool | float):
            raise ValueError("not a whole number")
        grade = int(text)
    except (ValueError, TypeError):
        grade = 1 << 20
    if not -(1 << 15) <= grade < 1 << 15:
        raise BadInput(
            f"the grade {text!r} is not a whole number between -32768 and 32767",
            where=where,
            do="write grades such as 0, 1, 2; the columns are query id, document id, grade",
        )
    return grade


def missing(path: Path, do: str | None = None) -> BadInput:
    """Return the error for a file that is not there, naming what its folder holds."""
    folder = path.parent
    if not folder.is_dir():
        return BadInput("there is no such folder", where=folder, do=do or "check the path")
    there = sorted(p.name for p in folder.iterdir())[:10]
    return BadInput(
        f"there is no file {path.name}",
        where=folder,
        do=do or f"the folder holds: {', '.join(there) or 'nothing'}",
    )


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    with open(path, "rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    if zipped or path.suffix == ".gz":
        return gzip.open(path, "rb")
    return open(path, "rb")
