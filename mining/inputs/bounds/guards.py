"""Bounds on what comes from outside: sizes before they are believed, and how a user raises them.

A file says of itself how much it holds, and a few bytes can say anything: a packed file a line of
many gigabytes, a header an array of 2^60. So every door asks here before it allocates. Each bound
is an environment variable of its own, which every refusal names. Nesting and the digits of whole
numbers are bounded by Python's own parsers; `DIGITS` says how many of these it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadInput, UsageError

DIGITS = 4300  # of a whole number: what Python's JSON and TOML read
LONGEST_SHOWN = 60  # characters of a value from outside, in a message


@dataclass(frozen=True, slots=True)
class Bound:
    """The most of something that is taken from outside; the environment variable `name` says
    another number."""

    name: str
    default: int

    @property
    def most(self) -> int:
        """The bound as it is now; raises UsageError where the variable is no whole number."""
        said = os.environ.get(self.name)
        if not said:
            return self.default
        if not (said.isascii() and said.isdecimal() and 0 < len(said) < 19 and int(said)):
            raise UsageError(
                f"{self.name}={said[:LONGEST_SHOWN]!r} is not a whole number from 1",
                do=f"write {self.name}={2 * self.default}, or unset it",
            )
        return int(said)

    def refused(self, what: str, where: object) -> BadInput:
        """Return the refusal of something beyond the bound."""
        return BadInput(
            what,
            where=str(where),
            do=f"check the file; if it is meant so, set {self.name} to a larger number",
        )


LINE_BYTES = Bound("RANKMILL_MOST_LINE_BYTES", 64 << 20)
"""Bytes of one line of text, unpacked, or of one text of a pickle."""
WHOLE_BYTES = Bound("RANKMILL_MOST_WHOLE_BYTES", 512 << 20)
"""Bytes of a file whose format can only be read as a whole, unpacked: scores as one JSON object."""
SETTINGS_BYTES = Bound("RANKMILL_MOST_SETTINGS_BYTES", 256 << 20)
"""Bytes of a JSON file of a model; the largest vocabularies have some 40 MB."""
TOML_BYTES = Bound("RANKMILL_MOST_TOML_BYTES", 1 << 20)
"""Bytes of a file that people write: recipes, prices, machines."""
PICKLE_ITEMS = Bound("RANKMILL_MOST_PICKLE_ITEMS", 1 << 16)
"""Values of a pickle that are held until something takes them; Python writes a thousand."""


def refuse_unless_file(path: Path, do: str = "check the path") -> None:
    """Raise BadInput for what is no regular file: nothing, a folder, a pipe, a device."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        what = "there is no such file"
        if path.is_symlink():
            what = f"this is a link to {os.readlink(path)}, which is not there"
        raise BadInput(what, where=path, do=do) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = f"this cannot be opened: {getattr(error, 'strerror', None) or error}"
        raise BadInput(what, where=repr(str(path)), do=do) from error
    if stat.S_ISDIR(mode):
        raise BadInput("this is a folder, not a file", where=path, do="name the file that is meant")
    if not stat.S_ISREG(mode):
        raise BadInput(
            "this is a pipe or a device, not a file; it would have to be read more than once",
            where=path,
            do="write what it holds to a file first",
        )


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Say the file in an error of the system that a block meets; that of reading knows none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def read_whole(path: Path, bound: Bound, do: str = "check the path") -> bytes:
    """Return all bytes of a regular file; raises BadInput for what is none or is too large."""
    refuse_unless_file(path, do)
    most, size = bound.most, path.stat().st_size
    with named(path), open(path, "rb") as stream:
        data = b"" if size > most else stream.read(most + 1)
    if max(size, len(data)) > most:
        raise bound.refused(f"this file has more than {most:,} bytes", path)
    return data


def read_settings(path: Path, do: str) -> Any:
    """Return what a JSON file of settings says; raises BadInput for what is no JSON.

    The last of equal keys counts, as for the libraries that read the same files.
    """
    data = read_whole(path, SETTINGS_BYTES, do)
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path.name} is not valid JSON: {reason(error)}", where=path, do=do
        ) from error


def reason(error: Exception) -> str:
    """Say why a parser gave up, in words for people who did not write it."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply to be read"
    if "integer string conversion" in str(error):
        return f"a whole number has more than {DIGITS:,} digits"
    return str(error)


def shown(value: Any) -> str:
    """Print a value for a message: short, null and true as JSON has them."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return brief(value)


def _of_a_class(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def brief(value: Any) -> str:
    """Print a value for a message as Python does, but short and on one line, whatever it is; a path
    is not cut, as its end tells what is meant."""
    if isinstance(value, os.PathLike):
        return repr(value)
    if isinstance(value, int) and value.bit_length() > 1 << 12:
        return f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, str | bytes):
        value = value[: LONGEST_SHOWN + 1]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # of lists: long numbers, or lists in lists
        text = _of_a_class(value)
    if "\n" in text:  # a table, drawn
        text = _of_a_class(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
