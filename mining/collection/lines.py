"""Lines of plain or compressed text files, decoded strictly; a refusal names file and line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..inputs.arrow_rows import arrow_rows
from ..inputs.blocks import COMPRESSED, explained, line_too_long, open_text, refuse_returns
from ..inputs.bounds.guards import LINE_BYTES, WHOLE_BYTES, refuse_unless_file, shown
from ..inputs.column_names import has_value, named
from ..inputs.parquet_rows import parquet_rows
from ..inputs.row_shapes import Place
from ..inputs.strict_json import object_of

_BOM = b"\xef\xbb\xbf"


def existing(folder: Path, *names: str) -> Path | None:
    """Return the first of the named files that exists, plain before compressed, or None."""
    for name in names:
        for candidate in (folder / name, *(folder / f"{name}{end}" for end in COMPRESSED)):
            if candidate.is_file():
                return candidate
    return None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, plain or compressed.

    Only a line feed ends a line, so U+2028 and form feeds stay inside; a carriage return before it
    belongs to the line end, and a byte order mark at the start of the file is dropped. Empty lines
    are skipped. One line at a time: for large files there is `rankmill.mining.inputs`.
    """
    number = 0
    if not path.is_file():
        raise missing(path)
    read = [0]
    try:
        with open_text(path) as stream, explained(path, read):
            plain: Any = stream
            lines: Any = plain if plain.seekable() else io.BufferedReader(plain)  # zstd's
            most = LINE_BYTES.most
            for number, raw in enumerate(iter(partial(lines.readline, most + 2), b""), 1):
                read[0] = number
                if len(raw) > most + 1:
                    raise line_too_long(path, number)
                if number == 1:
                    refuse_returns(raw, path)
                line = raw.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1:
                    line = line.removeprefix(_BOM)
                if line:
                    yield number, line.decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise _no_utf8(byte, error.start + 1, f"{path}, line {number}") from error


def whole_text(path: Path) -> str:
    """Return all of a UTF-8 file, plain or compressed: for formats that are one value.

    Raises BadInput for what is no file, is damaged, or is larger than the bound for such files.
    """
    if not path.is_file():
        raise missing(path)
    most, data, read = WHOLE_BYTES.most, bytearray(), [0]
    with open_text(path) as stream, explained(path, read):
        while piece := stream.read(1 << 20):
            data += piece
            if len(data) > most:
                raise WHOLE_BYTES.refused(f"the file has more than {most:,} bytes of text", path)
            read[0] += bytes(piece).count(b"\n")
    if data.startswith(_BOM):
        del data[: len(_BOM)]
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        place = error.start - data.rfind(b"\n", 0, error.start)
        raise _no_utf8(data[error.start], place, f"{path}, line {number}") from error


def _no_utf8(byte: int, place: int, where: str) -> BadInput:
    return BadInput(
        f"invalid UTF-8: byte 0x{byte:02x} at position {place}",
        where=where,
        do="convert the file to UTF-8, for example with iconv",
    )


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file; a key twice in one object is refused."""
    for number, line in read_lines(path):
        yield number, object_of(line, Place(path, number))


def read_rows(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file, or the rows of a Parquet or Arrow file by its ending,
    with their places."""
    if path.name.lower().endswith(".parquet"):
        yield from parquet_rows(path)
        return
    if path.name.lower().endswith(".arrow"):
        yield from arrow_rows(path)
        return
    for number, line in read_lines(path):
        place = Place(path, number)
        yield place, object_of(line, place)


def field(
    row: dict[str, Any],
    names: Sequence[str],
    path: Path | str,
    number: int,
    word: str = "line",
    shown: str | None = None,
) -> str:
    """Return the first of the named fields that has a value, as text; of other types only whole
    numbers pass.

    `word`: what a row is in the source; `shown`: the name of the field in an error.
    """
    name = has_value(row, names)
    if name is not None:
        value = row[name]
        if isinstance(value, str):  # the place is spelled out only when there is a fault
            return value if value.isascii() else checked_text(value, path, number, word)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise BadInput(
            f"{name!r} is a {type(value).__name__}, not text",
            where=f"{path}, {word} {number}",
            do="write it as a string",
        )
    if null := named(row, names):
        raise BadInput(
            f"{null[0]!r} is null (NoneType), not text",
            where=f"{path}, {word} {number}",
            do="give every row an id"
            if (shown or names[0]).endswith("id")
            else 'write a text, be it empty: ""',
        )
    raise BadInput(
        f"the field {(shown or names[0])!r} is missing; this {word} has "
        f"{', '.join(map(repr, row)) or 'none'}",
        where=f"{path}, {word} {number}",
        do=f"name it one of: {', '.join(names)}",
    )


def checked_text(value: str, path: Path | str, number: int, word: str = "line") -> str:
    """Return the text if it can be written as UTF-8; a lone surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the text holds half a character: lone surrogate \\u{ord(value[error.start]):04x}",
            where=f"{path}, {word} {number}",
            do="repair the escape sequence; such text has no UTF-8 form",
        ) from error
    return value


def grade_of(text: Any, where: str) -> int:
    """Return a judgement's grade: a whole number of 16 bits, be it spelled as a float (1.0)."""
    try:
        if isinstance(text, bool):
            raise ValueError("not a whole number")
        grade = text if isinstance(text, int) else _whole(text)
    except (ValueError, TypeError, OverflowError):
        grade = 1 << 20
    if not -(1 << 15) <= grade < 1 << 15:
        raise BadInput(
            f"the grade {shown(text)} is not a whole number between -32768 and 32767",
            where=where,
            do="write grades such as 0, 1, 2; the columns are query id, document id, grade",
        )
    return grade


def _whole(text: Any) -> int:
    """Return what `1`, `+1`, `1.0` or `1e0` stands for; raises ValueError for 0.5."""
    if isinstance(text, str) and _DIGITS.fullmatch(text.strip()):
        return int(text)
    if isinstance(text, str) and not _FLOAT.fullmatch(text.strip()):
        raise ValueError("no number")
    value = float(text)
    if value != int(value):
        raise ValueError("not a whole number")
    return int(value)


_DIGITS = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def missing(path: Path, do: str | None = None) -> BadInput:
    """Return the error for a file that is not there, naming what its folder holds."""
    folder = path.parent
    if path.is_symlink() and not path.exists():
        refuse_unless_file(path, do or "check the path")  # says where the link leads
    if any(part.startswith("hf:") for part in path.parts):
        return BadInput(
            "hf: is for collections; scores, runs and groups are read from files",
            where=path,
            do="hf download OWNER/NAME --repo-type dataset --local-dir FOLDER, then name FOLDER",
        )
    if path.exists() and not path.is_dir():
        return BadInput(
            "this is a pipe or a device, not a file; it would have to be read more than once",
            where=path,
            do="write what it holds to a file first",
        )
    if not folder.is_dir():
        return BadInput("there is no such folder", where=folder, do=do or "check the path")
    if path.is_dir():
        return BadInput(
            "this is a folder, not a file", where=path, do=do or "name the file in it that is meant"
        )
    there = sorted(p.name for p in folder.iterdir())[:10]
    return BadInput(
        f"there is no file {path.name}",
        where=folder,
        do=do or f"the folder holds: {', '.join(there) or 'nothing'}",
    )
